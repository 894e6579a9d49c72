from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_server.refusals import (
    REFUSALS,
    UnknownRefusalError,
    find_refusal,
    refusals_by_close,
    truncate_reason,
)


@given(st.text(max_size=300))
def test_a_cut_reason_is_the_longest_prefix_that_fits(text: str) -> None:
    cut = truncate_reason(text)
    assert len(cut.encode()) <= 123
    assert text.startswith(cut)
    if cut != text:
        assert len((cut + text[len(cut)]).encode()) > 123


def test_lone_surrogates_do_not_break_the_cut() -> None:
    assert truncate_reason("\ud800" * 200) == "?" * 123


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [
        ("token_used_up", 1011, "Token has been used too many times"),
        ("token_expired_in_flight", 1011, "auth token has expired"),
        ("session_not_found", 1008, "BidiGenerateContent session not found"),
        ("invalid_handle", 1007, "Invalid session handle"),
        ("setup_first_only", 1007, "setup must be the first message and only the first"),
        ("idle", 1008, "The operation was aborted."),
        (
            "go_away_ignored",
            1008,
            "Connection aborted because the client failed to close the connection after receiving a GoAway signal "
            "once the session durat",
        ),
        (
            "unregistered_caller",
            1008,
            "Method doesn't allow unregistered callers (callers without established identity). "
            "Please use API Key or other form of API c",
        ),
        (
            "quota",
            1011,
            "You exceeded your current quota, please check your plan and billing details. "
            "For more information on this error, head to: h",
        ),
    ],
)
def test_reasons_are_cut_where_the_service_was_seen_to_cut_them(name: str, code: int, reason: str) -> None:
    row = find_refusal(name)
    assert (row.code, row.reason()) == (code, reason)


def test_reasons_are_filled_in() -> None:
    reason = find_refusal("unknown_field").reason(field="transparent", path="setup.session_resumption")
    assert reason == (
        "Invalid JSON payload received. Unknown name \"transparent\" at 'setup.session_resumption': Cannot find field."
    )
    model = find_refusal("model_not_found").reason(model="models/x", version="v1beta")
    assert model.startswith(
        "models/x is not found for API version v1beta, or is not supported for bidiGenerateContent."
    )
    assert len(model.encode()) == 123


def test_every_row_is_found_again_by_what_it_sends() -> None:
    for row in REFUSALS.values():
        assert row in refusals_by_close(row.code, row.reason()), row.name
        assert "{" not in row.reason(), row.name
        assert row.is_http == (row.phase == "upgrade"), row.name


def test_rows_that_share_their_text_are_all_found() -> None:
    assert {row.name for row in refusals_by_close(1011, "Token has expired")} == {
        "token_expired",
        "new_session_window_passed",
    }
    assert {row.name for row in refusals_by_close(1011, "Internal error encountered.")} == {
        "internal_error",
        "dead_client",
    }


def test_a_reason_that_nobody_gave_is_no_row() -> None:
    assert refusals_by_close(1011, "Token has") == ()
    assert refusals_by_close(1008, "Token has expired") == ()
    assert refusals_by_close(1000, "") == ()
    assert refusals_by_close(1011, "") == ()


@pytest.mark.parametrize(
    ("given_name", "hint"),
    [("token_usd_up", "'token_used_up'"), ("http_402", "'http_4"), ("zzzzzzzzz", "the refusals are: http_401")],
)
def test_an_unknown_name_is_told_with_the_nearest_one(given_name: str, hint: str) -> None:
    with pytest.raises(UnknownRefusalError, match=given_name) as caught:
        find_refusal(given_name)
    assert hint in str(caught.value)


def test_what_heals_and_what_names_a_credential() -> None:
    assert {row.name for row in REFUSALS.values() if row.names == "token"} == {
        "token_used_up",
        "token_expired",
        "new_session_window_passed",
        "token_expired_in_flight",
    }
    assert {row.name for row in REFUSALS.values() if row.names == "handle"} == {
        "invalid_handle",
        "session_not_found",
        "session_expired",
        "entity_not_found",
    }
    for row in REFUSALS.values():
        assert not (row.heals and row.names in ("token", "credential", "handle")), row.name
    assert all(find_refusal(name).heals for name in ("internal_error", "quota", "http_429", "http_503"))
