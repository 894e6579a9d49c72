"""One journal, read in every way that rules need."""

from __future__ import annotations

import pytest

from harness.journal.events import ClientEvent, ClientStarted
from tests.harness.checks.journal_builder import Book, view_of


def one_session() -> Book:
    book = Book()
    book.opens(1.0, 1)
    return book


# Live and beside -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("t", "live"), [(1.02, False), (1.03, True), (4.9, True), (5.0, True), (5.1, True), (5.11, False)]
)
def test_a_session_is_live_from_its_start_to_its_end_and_a_little_beyond(t: float, live: bool) -> None:
    book = one_session()
    book.closes(5.0, 1, 1000)
    assert view_of(book).is_live(1, t) is live
    assert not view_of(book).is_live(2, t)


@pytest.mark.parametrize(("t", "beside"), [(2.0, False), (3.5, True), (4.8, True), (4.95, False)])
def test_a_session_is_beside_another_while_both_are_live(t: float, beside: bool) -> None:
    book = one_session()
    book.opens(3.0, 2)
    book.closes(5.0, 2, 1000)
    assert view_of(book).is_beside(1, t) is beside
    assert view_of(book).is_beside(2, 2.0)


# Told ----------------------------------------------------------------------------------------------------------------


def test_told_are_errors_and_states_that_say_that_something_is_wrong() -> None:
    book = one_session()
    for number, state in enumerate(("connecting", "connected", "reconnecting", "disconnected", "gave_up", "error")):
        book.tells(2.0 + number, state)
    book.add(9.0, ClientEvent("reply", {"event": "reply", "text": "x"}))
    view = view_of(book)
    assert [fact.t for fact in view.told(0.0)] == [4.0, 5.0, 6.0, 7.0]
    assert [fact.t for fact in view.told(5.0, 6.0)] == [5.0, 6.0]


def test_giving_up_is_found_from_a_moment_on() -> None:
    book = one_session()
    book.tells(3.0, "gave_up")
    book.tells(4.0, "error")
    book.tells(6.0, "gave_up")
    view = view_of(book)
    assert [view.gave_up(t).t if view.gave_up(t) else None for t in (0.0, 3.5, 7.0)] == [3.0, 6.0, None]  # type: ignore[union-attr]


def test_exits_that_we_asked_for_are_none() -> None:
    book = one_session()
    book.exits(3.0, asked=True)
    book.exits(5.0, 1)
    view = view_of(book)
    assert view.exited() is not None
    assert view.exited().t == 5.0  # type: ignore[union-attr]  # it is there
    assert view.exited(6.0) is None


# Watched -------------------------------------------------------------------------------------------------------------


def test_a_client_is_watched_until_it_is_told_to_leave_or_gone_or_the_journal_ends() -> None:
    open_end = one_session()
    open_end.tells(7.0, "connected")
    assert view_of(open_end).watched_until_s == 7.0
    told = one_session()
    told.ends(30.0)
    assert view_of(told).watched_until_s == 30.0
    gone = one_session()
    gone.exits(20.0, 1)
    gone.ends(30.0)
    assert view_of(gone).watched_until_s == 20.0


def test_a_program_that_was_started_again_is_watched_further() -> None:
    book = one_session()
    book.exits(10.0, None, signal="SIGKILL", asked=True)
    book.add(11.0, ClientStarted(2))
    book.ends(30.0)
    assert view_of(book).watched_until_s == 30.0


def test_a_run_was_played_when_its_end_says_so() -> None:
    played, skipped, open_end = one_session(), one_session(), one_session()
    played.ends(30.0)
    skipped.ends(30.0, "skipped")
    assert [view_of(book).played for book in (played, skipped, open_end)] == [True, False, False]


# Dials that nobody can count -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "link", "from_s", "found"),
    [
        ("refuse", "live", 4.0, True),
        ("refuse", "all", 6.0, True),
        ("refuse", "all", 9.0, False),
        ("refuse", "backend", 4.0, False),
        ("unavailable", "live", 4.0, False),
    ],
)
def test_refused_dials_leave_no_trace(name: str, link: str, from_s: float, found: bool) -> None:
    book = one_session()
    book.fault(5.0, f"network.{name}", for_s=3.0, link=link)
    assert (view_of(book).uncounted(from_s, from_s + 1.5) is not None) is found


# First setup ---------------------------------------------------------------------------------------------------------


def test_the_first_setup_is_the_one_that_came_first() -> None:
    book = Book()
    book.dials(1.0, 1)
    book.dials(2.0, 2)
    book.sets_up(3.0, 2)
    book.sets_up(4.0, 1)
    first = view_of(book).first_setup
    assert first is not None
    assert first.number == 2
    assert view_of(Book()).first_setup is None


# Whose decision ------------------------------------------------------------------------------------------------------


def leaves(*, fault: str = "", at_s: float = 4.0, for_s: float | None = None) -> Book:
    """The client closes its session at 5 s, and is on another."""
    book = one_session()
    if fault:
        book.fault(at_s, fault, for_s=for_s)
    book.is_left(5.0, 1)
    book.opens(5.2, 2)
    return book


@pytest.mark.parametrize(
    ("fault", "at_s", "for_s", "own"),
    [
        ("", 0.0, None, True),
        ("network.slow", 4.0, 2.0, False),
        ("network.slow", 2.0, 2.0, True),  # over before it left
        ("network.slow", 5.5, 2.0, True),  # not yet there
        ("server.silence", 2.0, None, False),
        ("server.malformed", 4.0, None, False),
        ("server.malformed", 2.9, None, True),  # too long ago to be the reason
        ("tokens.fail", 4.0, 2.0, True),
        ("client.suspend", 2.0, 2.0, False),
    ],
)
def test_a_client_s_own_decision_is_no_drop(fault: str, at_s: float, for_s: float | None, own: bool) -> None:
    view = view_of(leaves(fault=fault, at_s=at_s, for_s=for_s))
    assert len(view.gaps) == 1
    assert (len(view.presented) == 0) is own


def test_a_move_that_goaway_announced_is_no_decision_of_the_client_s_own() -> None:
    book = one_session()
    book.goes_away(4.0, 1)
    book.is_left(5.0, 1)
    book.opens(5.2, 2)
    assert len(view_of(book).presented) == 1


@pytest.mark.parametrize(("policy", "dials"), [({"handover": "overlap"}, [2, 3]), ({}, [3])])
def test_a_dial_beside_the_old_session_belongs_to_a_planned_overlap_alone(
    policy: dict[str, str], dials: list[int]
) -> None:
    book = Book(policy=policy)
    book.opens(1.0, 1)
    book.goes_away(4.0, 1)
    book.refused_dial(5.0, 2, "internal_error", handle="handle-1")
    book.is_left(6.0, 1)
    book.opens(6.2, 3)
    ((_, found),) = view_of(book).presented
    assert [one.connection.number for one in found] == dials


# Lawful starts -------------------------------------------------------------------------------------------------------


def test_a_fresh_session_is_lawful_when_the_resume_was_refused_for_good() -> None:
    book = one_session()
    book.update(2.0, 1, "handle-1")
    book.cut(5.0, 1)
    book.refused_dial(6.0, 2, "session_not_found", handle="handle-1")
    book.dials(7.0, 3)
    book.sets_up(7.1, 3)
    started = book.completes(7.2, 3, session="session-2")
    book.refused_dial(9.0, 4, "unavailable")
    assert list(view_of(book).lawful_starts)[1:] == [book.n(started)]  # behind the run's first session


def test_a_fresh_session_is_lawful_when_the_program_was_started_again() -> None:
    for handle in (None, "handle-1"):
        book = one_session()
        book.exits(4.0, None, signal="SIGKILL", asked=True)
        book.add(5.0, ClientStarted(2))
        book.dials(6.0, 2)
        book.sets_up(6.1, 2, handle)
        started = book.completes(6.2, 2, handle=handle, session="session-2")
        assert (book.n(started) in view_of(book).lawful_starts) is (handle is None)


def test_a_program_that_never_connects_starts_nothing() -> None:
    assert list(view_of(Book()).lawful_starts) == []


# Readings are made once ----------------------------------------------------------------------------------------------


def test_every_reading_is_made_once() -> None:
    book = one_session()
    book.fault(5.0, "network.stall", for_s=1.0)
    book.ends(30.0)
    view = view_of(book)
    for name in (
        "faults",
        "outages",
        "connections",
        "dials",
        "refusals",
        "ends",
        "gaps",
        "tokens",
        "handles",
        "speech",
    ):
        assert getattr(view, name) is getattr(view, name)
    assert view.outages == ((5.0, 6.004),)
    assert view.missing is view.missing
    assert view.contradictions is view.contradictions
