"""Every property of the state machines is shown to fail on a bug: a small one, planted for the test alone.

The machines run in this process, with the same events each time, until they find it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, TypeVar

import pytest
from hypothesis import seed
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from fake_server import connection, service, session, talking, tokens, wire
from fake_server.connection import Connection
from fake_server.constraints import Constraints
from fake_server.conversation import Conversation
from fake_server.effects import Close, Effect, Send
from fake_server.history import History
from fake_server.moves import PHASE_MOVES, TALK_MOVES, Cue, IllegalMoveError, Phase, Step, Talk
from fake_server.outlet import Outlet
from fake_server.resumption import Accepted, Handles, Rejected, Update
from fake_server.service import Service
from fake_server.session import Session
from fake_server.tokens import ANSWERS, MOVES, Ask, IllegalTokenMoveError, Minted, TokenEvent, TokenLedger, TokenState
from tests.fake_server import test_resumption_machine as resuming
from tests.fake_server import test_token_machine as minting
from tests.fake_server import witness
from tests.fake_server.machines import fixed
from tests.fake_server.test_resumption_machine import Resuming
from tests.fake_server.test_session_machine import DOCUMENTS, Serving, play_documents
from tests.fake_server.test_token_machine import Minting

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]
K = TypeVar("K")
V = TypeVar("V")


EXAMPLES = 600
SEEDS = {Minting: 2, Resuming: 7, Serving: 4}
"""With others it takes longer: up to some seconds for one bug."""


def find(machine: type[RuleBasedStateMachine], steps: int) -> None:
    family = next(one for one in SEEDS if issubclass(machine, one))
    planted = seed(SEEDS[family])(type("Planted", (machine,), {}))
    run_state_machine_as_test(planted, settings=fixed(EXAMPLES, steps))


def without(table: Mapping[K, V], key: K) -> Mapping[K, V]:
    assert key in table
    return MappingProxyType({other: value for other, value in table.items() if other != key})


def changed(table: Mapping[K, V], key: K, value: V) -> Mapping[K, V]:
    assert table[key] != value
    return MappingProxyType({**table, key: value})


# ---- tokens


def counts_nothing(patch: Patch) -> None:
    patch.setattr(tokens._Token, "take_use", lambda self, number: None)


def starts_though_used_up(patch: Patch) -> None:
    patch.setattr(tokens, "ANSWERS", changed(ANSWERS, (TokenState.USED_UP, Ask.START), None))


def spends_before_it_judges(patch: Patch) -> None:
    """A spent token is refused, but by a count that the next dial has raised again."""
    real = TokenLedger.admit

    def admit(self: TokenLedger, name: str, *, resume: bool, now_s: float) -> Any:
        answer = real(self, name, resume=resume, now_s=now_s)
        token = self._tokens.get(name)
        if token is not None and token.state is TokenState.USED_UP and not resume:
            token.state, token.uses_left = TokenState.USABLE, 1
        return answer

    patch.setattr(TokenLedger, "admit", admit)


def gives_back_again_and_again(patch: Patch) -> None:
    def give_back(self: tokens._Token, number: int) -> None:
        if self.uses_left is not None:
            self.uses_left += 1
            self.happens(TokenEvent.USE_GIVEN_BACK)

    patch.setattr(tokens._Token, "give_back", give_back)


def looks_at_no_window(patch: Patch) -> None:
    patch.setattr(tokens, "ANSWERS", changed(ANSWERS, (TokenState.WINDOW_PASSED, Ask.START), None))


def lets_a_resume_spend(patch: Patch) -> None:
    real = TokenLedger.admit

    def admit(self: TokenLedger, name: str, *, resume: bool, now_s: float) -> Any:
        return real(self, name, resume=False, now_s=now_s)

    patch.setattr(TokenLedger, "admit", admit)


def says_spent_for_a_resume(patch: Patch) -> None:
    real = TokenLedger.admit

    def admit(self: TokenLedger, name: str, *, resume: bool, now_s: float) -> Any:
        answer = real(self, name, resume=resume, now_s=now_s)
        return replace(answer, spent=True) if isinstance(answer, tokens.Admitted) else answer

    patch.setattr(TokenLedger, "admit", admit)


def says_one_left_too_many(patch: Patch) -> None:
    real = TokenLedger.admit

    def admit(self: TokenLedger, name: str, *, resume: bool, now_s: float) -> Any:
        answer = real(self, name, resume=resume, now_s=now_s)
        return replace(answer, uses_left=2) if isinstance(answer, tokens.Admitted) and answer.uses_left else answer

    patch.setattr(TokenLedger, "admit", admit)


def forgets_the_upgrade(patch: Patch) -> None:
    patch.setattr(TokenLedger, "refused_at_upgrade", lambda self, name, *, now_s: None)


def forgets_that_it_is_spent(patch: Patch) -> None:
    key = (TokenState.USED_UP, TokenEvent.WINDOW_PASSES)
    patch.setattr(tokens, "MOVES", changed(MOVES, key, TokenState.WINDOW_PASSED))


def expires_late(patch: Patch) -> None:
    real = TokenLedger._new

    def new(self: TokenLedger, request: Any, now_s: float) -> Minted:
        minted = real(self, request, now_s)
        self._tokens[minted.name].expires_at_s += 1
        return minted

    patch.setattr(TokenLedger, "_new", new)


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (starts_though_used_up, minting.TWICE),
        (counts_nothing, f"{minting.LEFT}|{minting.STATE}"),
        (spends_before_it_judges, minting.STATE),
        (gives_back_again_and_again, f"{minting.LEFT}|{minting.STATE}"),
        (looks_at_no_window, minting.ANSWER),
        (lets_a_resume_spend, f"{minting.ANSWER}|{minting.SPENT}"),
        (says_spent_for_a_resume, minting.SPENT),
        (says_one_left_too_many, minting.LEFT),
        (forgets_the_upgrade, minting.UPGRADE),
        (forgets_that_it_is_spent, minting.STATE),
        (expires_late, minting.EXPIRY),
    ],
)
def test_tokens(plant: Plant, found: str, monkeypatch: Patch) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError, match=found):
        find(Minting, 20)


@pytest.mark.parametrize(
    "row",
    [
        (TokenState.SPENT_AND_PASSED, TokenEvent.EXPIRES),
        (TokenState.EXPIRED, TokenEvent.USE_GIVEN_BACK),
    ],
)
def test_a_row_that_is_missing_from_the_tokens_table(row: tuple[TokenState, TokenEvent], monkeypatch: Patch) -> None:
    monkeypatch.setattr(tokens, "MOVES", without(MOVES, row))
    with pytest.raises(IllegalTokenMoveError, match=f"{row[0].value} knows no {row[1].value}"):
        find(Minting, 20)


# ---- handles


class GoesOnFromALaterState(Handles[Any]):
    """A snapshot is kept by reference to what the session has become since."""

    def next_update(self, session: str, content: Any, **how: Any) -> Update:
        update = super().next_update(session, content, **how)
        for issued in self._issued.values():
            if issued.session == session and issued.content is not None and not issued.forgotten:
                issued.content = content
        return update


class MixesUpSessions(Handles[Any]):
    def look_up(self, handle: str, *, now_s: float) -> Accepted[Any] | Rejected:
        found = super().look_up(handle, now_s=now_s)
        return replace(found, session="s0") if isinstance(found, Accepted) else found


class RemembersWhatItForgot(Handles[Any]):
    def forget_context(self) -> None:
        for issued in self._issued.values():
            issued.forgotten = True
            issued.content = issued.content or ("x",)


class IssuesWhileItMustNot(Handles[Any]):
    def next_update(self, session: str, content: Any, **how: Any) -> Update:
        return super().next_update(session, content, **{**how, "busy": False})


class IsNotHeldBack(Handles[Any]):
    def hold_back(self, session: str, *, until_s: float) -> None:
        pass


class NeverIssues(Handles[Any]):
    def next_update(self, session: str, content: Any, **how: Any) -> Update:
        return Update(None, resumable=False)


class IssuesTheSameAgain(Handles[Any]):
    def issue(self, session: str, content: Any, *how: Any) -> str:
        known = [handle for handle, issued in self._issued.items() if issued.session == session]
        return known[0] if known else super().issue(session, content, *how)


class KnowsNoEmbargo(Handles[Any]):
    def look_up(self, handle: str, *, now_s: float) -> Accepted[Any] | Rejected:
        rules, self._rules = self._rules, replace(self._rules, embargo_old_socket=False)
        try:
            return super().look_up(handle, now_s=now_s)
        finally:
            self._rules = rules


class LosesSockets(Handles[Any]):
    def session_connected(self, session: str, *, connection: int = 0) -> None:
        super().session_connected(session, connection=0)


class TakesTheSecondTellingForAnotherSocket(Handles[Any]):
    def client_end_closed(self, session: str, **how: Any) -> None:
        self._sessions[session].open_sockets.add(how["connection"])
        super().client_end_closed(session, **how)


class KeepsHandlesForEver(Handles[Any]):
    def session_connected(self, session: str, *, connection: int = 0) -> None:
        super().session_connected(session, connection=connection)
        self._sessions[session].left_at_s = None

    def client_end_closed(self, session: str, **how: Any) -> None:
        super().client_end_closed(session, **how)
        self._sessions[session].left_at_s = None


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (GoesOnFromALaterState, resuming.CONTENT),
        (MixesUpSessions, resuming.CONTENT),
        (RemembersWhatItForgot, resuming.CONTENT),
        (IssuesWhileItMustNot, resuming.HELD_BACK),
        (IsNotHeldBack, resuming.HELD_BACK),
        (NeverIssues, resuming.UNISSUED),
        (IssuesTheSameAgain, resuming.NEW),
        (KnowsNoEmbargo, resuming.REFUSED),
        (LosesSockets, resuming.EMBARGO),
        (KeepsHandlesForEver, resuming.REFUSED),
    ],
)
def test_handles(kind: type[Handles[Any]], found: str) -> None:
    planted = type("Planted", (Resuming,), {"kind": kind})
    with pytest.raises(AssertionError, match=found):
        find(planted, 25)


# ---- sessions


def speaks_after_the_close(patch: Patch) -> None:
    real = Connection._close

    def close(self: Connection, *how: Any) -> None:
        real(self, *how)
        self._out.put(Send(wire.go_away(1.0)))

    patch.setattr(Connection, "_close", close)


def answers_before_setup_complete(patch: Patch) -> None:
    real = Session._setup

    def setup(self: Session, body: Mapping[str, Any], now_s: float) -> None:
        real(self, body, now_s)
        self._out.put(Send(wire.server_content(text="Hello!")))

    patch.setattr(Session, "_setup", setup)


def ends_a_turn_twice(patch: Patch) -> None:
    real = talking.Speaker._ended

    def ended(self: talking.Speaker, outcome: str) -> Any:
        return real(self, outcome) * 2

    patch.setattr(talking.Speaker, "_ended", ended)


def forgets_to_end_a_turn(patch: Patch) -> None:
    patch.setattr(Conversation, "cut", lambda self: [])


def completes_a_turn_that_never_was(patch: Patch) -> None:
    real = Conversation.interrupt

    def interrupt(self: Conversation) -> bool:
        self.out.append(Send(wire.server_content(turn_complete=True)))
        return real(self)

    patch.setattr(Conversation, "interrupt", interrupt)


def starts_with_somebody_elses_past(patch: Patch) -> None:
    real = Service._admit_session

    def admit(self: Service, *how: Any) -> Any:
        others = [session.past() for session in self._sessions.values()]
        admission = real(self, *how)
        fresh = getattr(admission, "past", "denied") is None
        return replace(admission, past=others[0]) if fresh and others else admission

    patch.setattr(Service, "_admit_session", admit)


def starts_where_the_session_is_now(patch: Patch) -> None:
    """Every handle means the whole session, whatever the rules say."""
    real = Handles.look_up

    def look_up(self: Handles[Any], handle: str, *, now_s: float) -> Any:
        found = real(self, handle, now_s=now_s)
        return replace(found, content=None) if isinstance(found, Accepted) and not found.forgotten else found

    patch.setattr(Handles, "look_up", look_up)


def forgets_at_a_resume(patch: Patch) -> None:
    real = Service._admit_session

    def admit(self: Service, *how: Any) -> Any:
        admission = real(self, *how)
        past = getattr(admission, "past", None)
        return replace(admission, past=History()) if past is not None else admission

    patch.setattr(Service, "_admit_session", admit)


def gives_back_what_was_spent(patch: Patch) -> None:
    """The use comes back whenever the connection ends, and not only before setupComplete."""

    def give_back(self: Connection) -> None:
        if self._admission is not None and self._admission.token is not None:
            self._service.tokens.give_back(self._admission.token)

    patch.setattr(Connection, "_give_back_token", give_back)


def spends_nothing_for_a_handle_that_the_token_takes_away(patch: Patch) -> None:
    real = TokenLedger.admit
    presented: list[bool] = []
    real_handle_of = service._handle_of

    def handle_of(setup: Mapping[str, Any]) -> str | None:
        handle = real_handle_of(setup)
        presented.append(bool(handle))
        return handle

    def admit(self: TokenLedger, name: str, *, resume: bool, now_s: float) -> Any:
        return real(self, name, resume=resume or any(presented[-2:]), now_s=now_s)

    patch.setattr(service, "_handle_of", handle_of)
    patch.setattr(TokenLedger, "admit", admit)


def outlives_its_token(patch: Patch) -> None:
    patch.setattr(TokenLedger, "expires_at_s", lambda self, name: None)


def a_timer_that_is_left_over(patch: Patch) -> None:
    real = Connection._end

    def end(self: Connection, now_s: float, *, dropped: bool = False) -> None:
        real(self, now_s, dropped=dropped)
        self._due[connection.Timer.IDLE] = now_s + 1000

    patch.setattr(Connection, "_end", end)


def a_reason_that_is_too_long(patch: Patch) -> None:
    real = Outlet.put

    def put(self: Outlet, effect: Effect) -> None:
        real(self, replace(effect, reason=effect.reason * 4) if isinstance(effect, Close) else effect)

    patch.setattr(Outlet, "put", put)


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (speaks_after_the_close, witness.AFTER_CLOSE),
        (answers_before_setup_complete, witness.FRAME),
        (ends_a_turn_twice, witness.TURN),
        (forgets_to_end_a_turn, witness.OPEN_TURN),
        (completes_a_turn_that_never_was, witness.ORDER),
        (starts_with_somebody_elses_past, witness.CONTENT),
        (starts_where_the_session_is_now, witness.CONTENT),
        (forgets_at_a_resume, witness.CONTENT),
        (counts_nothing, witness.TWICE),
        (gives_back_what_was_spent, witness.TWICE),
        (spends_nothing_for_a_handle_that_the_token_takes_away, witness.UNTOLD),
        (outlives_its_token, witness.OUTLIVED),
        (a_timer_that_is_left_over, witness.STATE),
        (a_reason_that_is_too_long, witness.CLOSE),
    ],
)
def test_sessions(plant: Plant, found: str, monkeypatch: Patch) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError, match=found):
        find(Serving, 20)


@pytest.mark.parametrize(
    ("module", "name", "table"),
    [
        (session, "PHASE_MOVES", without(PHASE_MOVES, (Phase.SETTING_UP, Step.SETUP_COMPLETED))),
        (connection, "PHASE_MOVES", without(PHASE_MOVES, (Phase.LIVE, Step.RESUMED_ELSEWHERE))),
        (connection, "PHASE_MOVES", without(PHASE_MOVES, (Phase.DETACHED, Step.END))),
        (talking, "TALK_MOVES", without(TALK_MOVES, (Talk.PLAYING, Cue.INTERRUPTED))),
    ],
)
def test_a_row_that_is_missing_from_a_sessions_table(
    module: Any, name: str, table: Mapping[Any, Any], monkeypatch: Patch
) -> None:
    monkeypatch.setattr(module, name, table)
    with pytest.raises(IllegalMoveError, match="the table has no such move"):
        find(Serving, 20)


def test_a_document_that_leaks_an_exception(monkeypatch: Patch) -> None:
    real = wire.parse_client_frame

    def careless(data: bytes | str, **how: Any) -> wire.ClientFrame:
        """Takes every enum for a name, though proto3 JSON may give a number that we have no name for."""
        frame = real(data, **how)
        config = frame.body.get("generationConfig") or {}
        assert all(isinstance(one.lower(), str) for one in config.get("responseModalities") or ())
        return frame

    monkeypatch.setattr(wire, "parse_client_frame", careless)
    test: Any = seed(1)(fixed(600, 1)(DOCUMENTS(play_documents)))
    with pytest.raises(AttributeError, match="lower"):
        test()


def test_a_mask_that_is_not_looked_at(monkeypatch: Patch) -> None:
    from tests.fake_server.test_constraints import (
        test_what_is_masked_is_the_tokens_and_all_else_the_clients as property_,
    )

    monkeypatch.setattr(Constraints, "apply", lambda self, client: {**client, **(self.setup or {})})
    test: Any = seed(1)(fixed(200, 1)(property_))
    with pytest.raises(AssertionError):
        test()
