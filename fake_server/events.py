"""The facts that the fake server can tell an observer: frozen, free of secrets, one class a fact.

An observer is any callable that takes one of these; it stamps the time. Secrets (keys, tokens, handles)
appear only as labels (`key-1`, `token-3`, `handle-2`; see `fake_server.labels`). `connection` counts the
upgrades that one server has seen, from 1, in order. `socket` counts accepted TCP links, from 1: a dial that
never gets as far as an upgrade is known by its socket alone.

No slots, on purpose: orjson writes a dataclass that has a `__dict__` four times as fast, and every fact is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import orjson

from fake_server.quick import made_quickly

Payload: TypeAlias = Mapping[str, object] | orjson.Fragment | None
"""A frame's JSON: a mapping, or (on the hot path) its own bytes, spliced in as they are. None: not JSON."""


@made_quickly
@dataclass(frozen=True)
class Credential:
    """One credential as it came on an upgrade."""

    kind: str
    """`key`, `token` or `bearer`: what the value is, judged by its own form, not by where it stood."""
    where: str
    """`query.key`, `query.access_token`, `header.x-goog-api-key`, `header.authorization`."""
    label: str
    """`token-2`, `key-1`, or `unknown-credential-1` for one that this server never issued."""


@made_quickly
@dataclass(frozen=True)
class SpeechRange:
    """A run of consecutive samples of one utterance, recognised from the PCM alone."""

    utterance: int
    start: int
    """First sample, counted from 0 in the utterance's WAV (16 kHz)."""
    end: int
    """One past the last sample."""


@made_quickly
@dataclass(frozen=True)
class SocketAccepted:
    """A TCP link came in at a listener."""

    kind: ClassVar[str] = "socket.accepted"
    socket: int
    listener: str
    """The listener's name: under the harness `live` or `backend`."""


@made_quickly
@dataclass(frozen=True)
class HttpAnswered:
    """A plain HTTP request (not an upgrade) was answered."""

    kind: ClassVar[str] = "http.answered"
    socket: int
    listener: str
    method: str
    path: str
    status: int


@made_quickly
@dataclass(frozen=True)
class TokenMinted:
    """A token call made an ephemeral token."""

    kind: ClassVar[str] = "token.minted"
    token: str
    via: str
    """`service` (`POST …/auth_tokens`), `backend` (the stand-in), or `article` (its own dialect)."""
    uses: int
    """Sessions that it may start; 0 means without limit."""
    new_session_window_s: float
    """Seconds from now within which it may start a session."""
    lifetime_s: float
    """Seconds from now until it expires altogether."""
    problems: tuple[str, ...] = ()
    """Fields of the call that only we do not know, in the service's words: taken, and warned of."""


@made_quickly
@dataclass(frozen=True)
class TokenCallRefused:
    """A token call was answered with an error, or deliberately not answered."""

    kind: ClassVar[str] = "token.call_refused"
    via: str
    status: int | None
    """HTTP status; None where no answer was given."""
    reason: str
    deliberate: bool
    """True: the scenario asked for it."""


@made_quickly
@dataclass(frozen=True)
class TokenSpent:
    """A session start (or whatever `resume_spends_use` makes of a resume) took one use of a token."""

    kind: ClassVar[str] = "token.spent"
    token: str
    connection: int
    uses_left: int | None
    """None: unlimited."""


@made_quickly
@dataclass(frozen=True)
class UpgradeReceived:
    """A client asked for a WebSocket."""

    kind: ClassVar[str] = "upgrade.received"
    connection: int
    socket: int
    listener: str
    version: str
    """`v1`, `v1beta` or `v1alpha`."""
    method: str
    """`plain` (BidiGenerateContent), `constrained` (…Constrained), or `vertex`."""
    credentials: tuple[Credential, ...]


@made_quickly
@dataclass(frozen=True)
class UpgradeAnswered:
    """The upgrade was accepted (101) or refused by HTTP."""

    kind: ClassVar[str] = "upgrade.answered"
    connection: int
    status: int
    refusal: str | None
    """Name in the table of refusals; None for a 101."""
    deliberate: bool
    """True: refused because the scenario said so, whatever the client presented."""
    retry_after_s: float | None = None
    """What the Retry-After of a refusal by HTTP says; None: it has none, and a 101 never has."""


@made_quickly
@dataclass(frozen=True)
class FrameReceived:
    """A frame from the client, parsed."""

    kind: ClassVar[str] = "frame.received"
    connection: int
    index: int
    """1 for the connection's first frame."""
    message: str
    """`setup`, `client_content`, `realtime_input`, `tool_response`, `context_update`, `unknown`, `unparsable`."""
    parts: tuple[str, ...]
    """Which members of the message are set: `audio`, `text`, `audio_stream_end`, `turn_complete`, …"""
    size_bytes: int
    payload: Payload
    """Audio as `{"mimeType", "bytes", "digest"}`, secrets as labels."""
    problems: tuple[str, ...]
    """What the service would refuse, in its words; empty when nothing."""
    speech: tuple[SpeechRange, ...]
    unrecognised_samples: int
    """Audio samples in this frame that carry no position code, or not yet enough of it to be placed."""


@made_quickly
@dataclass(frozen=True)
class FrameSent:
    """A frame to the client, written to its socket."""

    kind: ClassVar[str] = "frame.sent"
    connection: int
    index: int
    """1 for the connection's first frame."""
    message: str
    """`setup_complete`, `server_content`, `tool_call`, `tool_call_cancellation`, `go_away`,
    `session_resumption_update`, `voice_activity`, `usage_metadata`, `empty` (`{}`), `unknown`, `malformed`; the first
    that applies, in this order."""
    parts: tuple[str, ...]
    """Members: `audio`, `text`, `output_transcription`, `input_transcription`, `generation_complete`,
    `turn_complete`, `interrupted`, `usage_metadata`, `resumable`, …"""
    size_bytes: int
    payload: Payload
    invalid: str | None
    """Why the service could not have sent this frame; None when it could. SELF-1 reads it."""
    deliberate: bool
    """True: the scenario broke it on purpose."""


@made_quickly
@dataclass(frozen=True)
class SessionStarted:
    """setupComplete went out: from here the session is live."""

    kind: ClassVar[str] = "session.started"
    connection: int
    session: str
    """Label of the service-side session: the same one again where a resume continued it."""
    resumed_with: str | None
    """Handle label; None for a fresh session."""
    token: str | None
    """Token label that was presented on this connection; None for a key."""
    facts: tuple[str, ...]
    """Names of the facts that the (restored) history holds."""


@made_quickly
@dataclass(frozen=True)
class HandlePresented:
    """A setup carried a resumption handle."""

    kind: ClassVar[str] = "handle.presented"
    connection: int
    handle: str
    """Label; `unknown-handle-1` for one that this server never issued, `empty-handle` for `""`."""
    refusal: str | None
    """Name in the table of refusals; None when it was accepted."""


@made_quickly
@dataclass(frozen=True)
class HandleIssued:
    """A sessionResumptionUpdate went out (the frame itself is a `frame.sent` beside it)."""

    kind: ClassVar[str] = "handle.issued"
    connection: int
    session: str
    handle: str | None
    """None: the update carried no new handle."""
    resumable: bool
    facts: tuple[str, ...]
    """Names of the facts that resuming with this handle restores."""


@made_quickly
@dataclass(frozen=True)
class TurnHeard:
    """The fake model took in a whole user turn."""

    kind: ClassVar[str] = "turn.heard"
    connection: int
    turn: int
    """Counts user turns over the whole server, from 1."""
    how: str
    """`text`, `speech` or `tool_response`."""
    text: str
    """What was understood: of speech, the words of which most samples arrived."""
    utterances: tuple[int, ...]
    """Utterance numbers found in the audio; empty for text."""
    taught: tuple[str, ...]
    """Names of facts learnt from it."""
    asked: tuple[str, ...]
    """Names of facts asked for in it."""


@made_quickly
@dataclass(frozen=True)
class TurnAnswered:
    """The model began its answer to a turn: what it will say is settled here."""

    kind: ClassVar[str] = "turn.answered"
    connection: int
    turn: int
    text: str
    known: tuple[str, ...]
    """Asked facts that the history held, so that the answer is right."""
    missing: tuple[str, ...]
    """Asked facts that it did not hold."""


@made_quickly
@dataclass(frozen=True)
class TurnEnded:
    """The model's turn is over."""

    kind: ClassVar[str] = "turn.ended"
    connection: int
    turn: int
    outcome: str
    """`complete` (turnComplete sent), `interrupted`, or `cut` (the connection ended first)."""


@made_quickly
@dataclass(frozen=True)
class CloseSent:
    """The server closed a WebSocket."""

    kind: ClassVar[str] = "close.sent"
    connection: int
    code: int
    reason: str
    refusal: str | None
    """Name in the table of refusals, where the close is one."""
    deliberate: bool


@made_quickly
@dataclass(frozen=True)
class CloseReceived:
    """A close frame came from the client."""

    kind: ClassVar[str] = "close.received"
    connection: int
    code: int | None
    """None: a close frame without a code (1005)."""
    reason: str


@made_quickly
@dataclass(frozen=True)
class ConnectionEnded:
    """The TCP link of a connection is gone at the server."""

    kind: ClassVar[str] = "connection.ended"
    connection: int
    how: str
    """`closed` (after close frames), `fin` or `reset` (by the peer, no close frame), `aborted` (by us)."""


ServerEvent: TypeAlias = (
    SocketAccepted
    | HttpAnswered
    | TokenMinted
    | TokenCallRefused
    | TokenSpent
    | UpgradeReceived
    | UpgradeAnswered
    | FrameReceived
    | FrameSent
    | SessionStarted
    | HandlePresented
    | HandleIssued
    | TurnHeard
    | TurnAnswered
    | TurnEnded
    | CloseSent
    | CloseReceived
    | ConnectionEnded
)

Observer: TypeAlias = Callable[[ServerEvent], None]
