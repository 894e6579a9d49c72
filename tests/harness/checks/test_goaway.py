"""GOAWAY: what follows the warning."""

from __future__ import annotations

import re

import pytest

from fake_server import events as server
from tests.harness.checks.journal_builder import Book, evidence_of, finding, kinds, status, statuses

ALL = ("GOAWAY-1", "GOAWAY-2", "GOAWAY-4")


def warned(
    moves_s: float | None = 12.0, *, time_left: str | None = "5s", end_s: float = 60.0, **options: object
) -> Book:
    """A goAway at 10 s; the client closes in time, and is on a new connection at `moves_s` (None: it does not move)."""
    book = Book(**options)  # type: ignore[arg-type]  # words of the builder
    book.opens(1.0, 1)
    book.update(2.0, 1, "handle-1")
    book.goes_away(10.0, 1, time_left)
    if moves_s is not None:
        found = re.match(r"[0-9.]+", time_left or "")
        left_s = min(moves_s, 10.0 + (float(found[0]) if found else 5.0)) - 0.1
        book.is_left(left_s, 1)
        book.opens(left_s + 0.05, 2, handle="handle-1", takes_s=moves_s - left_s - 0.05)
    book.ends(end_s)
    return book


def closed(*, back_s: float | None, end_s: float = 60.0, time_left: str | None = "5s", **options: object) -> Book:
    """A goAway at 10 s that is ignored; the service closes at 15 s, and the client is back at `back_s`."""
    book = warned(None, time_left=time_left, end_s=end_s, **options)
    book.closes(15.0, 1, 1008, refusal="go_away_ignored")
    if back_s is not None:
        book.opens(back_s - 0.03, 2, handle="handle-1")
    return book


# GOAWAY-1 ------------------------------------------------------------------------------------------------------------


def test_goaway_1_holds_for_a_move_in_time() -> None:
    book = warned()
    assert status(book, "GOAWAY-1") == "pass"
    assert kinds(evidence_of(book, "GOAWAY-1")) == {"frame.sent", "session.started"}


@pytest.mark.parametrize(("moves_s", "expected"), [(15.0, "pass"), (15.24, "pass"), (15.26, "warn"), (20.0, "warn")])
def test_goaway_1_forgives_a_quarter_of_a_second(moves_s: float, expected: str) -> None:
    assert status(warned(moves_s), "GOAWAY-1") == expected


def test_goaway_1_warns_who_waits_for_the_close_however_quick_it_is_then() -> None:
    book = closed(back_s=15.1)
    assert status(book, "GOAWAY-1") == "warn"
    assert kinds(evidence_of(book, "GOAWAY-1")) == {"frame.sent", "close.sent", "session.started"}


def test_goaway_1_warns_who_never_moves() -> None:
    assert status(closed(back_s=None), "GOAWAY-1") == "warn"
    assert "5 s of goAway" in finding(closed(back_s=None), "GOAWAY-1").summary


@pytest.mark.parametrize("time_left", ["57s", "1.5s", "5.s"])
def test_goaway_1_reads_every_duration(time_left: str) -> None:
    seconds = float(time_left.rstrip("s"))
    assert status(warned(10.0 + seconds + 0.2, time_left=time_left, end_s=90.0), "GOAWAY-1") == "pass"
    assert status(warned(10.0 + seconds + 0.3, time_left=time_left, end_s=90.0), "GOAWAY-1") == "warn"


def test_goaway_1_cannot_be_heeded_where_no_time_is_left() -> None:
    book = warned(None, time_left="0s")
    book.closes(10.01, 1, 1008, refusal="go_away_ignored")
    book.opens(10.5, 2)
    assert statuses(book, *ALL) == {"GOAWAY-1": "not_applicable", "GOAWAY-2": "pass", "GOAWAY-4": "pass"}


@pytest.mark.parametrize("time_left", [None, "soon", "", "-5s", "5"])
def test_goaway_1_has_no_time_to_hold_anybody_to_where_none_can_be_read(time_left: str | None) -> None:
    assert status(warned(20.0, time_left=time_left), "GOAWAY-1") == "not_applicable"


@pytest.mark.parametrize("policy", [{"go_away": "on_close"}, {"redial": "on_demand"}, {"redial": "manual"}])
def test_goaway_1_is_waived_by_policy_also_where_the_scenario_is_about_it(policy: dict[str, str]) -> None:
    assert status(closed(back_s=15.5, policy=policy, checks=["GOAWAY-1"]), "GOAWAY-1") == "not_applicable"


def test_goaway_1_takes_a_dial_that_was_under_way_for_the_move() -> None:
    # The client was about to move by itself when the warning came.
    book = Book()
    book.opens(1.0, 1)
    book.goes_away(10.0, 1)
    book.is_left(9.95, 1)
    book.opens(9.98, 2, takes_s=0.05)
    book.ends(60.0)
    assert statuses(book, "GOAWAY-1", "GOAWAY-2") == {"GOAWAY-1": "not_applicable", "GOAWAY-2": "not_applicable"}
    slower = Book()
    slower.opens(1.0, 1)
    slower.goes_away(10.0, 1)
    slower.opens(9.98, 2, takes_s=0.1)
    slower.is_left(10.1, 1)
    slower.ends(60.0)
    assert statuses(slower, "GOAWAY-1", "GOAWAY-2") == {"GOAWAY-1": "pass", "GOAWAY-2": "pass"}


def test_goaway_1_lets_others_be_the_cause_when_the_link_was_lost_meanwhile() -> None:
    cut = warned(None)
    cut.cut(12.0, 1)
    cut.opens(40.0, 2)
    by_close = warned(None)
    by_close.closes(12.0, 1, 1011, refusal="internal_error_occurred")
    by_close.opens(40.0, 2)
    left = warned(None)
    left.hangs_up(12.0)
    left.is_left(12.1, 1)
    for book in (cut, by_close, left):
        assert status(book, "GOAWAY-1") == "not_applicable"


def test_goaway_1_holds_nobody_to_a_warning_that_may_not_have_come() -> None:
    stalled = Book()
    stalled.opens(1.0, 1)
    stalled.fault(9.0, "network.stall", for_s=8.0)
    stalled.goes_away(10.0, 1)
    stalled.closes(15.0, 1, 1008, refusal="go_away_ignored")
    stalled.opens(17.5, 2)
    stalled.ends(60.0)
    asleep = Book()
    asleep.opens(1.0, 1)
    asleep.fault(9.0, "client.suspend", for_s=8.0)
    asleep.goes_away(10.0, 1)
    asleep.closes(15.0, 1, 1008, refusal="go_away_ignored")
    asleep.opens(17.5, 2)
    asleep.ends(60.0)
    for book in (stalled, asleep):
        assert statuses(book, *ALL) == {"GOAWAY-1": "not_applicable", "GOAWAY-2": "pass", "GOAWAY-4": "pass"}


def test_goaway_1_is_not_about_ghosts() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.fault(5.0, "network.blackhole", for_s=20.0, scope="existing")
    book.opens(9.0, 2)
    book.goes_away(12.0, 1)
    book.closes(17.0, 1, 1008, refusal="go_away_ignored")
    book.ends(60.0)
    assert statuses(book, *ALL) == dict.fromkeys(ALL, "not_applicable")


@pytest.mark.parametrize(("turn_ends_s", "expected"), [(14.0, "warn"), (15.0, "not_applicable")])
def test_goaway_1_lets_a_running_turn_outlast_the_deadline_where_the_policy_says_so(
    turn_ends_s: float, expected: str
) -> None:
    for policy, wanted in (({"go_away": "after_turn"}, expected), ({}, "warn")):
        book = closed(back_s=15.5, policy=policy)
        book.add(9.0, server.TurnAnswered(1, 1, "A long tale.", (), ()))
        book.add(turn_ends_s, server.TurnEnded(1, 1, "cut" if turn_ends_s == 15.0 else "complete"))
        assert status(book, "GOAWAY-1") == wanted


def test_goaway_1_counts_from_the_last_of_several_warnings() -> None:
    book = warned(17.0)
    book.goes_away(13.0, 1)
    assert status(book, "GOAWAY-1") == "pass"


def test_goaway_1_judges_each_connection() -> None:
    book = warned()
    book.goes_away(30.0, 2)
    book.closes(35.0, 2, 1008, refusal="go_away_ignored")
    book.opens(36.0, 3)
    assert status(book, "GOAWAY-1") == "warn"


def test_goaway_1_says_nothing_of_a_time_that_the_run_did_not_see() -> None:
    assert status(warned(None, end_s=14.0), "GOAWAY-1") == "not_applicable"


def test_goaway_2_counts_a_move_after_any_close_of_the_service() -> None:
    book = warned(None)
    book.closes(12.0, 1, 1011, refusal="internal_error_occurred")
    book.opens(12.5, 2)
    assert statuses(book, *ALL) == dict.fromkeys(ALL, "pass")


# GOAWAY-2 ------------------------------------------------------------------------------------------------------------


def test_goaway_2_holds_for_one_move() -> None:
    book = warned()
    assert status(book, "GOAWAY-2") == "pass"
    assert kinds(evidence_of(book, "GOAWAY-2")) == {"frame.sent", "session.started"}


def test_goaway_2_breaks_when_the_close_of_the_old_socket_starts_a_second() -> None:
    book = warned(12.0)
    book.is_left(12.5, 2)
    book.opens(12.6, 3)
    assert status(book, "GOAWAY-2") == "fail"
    assert "connections 2, 3" in finding(book, "GOAWAY-2").summary
    started = [e for e in evidence_of(book, "GOAWAY-2") if isinstance(e, server.SessionStarted)]
    assert [e.connection for e in started] == [2, 3]


@pytest.mark.parametrize(("again_s", "expected"), [(24.9, "fail"), (25.1, "pass")])
def test_goaway_2_looks_10_s_beyond_the_deadline(again_s: float, expected: str) -> None:
    book = warned(12.0)
    book.is_left(again_s - 1.0, 2)
    book.opens(again_s - 0.03, 3)
    assert status(book, "GOAWAY-2") == expected


@pytest.mark.parametrize("how", ["cut", "close", "restart"])
def test_goaway_2_does_not_count_a_session_whose_forerunner_was_lost_for_its_own_reasons(how: str) -> None:
    book = warned(12.0)
    if how == "cut":
        book.cut(13.0, 2)
    elif how == "close":
        book.closes(12.05, 2, 1011, refusal="quota")  # accepted, and closed at once
    else:
        book.link_ends(13.0, 2)
        book.exits(13.1, None, signal="SIGKILL", asked=True)
    book.opens(14.0, 3)
    assert status(book, "GOAWAY-2") == "pass"


def test_goaway_2_does_not_count_refused_resumes() -> None:
    book = warned(None)
    book.refused_dial(10.5, 2, "internal_error", handle="handle-1")
    book.refused_dial(11.0, 3, "internal_error", handle="handle-1")
    book.is_left(11.4, 1)
    book.opens(11.5, 4, handle="handle-1")
    assert status(book, "GOAWAY-2") == "pass"


def test_goaway_2_counts_each_warning_for_itself() -> None:
    book = warned(12.0)
    book.goes_away(13.0, 2)
    book.is_left(14.0, 2)
    book.opens(14.1, 3)
    assert status(book, "GOAWAY-2") == "pass"


def test_goaway_2_is_unknown_when_no_session_came_or_the_old_socket_outlived_the_run() -> None:
    assert status(closed(back_s=None), "GOAWAY-2") == "unknown"
    both = Book()
    both.opens(1.0, 1)
    both.goes_away(10.0, 1)
    both.opens(11.0, 2)
    both.ends(14.0)
    assert status(both, "GOAWAY-2") == "unknown"


@pytest.mark.parametrize(("end_s", "expected"), [(12.85, "unknown"), (12.95, "pass")])
def test_goaway_2_watches_a_second_beyond_the_end_of_the_old_socket(end_s: float, expected: str) -> None:
    assert status(warned(12.0, end_s=end_s), "GOAWAY-2") == expected


def test_goaway_2_never_arises_when_nobody_wants_another_session() -> None:
    hung_up = warned(None, time_left=None)
    hung_up.hangs_up(10.5)
    hung_up.is_left(10.6, 1)
    assert status(hung_up, "GOAWAY-2") == "not_applicable"
    on_demand = closed(back_s=None, policy={"redial": "on_demand"})
    assert status(on_demand, "GOAWAY-2") == "not_applicable"


def test_goaway_2_never_arises_without_a_warning() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.ends(60.0)
    assert statuses(book, *ALL) == dict.fromkeys(ALL, "not_applicable")


# GOAWAY-4 ------------------------------------------------------------------------------------------------------------


def test_goaway_4_holds_when_the_client_is_back() -> None:
    book = closed(back_s=16.0)
    assert status(book, "GOAWAY-4") == "pass"
    assert kinds(evidence_of(book, "GOAWAY-4")) == {"frame.sent", "close.sent", "session.started"}


@pytest.mark.parametrize(("back_s", "expected"), [(24.99, "pass"), (25.01, "fail"), (None, "fail")])
def test_goaway_4_gives_10_s(back_s: float | None, expected: str) -> None:
    assert status(closed(back_s=back_s), "GOAWAY-4") == expected


@pytest.mark.parametrize(("back_s", "expected"), [(39.99, "pass"), (40.01, "fail"), (None, "fail")])
@pytest.mark.parametrize("redial", ["on_demand", "manual"])
def test_goaway_4_gives_10_s_from_the_next_input_where_the_policy_says_so(
    redial: str, back_s: float | None, expected: str
) -> None:
    book = closed(back_s=back_s, policy={"redial": redial})
    book.turn(30.0, 3, "say", "Hello?")
    assert status(book, "GOAWAY-4") == expected
    silent = closed(back_s=None, policy={"redial": redial})
    assert status(silent, "GOAWAY-4") == "not_applicable"


@pytest.mark.parametrize(("end_s", "expected"), [(24.9, "unknown"), (25.1, "fail")])
def test_goaway_4_is_unknown_when_it_was_not_watched_for_10_s(end_s: float, expected: str) -> None:
    assert status(closed(back_s=None, end_s=end_s), "GOAWAY-4") == expected


@pytest.mark.parametrize("how", ["gave_up", "exit"])
def test_goaway_4_need_not_be_watched_when_the_client_gave_up_or_left(how: str) -> None:
    book = closed(back_s=None, end_s=18.0)
    if how == "gave_up":
        book.tells(15.5, "gave_up")
    else:
        book.exits(15.5, 0)
    assert status(book, "GOAWAY-4") == "fail"


def test_goaway_4_counts_from_the_link_being_there() -> None:
    for back_s, expected in ((32.9, "pass"), (33.1, "fail")):
        book = closed(back_s=back_s)
        book.fault(14.996, "network.unavailable", for_s=8.0, link="backend")
        book.fault(15.5, "server.refusal", for_s=7.5)
        assert status(book, "GOAWAY-4") == expected


def test_goaway_4_never_arises_for_who_moved_in_time_or_was_hung_up() -> None:
    assert status(warned(), "GOAWAY-4") == "not_applicable"
    overlap = warned(None, policy={"handover": "overlap"})
    overlap.opens(12.0, 2)
    overlap.closes(15.0, 1, 1008, refusal="go_away_ignored")
    assert status(overlap, "GOAWAY-4") == "not_applicable"
    hung_up = closed(back_s=None, end_s=30.0)
    hung_up.hangs_up(16.0)
    assert status(hung_up, "GOAWAY-4") == "not_applicable"


def test_goaway_4_is_not_about_closes_that_nothing_announced() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.closes(15.0, 1, 1008, refusal="idle")
    book.ends(60.0)
    assert status(book, "GOAWAY-4") == "not_applicable"


# Evidence ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["frame.sent", "session.started", "upgrade.received"])
@pytest.mark.parametrize("check", ALL)
def test_every_rule_needs_the_warning_and_the_sessions(check: str, kind: str) -> None:
    for book in (warned(), closed(back_s=16.0), closed(back_s=None)):
        assert status(book.without(kind), check) != "pass"


def test_goaway_4_needs_the_close() -> None:
    assert status(closed(back_s=16.0).without("close.sent"), "GOAWAY-4") != "pass"


def test_goaway_4_does_not_judge_who_is_refused_for_another_reason() -> None:
    book = closed(back_s=None)
    book.refused_dial(15.4, 2, "http_401")
    assert status(book, "GOAWAY-4") == "unknown"


def test_goaway_1_holds_a_client_to_the_warning_that_it_answered_by_closing() -> None:
    book = warned(None)
    book.is_left(10.01, 1)
    assert status(book, "GOAWAY-1") == "warn"
