"""Connections, dials and refusals."""

from __future__ import annotations

import pytest

from fake_server import events as server
from fake_server.refusals import REFUSALS
from harness.checks.view_connections import Connection, Dial, dials_between, sessions_in_order
from harness.journal.events import LinkClientClosed, LinkDial
from tests.harness.checks.journal_builder import Book, view_of


def connection(book: Book, number: int = 1) -> Connection:
    return view_of(book).connections[number]


def test_a_connection_gathers_what_was_seen_of_it() -> None:
    book = Book()
    upgrade = book.opens(1.0, 1, token="token-1", handle="handle-9")
    away = book.goes_away(5.0, 1)
    close = book.closes(9.0, 1, 1011)
    answer = book.is_left(9.05, 1)
    own = book.drops_own_end(9.1, 1)
    found = connection(book)
    assert found.upgrade is not None
    assert found.upgrade.n == book.n(upgrade)
    assert found.answer is not None
    assert found.answer.event.status == 101
    assert [frame.event.message for frame in found.frames] == ["setup"]
    assert [sent.n for sent in found.go_aways] == [book.n(away)]
    assert found.setup_complete is not None
    assert found.session is not None
    assert found.started_s == 1.03
    assert found.close_sent is not None
    assert found.close_sent.n == book.n(close)
    assert found.close_received is not None
    assert found.close_received.n == book.n(answer)
    assert found.ended is not None
    assert found.ended.t == 9.01
    assert found.client_closed is not None
    assert found.client_closed.n == book.n(own)
    assert found.token == "token-1"
    assert found.handle_label == "handle-9"
    assert found.first_moment == found.accepted


def test_of_what_should_come_once_the_first_is_kept() -> None:
    book = Book()
    book.opens(1.0, 1, handle="handle-1")
    for _ in range(2):
        book.closes(5.0, 1, 1000)
        book.closes(6.0, 1, 1011)
    book.dials(7.0, 1, key="key-2", status=503)
    book.sets_up(7.5, 1, "handle-2")
    book.completes(8.0, 1, session="session-2")
    book.is_left(9.0, 1, 1000)
    book.is_left(9.5, 1, 1001)
    book.drops_own_end(9.0, 1)
    book.drops_own_end(9.5, 1)
    found = connection(book)
    assert found.upgrade is not None
    assert found.upgrade.t == 1.0
    assert found.answer is not None
    assert found.answer.event.status == 101
    assert found.close_sent is not None
    assert found.close_sent.event.code == 1000
    assert found.close_received is not None
    assert found.close_received.event.code == 1000
    assert found.session is not None
    assert found.session.event.session == "session-1"
    assert found.setup_complete is not None
    assert found.setup_complete.t == 1.03
    assert found.handle_label == "handle-1"
    assert found.client_closed is not None
    assert found.client_closed.t == 9.0


def test_a_connection_of_which_only_scraps_are_left_says_nothing() -> None:
    book = Book()
    book.link_ends(5.0, 3)
    found = connection(book, 3)
    assert (found.token, found.credentials, found.setup, found.opted_in) == (None, (), None, None)
    assert (found.handle_label, found.started_s, found.first_moment, found.starts_anew) == (None, None, None, False)
    assert view_of(book).dials == ()


@pytest.mark.parametrize(
    ("handle", "told", "label", "anew"),
    [
        (None, True, None, True),
        ("handle-1", True, "handle-1", False),
        ("handle-1", False, "handle-1", False),  # read from the setup itself
        ("empty-handle", True, "empty-handle", True),
        ("unknown-handle-1", True, "unknown-handle-1", False),
    ],
)
def test_what_a_setup_resumes_with(handle: str | None, told: bool, label: str | None, anew: bool) -> None:
    book = Book()
    book.opens(1.0, 1, handle=handle)
    if not told:
        book = book.without("handle.presented")
    found = connection(book)
    assert found.handle_label == label
    assert found.starts_anew is anew
    assert found.opted_in is True


@pytest.mark.parametrize(
    ("parts", "body", "opted"),
    [
        (("session_resumption",), {}, True),
        ((), {"sessionResumption": {}}, True),
        ((), {"session_resumption": {}}, True),
        (("model",), {"model": "m"}, False),
        (("model",), None, False),
        ((), None, None),
    ],
)
def test_what_a_setup_asks_for(parts: tuple[str, ...], body: object, opted: bool | None) -> None:
    book = Book()
    book.dials(1.0, 1)
    book.frame(1.1, 1, "setup", *parts, payload={"setup": body})
    assert connection(book).opted_in is opted


def test_an_odd_setup_resumes_with_nothing() -> None:
    for payload in ({"setup": {"sessionResumption": {"handle": 5}}}, {"setup": []}, [], None, "x"):
        book = Book()
        book.dials(1.0, 1)
        book.frame(1.1, 1, "setup", payload=payload)
        assert connection(book).handle_label is None


def test_an_upgrade_without_a_seen_accept_begins_with_itself() -> None:
    book = Book()
    upgrade = book.opens(1.0, 1)
    found = connection(book.without("socket.accepted"))
    assert found.accepted is None
    assert found.first_moment is not None
    assert found.first_moment.t == upgrade.t


def test_a_link_that_had_served_another_request_was_not_dialled_for_the_upgrade() -> None:
    book = Book()
    book.opens(5.0, 1)
    book.add(4.0, server.SocketAccepted(1, "live"))
    book.add(4.1, server.HttpAnswered(1, "live", "POST", "/v1beta/auth_tokens", 200))
    found = connection(book)
    assert found.accepted is None
    assert [dial.t for dial in view_of(book).dials] == [5.0]


def test_dials_are_accepts_upgrades_and_what_the_proxy_turned_away() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.knocks(2.0, 50)
    book.turned_away(3.0)
    book.dials(4.5, 2, key="key-1", status=503, refusal="http_503", accepted_s=4.0)
    book.add(5.0, LinkDial("backend"))
    book.add(6.0, server.SocketAccepted(60, "backend"))
    book.add(7.0, server.SocketAccepted(61, "live"))
    book.add(7.1, server.HttpAnswered(61, "live", "GET", "/", 404))
    dials = view_of(book).dials
    assert [(dial.t, dial.failed) for dial in dials] == [(1.0, False), (2.0, True), (3.0, True), (4.0, True)]
    assert [dial.connection.number if dial.connection else None for dial in dials] == [1, None, None, 2]


def test_what_knocks_before_the_client_runs_is_not_the_client() -> None:
    book = Book(started_s=2.0)
    book.knocks(1.0, 50)
    book.knocks(3.0, 51)
    assert [dial.t for dial in view_of(book).dials] == [3.0]


@pytest.mark.parametrize("name", ["http_401", "http_429", "http_503"])
def test_refusals_by_http(name: str) -> None:
    book = Book()
    book.dials(1.0, 1, token="token-1", status=REFUSALS[name].code, refusal=name)
    (refusal,) = view_of(book).refusals
    assert (refusal.name, refusal.http, refusal.connection) == (name, True, 1)
    assert refusal.names == REFUSALS[name].names
    assert refusal.names_token is (name == "http_401")


def test_refusals_by_close_in_order_of_time() -> None:
    book = Book()
    book.refused_dial(3.0, 2, "session_not_found", handle="handle-1")
    book.refused_dial(1.0, 1, "token_used_up", token="token-1")
    book.closes(9.0, 3, 1011)  # not a row of the table: no refusal
    found = view_of(book).refusals
    assert [(one.name, one.names, one.heals, one.http) for one in found] == [
        ("token_used_up", "token", False, False),
        ("session_not_found", "handle", False, False),
    ]


def test_a_resume_that_was_judged_as_refused_counts_without_its_close() -> None:
    book = Book()
    judged = book.refused_dial(1.0, 1, "session_not_found", handle="handle-1")
    assert [(one.name, one.n) for one in view_of(book).refusals] == [("session_not_found", book.n(judged))]
    (unseen,) = view_of(book.without("close.sent")).refusals
    assert (unseen.name, unseen.names, unseen.connection) == ("session_not_found", "handle", 1)


def test_a_refusal_that_this_version_does_not_know_names_nothing_known() -> None:
    book = Book()
    book.refused_dial(1.0, 1, "of_version_9")
    (refusal,) = view_of(book).refusals
    assert (refusal.names, refusal.heals, refusal.names_token) == ("unknown", True, False)


def test_a_close_of_an_unmatched_link_belongs_to_no_connection() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.add(5.0, LinkClientClosed("live", None))
    book.drops_own_end(6.0, 99)
    assert connection(book).client_closed is None


def test_a_link_that_came_to_nothing_belongs_to_no_connection() -> None:
    book = Book()
    book.knocks(1.0, 50)
    book.opens(2.0, 1)
    book.add(2.1, server.SocketAccepted(1, "live"))  # the number again: the first counts
    book.sends(3.0, 1, "server_content")
    accepted = connection(book).accepted
    assert accepted is not None
    assert accepted.t == 2.0
    assert list(view_of(book).connections) == [1]


def test_sessions_come_by_their_start() -> None:
    book = Book()
    book.opens(5.0, 1)
    book.opens(2.0, 2)
    book.dials(1.0, 3)
    connections = view_of(book).connections
    assert list(connections) == [1, 2, 3]
    assert [one.number for one in sessions_in_order(connections.values())] == [2, 1]


def test_dials_between_includes_both_ends() -> None:
    dials = [Dial(n, float(n), None) for n in range(1, 6)]
    assert [dial.n for dial in dials_between(dials, 2.0, 4.0)] == [2, 3, 4]
