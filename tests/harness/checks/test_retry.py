"""RETRY: coming back, at a pace, and not after hanging up."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from harness.journal.events import StepEnded, StepStarted
from tests.harness.checks.journal_builder import Book, Mark, evidence_of, finding, kinds, status

# RETRY-1 -------------------------------------------------------------------------------------------------------------


def dropped(again_s: float | None = 5.5, *, end_s: float = 60.0, **options: object) -> Book:
    """A session that is cut at 5 s, and a new one that is dialled at `again_s`."""
    book = Book(**options)  # type: ignore[arg-type]  # words of the builder
    book.opens(1.0, 1)
    book.cut(5.0, 1)
    if again_s is not None:
        book.opens(again_s, 2)
    book.ends(end_s)
    return book


def test_retry_1_holds_and_points_at_drop_and_dial() -> None:
    book = dropped()
    assert status(book, "RETRY-1") == "pass"
    assert kinds(evidence_of(book, "RETRY-1")) == {"fault.in_force", "socket.accepted"}


@pytest.mark.parametrize(("after_s", "expected"), [(29.9, "pass"), (30.1, "fail")])
def test_retry_1_gives_30_s_from_the_drop(after_s: float, expected: str) -> None:
    assert status(dropped(5.004 + after_s), "RETRY-1") == expected


@pytest.mark.parametrize(("after_s", "expected"), [(29.9, "pass"), (30.1, "fail")])
@pytest.mark.parametrize("name", ["unavailable", "refuse", "blackhole", "stall"])
def test_retry_1_gives_30_s_from_the_link_being_there(name: str, after_s: float, expected: str) -> None:
    book = Book(policy={"liveness": {"by": "ping", "within": "3s"}})
    book.opens(1.0, 1)
    book.fault(5.0, f"network.{name}", for_s=8.0)
    book.drops_own_end(6.0, 1)
    book.link_ends(13.1, 1)
    book.opens(13.004 + after_s, 2)
    book.ends(90.0)
    assert status(book, "RETRY-1") == expected


def test_retry_1_counts_from_when_a_silent_link_must_have_been_noticed() -> None:
    for again_s, expected in ((5.004 + 10 + 29.9, "pass"), (5.004 + 10 + 30.1, "fail")):
        book = Book(policy={"liveness": {"by": "ping", "within": "10s"}})
        book.opens(1.0, 1)
        book.fault(5.0, "network.blackhole", for_s=80.0, scope="existing")
        book.opens(again_s, 2)
        book.ends(90.0)
        assert status(book, "RETRY-1") == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        *((code, "fail") for code in (1001, 1011, 1012, 1013)),
        *((code, "not_applicable") for code in (1000, 1007, 1008)),
    ],
)
def test_retry_1_is_about_abnormal_ends(code: int, expected: str) -> None:
    book = Book()
    book.opens(1.0, 1)
    book.closes(5.0, 1, code)
    book.ends(60.0)
    assert status(book, "RETRY-1") == expected


def test_retry_1_takes_an_abort_by_the_server_for_an_abnormal_end() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.link_ends(5.0, 1, "aborted")
    book.ends(60.0)
    assert status(book, "RETRY-1") == "fail"


def test_retry_1_leaves_ends_alone_that_the_client_or_the_user_made() -> None:
    by_client = Book()
    by_client.opens(1.0, 1)
    by_client.is_left(5.0, 1)
    by_client.ends(60.0)
    assert status(by_client, "RETRY-1") == "not_applicable"
    by_user = Book()
    by_user.opens(1.0, 1)
    by_user.hangs_up(4.0)
    by_user.cut(5.0, 1)
    by_user.ends(60.0)
    assert status(by_user, "RETRY-1") == "not_applicable"


def test_retry_1_breaks_when_nothing_is_dialled_any_more() -> None:
    book = dropped(None)
    assert status(book, "RETRY-1") == "fail"
    assert "network fault (cut)" in finding(book, "RETRY-1").summary


@pytest.mark.parametrize(("watched_s", "expected"), [(29.9, "unknown"), (30.1, "fail")])
def test_retry_1_is_unknown_when_it_was_not_watched_for_30_s(watched_s: float, expected: str) -> None:
    assert status(dropped(None, end_s=5.004 + watched_s), "RETRY-1") == expected


def test_retry_1_tells_the_first_of_several_open_questions() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.opens(1.5, 2)
    first = book.cut(5.0, 1)
    book.cut(6.0, 2)
    book.ends(20.0)
    assert status(book, "RETRY-1") == "unknown"
    assert finding(book, "RETRY-1").evidence == (book.n(first),)


@pytest.mark.parametrize("how", ["gave_up", "exit"])
def test_retry_1_need_not_be_watched_further_when_the_client_gave_up_or_left(how: str) -> None:
    book = dropped(None, end_s=10.0)
    last = book.tells(6.0, "gave_up") if how == "gave_up" else book.exits(6.0, 1)
    assert status(book, "RETRY-1") == "fail"
    assert book.n(last) in finding(book, "RETRY-1").evidence


@pytest.mark.parametrize("redial", ["on_demand", "manual"])
def test_retry_1_waits_for_the_next_input_where_the_policy_says_so(redial: str) -> None:
    quiet = dropped(None, policy={"redial": redial})
    assert status(quiet, "RETRY-1") == "not_applicable"
    for again_s, expected in ((20.0 + 29.9, "pass"), (20.0 + 30.1, "fail"), (None, "fail")):
        book = dropped(again_s, policy={"redial": redial}, end_s=90.0)
        book.turn(20.0, 3, "say", "Hello?")
        assert status(book, "RETRY-1") == expected


def test_retry_1_lets_a_user_hang_up_while_a_retry_is_pending() -> None:
    book = dropped(None, end_s=16.0)
    book.hangs_up(5.2)
    assert status(book, "RETRY-1") == "not_applicable"


def test_retry_1_is_not_satisfied_by_dials_into_the_outage_alone() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.fault(5.0, "network.unavailable", for_s=8.0)
    book.link_ends(5.01, 1)
    book.turned_away(5.5)
    book.ends(60.0)
    assert status(book, "RETRY-1") == "fail"


def test_retry_1_is_satisfied_by_a_dial_into_the_outage_that_came_through_after_it() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.fault(5.0, "network.stall", for_s=8.0)
    book.drops_own_end(9.0, 1)
    book.dials(13.1, 2, key="key-1", accepted_s=12.0)
    book.sets_up(13.2, 2)
    book.completes(13.3, 2)
    book.ends(60.0)
    assert status(book, "RETRY-1") == "pass"


@pytest.mark.parametrize(
    ("gives_up", "gave_up_s", "expected"),
    [
        ({"after": "6s"}, 11.1, "not_applicable"),
        ({"after": "6s"}, 7.0, "fail"),  # sooner than it says
        ({"after": "60s"}, 11.1, "fail"),
        ({"attempts": 2}, 11.1, "not_applicable"),
        ({"attempts": 3}, 11.1, "fail"),
        ("never", 11.1, "fail"),
    ],
)
def test_retry_1_lets_a_client_give_up_in_an_outage_that_outlasts_its_own_limit(
    gives_up: object, gave_up_s: float, expected: str
) -> None:
    book = Book(policy={"gives_up": gives_up})
    book.opens(1.0, 1)
    book.fault(5.0, "network.unavailable", for_s=20.0)
    book.link_ends(5.01, 1)
    book.turned_away(5.5)
    book.turned_away(6.5)
    book.tells(gave_up_s, "gave_up")
    book.ends(80.0)
    assert status(book, "RETRY-1") == expected


def test_retry_1_counts_the_limit_of_giving_up_from_when_the_client_noticed() -> None:
    # It sat on a dead link for 60 s, and gave up when it was told of it: that is no 60 s of trying.
    book = Book(policy={"gives_up": {"after": "60s"}})
    book.opens(1.0, 1)
    book.fault(5.0, "network.blackhole", for_s=60.0, scope="existing")
    book.link_ends(65.01, 1, "reset")
    book.tells(65.02, "gave_up")
    book.ends(70.0)
    assert status(book, "RETRY-1") == "fail"


def test_retry_1_does_not_count_a_dial_that_failed_before_the_drop() -> None:
    # On goAway it tried to resume beside the old socket, was refused, and sat there until the service closed.
    book = Book()
    book.opens(1.0, 1)
    book.goes_away(5.0, 1)
    book.refused_dial(6.0, 2, "internal_error", handle="handle-1")
    book.closes(10.0, 1, 1011, refusal="deadline_expired")
    book.ends(60.0)
    assert status(book, "RETRY-1") == "fail"


def test_retry_1_sees_a_dial_that_was_quicker_than_the_confirmation_of_the_fault() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.fault(5.0, "network.cut", takes_s=0.02)
    book.opens(5.01, 2, takes_s=0.005)
    book.link_ends(5.03, 1)
    book.ends(60.0)
    assert status(book, "RETRY-1") == "pass"


def test_retry_1_judges_every_drop() -> None:
    book = dropped(5.5)
    book.cut(20.0, 2)
    assert status(book, "RETRY-1") == "fail"


@pytest.mark.parametrize(
    "kind", ["session.started", "fault.in_force", "client.started", "upgrade.received", "socket.accepted"]
)
def test_retry_1_needs(kind: str) -> None:
    assert status(dropped().without(kind), "RETRY-1") != "pass"


def test_retry_1_does_not_blame_a_client_whose_token_service_never_came_back() -> None:
    book = Book()
    book.opens(1.0, 1, token="token-1")
    book.fault(4.0, "tokens.fail", detail={"tokens": "fail", "with_": 503})
    book.cut(5.0, 1)
    book.ends(60.0)
    assert status(book, "RETRY-1") == "not_applicable"


# RETRY-2 -------------------------------------------------------------------------------------------------------------


def failing(times: Sequence[float], *, end_s: float = 60.0) -> tuple[Book, list[Mark]]:
    book = Book()
    book.opens(1.0, 1)
    book.fault(5.0, "network.unavailable", for_s=40.0)
    book.link_ends(5.01, 1)
    dials = [book.turned_away(t) for t in times]
    book.ends(end_s)
    return book, dials


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([6.0, 6.1, 6.2, 6.3, 6.999], "pass"),
        ([6.0, 6.1, 6.2, 6.3, 6.4, 6.999], "fail"),
        ([6.0, 6.1, 6.2, 6.3, 6.4, 7.0], "pass"),  # the sixth is a whole second after the first
        ([6.0 + 2 * n for n in range(15)], "pass"),
        ([6.0 + 1.9 * n for n in range(16)], "fail"),
        ([6.0 + 2 * n for n in range(16)], "pass"),  # the sixteenth is 30 s after the first
    ],
)
def test_retry_2_allows_5_failed_dials_in_a_second_and_15_in_30(times: list[float], expected: str) -> None:
    book, _ = failing(times)
    assert status(book, "RETRY-2") == expected


def test_retry_2_points_at_the_burst() -> None:
    book, dials = failing([6.0, 8.0, 8.1, 8.2, 8.3, 8.4, 8.5, 12.0])
    found = finding(book, "RETRY-2")
    assert found.status == "fail"
    assert set(found.evidence) >= {book.n(dial) for dial in dials[1:7]}
    assert book.n(dials[0]) not in found.evidence
    assert "6 failed dials within 1 s" in found.summary


def test_retry_2_counts_every_way_in_which_a_dial_can_fail() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.cut(5.0, 1)
    book.turned_away(6.0)
    book.knocks(6.1, 50)
    book.dials(6.2, 2, key="key-1", status=503, refusal="http_503")
    book.refused_dial(6.3, 3, "unavailable")
    book.dials(6.4, 4, key="key-1")
    book.ends(60.0)
    assert status(book, "RETRY-2") == "pass"
    book.turned_away(6.5)
    assert status(book, "RETRY-2") == "fail"


def test_retry_2_does_not_count_dials_that_came_to_a_session() -> None:
    book = Book()
    book.opens(1.0, 1)
    for connection in range(2, 12):
        book.cut(3.0 + connection * 0.1, connection - 1)
        book.opens(3.05 + connection * 0.1, connection, takes_s=0.01)
    book.ends(60.0)
    assert status(book, "RETRY-2") == "pass"


def test_retry_2_counts_over_a_session_that_was_dropped_at_once() -> None:
    # "In any one second" knows nothing of a session in between that lived for a moment.
    book = Book()
    book.opens(1.0, 1)
    book.cut(5.0, 1)
    for t in (5.1, 5.15, 5.2):
        book.turned_away(t)
    book.opens(5.25, 2)
    book.cut(5.4, 2)
    for t in (5.5, 5.55, 5.6):
        book.turned_away(t)
    book.ends(60.0)
    assert status(book, "RETRY-2") == "fail"


def test_retry_2_counts_a_dial_once_also_where_two_sessions_were_lost() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.opens(2.0, 2)
    book.fault(5.0, "network.cut")
    book.link_ends(5.01, 1)
    book.link_ends(5.01, 2)
    for t in (5.1, 5.2, 5.3):
        book.turned_away(t)
    book.ends(60.0)
    assert status(book, "RETRY-2") == "pass"


def test_retry_2_is_unknown_under_refuse_unless_what_was_seen_is_too_much_already() -> None:
    for times, expected in (([], "unknown"), ([14.0 + n / 10 for n in range(6)], "fail")):
        book = Book()
        book.opens(1.0, 1)
        refuse = book.fault(5.0, "network.refuse", for_s=8.0)
        book.link_ends(5.01, 1)
        for t in times:
            book.turned_away(t)
        book.opens(20.0, 2)
        book.ends(60.0)
        assert status(book, "RETRY-2") == expected
        if expected == "unknown":
            assert finding(book, "RETRY-2").evidence == (book.n(refuse),)


@pytest.mark.parametrize(
    ("at_s", "link", "expected"), [(5.2, "live", "unknown"), (5.2, "backend", "pass"), (3.0, "live", "pass")]
)
def test_retry_2_minds_a_refuse_only_in_a_gap_and_on_the_live_link(at_s: float, link: str, expected: str) -> None:
    book = Book()
    book.opens(4.5, 1)
    book.cut(5.0, 1)
    book.fault(at_s, "network.refuse", for_s=1.0, link=link)
    book.opens(8.0, 2)
    book.ends(60.0)
    assert status(book, "RETRY-2") == expected


def test_retry_2_never_arises_without_a_dial_after_a_drop() -> None:
    assert status(dropped(None), "RETRY-2") == "not_applicable"
    first_tries = Book()
    for number in range(8):
        first_tries.turned_away(1.0 + number / 10)
    first_tries.opens(3.0, 1)
    first_tries.ends(60.0)
    assert status(first_tries, "RETRY-2") == "not_applicable"


@pytest.mark.parametrize("kind", ["session.started", "upgrade.received", "socket.accepted"])
def test_retry_2_needs(kind: str) -> None:
    assert status(dropped().without(kind), "RETRY-2") != "pass"


@pytest.mark.parametrize(("turned_away", "expected"), [(True, "pass"), (False, "unknown")])
def test_retry_2_needs_the_dials_that_a_proxy_turned_away(turned_away: bool, expected: str) -> None:
    # Such a dial leaves no other trace; but the story waited for one, and the wait was not in vain.
    book = Book(story=[{"teach": ["name"]}, {"until": {"event": "link_dial", "within": "3s"}}])
    book.opens(1.0, 1)
    book.turn(2.0, 1, "teach", "My name is Ada.", teaches=["name"])
    book.fault(5.0, "network.unavailable", for_s=4.0)
    book.link_ends(5.01, 1)
    book.add(5.1, StepStarted(2, "until", {}))
    if turned_away:
        book.turned_away(6.0)
    book.add(6.0, StepEnded(2, "done"))
    book.opens(10.0, 2)
    book.ends(60.0)
    assert status(book, "RETRY-2") == expected


# RETRY-6 -------------------------------------------------------------------------------------------------------------


def hung_up(at_s: float = 10.0, *, end_s: float = 21.0, **options: object) -> Book:
    book = Book(**options)  # type: ignore[arg-type]  # words of the builder
    book.opens(1.0, 1)
    book.hangs_up(at_s)
    book.is_left(at_s + 0.05, 1)
    book.ends(end_s)
    return book


def test_retry_6_holds_after_10_s_of_quiet() -> None:
    book = hung_up()
    assert status(book, "RETRY-6") == "pass"
    assert kinds(evidence_of(book, "RETRY-6")) == {"step.started"}


@pytest.mark.parametrize(("watched_s", "expected"), [(9.74, "unknown"), (9.76, "pass"), (10.0, "pass")])
def test_retry_6_wants_10_s_watched(watched_s: float, expected: str) -> None:
    assert status(hung_up(10.0, end_s=10.0 + watched_s), "RETRY-6") == expected


def test_retry_6_wants_twice_the_last_pause_between_dials_watched() -> None:
    for watched_s, expected in ((15.7, "unknown"), (15.8, "pass")):
        book = Book()
        book.opens(1.0, 1)
        book.fault(5.0, "network.unavailable", for_s=14.0, link="live")
        book.link_ends(5.01, 1)
        book.turned_away(6.0)
        book.turned_away(14.0)
        book.hangs_up(18.0)
        book.ends(19.004 + watched_s)
        assert status(book, "RETRY-6") == expected


def test_retry_6_takes_the_time_of_a_session_for_no_pause_between_dials() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.cut(45.0, 1)
    book.opens(45.3, 2)
    book.hangs_up(50.0)
    book.is_left(50.05, 2)
    book.ends(60.0)
    assert status(book, "RETRY-6") == "pass"


def test_retry_6_counts_only_time_with_the_link_up() -> None:
    for end_s, expected in ((28.0, "unknown"), (35.0, "pass")):
        book = hung_up(end_s=end_s)
        book.fault(9.0, "network.unavailable", for_s=14.0, link="live")
        assert status(book, "RETRY-6") == expected


@pytest.mark.parametrize(("after_s", "expected"), [(0.1, "fail"), (0.3, "fail"), (9.0, "fail"), (-0.1, "pass")])
def test_retry_6_breaks_when_a_session_is_dialled_for(after_s: float, expected: str) -> None:
    book = hung_up(end_s=30.0)
    dial = book.opens(10.0 + after_s, 2)
    assert status(book, "RETRY-6") == expected
    if expected == "fail":
        assert book.n(dial) - 1 in finding(book, "RETRY-6").evidence  # the accept before the upgrade


@pytest.mark.parametrize(("after_s", "expected"), [(0.24, "pass"), (0.26, "fail"), (9.0, "fail")])
def test_retry_6_forgives_a_dial_that_came_at_once_and_was_given_up(after_s: float, expected: str) -> None:
    book = hung_up(end_s=30.0)
    book.knocks(10.0 + after_s, 50)
    assert status(book, "RETRY-6") == expected


def test_retry_6_holds_when_the_program_left_by_itself() -> None:
    book = hung_up(end_s=11.0)
    gone = book.exits(10.5, after_hang_up=True)
    assert status(book, "RETRY-6") == "pass"
    assert book.n(gone) in finding(book, "RETRY-6").evidence


def test_retry_6_is_unknown_under_refuse() -> None:
    book = hung_up(end_s=40.0)
    book.fault(9.0, "network.refuse", for_s=10.0)
    assert status(book, "RETRY-6") == "unknown"


def test_retry_6_never_arises_while_nobody_hangs_up_and_not_for_autonomous_clients() -> None:
    assert status(dropped(), "RETRY-6") == "not_applicable"
    assert status(hung_up(driven=False, checks=["RETRY-6"]), "RETRY-6") == "not_applicable"


@pytest.mark.parametrize("kind", ["upgrade.received", "socket.accepted", "step.started"])
def test_retry_6_needs(kind: str) -> None:
    assert status(hung_up().without(kind), "RETRY-6") != "pass"


# RETRY-7 -------------------------------------------------------------------------------------------------------------

OVERLAP = {"handover": "overlap"}


def beside(both_s: float, *, warned: bool = True, **options: object) -> Book:
    """Two sessions that are live beside one another for so long, with a goAway before."""
    book = Book(**options)  # type: ignore[arg-type]  # words of the builder
    book.opens(1.0, 1)
    if warned:
        book.goes_away(4.0, 1, "30s")
    book.opens(5.0, 2, takes_s=0.0)
    book.is_left(5.0 + both_s, 1)
    book.ends(60.0)
    return book


@pytest.mark.parametrize(("both_s", "expected"), [(0.099, "pass"), (0.101, "fail"), (5.0, "fail")])
def test_retry_7_lets_a_close_be_seen_a_tenth_of_a_second_late(both_s: float, expected: str) -> None:
    book = beside(both_s)
    assert status(book, "RETRY-7") == expected
    assert kinds(evidence_of(book, "RETRY-7")) >= {"session.started"}


@pytest.mark.parametrize(
    ("both_s", "warned", "expected"),
    [(9.99, True, "pass"), (10.01, True, "fail"), (5.0, False, "fail")],
)
def test_retry_7_lets_a_planned_move_overlap_for_10_s(both_s: float, warned: bool, expected: str) -> None:
    assert status(beside(both_s, warned=warned, policy=OVERLAP), "RETRY-7") == expected


def test_retry_7_lets_only_one_of_two_planned_sessions_hear_the_user() -> None:
    one = beside(5.0, policy=OVERLAP)
    one.frame(6.0, 2, "realtime_input")
    assert status(one, "RETRY-7") == "pass"
    both = beside(5.0, policy=OVERLAP)
    heard = [both.frame(6.0, 1, "realtime_input"), both.frame(6.1, 2, "client_content")]
    assert status(both, "RETRY-7") == "fail"
    assert {both.n(mark) for mark in heard} <= set(finding(both, "RETRY-7").evidence)
    before = beside(5.0, policy=OVERLAP)
    before.frame(4.5, 1, "realtime_input")
    before.frame(6.1, 2, "realtime_input")
    assert status(before, "RETRY-7") == "pass"


def test_retry_7_takes_a_socket_that_only_the_server_holds_for_a_ghost() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.fault(5.0, "network.blackhole", for_s=40.0, scope="existing")
    book.opens(9.0, 2)
    book.link_ends(45.1, 1, "reset")
    book.ends(60.0)
    assert status(book, "RETRY-7") == "pass"


def test_retry_7_breaks_when_a_stalled_link_is_left_open_and_lives_on() -> None:
    # It redialled while the link was stalled, and never closed the old socket: both are live after the stall.
    book = Book()
    book.opens(1.0, 1)
    book.fault(5.0, "network.stall", for_s=8.0, scope="existing")
    book.opens(9.0, 2)
    book.stopping(40.0)
    book.link_ends(40.1, 1)
    book.link_ends(40.1, 2)
    book.exits(40.2, asked=True)
    book.ends(41.0, leaves=False)
    assert status(book, "RETRY-7") == "fail"


@pytest.mark.parametrize("seen_at_the_proxy", [True, False])
def test_retry_7_holds_when_a_stalled_link_was_left_for_good(seen_at_the_proxy: bool) -> None:
    book = Book()
    book.opens(1.0, 1)
    book.fault(5.0, "network.stall", for_s=8.0, scope="existing")
    if seen_at_the_proxy:
        book.drops_own_end(8.9, 1)
    book.opens(9.0, 2)
    book.link_ends(13.2, 1)  # what it had closed reached the server after the stall
    book.ends(60.0)
    assert status(book, "RETRY-7") == "pass"


def test_retry_7_holds_for_one_session_and_never_arises_for_none() -> None:
    assert status(dropped(None), "RETRY-7") == "pass"
    none = Book()
    none.ends(20.0)
    assert status(none, "RETRY-7") == "not_applicable"


@pytest.mark.parametrize("kind", ["session.started", "upgrade.received", "frame.received"])
def test_retry_7_needs(kind: str) -> None:
    assert status(dropped().without(kind), "RETRY-7") != "pass"
    both = beside(5.0, policy=OVERLAP)
    both.frame(6.0, 1, "realtime_input")
    both.frame(6.1, 2, "realtime_input")
    assert status(both.without(kind), "RETRY-7") != "pass"


def test_retry_1_is_answered_by_a_dial_that_the_service_refuses() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.closes(10.0, 1, 1011)
    book.fault(9.0, "server.refusal", for_s=20.0)
    book.refused_dial(11.0, 2, "model_not_found")
    book.tells(11.1, "gave_up")
    book.ends(50.0)
    assert status(book, "RETRY-1") == "pass"
