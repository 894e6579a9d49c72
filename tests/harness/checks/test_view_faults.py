"""Faults as windows of time."""

from __future__ import annotations

import math

import pytest

from harness.checks.view_faults import FaultWindow, fault_windows, link_there_s, outages
from harness.journal.events import FaultDue, FaultFailed, FaultInForce, FaultLifted
from tests.harness.checks.journal_builder import Book, view_of


def window(book: Book) -> FaultWindow:
    (found,) = view_of(book).faults
    return found


def test_a_window_has_its_parts() -> None:
    book = Book()
    mark = book.fault(
        5.0, "network.stall", for_s=8.0, takes_s=0.01, link="live", direction="down", scope="existing",
        after_s=2.0, lag_ms=10.0, lifted_lag_ms=3.0,
    )  # fmt: skip
    found = window(book)
    assert (found.fault, found.act, found.family, found.name) == (1, "network.stall", "network", "stall")
    assert (found.link, found.direction, found.scope) == ("live", "down", "existing")
    assert (found.began_s, found.start_s, found.end_s) == (5.0, 5.01, 13.01)
    assert found.in_force is not None
    assert found.in_force.n == book.n(mark)
    assert (found.for_s, found.after_s, found.lag_ms, found.lifted_lag_ms) == (8.0, 2.0, 10.0, 3.0)


def test_a_fault_that_never_bit_keeps_what_its_order_said() -> None:
    book = Book()
    book.fault(
        5.0, "network.stall", bites=False, detail={"link": "live", "direction": "up", "scope": "all", "times": 2}
    )
    found = window(book)
    assert (found.link, found.direction, found.scope, found.times) == ("live", "up", "all", 2)
    assert (found.began_s, found.start_s, found.end_s) == (5.0, math.inf, math.inf)
    assert found.in_force is None
    assert (found.for_s, found.lag_ms) == (None, None)
    assert outages([found]) == ()


def test_odd_orders_say_nothing() -> None:
    book = Book()
    book.fault(5.0, "network.stall", bites=False, detail={"link": 5, "times": "often"})
    found = window(book)
    assert (found.link, found.times) == (None, None)


def test_a_fault_that_could_not_be_done_is_none() -> None:
    book = Book()
    book.add(5.0, FaultDue(1, "network.stall", {}, 0.0))
    book.add(5.1, FaultFailed(1, "network.stall", "no such link"))
    assert view_of(book).faults == ()


def test_a_fault_that_could_not_be_lifted_was_there_all_the_same() -> None:
    book = Book()
    book.fault(5.0, "network.stall")
    book.add(9.0, FaultFailed(1, "network.stall", "gone"))
    assert window(book).end_s == math.inf


def test_windows_are_read_from_any_of_their_parts() -> None:
    whole = Book()
    whole.fault(5.0, "network.blackhole", for_s=2.0)
    for kind, (began_s, start_s, end_s) in {
        "fault.due": (5.004, 5.004, 7.004),
        "fault.in_force": (5.0, math.inf, 7.004),
        "fault.lifted": (5.0, 5.004, math.inf),
    }.items():
        found = window(whole.without(kind))
        assert (found.began_s, found.start_s, found.end_s) == (began_s, start_s, end_s)
    alone = window(whole.without("fault.due", "fault.in_force"))
    assert (alone.act, alone.began_s, alone.after_s) == ("network.blackhole", math.inf, 0.0)


def test_windows_come_in_order_of_their_beginning() -> None:
    book = Book()
    book.fault(9.0, "network.cut")
    book.fault(5.0, "network.reset")
    assert [fault.act for fault in view_of(book).faults] == ["network.reset", "network.cut"]


@pytest.mark.parametrize(
    ("act", "lasts"),
    [
        ("network.cut", False),
        ("network.reset", False),
        ("network.stall", True),
        ("network.blackhole", True),
        ("network.refuse", True),
        ("network.unavailable", True),
        ("network.slow", True),
        ("network.throttle", True),
        ("network.slice", True),
        ("server.go_away", False),
        ("server.close", False),
        ("server.update", False),
        ("server.interrupt", False),
        ("server.refusal", False),
        ("server.silence", True),
        ("server.slow_pong", True),
        ("tokens.fail", True),
        ("tokens.slow", True),
        ("tokens.expire", False),
        ("client.suspend", True),
        ("client.restart", False),
    ],
)
def test_what_happens_once_is_over_at_once_and_what_lasts_goes_on(act: str, lasts: bool) -> None:
    book = Book()
    book.fault(5.0, act)
    assert window(book).end_s == (math.inf if lasts else 5.004)
    lifted = Book()
    lifted.fault(5.0, act, for_s=2.0)
    assert window(lifted).end_s == pytest.approx(7.004)


@pytest.mark.parametrize("wakes", ["client.resume", "client.restart"])
def test_a_program_that_was_stopped_without_a_time_sleeps_until_it_is_woken(wakes: str) -> None:
    book = Book()
    book.fault(2.0, "client.resume")
    book.fault(5.0, "client.suspend")
    book.fault(9.0, wakes)
    asleep = next(fault for fault in view_of(book).faults if fault.act == "client.suspend")
    assert asleep.end_s == 9.004
    assert view_of(book).outages == ((5.0, 9.004),)


@pytest.mark.parametrize(
    ("act", "link", "on_live"),
    [
        ("network.cut", "live", True),
        ("network.cut", "all", True),
        ("network.cut", "backend", False),
        ("server.close", None, False),
        ("client.suspend", None, False),
    ],
)
def test_only_network_faults_are_on_the_live_link(act: str, link: str | None, on_live: bool) -> None:
    book = Book()
    book.fault(5.0, act, link=link)
    assert window(book).on_live is on_live


@pytest.mark.parametrize(("direction", "hits"), [("up", False), ("down", True), ("both", True)])
def test_a_direction_says_whom_it_hits(direction: str, hits: bool) -> None:
    book = Book()
    book.fault(5.0, "network.stall", direction=direction)
    assert window(book).hits_down is hits


@pytest.mark.parametrize(
    ("act", "options", "blocks"),
    [
        ("network.blackhole", {"for_s": 2.0}, True),
        ("network.blackhole", {"for_s": 2.0, "scope": "existing"}, False),
        ("network.stall", {"for_s": 2.0}, True),
        ("network.refuse", {"for_s": 2.0}, True),
        ("network.unavailable", {"for_s": 2.0}, True),
        ("network.unavailable", {}, True),
        ("network.slow", {"for_s": 2.0}, False),
        ("network.cut", {}, False),
        ("server.refusal", {"for_s": 2.0}, True),
        ("server.refusal", {}, False),
        ("server.silence", {"for_s": 2.0}, False),
        ("tokens.fail", {"for_s": 2.0}, True),
        ("tokens.fail", {}, True),  # for ever
        ("tokens.fail", {"detail": {"times": 3}}, False),
        ("tokens.slow", {"for_s": 2.0}, False),
        ("tokens.expire", {}, False),
        ("client.suspend", {"for_s": 2.0}, True),
        ("client.restart", {}, False),
    ],
)
def test_some_faults_let_no_new_session_come(act: str, options: dict[str, object], blocks: bool) -> None:
    book = Book()
    book.fault(5.0, act, **options)  # type: ignore[arg-type]  # words of the builder
    assert window(book).blocks_dials is blocks


def test_token_calls_that_fail_are_not_known_to_fail_for_ever_where_the_order_was_not_seen() -> None:
    book = Book()
    book.fault(5.0, "tokens.fail")
    assert not window(book.without("fault.due")).blocks_dials


@pytest.mark.parametrize(
    ("from_s", "to_s", "covers"),
    [(4.0, 4.9, False), (4.0, 5.0, True), (6.0, 6.0, True), (7.0, 9.0, True), (7.1, 9.0, False)],
)
def test_a_window_covers_a_time_that_touches_it(from_s: float, to_s: float, covers: bool) -> None:
    book = Book()
    book.fault(5.0, "network.stall", lifted_s=7.0)
    assert window(book).covers(from_s, to_s) is covers


def test_outages_that_touch_are_one() -> None:
    book = Book()
    for start_s, end_s in ((5.0, 7.0), (7.04, 8.0), (8.1, 9.0), (8.2, 8.5)):
        book.fault(start_s, "network.unavailable", lifted_s=end_s)
    assert view_of(book).outages == ((5.0, 8.0), (8.1, 9.0))


OUTAGES = ((5.0, 8.0), (10.0, 12.0), (30.0, math.inf))


@pytest.mark.parametrize(
    ("from_s", "until_s", "there_s"),
    [
        (1.0, 4.0, 1.0),  # before all of them
        (5.0, 9.0, 8.0),
        (6.0, 9.0, 8.0),
        (6.0, 11.0, 12.0),  # the client was not back when the next one came
        (8.5, 9.5, 8.5),
        (8.5, 20.0, 12.0),
        (13.0, 29.0, 13.0),
        (13.0, 31.0, math.inf),
        (7.0, 7.5, 8.0),  # whoever is in one waits for its end
    ],
)
def test_the_link_is_there_after_the_last_outage_that_began_in_time(
    from_s: float, until_s: float, there_s: float
) -> None:
    assert link_there_s(OUTAGES, from_s, until_s) == there_s


def test_of_facts_with_one_number_the_last_counts() -> None:
    book = Book()
    book.add(5.0, FaultInForce(1, "network.cut", "all", "both", "all", None, 1.0))
    book.add(6.0, FaultInForce(1, "network.cut", "live", "both", "all", None, 1.0))
    book.add(7.0, FaultLifted(1, "network.cut", 0.0))
    assert [fault.link for fault in fault_windows(view_of(book).facts)] == ["live"]
