"""Handles, in any sequence of events: none brings back what was not there, and none is issued when it must not be."""

from __future__ import annotations

import itertools
from typing import Any, Literal

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fake_server.behaviour import ResumptionRules
from fake_server.resumption import HANDLE_LENGTH, Accepted, Handles, Rejected, SessionState
from tests.fake_server.machines import thorough

Past = tuple[str, ...]

CONTENT = "a handle brought back what was not there"
REFUSED = "a handle was not judged by the rules"
HELD_BACK = "a handle was issued while the session was not resumable"
UNISSUED = "an update without a reason brought no handle"
NEW = "a handle was issued twice"
EMBARGO = "a session counts as held while no socket of it is open"


class Resuming(RuleBasedStateMachine):
    """Sessions that live, drop and resume, against a plain record of what each handle held when it was issued."""

    kind: type[Handles[Any]] = Handles
    """A planted bug is a subclass."""

    @initialize(
        meaning=st.sampled_from(["snapshot", "session"]),
        embargo=st.booleans(),
        idle_s=st.sampled_from([0.0, 2.0]),
        pause=st.booleans(),
    )
    def start(self, meaning: Literal["snapshot", "session"], embargo: bool, idle_s: float, pause: bool) -> None:
        self.rules = ResumptionRules(
            handles=meaning,
            embargo_old_socket=embargo,
            embargo_idle_drop_s=idle_s,
            pause_while_generating=pause,
            lifetime_s=50.0,
        )
        self.idle_s = idle_s
        numbers = itertools.count(1)
        self.handles: Handles[Past] = self.kind(self.rules, new_handle=lambda: f"{next(numbers):036d}")
        self.now_s = 0.0
        self.history: dict[str, Past] = {}
        self.sockets: dict[str, set[int]] = {}
        self.left_at_s: dict[str, float] = {}
        self.embargo_until_s: dict[str, float] = {}
        self.held_back_until_s: dict[str, float] = {}
        self.invalid: set[str] = set()
        self.held: dict[str, tuple[str, Past]] = {}
        self.emptied: set[str] = set()
        self.forgotten: set[str] = set()
        self.connections = itertools.count(1)
        self.fresh()

    def connect(self, session: str, history: Past) -> None:
        connection = next(self.connections)
        self.history[session] = history
        self.sockets.setdefault(session, set()).add(connection)
        self.handles.session_connected(session, connection=connection)

    @rule()
    def fresh(self) -> None:
        self.connect(f"s{len(self.history)}", ())

    @precondition(lambda self: self.history)
    @rule(data=st.data(), said=st.text("xyz", min_size=1, max_size=2))
    def talk(self, data: st.DataObject, said: str) -> None:
        self.history[data.draw(st.sampled_from(sorted(self.history)))] += (said,)

    @precondition(lambda self: self.history)
    @rule(data=st.data(), busy=st.booleans(), resumable=st.sampled_from([True, True, False]))
    def update(self, data: st.DataObject, busy: bool, resumable: bool) -> None:
        session = data.draw(st.sampled_from(sorted(self.history)))
        update = self.handles.next_update(
            session, self.history[session], now_s=self.now_s, busy=busy, resumable=resumable
        )
        held_back = self.now_s < self.held_back_until_s.get(session, 0.0)
        if not resumable or held_back or (busy and self.rules.pause_while_generating):
            assert (update.handle, update.resumable) == (None, False), HELD_BACK
            return
        assert update.handle is not None, UNISSUED
        assert update.resumable, UNISSUED
        assert update.handle not in self.held, NEW
        assert len(update.handle) == HANDLE_LENGTH
        self.held[update.handle] = (session, self.history[session])

    @precondition(lambda self: self.history)
    @rule(data=st.data(), more=st.booleans())
    def live_on(self, data: st.DataObject, more: bool) -> None:
        """What a session does most: an update, and then more is said."""
        self.update(data, busy=False, resumable=True)
        if more:
            self.talk(data, "z")

    @precondition(lambda self: self.history)
    @rule(data=st.data(), seconds=st.integers(0, 10))
    def hold_back(self, data: st.DataObject, seconds: int) -> None:
        session = data.draw(st.sampled_from(sorted(self.history)))
        self.held_back_until_s[session] = self.now_s + seconds
        self.handles.hold_back(session, until_s=self.now_s + seconds)

    @rule(data=st.data(), idle=st.booleans())
    def drop(self, data: st.DataObject, idle: bool) -> None:
        live = sorted(session for session, sockets in self.sockets.items() if sockets)
        if not live:
            return
        session = data.draw(st.sampled_from(live))
        connection = self.sockets[session].pop()
        for _ in range(2):  # told twice: by the close frame and by the end of the link
            self.handles.client_end_closed(session, connection=connection, now_s=self.now_s, model_idle=idle)
        if not self.sockets[session]:
            self.left_at_s[session] = self.now_s
        if idle:
            self.embargo_until_s[session] = self.now_s + self.idle_s

    @rule()
    def break_off(self) -> None:
        """Every socket of every session drops."""
        for session, sockets in self.sockets.items():
            while sockets:
                connection = sockets.pop()
                self.handles.client_end_closed(session, connection=connection, now_s=self.now_s, model_idle=False)
                self.left_at_s[session] = self.now_s

    @rule(seconds=st.sampled_from([1, 5, 51]))
    def wait(self, seconds: int) -> None:
        self.now_s += seconds

    def expected(self, handle: str) -> str | None:
        """The refusal that this handle gets now; None: it is good."""
        session, _ = self.held[handle]
        if handle in self.forgotten:
            return "session_not_found"
        if session in self.invalid:
            return "session_expired"
        if not self.sockets[session] and self.now_s - self.left_at_s[session] > self.rules.lifetime_s:
            return "session_not_found"
        if self.sockets[session] and self.rules.embargo_old_socket:
            return "internal_error"
        return "internal_error" if self.now_s < self.embargo_until_s.get(session, 0.0) else None

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        handle = data.draw(st.sampled_from(sorted(self.held)))
        session, content = self.held[handle]
        found = self.handles.look_up(handle, now_s=self.now_s)
        refusal = self.expected(handle)
        if refusal is not None:
            assert found == Rejected(refusal), REFUSED
            return
        assert isinstance(found, Accepted), REFUSED
        assert found.session == session, CONTENT
        whole = self.rules.handles == "session" and handle not in self.emptied
        past = self.history[session] if found.whole_session else found.content or ()
        assert past == (() if handle in self.emptied else self.history[session] if whole else content), CONTENT
        assert found.forgotten == (handle in self.emptied)
        self.connect(session, past)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def break_off_and_resume(self, data: st.DataObject) -> None:
        """What a client does most."""
        self.break_off()
        self.resume(data)

    @rule(handle=st.sampled_from(["", "short", "x" * HANDLE_LENGTH, "é" * HANDLE_LENGTH]))
    def resume_with_a_stranger(self, handle: str) -> None:
        refusal = "session_not_found" if len(handle) == HANDLE_LENGTH else "invalid_handle"
        assert self.handles.look_up(handle, now_s=self.now_s) == Rejected(refusal), REFUSED

    @rule(really=st.integers(0, 3))
    def forget_context(self, really: int) -> None:
        if really:
            return
        self.handles.forget_context()
        self.emptied |= set(self.held) - self.forgotten

    @rule(really=st.integers(0, 3))
    def forget_handles(self, really: int) -> None:
        if really:
            return
        self.handles.forget_handles()
        self.forgotten |= set(self.held)

    @precondition(lambda self: self.history)
    @rule(data=st.data(), really=st.integers(0, 3))
    def invalidate(self, data: st.DataObject, really: int) -> None:
        if really:
            return
        session = data.draw(st.sampled_from(sorted(self.history)))
        self.handles.invalidate(session)
        self.invalid.add(session)

    @invariant()
    def a_session_is_held_by_its_open_sockets_alone(self) -> None:
        for session, sockets in getattr(self, "sockets", {}).items():
            state = self.handles._sessions[session].state
            expected = SessionState.HELD if sockets else SessionState.LEFT
            assert state is (SessionState.INVALID if session in self.invalid else expected), EMBARGO


TestResuming = Resuming.TestCase
TestResuming.settings = thorough(examples=50, steps=40)
