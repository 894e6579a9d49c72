"""Tokens and handles as the client came by them."""

from __future__ import annotations

import pytest

from harness.checks.view_tokens import Handle, Presented, arrived, in_the_way
from tests.harness.checks.journal_builder import Book, view_of


def handles(book: Book) -> list[Handle]:
    return list(view_of(book).handles)


def presented(book: Book, place: int = 0) -> list[Presented]:
    return list(view_of(book).presented[place][1])


# Tokens --------------------------------------------------------------------------------------------------------------


def test_a_token_has_its_minting_and_its_uses() -> None:
    book = Book()
    minted = book.mints(0.5, "token-1", uses=2)
    book.opens(1.0, 1, token="token-1", minted=False, uses_left=1)
    book.opens(2.0, 2, token="token-1", minted=False, uses_left=0)
    book.opens(3.0, 3, token="token-2", minted=False, uses_left=4)
    book.mints(4.0, "token-3")
    tokens = view_of(book).tokens
    assert list(tokens) == ["token-1", "token-3", "token-2"]
    first = tokens["token-1"]
    assert first.minted is not None
    assert first.minted.n == book.n(minted)
    assert [use.event.connection for use in first.spent] == [1, 2]
    assert first.used_up is not None
    assert first.used_up.event.connection == 2
    assert tokens["token-2"].minted is None
    assert tokens["token-2"].used_up is None
    assert tokens["token-3"].spent == ()


def test_of_two_mintings_of_one_label_the_first_counts() -> None:
    book = Book()
    book.mints(0.5, "token-1", window_s=5.0)
    book.mints(0.7, "token-1", window_s=9.0)
    minted = view_of(book).tokens["token-1"].minted
    assert minted is not None
    assert minted.event.new_session_window_s == 5.0


# Handles -------------------------------------------------------------------------------------------------------------


def test_an_update_is_told_whole() -> None:
    book = Book()
    book.opens(1.0, 1)
    mark = book.update(2.0, 1, "handle-1", facts=("name",))
    (found,) = handles(book)
    assert (found.n, found.t, found.connection, found.session) == (book.n(mark), 2.0, 1, "session-1")
    assert (found.label, found.resumable, found.facts, found.usable) == ("handle-1", True, {"name"}, True)


@pytest.mark.parametrize(
    ("label", "resumable", "usable"),
    [("handle-1", True, True), ("handle-1", False, False), (None, True, False), ("empty-handle", True, False)],
)
def test_what_can_be_resumed_with(label: str | None, resumable: bool, usable: bool) -> None:
    book = Book()
    book.opens(1.0, 1)
    book.update(2.0, 1, label, resumable=resumable)
    assert handles(book)[0].usable is usable


@pytest.mark.parametrize(("sent_s", "certain"), [(4.0, True), (4.75, True), (4.76, False), (6.0, False)])
def test_received_is_what_was_sent_250_ms_before_the_fault(sent_s: float, certain: bool) -> None:
    book = Book()
    book.opens(1.0, 1)
    book.update(sent_s, 1, "handle-1")
    book.fault(5.0, "network.blackhole", for_s=20.0, scope="existing")
    book.drops_own_end(9.0, 1)
    assert handles(book)[0].certain is certain


def test_an_update_on_a_connection_that_had_no_session_was_not_received() -> None:
    book = Book()
    book.update(2.0, 1, "handle-1")
    assert not handles(book)[0].certain


@pytest.mark.parametrize(
    ("act", "options", "hinders"),
    [
        ("network.stall", {}, True),
        ("network.blackhole", {"direction": "down"}, True),
        ("network.slow", {}, True),
        ("network.slice", {"direction": "up"}, False),
        ("network.stall", {"link": "backend"}, False),
        ("network.cut", {}, False),
        ("client.suspend", {}, True),
        ("server.silence", {}, False),
        ("tokens.slow", {}, False),
    ],
)
def test_what_keeps_a_message_from_the_client(act: str, options: dict[str, str], hinders: bool) -> None:
    book = Book()
    book.fault(5.0, act, for_s=None if act == "network.cut" else 3.0, **options)  # type: ignore[arg-type]
    assert bool(in_the_way(view_of(book).faults)) is hinders


@pytest.mark.parametrize(
    ("sent_s", "ends_s", "expected"),
    [
        (4.7, 20.0, True),
        (4.8, 20.0, True),  # the stall touched its last 250 ms, and was over long before the end
        (6.0, 20.0, True),
        (6.0, 8.3, True),
        (6.0, 8.2, False),
        (8.1, 20.0, True),
    ],
)
def test_what_a_stall_held_has_come_once_it_is_over(sent_s: float, ends_s: float, expected: bool) -> None:
    book = Book()
    book.opens(1.0, 1)
    book.fault(5.0, "network.stall", for_s=3.0)
    book.closes(ends_s, 1, 1000)
    view = view_of(book)
    assert arrived(sent_s, view.ends[0], in_the_way(view.faults)) is expected


def test_what_was_sent_into_slow_bytes_or_to_a_sleeper_may_not_have_come() -> None:
    for act in ("network.slow", "client.suspend"):
        book = Book()
        book.opens(1.0, 1)
        book.fault(5.0, act, for_s=3.0)
        book.closes(20.0, 1, 1000)
        view = view_of(book)
        assert not arrived(6.0, view.ends[0], in_the_way(view.faults))
        assert arrived(4.7, view.ends[0], in_the_way(view.faults))


# What dials presented, and what they had to present -------------------------------------------------------------------


def test_an_offer_is_the_newest_received_and_what_may_have_come_after_it() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.update(2.0, 1, "handle-1")
    book.update(3.0, 1, "handle-2")
    book.update(4.0, 1, None, resumable=False)
    book.update(9.8, 1, "handle-3")
    book.update(9.9, 1, "handle-4")
    book.cut(10.0, 1)
    book.opens(10.5, 2, handle="handle-3")
    (dial,) = presented(book)
    assert dial.offer.newest is not None
    assert dial.offer.newest.label == "handle-2"
    assert [handle.label for handle in dial.offer.perhaps] == ["handle-4", "handle-3"]
    assert dial.offer.last_update is not None
    assert dial.offer.last_update.label is None
    assert (dial.label, dial.dial_s, dial.connection.number) == ("handle-3", 10.5, 2)
    assert dial.owed is dial.offer.newest


def test_an_update_that_came_after_the_dial_was_not_on_offer() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.update(2.0, 1, "handle-1")
    book.goes_away(4.0, 1)
    book.is_left(5.05, 1)
    book.opens(5.0, 2, handle="handle-1", takes_s=1.0)
    book.update(5.02, 1, "handle-2")
    (dial,) = presented(book)
    assert dial.offer.newest is not None
    assert dial.offer.newest.label == "handle-1"


def test_dials_without_a_setup_present_nothing() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.cut(5.0, 1)
    book.knocks(5.5, 50)
    book.dials(6.0, 2)
    assert presented(book) == []


def test_a_setup_whose_upgrade_was_not_seen_is_placed_by_its_accept() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.update(2.0, 1, "handle-1")
    book.cut(5.0, 1)
    book.opens(6.0, 2)
    view = view_of(book.without("upgrade.received"))
    assert view.presented[0][1] == ()  # nothing ties the accept to the setup any more


def test_refusals_excuse_a_dial_without_a_handle() -> None:
    book = Book(policy={"refused_handle": {"keep_trying": "2s"}})
    book.opens(1.0, 1)
    book.update(2.0, 1, "handle-1")
    book.cut(5.0, 1)
    for number, t in enumerate((6.0, 7.0, 8.0), start=2):
        book.refused_dial(t, number, "internal_error", handle="handle-1")
    book.refused_dial(9.0, 6, "invalid_handle", handle="handle-1")
    book.opens(10.0, 7)
    excuses = [dial.excused for dial in presented(book)]
    assert excuses[:2] == [None, None]
    assert excuses[2] == excuses[3] == "resumes had been refused for 2 s"
    assert excuses[4] == "a resume was refused as a handle before it"
    assert presented(book)[4].owed is None


def test_refusals_of_another_gap_excuse_nothing_but_take_their_handles_off_the_table() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.update(2.0, 1, "handle-1")
    book.cut(5.0, 1)
    book.refused_dial(6.0, 2, "session_expired", handle="handle-1")
    book.opens(7.0, 3, session="session-2")
    book.update(8.0, 3, "handle-2", session="session-2")
    book.cut(10.0, 3)
    book.opens(11.0, 4, session="session-3")
    (dial,) = presented(book, 1)
    assert dial.excused is None
    assert dial.offer.newest is not None
    assert dial.offer.newest.label == "handle-2"


def test_refusals_without_a_handle_or_connection_count_for_nothing() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.update(2.0, 1, "handle-1")
    book.cut(5.0, 1)
    book.refused_dial(5.2, 2, "unavailable")
    book.closes(5.3, 77, 1008, refusal="session_not_found")
    book.opens(9.9, 3)
    assert [dial.excused for dial in presented(book)] == [None, None]


def test_a_fresh_session_takes_the_handles_of_the_one_before_off_the_table() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.update(2.0, 1, "handle-1")
    book.is_left(3.0, 1)
    book.opens(4.0, 2, session="session-2")
    book.cut(5.0, 2)
    book.opens(6.0, 3, session="session-3")
    (dial,) = presented(book)
    assert dial.offer.newest is None
    assert dial.offer.last_update is None


def test_an_empty_handle_is_no_label() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.cut(5.0, 1)
    book.opens(6.0, 2, handle="empty-handle")
    (dial,) = presented(book)
    assert dial.label is None
    assert dial.connection.handle_label == "empty-handle"
