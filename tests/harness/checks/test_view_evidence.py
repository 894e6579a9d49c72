"""What a journal must hold if it is to settle anything."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fake_server import events as server
from harness.checks.view_evidence import MUST_HAVE_BEEN, Witnesses, contradictions
from harness.journal.events import (
    ClientEvent,
    ClientOutput,
    Entry,
    Event,
    Journal,
    LinkDial,
    Note,
    RunEnded,
    RunPlanned,
    StepEnded,
    UnknownEvent,
)
from tests.harness.checks.journal_builder import Book, view_of

FAULTY = [{"teach": ["name"]}, {"do": {"network": "cut"}}, {"until": {"event": "link_dial", "within": "3s"}}]


def whole() -> Book:
    """A run in which every kind of event that can be missed happens."""
    book = Book(story=FAULTY)
    book.opens(1.0, 1, token="token-1")
    book.turn(2.0, 1, "teach", "My name is Ada.", teaches=["name"])
    book.frame(2.1, 1, "client_content")
    book.answers(2.3, 1, book.hears(2.2, 1, "My name is Ada."))
    book.update(3.0, 1, "handle-1")
    book.fault(5.0, "network.unavailable", for_s=2.0)
    book.link_ends(5.01, 1)
    book.turned_away(5.5)
    book.add(6.0, StepEnded(3, "done"))
    book.opens(8.0, 2, token="token-2", handle="handle-1")
    book.fault(20.0, "server.close")
    book.closes(20.1, 2, 1000)
    book.ends(30.0)
    return book


def test_nothing_is_missing_from_a_whole_journal() -> None:
    assert view_of(whole()).missing == frozenset()
    assert view_of(whole()).contradictions == ()


@pytest.mark.parametrize("kind", sorted(MUST_HAVE_BEEN))
def test_every_kind_is_missed_when_it_is_torn_out(kind: str) -> None:
    torn = whole().without(kind)
    assert kind in view_of(torn).missing


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("upgrade.received", lambda book: book.add(2.0, server.UpgradeAnswered(1, 503, "http_503", False))),
        ("upgrade.received", lambda book: book.link_ends(2.0, 1)),
        ("upgrade.received", lambda book: book.frame(2.0, 1, "setup")),
        ("session.started", lambda book: book.hears(2.0, 1, "x")),
        ("session.started", lambda book: book.update(2.0, 1, "handle-1")),
        ("session.started", lambda book: book.answers(2.0, 1, 1)),
        ("session.started", lambda book: book.sends(2.0, 1, "setup_complete")),
        ("frame.sent", lambda book: book.fault(2.0, "server.go_away")),
        ("token.minted", lambda book: book.dials(2.0, 1, token="token-1")),
        ("token.minted", lambda book: book.add(2.0, server.TokenSpent("token-1", 1, 0))),
        ("handle.issued", lambda book: book.sends(2.0, 1, "session_resumption_update")),
        ("handle.issued", lambda book: book.sets_up(2.0, 1, "handle-1")),
        ("handle.presented", lambda book: book.completes(2.0, 1, handle="handle-1")),
        ("turn.heard", lambda book: book.add(2.0, server.TurnEnded(1, 1, "cut"))),
        ("turn.answered", lambda book: book.add(2.0, server.TurnEnded(1, 1, "complete"))),
        ("close.sent", lambda book: book.sets_up(2.0, 1, "handle-1", refusal="session_not_found")),
        ("connection.ended", lambda book: book.add(2.0, server.CloseReceived(1, 1000, ""))),
        ("user.turn", lambda book: book.hears(2.0, 1, "x")),
        ("client.command", lambda book: book.completes(2.0, 1)),
        ("client.stopping", lambda book: book.exits(2.0, asked=True)),
        ("fault.in_force", lambda book: book.fault(2.0, "network.cut", bites=False)),
    ],
)
def test_each_witness_alone_is_enough(kind: str, reason: Callable[[Book], object]) -> None:
    book = Book()
    reason(book)
    assert kind in view_of(book.without(kind)).missing


@pytest.mark.parametrize(
    ("kind", "harmless"),
    [
        ("token.minted", lambda book: book.dials(2.0, 1, token="unknown-credential-1")),
        ("token.spent", lambda book: book.opens(2.0, 1, handle="handle-1", token="token-1")),
        ("handle.issued", lambda book: book.sets_up(2.0, 1, "unknown-handle-1")),
        ("turn.answered", lambda book: book.add(2.0, server.TurnEnded(1, 1, "cut"))),
        ("close.sent", lambda book: book.is_left(2.0, 1)),
        ("close.sent", lambda book: book.fault(2.0, "server.close", bites=False)),
        ("fault.lifted", lambda book: book.fault(2.0, "network.cut")),
    ],
)
def test_what_need_not_have_been_is_not_missed(kind: str, harmless: Callable[[Book], object]) -> None:
    book = Book()
    harmless(book)
    assert kind not in view_of(book.without(kind)).missing


def test_a_program_that_ends_by_itself_need_not_have_been_stopped() -> None:
    book = Book()
    book.exits(2.0, 1)
    assert "client.stopping" not in view_of(book).missing


def test_only_tokens_with_a_limit_must_have_been_spent() -> None:
    for uses, missed in ((1, True), (0, False)):
        book = Book()
        book.mints(0.5, "token-1")
        book.mints(0.9, "token-2", uses=uses)
        book.opens(1.0, 1, token="token-2", minted=False)
        assert ("token.spent" in view_of(book.without("token.spent")).missing) is missed


def test_a_run_that_was_not_played_misses_only_its_end() -> None:
    book = Book(story=FAULTY, started_s=None)
    assert view_of(book).missing == {"run.ended"}
    book.ends(1.0, "skipped", leaves=False)
    assert view_of(book).missing == frozenset()


def test_an_autonomous_client_gets_no_commands() -> None:
    book = Book(driven=False)
    book.opens(1.0, 1)
    book.hears(2.0, 1, "I talk by myself.")
    assert not {"client.command", "user.turn"} & view_of(book).missing


def test_a_plan_that_cannot_be_understood_promises_nothing() -> None:
    view = view_of(whole().without("step.ended", "step.started", "client.command"))
    witnesses = Witnesses(view.facts, None, view.connections, view.faults)
    assert not MUST_HAVE_BEEN["step.started"](witnesses)
    assert not MUST_HAVE_BEEN["client.command"](witnesses)
    assert not MUST_HAVE_BEEN["link.dial"](witnesses)


# The service closes when the time of its goAway is over ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("left_s", "ended_s", "missed"),
    [(None, 15.01, True), (15.01, 15.02, True), (14.9, 15.2, False), (None, 14.9, False)],
)
def test_a_link_that_outlived_its_goaway_was_closed_by_the_service(
    left_s: float | None, ended_s: float, missed: bool
) -> None:
    book = Book()
    book.opens(1.0, 1)
    book.goes_away(10.0, 1, "5s")
    if left_s is not None:
        book.add(left_s, server.CloseReceived(1, 1000, ""))
    book.link_ends(ended_s, 1, "closed")
    assert ("close.sent" in view_of(book).missing) is missed


def test_a_session_that_has_moved_on_is_closed_by_nobody() -> None:
    for session, missed in (("session-1", False), ("session-2", True)):
        book = Book()
        book.opens(1.0, 1)
        book.goes_away(10.0, 1, "5s")
        book.opens(11.0, 2, handle="handle-1", session=session)
        book.link_ends(20.0, 1)
        assert ("close.sent" in view_of(book).missing) is missed


@pytest.mark.parametrize("spoil", ["no session", "no end", "no time"])
def test_a_goaway_that_tells_nothing_about_a_close(spoil: str) -> None:
    book = Book()
    if spoil == "no session":
        book.dials(1.0, 1)
    else:
        book.opens(1.0, 1)
    book.goes_away(10.0, 1, None if spoil == "no time" else "5s")
    if spoil != "no end":
        book.link_ends(20.0, 1)
    assert "close.sent" not in view_of(book).missing


@pytest.mark.parametrize(
    ("echo", "how", "session", "missed"),
    [
        (None, "closed", False, True),
        (None, "fin", False, False),
        (1008, "closed", False, True),
        (1011, "closed", False, True),
        (1000, "closed", False, False),  # the client thought better of it
        (1011, "closed", True, False),  # a ping that was not answered in time
    ],
)
def test_a_setup_that_came_to_nothing_was_closed_by_the_service(
    echo: int | None, how: str, session: bool, missed: bool
) -> None:
    book = Book()
    book.dials(1.0, 1)
    book.sets_up(1.1, 1)
    if session:
        book.completes(1.2, 1)
    if echo is not None:
        book.add(2.0, server.CloseReceived(1, echo, ""))
    book.link_ends(2.1, 1, how)
    assert ("close.sent" in view_of(book).missing) is missed


@pytest.mark.parametrize(
    ("token", "ended_s", "missed"), [("token-1", 9.0, True), ("token-1", 4.0, False), (None, 9.0, False)]
)
def test_a_session_whose_token_expired_was_closed_by_the_service(
    token: str | None, ended_s: float, missed: bool
) -> None:
    book = Book()
    book.opens(1.0, 1, token=token)
    book.fault(5.0, "tokens.expire")
    book.link_ends(ended_s, 1)
    book.opens(10.0, 2, token=token, minted=False)
    assert ("close.sent" in view_of(book).missing) is missed


# Contradictions -------------------------------------------------------------------------------------------------------


def journal(*events: tuple[float, Event], numbers: tuple[int, ...] = ()) -> Journal:
    told = [(0.0, RunPlanned({})), *events]
    given = numbers or tuple(range(1, len(told) + 1))
    return Journal(tuple(Entry(n, t, event) for n, (t, event) in zip(given, told, strict=True)), True)


def told(found: Journal) -> list[tuple[str, int]]:
    return list(contradictions(found))


def upgrade(connection: int) -> Event:
    return server.UpgradeReceived(connection, connection, "live", "v1", "plain", ())


STARTED = server.SessionStarted(1, "session-1", None, None, ())


def test_a_journal_in_good_order_contradicts_nothing() -> None:
    good = journal((1.0, upgrade(1)), (1.0, STARTED), (0.9995, Note("rounded")), (2.0, RunEnded("played", "")))
    assert told(good) == []


def test_an_empty_journal_and_one_without_a_plan() -> None:
    assert told(Journal((), False)) == [("the journal is empty", 0)]
    assert told(Journal((Entry(1, 0.0, Note("x")),), True)) == [("the journal does not begin with the plan", 1)]


def test_numbers_that_are_missing_or_out_of_order() -> None:
    gap = journal((1.0, Note("a")), (2.0, Note("b")), numbers=(1, 2, 4))
    assert told(gap) == [("entries are missing or out of order: 4 follows 2", 4)]
    swapped = journal((1.0, Note("a")), (2.0, Note("b")), numbers=(1, 3, 2))
    assert [n for _, n in told(swapped)] == [3, 2]


def test_time_that_goes_back() -> None:
    assert told(journal((2.0, Note("a")), (1.9, Note("b")))) == [("time goes back from 2.000 s to 1.900 s", 3)]
    assert told(journal((2.0, Note("a")), (1.9995, Note("b")))) == []


def test_what_can_happen_once_only() -> None:
    twice = journal((1.0, upgrade(1)), (2.0, STARTED), (3.0, STARTED), (4.0, upgrade(1)))
    assert told(twice) == [
        ("connection 1 has a second `session.started`", 4),
        ("connection 1 has a second `upgrade.received`", 5),
    ]
    answers = [(1.0, server.UpgradeAnswered(1, 101, None, False)), (2.0, server.UpgradeAnswered(1, 101, None, False))]
    assert told(journal(*answers)) == [("connection 1 has a second `upgrade.answered`", 3)]
    assert told(journal((1.0, RunPlanned({})))) == [("there is a second plan", 2)]


def test_a_session_needs_an_upgrade_before_it() -> None:
    assert told(journal((1.0, STARTED), (2.0, upgrade(1)))) == [
        ("connection 1 has a session and no upgrade before it", 2)
    ]


def test_a_line_that_cannot_be_read() -> None:
    assert told(journal((1.0, UnknownEvent("unreadable", {})))) == [("a line cannot be read", 2)]
    assert told(journal((1.0, UnknownEvent("of.version.9", {})))) == []


def test_a_line_that_is_there_twice() -> None:
    dial = LinkDial("live")
    assert told(journal((1.0, dial), (1.0, dial))) == [("`link.dial` is there twice at 1.000000 s", 3)]
    assert told(journal((1.0, dial), (1.000001, dial))) == []
    assert told(journal((1.0, dial), (1.0, LinkDial("backend")))) == []


@pytest.mark.parametrize(
    "event", [ClientOutput("stdout", "x"), ClientEvent("state", {"state": "x"}), Note("x"), UnknownEvent("x", {})]
)
def test_a_program_may_repeat_itself(event: Event) -> None:
    assert told(journal((1.0, event), (1.0, event))) == []
