"""Resumption handles: issued, looked up, embargoed, forgotten (protocol, section 6.3). Pure: time is an argument.

`T` is what a snapshot holds: an immutable history value that belongs to the caller and is opaque here.
All times are monotonic seconds (`Clock.monotonic_s`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Generic, TypeVar

from fake_server.behaviour import Bounds, ResumptionRules
from fake_server.profiles import UNLISTED_MODEL, ModelProfile

T = TypeVar("T")

HANDLE_LENGTH = 36


@dataclass(frozen=True, slots=True)
class Cadence:
    """When updates go out on a connection."""

    first_after_s: float
    """From setupComplete to the first."""
    every_s: float | None
    """Between later ones; None: there is only the first."""


@dataclass(frozen=True, slots=True)
class Update:
    """What one sessionResumptionUpdate says."""

    handle: str | None
    """None: not resumable at this moment."""
    resumable: bool


@dataclass(frozen=True, slots=True)
class Accepted(Generic[T]):
    """A handle that is good."""

    session: str
    content: T | None
    """The history to go on from; None where `whole_session` or `forgotten`."""
    whole_session: bool
    """True: the handle names the session itself: go on from its history as it stands."""
    forgotten: bool
    """True: accepted, but the context is gone: begin with an empty history."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A handle that is refused."""

    refusal: str
    """Name in the table of refusals."""


class SessionState(Enum):
    """What a service-side session is to someone who wants to resume it."""

    HELD = "held"
    """The client has not closed its own end of a socket of it."""
    LEFT = "left"
    """No socket of it is open at the client."""
    INVALID = "invalid"
    """Gone for good."""


class SessionEvent(Enum):
    """What happens to it."""

    CONNECTED = "connected"
    SOCKET_CLOSED = "socket_closed"
    LAST_SOCKET_CLOSED = "last_socket_closed"
    INVALIDATED = "invalidated"


_S, _E = SessionState, SessionEvent
MOVES: Mapping[tuple[SessionState, SessionEvent], SessionState] = MappingProxyType(
    {
        (_S.LEFT, _E.CONNECTED): _S.HELD,
        (_S.LEFT, _E.INVALIDATED): _S.INVALID,
        (_S.HELD, _E.CONNECTED): _S.HELD,  # without the embargo, a second socket may come beside the first
        (_S.HELD, _E.SOCKET_CLOSED): _S.HELD,
        (_S.HELD, _E.LAST_SOCKET_CLOSED): _S.LEFT,
        (_S.HELD, _E.INVALIDATED): _S.INVALID,
        (_S.INVALID, _E.SOCKET_CLOSED): _S.INVALID,
        (_S.INVALID, _E.LAST_SOCKET_CLOSED): _S.INVALID,
        (_S.INVALID, _E.INVALIDATED): _S.INVALID,
    }
)
"""Every legal move of one session."""


class IllegalSessionMoveError(RuntimeError):
    """An event came in a state that does not know it: a fault of ours."""


@dataclass(slots=True)
class _Session:
    state: SessionState = SessionState.LEFT
    open_sockets: set[int] = field(default_factory=set)
    left_at_s: float | None = None
    embargo_until_s: float = 0.0
    held_back_until_s: float = 0.0
    handles: set[str] = field(default_factory=set)
    """All that are known of it."""

    def happens(self, event: SessionEvent) -> None:
        try:
            self.state = MOVES[self.state, event]
        except KeyError:
            raise IllegalSessionMoveError(f"a session that is {self.state.value} knows no {event.value}") from None


@dataclass(slots=True)
class _Issued(Generic[T]):
    session: str
    content: T | None
    """None where the handle names the session itself."""
    whole_session: bool
    forgotten: bool = False


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the handles of one connection mean, and how the service guards its session: by the rules, or the model."""

    whole_session: bool
    """A handle names the session itself, not a snapshot of it."""
    embargo_idle_drop_s: float
    """A resume so soon after a drop while the model was idle is refused."""
    embargo_refused_after_s: float
    """From the setup to that refusal."""


def meaning(rules: ResumptionRules, profile: ModelProfile, *, transparent: bool = False) -> Meaning:
    """The rules, with the model's own habit where they leave it to the model.

    `transparent`: the handle is a snapshot, since its index says which client messages are in it.
    """
    handles = profile.handles if rules.handles == "model" else rules.handles
    embargo_s, after_s = rules.embargo_idle_drop_s, rules.embargo_refused_after_s
    return Meaning(
        handles == "session" and not transparent,
        profile.idle_drop_embargo_s if embargo_s == "model" else embargo_s,
        profile.embargo_refused_after_s if after_s == "model" else after_s,
    )


def cadence(rules: ResumptionRules, profile: ModelProfile, *, resumed: bool = False) -> Cadence | None:
    """When updates are due by the rules, or the model's own habit; None: never."""
    if rules.every_s is None:
        return None
    every_s = profile.update_every_s if rules.every_s == "model" else rules.every_s
    if rules.first_after_s is not None:
        return Cadence(rules.first_after_s, every_s)
    first_s = profile.first_update_after_resume_s if resumed else profile.first_update_after_s
    # A scenario that asks for an update each second does not mean the first after five.
    return Cadence(first_s if rules.every_s == "model" else min(first_s, rules.every_s), every_s)


class Handles(Generic[T]):
    """All handles of one server."""

    def __init__(self, rules: ResumptionRules, *, new_handle: Callable[[], str], bounds: Bounds | None = None) -> None:
        """`new_handle` makes 36 characters, never the same twice. What rules leave to the model, a `Meaning` says."""
        self._rules = rules
        self._meaning = meaning(rules, UNLISTED_MODEL)
        self._new_handle = new_handle
        self._issued: dict[str, _Issued[T]] = {}
        self._sessions: dict[str, _Session] = {}
        self._bounds = bounds or Bounds()
        self._left: dict[str, float] = {}
        """When each session was left that is: the longest ago comes first."""

    def __len__(self) -> int:
        """Handles known."""
        return len(self._issued)

    def knows(self, session: str) -> bool:
        """The session can still be told from one that never was."""
        return session in self._sessions

    def forget(self, now_s: float) -> tuple[str, ...]:
        """Let the sessions go that were left longer ago than a handle is good for, or that are too many.

        Their handles are unknown from now on, which is what they answered before. Returns the sessions.
        """
        gone = []
        while self._left:
            session, left_at_s = next(iter(self._left.items()))
            if now_s - left_at_s <= self._rules.lifetime_s and len(self._left) <= self._bounds.sessions:
                break
            del self._left[session]
            for handle in self._sessions.pop(session).handles:
                del self._issued[handle]
            gone.append(session)
        return tuple(gone)

    def session_connected(self, session: str, *, connection: int = 0) -> None:
        """A connection of this session went live (setupComplete), fresh or resumed."""
        known = self._sessions.setdefault(session, _Session())
        known.happens(SessionEvent.CONNECTED)
        known.open_sockets.add(connection)
        known.left_at_s = None
        self._left.pop(session, None)

    def client_end_closed(
        self, session: str, *, now_s: float, model_idle: bool, connection: int = 0, means: Meaning | None = None
    ) -> None:
        """The client's own end of a socket of this session is closed: by a close frame, or seen to be gone.

        `model_idle`: it dropped without a close frame while the model was idle (counts under `embargo_idle_drop_s`).
        `means`: of this connection; None: by the rules alone. Telling it again of the same connection changes nothing.
        """
        known = self._sessions.get(session)
        if known is None or connection not in known.open_sockets:
            return
        known.open_sockets.discard(connection)
        known.happens(SessionEvent.SOCKET_CLOSED if known.open_sockets else SessionEvent.LAST_SOCKET_CLOSED)
        if not known.open_sockets:
            known.left_at_s = self._left[session] = now_s
        if model_idle:
            known.embargo_until_s = now_s + (means or self._meaning).embargo_idle_drop_s

    def next_update(
        self,
        session: str,
        content: T,
        *,
        now_s: float,
        busy: bool = False,
        resumable: bool = True,
        means: Meaning | None = None,
    ) -> Update:
        """What the update that is now due says; issues a handle unless it must be non-resumable.

        `busy`: the model speaks or a tool call is pending (counts under `pause_while_generating`).
        `means`: of this connection; None: by the rules alone.
        """
        known = self._sessions.get(session)
        held_back = known is not None and now_s < known.held_back_until_s
        if not resumable or held_back or (busy and self._rules.pause_while_generating):
            return Update(None, resumable=False)
        return Update(self.issue(session, content, means), resumable=True)

    def issue(self, session: str, content: T, means: Meaning | None = None) -> str:
        """A new handle of this session, holding `content` (or, by its meaning, naming the session)."""
        handle = self._new_handle()
        if len(handle) != HANDLE_LENGTH or handle in self._issued:
            raise ValueError(
                f"new_handle must make {HANDLE_LENGTH} characters, never the same twice; it gave {len(handle)}"
            )
        whole = (means or self._meaning).whole_session
        self._issued[handle] = _Issued(session, None if whole else content, whole)
        self._sessions.setdefault(session, _Session()).handles.add(handle)
        if len(self._issued) > self._bounds.handles:
            oldest = next(iter(self._issued))
            self._sessions[self._issued.pop(oldest).session].handles.discard(oldest)
        return handle

    def hold_back(self, session: str, *, until_s: float) -> None:
        """Updates of this session stay non-resumable until then."""
        self._sessions.setdefault(session, _Session()).held_back_until_s = until_s

    def look_up(self, handle: str, *, now_s: float) -> Accepted[T] | Rejected:
        """What a setup with this (non-empty) handle gets.

        An empty handle is proto3's default, so it is as none: callers start a fresh session and do not ask here.
        """
        issued = self._issued.get(handle)
        if issued is None:
            return Rejected("session_not_found" if len(handle) == HANDLE_LENGTH else "invalid_handle")
        session = self._sessions[issued.session]
        if session.state is SessionState.INVALID:
            return Rejected("session_expired")
        if session.left_at_s is not None and now_s - session.left_at_s > self._rules.lifetime_s:
            return Rejected("session_not_found")
        if session.state is SessionState.HELD and self._rules.embargo_old_socket:
            return Rejected("internal_error")
        if now_s < session.embargo_until_s:
            return Rejected("internal_error")
        whole_session = issued.whole_session and not issued.forgotten
        return Accepted(issued.session, issued.content, whole_session, issued.forgotten)

    def forget_handles(self) -> None:
        """Every handle issued so far becomes unknown."""
        self._issued.clear()
        for session in self._sessions.values():
            session.handles.clear()

    def forget_context(self) -> None:
        """Every handle issued so far stays good, with nothing behind it."""
        for issued in self._issued.values():
            issued.content = None
            issued.forgotten = True

    def invalidate(self, session: str) -> None:
        """The session is gone for good: its handles answer `session_expired`."""
        self._sessions.setdefault(session, _Session()).happens(SessionEvent.INVALIDATED)
