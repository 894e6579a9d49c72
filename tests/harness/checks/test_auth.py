"""AUTH: spent, refused and old tokens."""

from __future__ import annotations

import pytest

from fake_server import events as server
from tests.harness.checks.journal_builder import Book, evidence_of, finding, kinds, status

# AUTH-1 --------------------------------------------------------------------------------------------------------------


def two_sessions(
    *, second: str | None, handle: str | None = None, resume_spends: bool = False, refuse: str = ""
) -> Book:
    """A drop, and a dial after it with the token `second` (None: with a key)."""
    tokens: dict[str, object] = {"uses": 1, "resume_spends_use": resume_spends}
    if refuse:
        tokens["refuse"] = refuse
    book = Book(session={"tokens": tokens})
    book.opens(1.0, 1, token="token-1")
    book.update(2.0, 1, "handle-1")
    book.cut(5.0, 1)
    if second is None:
        book.opens(5.5, 2, handle=handle)
    else:
        book.opens(5.5, 2, token=second, handle=handle, minted=second != "token-1", resume_spends=resume_spends)
    book.ends(60.0)
    return book


def test_auth_1_holds_with_a_fresh_token() -> None:
    book = two_sessions(second="token-2")
    assert status(book, "AUTH-1") == "pass"
    assert kinds(evidence_of(book, "AUTH-1")) == {"upgrade.received"}


def test_auth_1_breaks_with_the_spent_token_and_shows_where() -> None:
    book = two_sessions(second="token-1")
    assert status(book, "AUTH-1") == "fail"
    assert "token-1" in finding(book, "AUTH-1").summary
    shown = evidence_of(book, "AUTH-1")
    assert kinds(shown) == {"token.spent", "upgrade.received", "frame.received"}
    assert [e.connection for e in shown if isinstance(e, server.UpgradeReceived)] == [2]
    assert [e.connection for e in shown if isinstance(e, server.TokenSpent)] == [1]


def test_auth_1_lets_a_resume_show_the_same_token_where_that_spends_no_use() -> None:
    assert status(two_sessions(second="token-1", handle="handle-1"), "AUTH-1") == "pass"


@pytest.mark.parametrize("refuse", ["close_1011", "http_401"])
def test_auth_1_breaks_for_a_resume_where_that_spends_a_use(refuse: str) -> None:
    # http_401 implies it: at the upgrade no setup has been seen
    book = two_sessions(second="token-1", handle="handle-1", resume_spends=refuse == "close_1011", refuse=refuse)
    assert status(book, "AUTH-1") == "fail"


def test_auth_1_takes_an_empty_handle_for_none() -> None:
    assert status(two_sessions(second="token-1", handle="empty-handle"), "AUTH-1") == "fail"


def test_auth_1_counts_an_upgrade_alone_where_any_presentation_spends() -> None:
    book = Book(session={"tokens": {"refuse": "http_401"}})
    book.opens(1.0, 1, token="token-1")
    book.cut(5.0, 1)
    book.dials(5.5, 2, token="token-1", status=401, refusal="http_401")
    book.ends(60.0)
    assert status(book, "AUTH-1") == "fail"


def test_auth_1_is_unknown_when_the_setup_behind_a_spent_token_was_never_seen() -> None:
    book = Book()
    book.opens(1.0, 1, token="token-1")
    book.cut(5.0, 1)
    book.dials(5.5, 2, token="token-1")
    book.ends(60.0)
    assert status(book, "AUTH-1") == "unknown"
    assert kinds(evidence_of(book, "AUTH-1")) == {"upgrade.received"}


@pytest.mark.parametrize(("token_per", "expected"), [("session", "pass"), ("dial", "unknown")])
def test_auth_1_believes_a_client_with_a_token_for_each_session_that_a_refused_dial_was_to_resume(
    token_per: str, expected: str
) -> None:
    book = Book(policy={"token_per": token_per})
    book.opens(1.0, 1, token="token-1")
    book.update(2.0, 1, "handle-1")
    book.cut(5.0, 1)
    book.dials(5.5, 2, token="token-1", status=401, refusal="http_401")
    book.opens(6.0, 3, token="token-2", handle="handle-1")
    book.ends(60.0)
    assert status(book, "AUTH-1") == expected


def test_auth_1_counts_uses() -> None:
    for left, expected in ((1, "not_applicable"), (0, "fail")):
        book = Book()
        book.mints(0.9, "token-1", uses=2)
        book.opens(1.0, 1, token="token-1", minted=False, uses_left=left)
        book.cut(5.0, 1)
        book.opens(5.5, 2, token="token-1", minted=False, uses_left=0)
        book.ends(60.0)
        assert status(book, "AUTH-1") == expected


def test_auth_1_never_arises_without_a_second_dial_or_a_token() -> None:
    one = Book()
    one.opens(1.0, 1, token="token-1")
    one.ends(60.0)
    assert status(one, "AUTH-1") == "not_applicable"
    keys = Book(policy={"credential": "key"})
    keys.opens(1.0, 1)
    keys.cut(5.0, 1)
    keys.opens(5.5, 2)
    keys.ends(60.0)
    assert status(keys, "AUTH-1") == "not_applicable"


def test_auth_1_lets_a_dial_go_that_was_under_way_when_the_token_was_spent() -> None:
    book = Book()
    book.mints(0.9, "token-1")
    book.dials(1.01, 2, token="token-1")
    book.opens(1.0, 1, token="token-1", minted=False)
    book.ends(60.0)
    assert status(book, "AUTH-1") == "not_applicable"


@pytest.mark.parametrize("kind", ["token.spent", "upgrade.received", "frame.received", "session.started"])
def test_auth_1_needs(kind: str) -> None:
    assert status(two_sessions(second="token-2").without(kind), "AUTH-1") != "pass"
    assert status(two_sessions(second="token-1").without(kind), "AUTH-1") != "pass"


# AUTH-2 --------------------------------------------------------------------------------------------------------------


def refused(*again: str, http: bool = False, refusal: str = "token_used_up", **options: object) -> Book:
    """A token is refused; then the tokens `again` are shown."""
    book = Book(**options)  # type: ignore[arg-type]  # words of the builder
    book.mints(0.9, "token-1")
    if http:
        book.dials(1.0, 1, token="token-1", status=401, refusal="http_401")
    else:
        book.refused_dial(1.0, 1, refusal, token="token-1")
    for connection, token in enumerate(again, start=2):
        if token != "token-1":
            book.mints(connection - 0.1, token)
        book.opens(float(connection), connection, token=token, minted=False)
    book.ends(60.0)
    return book


@pytest.mark.parametrize("http", [True, False])
def test_auth_2_holds_when_the_refused_token_is_let_go(http: bool) -> None:
    book = refused("token-2", http=http)
    assert status(book, "AUTH-2") == "pass"
    assert kinds(evidence_of(book, "AUTH-2")) == {"upgrade.answered" if http else "close.sent"}


@pytest.mark.parametrize("http", [True, False])
def test_auth_2_breaks_when_it_is_shown_again(http: bool) -> None:
    book = refused("token-1", "token-2", http=http)
    assert status(book, "AUTH-2") == "fail"
    assert "once" in finding(book, "AUTH-2").summary
    shown = evidence_of(book, "AUTH-2")
    assert [e.connection for e in shown if isinstance(e, server.UpgradeReceived)] == [2]


def test_auth_2_breaks_also_when_another_token_came_in_between() -> None:
    assert status(refused("token-2", "token-1"), "AUTH-2") == "fail"


@pytest.mark.parametrize(
    ("http", "sees", "again", "expected"),
    [
        (True, {"http_status": False}, ("token-1", "token-2"), "pass"),
        (True, {"http_status": False}, ("token-1", "token-1", "token-2"), "fail"),
        (True, {"close_reason": False}, ("token-1", "token-2"), "fail"),
        (False, {"http_status": False}, ("token-1", "token-2"), "fail"),
        (False, {"close_reason": False}, ("token-1", "token-2"), "pass"),
        (False, {"close_reason": False}, ("token-1", "token-1"), "fail"),
    ],
)
def test_auth_2_gives_one_dial_more_to_a_client_that_cannot_see_the_refusal(
    http: bool, sees: dict[str, bool], again: tuple[str, ...], expected: str
) -> None:
    assert status(refused(*again, http=http, sees=sees), "AUTH-2") == expected


def test_auth_2_counts_a_token_that_is_refused_for_ever_once_for_each_dial() -> None:
    book = Book()
    book.mints(0.9, "token-1")
    for connection in range(1, 5):
        book.refused_dial(float(connection), connection, "token_used_up", token="token-1")
    book.ends(60.0)
    assert status(book, "AUTH-2") == "fail"
    assert "3 times" in finding(book, "AUTH-2").summary


@pytest.mark.parametrize("refusal", ["quota", "internal_error", "unavailable", "session_not_found", "invalid_argument"])
def test_auth_2_is_about_refusals_that_name_the_token(refusal: str) -> None:
    assert status(refused("token-1", refusal=refusal), "AUTH-2") == "not_applicable"


@pytest.mark.parametrize("refusal", ["token_expired", "new_session_window_passed", "unregistered_caller"])
def test_auth_2_knows_every_refusal_of_a_credential(refusal: str) -> None:
    assert status(refused("token-1", refusal=refusal), "AUTH-2") == "fail"


def test_auth_2_covers_a_token_that_expires_in_flight() -> None:
    for second, expected in (("token-1", "fail"), ("token-2", "pass")):
        book = Book()
        book.opens(1.0, 1, token="token-1")
        book.update(2.0, 1, "handle-1")
        book.closes(5.0, 1, refusal="token_expired_in_flight")
        book.opens(5.5, 2, token=second, minted=second != "token-1", handle="handle-1")
        book.ends(60.0)
        assert status(book, "AUTH-2") == expected


def test_auth_2_leaves_keys_alone() -> None:
    book = Book(policy={"credential": "key"})
    book.dials(1.0, 1, key="key-1", status=401, refusal="http_401")
    book.dials(2.0, 2, key="key-1", status=401, refusal="http_401")
    book.ends(60.0)
    assert status(book, "AUTH-2") == "not_applicable"


@pytest.mark.parametrize(("http", "kind"), [(True, "upgrade.answered"), (False, "close.sent")])
@pytest.mark.parametrize("again", ["token-1", "token-2"])
def test_auth_2_needs_the_refusals(http: bool, kind: str, again: str) -> None:
    assert status(refused(again, http=http).without(kind), "AUTH-2") != "pass"


# AUTH-3 --------------------------------------------------------------------------------------------------------------


def aged(age_s: float, *, handle: str | None = None, window_s: float = 2.0) -> Book:
    book = Book()
    book.mints(1.0, "token-1", window_s=window_s)
    book.opens(1.0 + age_s, 1, token="token-1", minted=False, handle=handle)
    book.ends(60.0)
    return book


@pytest.mark.parametrize(("age_s", "expected"), [(0.1, "pass"), (2.0, "pass"), (2.499, "pass"), (2.501, "fail")])
def test_auth_3_forgives_half_a_second(age_s: float, expected: str) -> None:
    book = aged(age_s)
    assert status(book, "AUTH-3") == expected
    assert kinds(evidence_of(book, "AUTH-3")) == {"token.minted", "upgrade.received"}


def test_auth_3_exempts_resumes_but_not_empty_handles() -> None:
    assert status(aged(10.0, handle="handle-1"), "AUTH-3") == "not_applicable"
    assert status(aged(10.0, handle="empty-handle"), "AUTH-3") == "fail"


def test_auth_3_breaks_for_one_late_token_among_others() -> None:
    book = aged(0.1)
    book.mints(10.0, "token-2", window_s=2.0)
    book.refused_dial(20.0, 2, "new_session_window_passed", token="token-2")
    assert status(book, "AUTH-3") == "fail"
    assert "token-2 was 10.0 s old" in finding(book, "AUTH-3").summary


def test_auth_3_waits_for_the_setup_to_know_what_a_dial_was_for() -> None:
    book = Book()
    book.mints(1.0, "token-1", window_s=2.0)
    book.dials(20.0, 1, token="token-1")
    book.ends(60.0)
    assert status(book, "AUTH-3") == "not_applicable"


def test_auth_3_never_arises_with_a_key() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.ends(60.0)
    assert status(book, "AUTH-3") == "not_applicable"


def test_auth_3_is_unknown_for_a_token_that_nobody_saw_being_minted() -> None:
    book = Book()
    book.opens(1.0, 1, token="token-1", minted=False)
    book.ends(60.0)
    assert status(book, "AUTH-3") == "unknown"


def test_auth_3_accuses_for_a_late_token_also_where_another_was_not_seen_being_minted() -> None:
    book = aged(10.0)
    book.opens(1.0, 7, token="token-7", minted=False)
    assert status(book, "AUTH-3") == "fail"


@pytest.mark.parametrize("kind", ["token.minted", "upgrade.received", "frame.received"])
@pytest.mark.parametrize("age_s", [0.1, 10.0])
def test_auth_3_needs(kind: str, age_s: float) -> None:
    assert status(aged(age_s).without(kind), "AUTH-3") != "pass"
