"""How sessions end, and the gaps between them."""

from __future__ import annotations

import math

import pytest

from harness.checks.view_gaps import Cause, Gap, SessionEnd
from harness.journal.events import ClientCommand
from tests.harness.checks.journal_builder import Book, view_of


def end(book: Book, place: int = 0) -> SessionEnd:
    return view_of(book).ends[place]


def gap(book: Book, place: int = 0) -> Gap:
    return view_of(book).gaps[place]


def one_session(**options: object) -> Book:
    book = Book(**options)  # type: ignore[arg-type]  # words of the builder
    book.opens(1.0, 1)
    return book


# Ends by a side ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "abnormal"),
    [(1000, False), (1001, True), (1007, False), (1008, False), (1011, True), (1012, True), (1013, True)],
)
def test_a_close_by_the_server(code: int, abnormal: bool) -> None:
    book = one_session()
    close = book.closes(5.0, 1, code)
    found = end(book)
    assert (found.cause, found.code, found.abnormal) == (Cause.SERVER_CLOSE, code, abnormal)
    assert (found.live_until_s, found.loss_s, found.known_s) == (5.0, 5.0, 5.0)
    assert found.drop is not None
    assert found.drop.n == book.n(close)
    assert not found.silent


def test_an_abort_by_the_server() -> None:
    book = one_session()
    book.link_ends(5.0, 1, "aborted")
    assert (end(book).cause, end(book).abnormal, end(book).code) == (Cause.SERVER_ABORT, True, None)


@pytest.mark.parametrize("how", ["close frame", "fin", "reset", "own end"])
def test_a_close_by_the_client(how: str) -> None:
    book = one_session()
    if how == "close frame":
        book.is_left(5.0, 1)
    elif how == "own end":
        book.drops_own_end(5.0, 1)
    else:
        book.link_ends(5.0, 1, how)
    assert (end(book).cause, end(book).abnormal, end(book).known_s) == (Cause.CLIENT, False, 5.0)


@pytest.mark.parametrize(("first", "cause"), [("server", Cause.SERVER_CLOSE), ("client", Cause.CLIENT)])
def test_of_closes_that_cross_the_first_counts(first: str, cause: Cause) -> None:
    book = one_session()
    book.closes(5.0 if first == "server" else 5.02, 1, 1011)
    book.is_left(5.01, 1)
    assert end(book).cause is cause


def test_a_session_that_nothing_ended_is_open() -> None:
    found = end(one_session())
    assert (found.cause, found.live_until_s, found.loss_s, found.known_s) == (Cause.OPEN, math.inf, math.inf, math.inf)
    assert found.drop is None
    assert view_of(one_session()).gaps == ()


@pytest.mark.parametrize("how", ["hang_up", "command", "quit", "stopping"])
def test_an_end_that_was_asked_for_is_the_user_s(how: str) -> None:
    book = one_session()
    if how == "hang_up":
        book.hangs_up(4.0)
    elif how == "stopping":
        book.stopping(4.0)
    else:
        book.add(4.0, ClientCommand({"do": "hang_up" if how == "command" else "quit"}))
    book.is_left(5.0, 1)
    assert end(book).cause is Cause.USER
    assert view_of(book).gaps == ()
    before = one_session()
    before.hangs_up(6.0)
    before.is_left(5.0, 1)
    assert end(before).cause is Cause.CLIENT


def test_nobody_hangs_up_on_an_autonomous_client() -> None:
    book = one_session(driven=False)
    book.hangs_up(4.0)
    book.is_left(5.0, 1)
    assert end(book).cause is Cause.CLIENT


@pytest.mark.parametrize(("exit_s", "cause"), [(4.6, Cause.EXIT), (5.4, Cause.EXIT), (5.6, Cause.CLIENT)])
def test_a_program_that_ends_takes_its_sockets_along(exit_s: float, cause: Cause) -> None:
    book = one_session()
    book.link_ends(5.0, 1)
    book.exits(exit_s, 1)
    assert end(book).cause is cause


# Network faults ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cut", "reset", "refuse", "unavailable"])
def test_faults_that_close_links(name: str) -> None:
    book = one_session()
    mark = book.fault(5.0, f"network.{name}", for_s=None if name in ("cut", "reset") else 3.0)
    book.link_ends(5.01, 1, "reset")
    found = end(book)
    assert (found.cause, found.abnormal, found.silent) == (Cause.NETWORK, True, False)
    assert (found.loss_s, found.known_s, found.live_until_s) == (5.0, 5.004, 5.004)
    assert found.drop is not None
    assert found.drop.n == book.n(mark)
    assert found.fault is not None
    assert found.fault.name == name


def test_a_close_that_was_seen_before_the_confirmation_is_the_drop() -> None:
    book = one_session()
    close = book.link_ends(5.002, 1)
    book.fault(5.0, "network.cut")
    assert end(book).drop is not None
    assert end(book).drop.n == book.n(close)  # type: ignore[union-attr]  # it is there


@pytest.mark.parametrize("seen", ["own end", "dial", "reconnecting"])
def test_a_black_hole_is_known_when_the_client_shows_it(seen: str) -> None:
    book = one_session()
    book.fault(5.0, "network.blackhole", for_s=8.0)
    if seen == "own end":
        book.drops_own_end(7.5, 1)
    elif seen == "dial":
        book.knocks(7.5, 50)
    else:
        book.tells(7.5, "reconnecting")
    found = end(book)
    assert (found.cause, found.known_s, found.silent, found.loss_s) == (Cause.NETWORK, 7.5, True, 5.0)
    assert found.live_until_s == 5.004


def test_a_black_hole_that_nobody_noticed_is_known_when_it_lifts() -> None:
    book = one_session()
    book.fault(5.0, "network.blackhole", for_s=8.0)
    book.link_ends(13.01, 1, "reset")
    found = end(book)
    assert (found.known_s, found.silent) == (13.004, False)
    assert found.drop is not None
    assert found.drop.t == 13.004


def test_a_black_hole_that_never_lifted_was_never_known() -> None:
    book = one_session()
    mark = book.fault(5.0, "network.blackhole")
    found = end(book)
    assert (found.known_s, found.silent) == (math.inf, True)
    assert found.drop is not None
    assert found.drop.n == book.n(mark)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_black_hole_in_one_direction_lets_the_session_live_until_it_is_left(direction: str) -> None:
    left = one_session()
    left.fault(5.0, "network.blackhole", for_s=8.0, direction=direction)
    left.drops_own_end(7.5, 1)
    assert end(left).live_until_s == 7.5
    stayed = one_session()
    stayed.fault(5.0, "network.blackhole", for_s=8.0, direction=direction)
    assert end(stayed).live_until_s == 13.004


def test_a_stall_that_was_ridden_out_ends_nothing() -> None:
    book = one_session()
    book.fault(5.0, "network.stall", for_s=8.0)
    assert end(book).cause is Cause.OPEN
    book.tells(8.0, "reconnecting")  # it says so, and stays
    assert end(book).cause is Cause.OPEN
    book.frame(20.0, 1, "realtime_input")
    book.is_left(40.0, 1)
    assert end(book).cause is Cause.CLIENT


def test_a_stall_in_which_the_client_left_ends_the_session_when_it_left() -> None:
    book = one_session()
    mark = book.fault(5.0, "network.stall", for_s=8.0)
    book.drops_own_end(9.0, 1)
    book.link_ends(13.1, 1)
    found = end(book)
    assert (found.cause, found.live_until_s, found.known_s, found.silent) == (Cause.NETWORK, 9.0, 9.0, True)
    assert found.drop is not None
    assert found.drop.n == book.n(mark)


@pytest.mark.parametrize(("ended_s", "cause"), [(13.5, Cause.NETWORK), (15.9, Cause.NETWORK), (16.1, Cause.CLIENT)])
def test_a_stall_in_which_the_client_dialled_is_a_leave_if_the_old_link_ends_with_it(
    ended_s: float, cause: Cause
) -> None:
    book = one_session()
    book.fault(5.0, "network.stall", for_s=8.0, scope="existing")
    book.knocks(9.0, 50)
    book.link_ends(ended_s, 1)
    assert end(book).cause is cause


def test_a_stall_in_which_the_user_hung_up_is_no_drop() -> None:
    book = one_session()
    book.fault(5.0, "network.stall", for_s=8.0)
    book.hangs_up(7.0)
    book.drops_own_end(7.1, 1)
    assert end(book).cause is Cause.USER


def test_faults_that_do_not_concern_a_session_end_nothing() -> None:
    book = Book()
    book.fault(0.5, "network.cut")  # before it
    book.opens(1.0, 1)
    book.fault(3.0, "network.cut", link="backend")
    book.fault(4.0, "network.slow", for_s=2.0)
    book.closes(5.0, 1, 1000)
    book.fault(6.0, "network.cut")  # after it
    assert end(book).cause is Cause.SERVER_CLOSE


def test_a_fault_after_the_hang_up_is_no_drop() -> None:
    book = one_session()
    book.hangs_up(4.0)
    book.fault(5.0, "network.cut")
    book.link_ends(5.01, 1)
    assert end(book).cause is Cause.USER


@pytest.mark.parametrize(("ended_s", "cause"), [(5.5, Cause.NETWORK), (9.0, Cause.CLIENT)])
def test_a_session_that_came_between_a_cut_and_its_confirmation_was_spared_if_it_lived_on(
    ended_s: float, cause: Cause
) -> None:
    book = Book()
    book.fault(5.0, "network.cut", takes_s=0.05)
    book.opens(5.01, 1)
    book.link_ends(ended_s, 1)
    assert end(book).cause is cause


@pytest.mark.parametrize(
    ("left_s", "cause", "known_s"), [(None, Cause.SERVER_CLOSE, 13.004), (7.0, Cause.NETWORK, 7.0)]
)
def test_a_close_that_a_fault_held_back_is_known_when_it_comes_or_when_the_client_leaves(
    left_s: float | None, cause: Cause, known_s: float
) -> None:
    book = one_session()
    book.fault(5.0, "network.stall", for_s=8.0)
    book.closes(6.0, 1, 1011)
    if left_s is not None:
        book.tells(left_s, "reconnecting")
    found = end(book)
    assert (found.cause, found.live_until_s, found.known_s) == (cause, 6.0, known_s)


def test_an_abort_that_a_fault_held_back_is_known_when_it_lifts() -> None:
    book = one_session()
    book.fault(5.0, "network.stall", for_s=8.0)
    book.link_ends(6.0, 1, "aborted")
    assert (end(book).cause, end(book).known_s) == (Cause.SERVER_ABORT, 13.004)


def test_a_session_starts_when_setup_complete_goes_out() -> None:
    assert end(one_session()).started_s == 1.03


# Gaps ----------------------------------------------------------------------------------------------------------------


def test_a_gap_reaches_from_the_drop_to_the_next_session() -> None:
    book = one_session()
    book.cut(5.0, 1)
    book.knocks(5.5, 50)
    book.opens(6.0, 2)
    book.knocks(9.0, 51)
    found = gap(book)
    assert found.connection.number == 1
    assert (found.drop.t, found.known_s, found.there_s, found.ready_s) == (5.004, 5.004, 5.004, 5.004)
    assert found.next is not None
    assert (found.next.number, found.closed_s) == (2, 6.03)
    assert [dial.t for dial in found.dials] == [5.5, 6.0]
    assert found.go_away is None


def test_a_gap_that_nothing_closed_lasts_for_ever() -> None:
    book = one_session()
    book.cut(5.0, 1)
    assert gap(book).next is None
    assert gap(book).closed_s == math.inf


def test_a_gap_ends_with_the_hang_up() -> None:
    book = one_session()
    book.cut(5.0, 1)
    book.knocks(6.0, 50)
    book.hangs_up(7.0)
    book.knocks(8.0, 51)
    assert [dial.t for dial in gap(book).dials] == [6.0]


def test_a_gap_is_ready_when_the_link_is_there_and_the_drop_is_known() -> None:
    book = one_session()
    book.fault(5.0, "network.blackhole", for_s=8.0)
    book.drops_own_end(7.0, 1)
    book.opens(14.0, 2)
    assert (gap(book).known_s, gap(book).there_s, gap(book).ready_s) == (7.0, 13.004, 13.004)


def test_a_gap_that_goaway_announced_begins_with_the_warning() -> None:
    book = one_session()
    away = book.goes_away(4.0, 1)
    book.goes_away(4.2, 1)
    book.knocks(4.5, 50)
    book.closes(9.0, 1, 1008)
    book.goes_away(9.1, 1)  # too late to have announced anything
    book.opens(9.5, 2)
    found = gap(book)
    assert found.go_away is not None
    assert found.go_away.n == book.n(away)
    assert (found.from_s, found.drop.t) == (4.0, 9.0)
    assert [dial.t for dial in found.dials] == [4.5, 9.5]


def test_an_overlapping_move_is_closed_before_it_drops() -> None:
    book = one_session()
    book.goes_away(4.0, 1)
    book.opens(5.0, 2)
    book.is_left(6.0, 1)
    assert gap(book).next is not None
    assert gap(book).closed_s < gap(book).drop.t


@pytest.mark.parametrize(("before_s", "expected"), [(0.2, 2), (0.3, None)])
def test_a_dial_may_be_seen_a_little_before_the_client_s_own_close(before_s: float, expected: int | None) -> None:
    book = one_session()
    book.opens(5.0 - before_s, 2, takes_s=0.5)
    book.is_left(5.0, 1)
    following = gap(book).next
    assert (following.number if following else None) == expected


def test_a_dial_that_was_quicker_than_the_confirmation_belongs_to_the_gap() -> None:
    book = one_session()
    book.fault(5.0, "network.cut", takes_s=0.05)
    book.link_ends(5.06, 1)
    book.opens(5.02, 2, takes_s=0.1)
    assert gap(book).from_s == 5.0
    assert gap(book).next is not None


def test_a_gap_s_next_session_is_the_first_that_was_dialled_for_in_it() -> None:
    book = one_session()
    book.opens(2.0, 2)  # a second session beside the first
    book.cut(5.0, 1)
    book.link_ends(5.01, 2)
    book.opens(6.0, 3)
    assert [one.next.number for one in view_of(book).gaps if one.next] == [3, 3]


def test_a_session_without_a_seen_dial_is_placed_by_its_start() -> None:
    book = one_session()
    book.cut(5.0, 1)
    book.completes(6.0, 2)
    assert gap(book).next is not None
    assert gap(book).next.number == 2  # type: ignore[union-attr]  # it is there


def test_every_drop_has_its_gap() -> None:
    book = one_session()
    book.cut(5.0, 1)
    book.opens(5.5, 2)
    book.closes(9.0, 2, 1011)
    book.opens(9.5, 3)
    assert [(one.connection.number, one.next.number if one.next else None) for one in view_of(book).gaps] == [
        (1, 2),
        (2, 3),
    ]
