"""What a session wants done, as data: the shell carries it out in order and decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from fake_server.events import ServerEvent, TurnEnded
from fake_server.quick import made_quickly


@made_quickly
@dataclass(frozen=True)
class Send:
    """Send a server message."""

    message: Mapping[str, Any]
    """Never changed afterwards."""
    then: tuple[ServerEvent, ...] = ()
    """Told once the frame is written."""
    constant: bool = False
    """True: the very same object is sent again and again, so that its bytes may be kept."""
    deliberate: bool = False
    """True: the scenario made it odd on purpose."""


@dataclass(frozen=True, slots=True)
class SendRaw:
    """Send a frame that no service would send."""

    data: bytes
    form: str
    """What is wrong with it."""
    document: Mapping[str, Any] | None = None
    """Its JSON, where it is one document."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the observer at once."""

    event: ServerEvent


@dataclass(frozen=True, slots=True)
class Pong:
    """Answer a ping."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """Send a close frame, after everything sent before."""

    code: int
    reason: str
    """At most 123 bytes."""
    refusal: str | None
    """Name in the table of refusals, where the close is one."""
    deliberate: bool


@dataclass(frozen=True, slots=True)
class EchoClose:
    """Answer the client's close frame with 1000, as the service does (protocol, section 3)."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the TCP link in an orderly way, once everything is written."""


@dataclass(frozen=True, slots=True)
class Abort:
    """Drop the TCP link at once, by RST where nothing stands between."""


Effect: TypeAlias = Send | SendRaw | Tell | Pong | Close | EchoClose | HangUp | Abort


def told_of_unsent(effects: Iterable[Effect]) -> list[ServerEvent]:
    """What there is still to tell when these effects will never be carried out: turns that would have ended."""
    return [cut for effect in effects if isinstance(effect, Send) for cut in cut_turns(effect.then)]


def cut_turns(events: Iterable[ServerEvent]) -> list[ServerEvent]:
    """The ends of turns among events that did not come about: the connection ended first."""
    return [replace(event, outcome="cut") for event in events if isinstance(event, TurnEnded)]
