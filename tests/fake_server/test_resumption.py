from __future__ import annotations

import itertools

import pytest

from fake_server.behaviour import ResumptionRules
from fake_server.profiles import MODELS
from fake_server.resumption import (
    MOVES,
    Accepted,
    Cadence,
    Handles,
    IllegalSessionMoveError,
    Rejected,
    SessionEvent,
    SessionState,
    Update,
    _Session,
    cadence,
)

History = tuple[str, ...]
RULES = ResumptionRules()


def handles(rules: ResumptionRules = RULES) -> Handles[History]:
    numbers = itertools.count(1)
    return Handles(rules, new_handle=lambda: f"{next(numbers):036d}")


def left(
    rules: ResumptionRules = RULES, *, at_s: float = 10.0, model_idle: bool = False
) -> tuple[Handles[History], str]:
    """One session with one handle, whose only socket was closed at `at_s`."""
    known = handles(rules)
    known.session_connected("s", connection=1)
    handle = known.issue("s", ("a",))
    known.client_end_closed("s", connection=1, now_s=at_s, model_idle=model_idle)
    return known, handle


# ---- one rule at a time


def test_a_snapshot_stays_what_it_was() -> None:
    known, handle = left()
    known.issue("s", ("a", "b"))
    assert known.look_up(handle, now_s=11) == Accepted("s", ("a",), whole_session=False, forgotten=False)


def test_a_handle_may_name_the_whole_session() -> None:
    known, handle = left(ResumptionRules(handles="session"))
    assert known.look_up(handle, now_s=11) == Accepted("s", None, whole_session=True, forgotten=False)


@pytest.mark.parametrize(
    ("handle", "refusal"), [("x" * 36, "session_not_found"), ("x", "invalid_handle"), ("x" * 37, "invalid_handle")]
)
def test_handles_that_were_never_issued(handle: str, refusal: str) -> None:
    assert handles().look_up(handle, now_s=0) == Rejected(refusal)


def test_the_embargo_lasts_while_the_client_has_any_socket_of_the_session_open() -> None:
    known = handles()
    known.session_connected("s", connection=1)
    handle = known.issue("s", ("a",))
    assert known.look_up(handle, now_s=900) == Rejected("internal_error")
    known.session_connected("s", connection=2)
    known.client_end_closed("s", connection=1, now_s=901, model_idle=False)
    assert known.look_up(handle, now_s=902) == Rejected("internal_error")
    known.client_end_closed("s", connection=2, now_s=903, model_idle=False)
    assert isinstance(known.look_up(handle, now_s=903), Accepted)


def test_after_an_idle_drop_a_resume_has_to_wait() -> None:
    rules = ResumptionRules(embargo_idle_drop_s=1.2)
    known, handle = left(rules, at_s=10, model_idle=True)
    assert known.look_up(handle, now_s=11.1) == Rejected("internal_error")
    assert isinstance(known.look_up(handle, now_s=11.3), Accepted)
    known, handle = left(rules, at_s=10, model_idle=False)
    assert isinstance(known.look_up(handle, now_s=10), Accepted)


def test_a_handle_is_good_for_its_lifetime_after_the_sessions_end() -> None:
    known, handle = left(ResumptionRules(lifetime_s=7200), at_s=10)
    assert isinstance(known.look_up(handle, now_s=7210), Accepted)
    assert known.look_up(handle, now_s=7211) == Rejected("session_not_found")
    known, handle = left(ResumptionRules(lifetime_s=5), at_s=10)
    known.session_connected("s", connection=2)
    known.client_end_closed("s", connection=2, now_s=100, model_idle=False)
    assert isinstance(known.look_up(handle, now_s=104), Accepted)


def test_an_invalid_session_answers_for_all_its_handles() -> None:
    known, handle = left()
    known.invalidate("s")
    assert known.look_up(handle, now_s=11) == Rejected("session_expired")
    known.client_end_closed("s", connection=1, now_s=12, model_idle=False)
    with pytest.raises(IllegalSessionMoveError, match="invalid knows no connected"):
        known.session_connected("s", connection=3)


def test_updates_that_are_not_resumable_issue_nothing() -> None:
    paused = handles(ResumptionRules(pause_while_generating=True))
    nothing = Update(None, resumable=False)
    assert paused.next_update("s", (), now_s=0, busy=True) == nothing
    assert paused.next_update("s", (), now_s=0).handle == f"{1:036d}"
    plain = handles()
    assert plain.next_update("s", (), now_s=0, busy=True).resumable
    assert plain.next_update("s", (), now_s=0, resumable=False) == nothing
    plain.hold_back("s", until_s=5)
    assert plain.next_update("s", (), now_s=4.9) == nothing
    assert plain.next_update("t", (), now_s=4.9).resumable
    assert plain.next_update("s", (), now_s=5).resumable


@pytest.mark.parametrize("made", ["short", "0" * 36])
def test_a_handle_that_is_odd_or_comes_twice_is_our_fault(made: str) -> None:
    known: Handles[History] = Handles(RULES, new_handle=lambda: made)

    def issue_twice() -> None:
        for _ in range(2):
            known.issue("s", ())

    with pytest.raises(ValueError, match="36 characters"):
        issue_twice()


def test_an_event_that_a_state_does_not_know_is_our_fault() -> None:
    assert {state for state, _ in MOVES} == set(SessionState)
    for state, event in itertools.product(SessionState, SessionEvent):
        session = _Session(state)
        if (state, event) in MOVES:
            session.happens(event)
            assert session.state is MOVES[state, event]
        else:
            with pytest.raises(IllegalSessionMoveError):
                session.happens(event)


@pytest.mark.parametrize(
    ("rules", "model", "resumed", "expected"),
    [
        (ResumptionRules(), "gemini-3.8-live", False, Cadence(0.115, None)),
        (ResumptionRules(), "gemini-3.8-live", True, Cadence(0.002, None)),
        (ResumptionRules(), "gemini-3.5-live-translate-preview", False, Cadence(4.8, 2.0)),
        (ResumptionRules(every_s=1.0), "gemini-3.5-live-translate-preview", False, Cadence(1.0, 1.0)),
        (ResumptionRules(every_s=1.0), "gemini-3.8-live", False, Cadence(0.115, 1.0)),
        (ResumptionRules(every_s=1.0, first_after_s=3.0), "gemini-3.8-live", True, Cadence(3.0, 1.0)),
        (ResumptionRules(every_s=None), "gemini-3.8-live", False, None),
    ],
)
def test_when_updates_are_due(rules: ResumptionRules, model: str, resumed: bool, expected: Cadence | None) -> None:
    assert cadence(rules, MODELS[model], resumed=resumed) == expected
