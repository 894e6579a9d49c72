"""Watches everything that one fake server does, against a record of its own: what was said, dialled and handed out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from fake_server import wire
from fake_server.effects import Abort, Close, EchoClose, Effect, HangUp, Pong, Send, SendRaw, Tell
from fake_server.events import (
    HandleIssued,
    HandlePresented,
    ServerEvent,
    SessionStarted,
    TokenSpent,
    TurnAnswered,
    TurnEnded,
    TurnHeard,
)
from fake_server.moves import Phase
from fake_server.refusals import REFUSALS
from fake_server.wire.order import FrameOrder
from tests.fake_server.house import Caller, House

FRAME = "a frame went out that the service could not send"
ORDER = "frames went out in an order in which the service could not send them"
AFTER_CLOSE = "something went out after the close"
CLOSE = "a close is none of the service's"
TWICE = "a use was spent twice"
UNTOLD = "a use was spent and not told, or told and not spent"
CONTENT = "a session resumed to content that was not there"
ANSWER = "the model knew what was never said in its session, or forgot what was"
TURN = "a turn ended twice, or without having been heard"
OPEN_TURN = "a turn never ended though its connection did"
STATE = "a connection is in a state that it cannot be in"
OUTLIVED = "a session outlived its token"

_FINISHED = {Close: (Tell, Pong, HangUp, Abort), EchoClose: (Tell, HangUp, Abort), HangUp: (Tell,), Abort: (Tell,)}
"""What may still be done after each."""


@dataclass
class Seen:
    """What was seen of one connection."""

    session: str = ""
    known: set[str] = field(default_factory=set)
    """Facts that its session must know."""
    restored: set[str] = field(default_factory=set)
    """Facts that the handle of its setup stands for."""
    pasts: set[frozenset[str]] = field(default_factory=set)
    """All that `known` has been: an update that a silence holds back tells of an earlier one."""
    early: set[str] = field(default_factory=set)
    """Facts that were said before setupComplete: they count from then on."""
    deaf: bool = False
    """A frame was sent too early that ends the connection: what follows it is never taken in."""
    frames: int = 0
    order: FrameOrder = field(default_factory=FrameOrder)
    finished: type | None = None
    heard: set[int] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)


class Witness:
    """Raises `AssertionError`, with one of the texts above, as soon as something is not as it must be."""

    def __init__(self, house: House, *, whole_session: bool) -> None:
        """`whole_session`: handles name the session; else they hold a snapshot."""
        self.house = house
        self.whole_session = whole_session
        self.seen: dict[int, Seen] = {}
        self.newest: dict[str, set[str]] = {}
        """By session: what its newest live connection knows."""
        self.held: dict[str, tuple[str, frozenset[str]]] = {}
        """By the label of a handle: its session, and what was known when it was issued."""
        self.emptied: set[str] = set()
        self.uses: dict[str, int] = {}
        """By the label of a token; 0 means without limit."""
        self.ends_s: dict[str, float] = {}
        """By the label of a token: monotonic time."""
        self.started: Counter[str] = Counter()
        self.told: Counter[str] = Counter()
        self.broken = False
        """Something was wrong already: what follows from it is not told."""
        house.watch = self.watch

    def of(self, caller: Caller) -> Seen:
        return self.seen.setdefault(caller.session.caller.connection, Seen())

    # ---- what the client does

    def said(self, caller: Caller, fact: str) -> None:
        """Tell this before the frame is sent."""
        seen, phase = self.of(caller), caller.session.phase
        if phase is Phase.LIVE:
            seen.known.add(fact)
            seen.pasts.add(frozenset(seen.known))
        elif phase is Phase.SETTING_UP and not seen.deaf:
            seen.early.add(fact)

    def forgotten(self) -> None:
        """The context behind every handle is gone."""
        self.emptied |= set(self.held)

    def expired(self) -> None:
        """Every token ends now."""
        now_s = self.house.clock.monotonic_s()
        self.ends_s = {token: min(until_s, now_s) for token, until_s in self.ends_s.items()}

    # ---- what the server does

    def watch(self, caller: Caller, effects: list[Effect]) -> None:
        try:
            self._watch(caller, effects)
        except AssertionError:
            self.broken = True
            raise

    def _watch(self, caller: Caller, effects: list[Effect]) -> None:
        seen = self.of(caller)
        refused = any(isinstance(effect, Close) for effect in effects)
        for effect in effects:
            if caller.session.phase is Phase.ENDED:
                assert not isinstance(effect, (Send, SendRaw, Pong)), AFTER_CLOSE
            if seen.finished is not None:
                assert isinstance(effect, _FINISHED[seen.finished]), AFTER_CLOSE
            if isinstance(effect, Send):
                first = seen.frames == 0
                if not effect.deliberate:
                    service = caller.session.caller.service
                    assert wire.invalid_reason(effect.message, first=first, service=service) is None, FRAME
                    seen.order.says_turn_complete = caller.session.says_turn_complete
                    assert seen.order.judge(effect.message) is None, ORDER
                seen.frames += 1
                for event in effect.then:
                    self.event(event, refused)
            elif isinstance(effect, SendRaw):
                seen.frames += 1
            elif isinstance(effect, Tell):
                self.event(effect.event, refused)
            elif isinstance(effect, Close):
                assert len(effect.reason.encode()) <= 123, CLOSE
                assert effect.deliberate or effect.refusal in REFUSALS, CLOSE
            if type(effect) in _FINISHED:
                seen.finished = type(effect)

    def event(self, event: ServerEvent, refused: bool) -> None:
        """An event names its connection: what ends on one may be told as work of the one that took over."""
        number = getattr(event, "connection", None)
        if number is None:
            return
        seen = self.seen.setdefault(number, Seen())
        match event:
            case SessionStarted():
                self.session_started(seen, event, refused)
            case HandlePresented(refusal=None):
                seen.restored = self.content_of(event.handle)
            case TokenSpent():
                self.told[event.token] += 1
            case HandleIssued(handle=str() as handle):
                self.held[handle] = (event.session, frozenset(event.facts))
                assert self.held[handle][1] in seen.pasts, CONTENT
            case TurnHeard():
                seen.heard.add(event.turn)
            case TurnAnswered():
                assert set(event.known) <= seen.known, ANSWER
                assert not set(event.missing) & seen.known, ANSWER
                seen.heard.add(event.turn)  # also one that a resume brought along
            case TurnEnded():
                assert event.turn not in seen.ended, TURN
                seen.ended.add(event.turn)
            case _:
                pass

    def session_started(self, seen: Seen, event: SessionStarted, refused: bool) -> None:
        seen.session = event.session
        restored: set[str] = set()
        if event.resumed_with is None:
            assert event.session not in self.newest, CONTENT
        else:
            restored = seen.restored
            assert event.session == self.held[event.resumed_with][0], CONTENT
        assert set(event.facts) == restored, CONTENT
        seen.known = restored if refused else restored | seen.early
        seen.pasts.add(frozenset(seen.known))
        self.newest[event.session] = seen.known
        if event.token is not None and event.resumed_with is None:
            self.started[event.token] += 1
            assert not self.uses[event.token] or self.started[event.token] <= self.uses[event.token], TWICE

    def content_of(self, handle: str) -> set[str]:
        """What a handle brings back, at the moment at which it is presented."""
        if handle not in self.held or handle in self.emptied:
            return set()
        session, snapshot = self.held[handle]
        return set(self.newest[session] if self.whole_session else snapshot)

    # ---- at any time

    def check(self) -> None:
        """Call this between any two events."""
        if self.broken:
            return
        now_s = self.house.clock.monotonic_s()
        for caller in self.house.callers:
            session, seen = caller.session, self.of(caller)
            assert session.phase in Phase, STATE
            assert session.phase is not Phase.ENDED or session.next_deadline_s == float("inf"), STATE
            assert session.phase is not Phase.DETACHED or session.next_deadline_s < float("inf"), STATE
            assert (session.phase is Phase.LIVE) <= (seen.session != ""), STATE
            assert (session.phase is Phase.CLOSING) <= (seen.finished is Close), STATE
            if session.phase is Phase.ENDED:
                assert seen.heard <= seen.ended, OPEN_TURN
            token = session.token
            if session.phase is Phase.LIVE and token is not None:
                label = self.house.labels.get(token)
                assert label is not None
                assert now_s < self.ends_s[label] + 0.001, OUTLIVED
        assert +self.told == +self.started, UNTOLD

    def live(self) -> Iterator[Caller]:
        return (caller for caller in self.house.callers if caller.session.live)
