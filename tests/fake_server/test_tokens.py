"""The ledger, rule by rule; `test_token_machine` plays any sequence of events with it."""

from __future__ import annotations

import itertools

import orjson
import pytest

from fake_server.behaviour import TokenRules
from fake_server.constraints import UNCONSTRAINED
from fake_server.token_calls import CallRefused
from fake_server.tokens import (
    ANSWERS,
    MOVES,
    Admitted,
    Ask,
    IllegalTokenMoveError,
    TokenEvent,
    TokenLedger,
    TokenRefused,
    TokenState,
    _Token,
)
from tests.fake_server.mints import NOW_S, at, envelope, ledger, mint, refusal

# ---- the tables


def test_an_event_that_a_state_does_not_know_is_our_fault() -> None:
    assert {state for state, _ in MOVES} == set(TokenState)
    for state, event in itertools.product(TokenState, TokenEvent):
        token = _Token(1, 0.0, 0.0, UNCONSTRAINED, state)
        if (state, event) in MOVES:
            token.happens(event)
            assert token.state is MOVES[state, event]
        else:
            with pytest.raises(IllegalTokenMoveError, match=f"{state.value} knows no {event.value}"):
                token.happens(event)
            assert token.state is state


def test_every_state_has_an_answer_to_every_asking() -> None:
    assert set(ANSWERS) == set(itertools.product(TokenState, Ask))


def test_a_token_never_gets_better_but_by_a_use_that_is_given_back() -> None:
    for (state, event), after in MOVES.items():
        if event is not TokenEvent.USE_GIVEN_BACK:
            for ask in Ask:
                assert ANSWERS[state, ask] is None or ANSWERS[after, ask] is not None
    assert all(after is TokenState.EXPIRED for (state, _), after in MOVES.items() if state is TokenState.EXPIRED)


# ---- uses


def test_a_use_is_never_given_back_twice() -> None:
    tokens = ledger()
    name = mint(tokens, uses=2).name
    first = tokens.admit(name, resume=False, now_s=NOW_S)
    second = tokens.admit(name, resume=False, now_s=NOW_S)
    assert isinstance(first, Admitted)
    assert isinstance(second, Admitted)
    assert first.number != second.number
    tokens.give_back(first)
    tokens.give_back(first)
    assert refusal(tokens.admit(name, resume=False, now_s=NOW_S)) is None
    assert refusal(tokens.admit(name, resume=False, now_s=NOW_S)) == "token_used_up"


def test_a_resume_has_no_use_to_give_back() -> None:
    tokens = ledger()
    name = mint(tokens).name
    assert refusal(tokens.admit(name, resume=False, now_s=NOW_S)) is None
    resumed = tokens.admit(name, resume=True, now_s=NOW_S)
    assert isinstance(resumed, Admitted)
    tokens.give_back(resumed)
    assert refusal(tokens.admit(name, resume=False, now_s=NOW_S)) == "token_used_up"


def test_no_uses_given_means_one_and_zero_means_any_number() -> None:
    tokens = ledger()
    assert mint(tokens).uses == 1
    unlimited = mint(tokens, uses=0)
    assert unlimited.uses == 0
    for _ in range(50):
        admitted = tokens.admit(unlimited.name, resume=False, now_s=NOW_S)
        assert isinstance(admitted, Admitted)
        assert (admitted.spent, admitted.uses_left) == (True, None)
        tokens.give_back(admitted)
    assert tokens.state(unlimited.name, now_s=NOW_S) is TokenState.USABLE


def test_a_spent_token_resumes_again_and_again_until_it_expires() -> None:
    tokens = ledger()
    name = mint(tokens).name
    assert refusal(tokens.admit(name, resume=False, now_s=NOW_S)) is None
    assert tokens.state(name, now_s=NOW_S) is TokenState.USED_UP
    for later_s in (1.0, 100.0, 1799.0):
        answer = tokens.admit(name, resume=True, now_s=NOW_S + later_s)
        assert isinstance(answer, Admitted)
        assert not answer.spent
    assert refusal(tokens.admit(name, resume=True, now_s=NOW_S + 1800)) == "token_expired"


def test_by_the_switch_a_resume_spends_a_use() -> None:
    tokens = ledger(TokenRules(uses=2, resume_spends_use=True))
    name = mint(tokens).name
    assert refusal(tokens.admit(name, resume=False, now_s=NOW_S)) is None
    resumed = tokens.admit(name, resume=True, now_s=NOW_S)
    assert isinstance(resumed, Admitted)
    assert (resumed.spent, resumed.uses_left) == (True, 0)
    assert refusal(tokens.admit(name, resume=True, now_s=NOW_S)) == "token_used_up"
    tokens.give_back(resumed)
    assert refusal(tokens.admit(name, resume=True, now_s=NOW_S)) is None


# ---- windows and expiry


def test_the_window_ends_before_the_token_does() -> None:
    tokens = ledger()
    name = mint(tokens, uses=2).name
    assert refusal(tokens.admit(name, resume=False, now_s=NOW_S + 59.9)) is None
    assert refusal(tokens.admit(name, resume=False, now_s=NOW_S + 60)) == "new_session_window_passed"
    assert tokens.state(name, now_s=NOW_S + 60) is TokenState.WINDOW_PASSED
    assert refusal(tokens.admit(name, resume=True, now_s=NOW_S + 60)) is None
    assert tokens.expires_at_s(name) == NOW_S + 1800


def test_a_use_given_back_after_the_window_starts_no_session() -> None:
    tokens = ledger()
    name = mint(tokens).name
    admitted = tokens.admit(name, resume=False, now_s=NOW_S + 59)
    assert isinstance(admitted, Admitted)
    assert tokens.state(name, now_s=NOW_S + 60) is TokenState.SPENT_AND_PASSED
    assert refusal(tokens.admit(name, resume=False, now_s=NOW_S + 60)) == "token_used_up"
    tokens.give_back(admitted)
    assert refusal(tokens.admit(name, resume=False, now_s=NOW_S + 61)) == "new_session_window_passed"


def test_a_window_later_than_the_expiry_ends_with_it() -> None:
    tokens = ledger()
    minted = mint(tokens, expireTime=at(10), newSessionExpireTime=at(50))
    assert (minted.new_session_window_s, minted.lifetime_s) == (10.0, 10.0)
    assert refusal(tokens.admit(minted.name, resume=False, now_s=NOW_S + 10)) == "token_expired"


def test_all_tokens_expire_at_once() -> None:
    tokens = ledger()
    names = [mint(tokens).name, mint(tokens).name]
    dead = mint(tokens, expireTime=at(1)).name
    assert tokens.expire_all(now_s=NOW_S + 5) == tuple(names)
    assert tokens.expire_all(now_s=NOW_S + 6) == ()
    assert [tokens.expires_at_s(name) for name in (*names, dead)] == [NOW_S + 5, NOW_S + 5, NOW_S + 1]
    assert refusal(tokens.admit(names[0], resume=True, now_s=NOW_S + 5)) == "token_expired"


def test_a_token_that_was_never_issued() -> None:
    tokens = ledger()
    assert refusal(tokens.admit("auth_tokens/x", resume=True, now_s=NOW_S)) == "unregistered_caller"
    assert tokens.refused_at_upgrade("auth_tokens/x", now_s=NOW_S) is None
    assert tokens.state("auth_tokens/x", now_s=NOW_S) is None
    assert tokens.expires_at_s("auth_tokens/x") is None
    assert tokens.apply_constraints("auth_tokens/x", {"model": "m"}) == {"model": "m"}
    tokens.give_back(Admitted("auth_tokens/x", True, 0, 1))
    strict = ledger(TokenRules(refuse="http_401"))
    assert strict.refused_at_upgrade("auth_tokens/x", now_s=NOW_S) == TokenRefused("http_401")


# ---- at the upgrade


def test_refused_at_the_upgrade() -> None:
    tokens = ledger(TokenRules(refuse="http_401"))
    assert tokens.rules.resume_spends_use
    name = mint(tokens).name
    assert tokens.refused_at_upgrade(name, now_s=NOW_S) is None
    assert tokens.refused_at_upgrade(name, now_s=NOW_S + 60) is None  # it may still resume
    assert tokens.refused_at_upgrade(name, now_s=NOW_S + 1800) == TokenRefused("http_401")
    spent = mint(tokens).name
    assert refusal(tokens.admit(spent, resume=False, now_s=NOW_S)) is None
    assert tokens.refused_at_upgrade(spent, now_s=NOW_S) == TokenRefused("http_401")


# ---- minting


def test_the_stand_in_backend_mints_by_the_rules() -> None:
    rules = TokenRules(uses=2, new_session_window_s=5, lifetime_s=50)
    minted = ledger(rules).mint_by_rules(now_s=NOW_S)
    assert (minted.uses, minted.new_session_window_s, minted.lifetime_s) == (2, 5, 50)
    assert minted.problems == ()


def test_what_the_caller_asks_for() -> None:
    minted = mint(ledger(), uses=0, expireTime=at(600), new_session_expire_time=at(30))
    assert (minted.uses, minted.new_session_window_s, minted.lifetime_s) == (0, 30.0, 600.0)
    assert minted.expires_at_s == NOW_S + 600
    short = mint(ledger(), expireTime=at(10))
    assert (short.new_session_window_s, short.lifetime_s) == (10.0, 10.0)


FAR = "expire_time is too far in the future. Maximum lifetime is 20h"
INVALID = "Request contains an invalid argument."


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"expireTime": at(20 * 3600)}, FAR),
        ({"expire_time": at(20 * 3600 + 1)}, FAR),
        ({"newSessionExpireTime": at(21 * 3600)}, "new_session_" + FAR),
        ({"uses": -1}, INVALID),
        ({"expireTime": at(-1)}, INVALID),
        ({"newSessionExpireTime": at(0)}, INVALID),
        ({"expireTime": "0001-01-01T00:00:00+23:59"}, INVALID),
        ({"expireTime": "9999-12-31T23:59:59-23:59"}, FAR),
    ],
)
def test_values_that_are_refused(body: dict[str, object], message: str) -> None:
    tokens = ledger()
    error = envelope(tokens.mint(orjson.dumps(body), now_s=NOW_S))
    assert (error["code"], error["status"], error["message"]) == (400, "INVALID_ARGUMENT", message)
    assert tokens.expire_all(now_s=NOW_S) == ()


def test_just_under_twenty_hours_is_taken() -> None:
    assert mint(ledger(), expireTime=at(20 * 3600 - 1)).lifetime_s == 20 * 3600 - 1


def test_a_bad_key_mints_nothing_and_is_told_before_bad_values() -> None:
    tokens = ledger()
    assert envelope(tokens.mint(b"", now_s=NOW_S, key="wrong"))["status"] == "INVALID_ARGUMENT"
    assert envelope(tokens.mint(b'{"uses": -1}', now_s=NOW_S, key="missing"))["status"] == "PERMISSION_DENIED"
    assert tokens.expire_all(now_s=NOW_S) == ()


def test_a_secret_that_comes_twice_is_our_fault() -> None:
    tokens = TokenLedger(TokenRules(), new_secret=lambda: "same")
    tokens.mint_by_rules(now_s=NOW_S)
    with pytest.raises(ValueError, match="twice"):
        tokens.mint_by_rules(now_s=NOW_S)


# ---- the article's dialect


def test_the_articles_call_is_not_found_by_default_and_says_what_is_right() -> None:
    error = envelope(ledger().mint_article(b"not even JSON", now_s=NOW_S, key="wrong"))
    assert (error["code"], error["status"]) == (404, "NOT_FOUND")
    assert "POST /{version}/auth_tokens" in error["message"]


@pytest.mark.parametrize("wrap", [False, True])
def test_the_articles_dialect(wrap: bool) -> None:
    tokens = ledger(dialect="article")
    config = {"responseModalities": ["AUDIO"], "temperature": 0.5, "session_resumption": {}, "odd": 1}
    body: dict[str, object] = {"uses": 1, "liveConnectConstraints": {"model": "gemini-x", "config": config}}
    minted = tokens.mint_article(orjson.dumps({"config": body} if wrap else body), now_s=NOW_S)
    assert not isinstance(minted, CallRefused)
    assert minted.response == {"name": minted.name, "expireTime": "2027-01-15T08:30:00.000Z"}
    assert tokens.apply_constraints(minted.name, {"model": "models/other"}) == {
        "model": "models/gemini-x",
        "generationConfig": {"responseModalities": ["AUDIO"], "temperature": 0.5},
        "sessionResumption": {},
    }
    assert tokens.refused_at_upgrade(minted.name, now_s=NOW_S) is None
    assert refusal(tokens.admit(minted.name, resume=False, now_s=NOW_S)) is None
    assert tokens.refused_at_upgrade(minted.name, now_s=NOW_S) == TokenRefused("http_401")
    assert tokens.rules.resume_spends_use
    assert isinstance(tokens.mint_article(b"nonsense", now_s=NOW_S), CallRefused)
    assert isinstance(tokens.mint_article(b"", now_s=NOW_S, key="wrong"), CallRefused)
    assert isinstance(tokens.mint_article(b'{"uses": -1}', now_s=NOW_S), CallRefused)
