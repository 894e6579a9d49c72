"""Every kind of fact that a journal can hold: the server's own, and what the harness itself sees and does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from fake_server import events as server
from fake_server.quick import made_quickly

JsonObject: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class RunPlanned:
    """The plan: always the first entry. Checks are given this and the events after it, nothing else."""

    kind: ClassVar[str] = "run.planned"
    plan: JsonObject


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The last entry of a journal that was written to its end."""

    kind: ClassVar[str] = "run.ended"
    outcome: str
    """`played`, `skipped`, `interrupted` (Ctrl-C), `not_started` (the client cannot be: the user's mistake),
    `other_client` (it said something else of itself than was planned for, and is played again), or `harness_error`."""
    message: str


@dataclass(frozen=True, slots=True)
class ProxyReady:
    """The links stand."""

    kind: ClassVar[str] = "proxy.ready"
    proxy: str
    """`toxiproxy` or `builtin`."""
    version: str
    why: str


@dataclass(frozen=True, slots=True)
class StepStarted:
    """The person begins a step of the story."""

    kind: ClassVar[str] = "step.started"
    step: int
    """1 for the first step; the probe that ends the run comes last."""
    verb: str
    """`teach`, `say`, `speak`, `ask`, `until`, `wait`, `hang_up`, `do`, `connect`, `probe`, `quit`."""
    detail: JsonObject


@dataclass(frozen=True, slots=True)
class StepEnded:
    """A step is over."""

    kind: ClassVar[str] = "step.ended"
    step: int
    outcome: str
    """`done`, `timed_out`, or `client_gone`."""


@dataclass(frozen=True, slots=True)
class UserTurn:
    """What the person says: handed to the client at this moment (the command is a `client.command` beside it)."""

    kind: ClassVar[str] = "user.turn"
    step: int
    how: str
    """`text` or `speech`."""
    text: str
    teaches: tuple[str, ...]
    asks: tuple[str, ...]
    utterance: int | None
    """Number of the utterance whose WAV is streamed; None for text."""
    speech_samples: int
    """Samples (16 kHz) that carry words; 0 for text."""
    total_samples: int
    """Samples of the whole WAV, coded quiet included; 0 for text."""
    probe: bool
    """True for the turn that ends the run."""


@dataclass(frozen=True, slots=True)
class ClientStarted:
    """The client's process runs."""

    kind: ClassVar[str] = "client.started"
    instance: int
    """1, and one more after each `restart`."""


@dataclass(frozen=True, slots=True)
class ClientExited:
    """The client's process is gone."""

    kind: ClassVar[str] = "client.exited"
    instance: int
    code: int | None
    """Exit status; None when a signal ended it."""
    signal: str | None
    """`SIGKILL` and the like; None when it left by itself."""
    asked: bool
    """True: we had asked it to leave (quit) or ended it ourselves."""
    after_hang_up: bool


@dataclass(frozen=True, slots=True)
class ClientStopping:
    """We are ending the client: `asked` (quit), `terminated` (SIGTERM), `killed` (SIGKILL), `swept` (children left)."""

    kind: ClassVar[str] = "client.stopping"
    instance: int
    how: str
    detail: str


@dataclass(frozen=True, slots=True)
class ClientCommand:
    """A line was written to the client's standard input."""

    kind: ClassVar[str] = "client.command"
    command: JsonObject
    """`{"do": "say", …}`; file paths are cut to their last part."""


@dataclass(frozen=True, slots=True)
class ClientEvent:
    """The client wrote an event line (contract, section 4)."""

    kind: ClassVar[str] = "client.event"
    event: str
    """`hello`, `state`, `reply`, `playback`, `tool`, `error`, `unsupported`, or one that we do not know."""
    data: JsonObject
    """The whole object, `event` included."""


@dataclass(frozen=True, slots=True)
class ClientOutput:
    """A line of output that is no event, at most 4,096 characters of it (the whole is in its own file)."""

    kind: ClassVar[str] = "client.output"
    stream: str
    text: str


@dataclass(frozen=True, slots=True)
class FaultDue:
    """A trigger matched: from here the fault's lateness counts."""

    kind: ClassVar[str] = "fault.due"
    fault: int
    """Numbered through the run, from 1."""
    act: str
    """`network.blackhole`, `server.go_away`, `tokens.fail`, `client.suspend`, …"""
    detail: JsonObject
    after_s: float
    """The trigger's own delay, for SELF-1's bound; 0 when it was to act at once."""


@dataclass(frozen=True, slots=True)
class FaultInForce:
    """The fault bites from here on: the proxy (or server, or process) has confirmed it."""

    kind: ClassVar[str] = "fault.in_force"
    fault: int
    act: str
    link: str | None
    """`live`, `backend`, `all`; None for faults that are not on the network."""
    direction: str | None
    """`up` (client to server), `down`, `both`; None off the network."""
    scope: str | None
    """`all` or `existing`; None off the network."""
    for_s: float | None
    """How long it is to last; None: once, or to the end of the run."""
    lag_ms: float
    """From due to in force."""


@dataclass(frozen=True, slots=True)
class FaultLifted:
    """The fault is over."""

    kind: ClassVar[str] = "fault.lifted"
    fault: int
    act: str
    lag_ms: float
    """From the moment at which it should have ended."""


@dataclass(frozen=True, slots=True)
class FaultFailed:
    """The fault could not be put in force or lifted: a fault of the harness, never the client's."""

    kind: ClassVar[str] = "fault.failed"
    fault: int
    act: str
    reason: str


@dataclass(frozen=True, slots=True)
class LinkDial:
    """A dial that the proxy itself saw, and closed, because the link is `unavailable`."""

    kind: ClassVar[str] = "link.dial"
    link: str


@dataclass(frozen=True, slots=True)
class LinkClientClosed:
    """The client closed its own end of a TCP link, seen at the proxy even while a fault holds the bytes."""

    kind: ClassVar[str] = "link.client_closed"
    link: str
    socket: int | None
    """The server's number for the same link (`socket.accepted`); None when the two could not be matched."""


@dataclass(frozen=True, slots=True)
class HarnessLag:
    """Our own event loop woke late: the worst of the last second, when it was over 20 ms."""

    kind: ClassVar[str] = "harness.lag"
    lag_ms: float


@dataclass(frozen=True, slots=True)
class Note:
    """Something a reader should know, that no check reads."""

    kind: ClassVar[str] = "note"
    text: str


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """A line of a kind that this version does not know: kept, never judged."""

    kind: ClassVar[str] = "unknown"
    original_kind: str
    data: JsonObject


HarnessEvent: TypeAlias = (
    RunPlanned
    | RunEnded
    | ProxyReady
    | StepStarted
    | StepEnded
    | UserTurn
    | ClientStarted
    | ClientExited
    | ClientStopping
    | ClientCommand
    | ClientEvent
    | ClientOutput
    | FaultDue
    | FaultInForce
    | FaultLifted
    | FaultFailed
    | LinkDial
    | LinkClientClosed
    | HarnessLag
    | Note
    | UnknownEvent
)

Event: TypeAlias = server.ServerEvent | HarnessEvent


@made_quickly
@dataclass(frozen=True)
class Entry:
    """One line of a journal."""

    n: int
    """Sequence number, from 1: what evidence points at."""
    t: float
    """Seconds since the run began, on the one clock."""
    event: Event


@dataclass(frozen=True, slots=True)
class Journal:
    """All entries of one run, in order of `n`."""

    entries: tuple[Entry, ...]
    whole: bool
    """False: it has no `run.ended` (the harness was killed), or its last line was cut."""
