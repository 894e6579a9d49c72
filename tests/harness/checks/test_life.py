"""LIFE: crashes, hangs, and leaving."""

from __future__ import annotations

import pytest

from fake_server import events as server
from harness.journal.events import ClientStarted, UserTurn
from tests.harness.checks.journal_builder import Book, evidence_of, finding, kinds, status


def lives(**options: object) -> Book:
    """A run without trouble, to its last question; not ended."""
    book = Book(**options)  # type: ignore[arg-type]  # words of the builder
    book.opens(1.0, 1)
    book.asked_and_answered(2.0, 1, 1, ())
    return book


# LIFE-1 --------------------------------------------------------------------------------------------------------------


def test_life_1_holds_when_the_last_question_is_passed_on() -> None:
    book = lives()
    book.probes(20.0, 1)
    book.ends(30.0)
    assert status(book, "LIFE-1") == "pass"
    assert kinds(evidence_of(book, "LIFE-1")) == {"user.turn", "turn.heard"}


def test_life_1_hears_a_spoken_last_question_by_its_utterance() -> None:
    for heard, expected in ((9, "pass"), (8, "fail")):
        book = lives()
        book.add(20.0, UserTurn(99, "speech", "Are you there?", (), (), 9, 16_000, 40_000, True))
        book.hears(23.0, 1, "Are you there?", utterance=heard)
        book.ends(40.0)
        assert status(book, "LIFE-1") == expected


@pytest.mark.parametrize(("code", "signal"), [(1, None), (0, None), (None, "SIGSEGV")])
def test_life_1_breaks_when_the_program_ends_by_itself(code: int | None, signal: str | None) -> None:
    book = lives()
    book.tells(9.5, "error")
    gone = book.exits(10.0, code, signal=signal)
    book.ends(11.0, leaves=False)
    assert status(book, "LIFE-1") == "fail"
    assert book.n(gone) in finding(book, "LIFE-1").evidence
    assert (signal or f"exit code {code}") in finding(book, "LIFE-1").summary
    assert kinds(evidence_of(book, "LIFE-1")) == {"client.exited", "client.event"}


def test_life_1_breaks_when_the_program_ends_before_it_connects() -> None:
    book = Book()
    book.exits(0.5, 2)
    book.ends(1.0, leaves=False)
    assert status(book, "LIFE-1") == "fail"


@pytest.mark.parametrize(("code", "expected"), [(0, "pass"), (1, "fail")])
def test_life_1_lets_a_program_leave_with_0_after_the_user_hung_up(code: int, expected: str) -> None:
    book = lives()
    book.hangs_up(10.0)
    book.exits(10.5, code, after_hang_up=True)
    book.ends(21.0, leaves=False)
    assert status(book, "LIFE-1") == expected


@pytest.mark.parametrize(("code", "expected"), [(0, "pass"), (1, "fail")])
def test_life_1_lets_an_autonomous_client_leave_with_0_at_any_time(code: int, expected: str) -> None:
    book = lives(driven=False)
    book.exits(10.0, code)
    book.ends(11.0, leaves=False)
    assert status(book, "LIFE-1") == expected


def test_life_1_does_not_ask_an_autonomous_client_the_last_question() -> None:
    book = lives(driven=False)
    book.turn(20.0, 99, "probe", "Are you there?")
    book.ends(36.0)
    assert status(book, "LIFE-1") == "pass"


def test_life_1_takes_a_program_that_we_killed_and_started_again_for_no_crash() -> None:
    book = lives()
    book.exits(10.0, None, signal="SIGKILL", asked=True)
    book.add(10.5, ClientStarted(2))
    book.opens(11.0, 2, session="session-2")
    book.probes(20.0, 2)
    book.ends(30.0)
    assert status(book, "LIFE-1") == "pass"


def test_life_1_breaks_when_a_connected_client_does_not_pass_the_question_on() -> None:
    book = lives()
    question = book.turn(20.0, 99, "probe", "Are you there?")
    book.ends(36.0)
    assert status(book, "LIFE-1") == "fail"
    assert book.n(question) in finding(book, "LIFE-1").evidence
    assert "16 s" in finding(book, "LIFE-1").summary


def test_life_1_is_unknown_when_the_client_was_not_connected_then() -> None:
    book = lives()
    book.cut(10.0, 1)
    book.turn(20.0, 99, "probe", "Are you there?")
    book.ends(36.0)
    assert status(book, "LIFE-1") == "unknown"


def test_life_1_is_unknown_when_the_client_lost_its_connection_while_it_was_asked() -> None:
    book = lives()
    book.turn(20.0, 99, "probe", "Are you there?")
    book.cut(25.0, 1)
    book.ends(36.0)
    assert status(book, "LIFE-1") == "unknown"


def test_life_1_takes_a_ghost_for_no_connection() -> None:
    book = lives()
    book.fault(10.0, "network.blackhole", for_s=5.0)
    book.tells(12.0, "reconnecting")
    book.turn(20.0, 99, "probe", "Are you there?")
    book.ends(36.0)
    assert status(book, "LIFE-1") == "unknown"


def test_life_1_is_unknown_without_a_session_a_program_or_a_question() -> None:
    never_connects = Book()
    never_connects.ends(25.0)
    assert status(never_connects, "LIFE-1") == "unknown"
    never_started = Book(started_s=None)
    never_started.ends(1.0, leaves=False)
    assert status(never_started, "LIFE-1") == "unknown"
    never_asked = lives()
    never_asked.ends(30.0)
    assert status(never_asked, "LIFE-1") == "unknown"


def test_life_1_looks_for_the_question_after_it_was_asked() -> None:
    book = lives()
    book.hears(10.0, 1, "Are you there?")
    book.turn(20.0, 99, "probe", "Are you there?")
    book.ends(36.0)
    assert status(book, "LIFE-1") == "fail"


@pytest.mark.parametrize(
    "kind", ["client.started", "client.exited", "run.ended", "user.turn", "turn.heard", "session.started"]
)
def test_life_1_needs(kind: str) -> None:
    book = lives()
    book.probes(20.0, 1)
    book.ends(30.0)
    assert status(book.without(kind), "LIFE-1") != "pass"


# LIFE-3 --------------------------------------------------------------------------------------------------------------


def test_life_3_holds_and_says_how_long_it_took() -> None:
    book = lives()
    book.ends(30.0)
    assert status(book, "LIFE-3") == "pass"
    assert "0.1 s" in finding(book, "LIFE-3").summary
    assert kinds(evidence_of(book, "LIFE-3")) == {"client.stopping", "client.exited"}


@pytest.mark.parametrize(
    ("how", "driven", "expected"),
    [
        ("terminated", True, "fail"),
        ("killed", True, "fail"),
        ("swept", True, "pass"),
        ("terminated", False, "pass"),  # it takes no `quit`: SIGTERM is how it is told
        ("killed", False, "fail"),
    ],
)
def test_life_3_breaks_when_it_had_to_be_forced(how: str, driven: bool, expected: str) -> None:
    book = lives(driven=driven, stop_within="3s")
    book.stopping(30.0)
    forced = book.stopping(33.0, how)
    book.exits(33.1, None, signal="SIGTERM", asked=True)
    book.ends(34.0, leaves=False)
    assert status(book, "LIFE-3") == expected
    if expected == "fail":
        assert book.n(forced) in finding(book, "LIFE-3").evidence
        assert "3 s" in finding(book, "LIFE-3").summary


def test_life_3_does_not_blame_a_client_that_the_harness_killed_to_start_it_again() -> None:
    book = lives()
    book.stopping(10.0, "killed")
    book.exits(10.1, None, signal="SIGKILL", asked=True)
    book.stopping(30.0, instance=2)
    book.exits(30.1, asked=True, instance=2)
    book.ends(31.0, leaves=False)
    assert status(book, "LIFE-3") == "pass"


def test_life_3_is_unknown_when_nobody_saw_it_leave() -> None:
    book = lives()
    book.stopping(30.0)
    book.ends(31.0, leaves=False)
    assert status(book, "LIFE-3") == "unknown"


def test_life_3_never_arises_when_the_program_was_gone_before() -> None:
    book = lives()
    book.exits(10.0, 1)
    book.ends(11.0, leaves=False)
    assert status(book, "LIFE-3") == "not_applicable"


@pytest.mark.parametrize("kind", ["client.stopping", "client.exited"])
def test_life_3_needs(kind: str) -> None:
    book = lives()
    book.ends(30.0)
    assert status(book.without(kind), "LIFE-3") == "unknown"


def test_life_1_points_at_the_very_turn_that_the_service_heard() -> None:
    book = lives()
    book.probes(20.0, 1)
    book.ends(30.0)
    heard = [e for e in evidence_of(book, "LIFE-1") if isinstance(e, server.TurnHeard)]
    assert [e.text for e in heard] == ["Turn 99."]


def test_life_3_judges_nobody_who_was_hurried_because_the_run_was_broken_off() -> None:
    book = lives()
    book.stopping(10.0)
    book.stopping(11.0, "terminated")
    book.exits(11.1, None, signal="SIGTERM", asked=True)
    book.ends(11.2, "interrupted", leaves=False)
    assert status(book, "LIFE-3") == "unknown"
