from __future__ import annotations

import itertools
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Literal

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fake_server.behaviour import TokenRules
from fake_server.tokens import (
    MOVES,
    Admitted,
    CallRefused,
    IllegalTokenMoveError,
    KeyState,
    Minted,
    TokenEvent,
    TokenLedger,
    TokenRefused,
    TokenState,
    _Token,
    format_timestamp,
    match_token_path,
    parse_timestamp_s,
)

NOW_S = 1_800_000_000.0
Dialect = Literal["google", "article"]


def ledger(rules: TokenRules | None = None, dialect: Dialect = "google") -> TokenLedger:
    numbers = itertools.count(1)
    return TokenLedger(rules or TokenRules(), new_secret=lambda: f"opaque-{next(numbers)}", dialect=dialect)


def mint(tokens: TokenLedger, now_s: float = NOW_S, **body: Any) -> Minted:
    minted = tokens.mint(orjson.dumps(body), now_s=now_s)
    assert isinstance(minted, Minted), minted
    return minted


def refusal(answer: Admitted | TokenRefused) -> str | None:
    return answer.refusal if isinstance(answer, TokenRefused) else None


def at(offset_s: float) -> str:
    return datetime.fromtimestamp(NOW_S + offset_s, UTC).isoformat()


# ---- never more sessions than uses, whatever happens in whatever order


class Ledger(RuleBasedStateMachine):
    """The ledger against the plainest model of it: a count of sessions and two deadlines a token."""

    @initialize(resume_spends=st.booleans(), refuse=st.sampled_from(["close_1011", "http_401"]))
    def start(self, resume_spends: bool, refuse: Literal["close_1011", "http_401"]) -> None:
        self.now_s = NOW_S
        self.resume_spends = resume_spends or refuse == "http_401"
        self.at_upgrade = refuse == "http_401"
        self.tokens = ledger(TokenRules(resume_spends_use=resume_spends, refuse=refuse))
        self.uses: dict[str, int] = {}
        self.window: dict[str, float] = {}
        self.expiry: dict[str, float] = {}
        self.spent: Counter[str] = Counter()
        self.open: list[Admitted] = []

    @rule(uses=st.integers(0, 3), window_s=st.integers(1, 20), lifetime_s=st.integers(1, 40))
    def mint(self, uses: int, window_s: int, lifetime_s: int) -> None:
        body = {
            "uses": uses,
            "expireTime": format_timestamp(self.now_s + lifetime_s),
            "new_session_expire_time": format_timestamp(self.now_s + window_s),
        }
        minted = self.tokens.mint(orjson.dumps(body), now_s=self.now_s)
        assert isinstance(minted, Minted)
        self.uses[minted.name] = uses
        self.window[minted.name] = self.now_s + window_s
        self.expiry[minted.name] = self.now_s + lifetime_s

    @rule(data=st.data(), resume=st.booleans())
    def present(self, data: st.DataObject, resume: bool) -> None:
        if not self.uses:
            return
        name = data.draw(st.sampled_from(sorted(self.uses)))
        expired = self.now_s >= self.expiry[name]
        used_up = bool(self.uses[name]) and self.spent[name] >= self.uses[name]
        spends = not resume or self.resume_spends
        at_upgrade = self.tokens.refused_at_upgrade(name, now_s=self.now_s)
        assert (at_upgrade is not None) == (self.at_upgrade and (expired or used_up))
        answer = self.tokens.admit(name, resume=resume, now_s=self.now_s)
        if expired:
            assert refusal(answer) == "token_expired"
        elif spends and used_up:
            assert refusal(answer) == "token_used_up"
        elif not resume and self.now_s >= self.window[name]:
            assert refusal(answer) == "new_session_window_passed"
        else:
            assert isinstance(answer, Admitted)
            assert answer.spent == spends
            self.spent[name] += spends
            left = self.uses[name] - self.spent[name] if self.uses[name] else None
            assert answer.uses_left == left
            self.open.append(answer)

    @rule()
    def give_back(self) -> None:
        if self.open:
            admitted = self.open.pop()
            self.tokens.give_back(admitted)
            self.spent[admitted.name] -= admitted.spent

    @rule(seconds=st.integers(1, 15))
    def wait(self, seconds: int) -> None:
        self.now_s += seconds

    @rule()
    def expire_all(self) -> None:
        expired = self.tokens.expire_all(now_s=self.now_s)
        assert set(expired) == {name for name, until_s in self.expiry.items() if until_s > self.now_s}
        for name in expired:
            self.expiry[name] = self.now_s

    @invariant()
    def no_use_is_spent_twice(self) -> None:
        for name, uses in getattr(self, "uses", {}).items():
            assert not uses or self.spent[name] <= uses
            assert (self.tokens.state(name, now_s=self.now_s) is TokenState.EXPIRED) == (
                self.now_s >= self.expiry[name]
            )
            assert self.tokens.expires_at_s(name) == self.expiry[name]


TestLedger = Ledger.TestCase
TestLedger.settings = settings(max_examples=60, stateful_step_count=25)


def test_a_use_is_never_given_back_twice() -> None:
    tokens = ledger()
    name = mint(tokens).name
    admitted = tokens.admit(name, resume=False, now_s=NOW_S)
    assert isinstance(admitted, Admitted)
    tokens.give_back(admitted)
    tokens.give_back(admitted)
    assert refusal(tokens.admit(name, resume=False, now_s=NOW_S)) is None
    assert refusal(tokens.admit(name, resume=False, now_s=NOW_S)) == "token_used_up"


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


def test_a_token_that_was_never_issued() -> None:
    tokens = ledger()
    assert refusal(tokens.admit("auth_tokens/x", resume=True, now_s=NOW_S)) == "unregistered_caller"
    assert tokens.refused_at_upgrade("auth_tokens/x", now_s=NOW_S) is None
    assert tokens.state("auth_tokens/x", now_s=NOW_S) is None
    strict = ledger(TokenRules(refuse="http_401"))
    assert strict.refused_at_upgrade("auth_tokens/x", now_s=NOW_S) == TokenRefused("http_401")


def test_an_event_that_a_state_does_not_know_is_our_fault() -> None:
    assert {state for state, _ in MOVES} == set(TokenState)
    for state, event in itertools.product(TokenState, TokenEvent):
        token = _Token(1, 1, 0.0, 0.0, constraints=None, state=state)  # type: ignore[arg-type]
        if (state, event) in MOVES:
            token.happens(event)
        else:
            with pytest.raises(IllegalTokenMoveError, match=f"{state.value} knows no {event.value}"):
                token.happens(event)


# ---- the token call


@pytest.mark.parametrize("body", [b"", b"  ", b"{}"])
def test_an_empty_call_gets_the_defaults(body: bytes) -> None:
    minted = ledger().mint(body, now_s=NOW_S)
    assert isinstance(minted, Minted)
    assert minted.response == {"name": "auth_tokens/opaque-1"}
    assert (minted.uses, minted.new_session_window_s, minted.lifetime_s) == (1, 60.0, 1800.0)


def test_what_the_caller_asks_for() -> None:
    minted = mint(ledger(), uses=0, expireTime=at(600), new_session_expire_time=at(30))
    assert (minted.uses, minted.new_session_window_s, minted.lifetime_s) == (0, 30.0, 600.0)
    assert minted.expires_at_s == NOW_S + 600
    short = mint(ledger(), expireTime=at(10))
    assert (short.new_session_window_s, short.lifetime_s) == (10.0, 10.0)


def envelope(answer: Minted | CallRefused) -> dict[str, Any]:
    assert isinstance(answer, CallRefused)
    error: dict[str, Any] = answer.response["error"]
    assert error["code"] == answer.http_status
    return error


UNKNOWN = "Invalid JSON payload received. Unknown name \"{}\" at '{}': Cannot find field."
FAR = "expire_time is too far in the future. Maximum lifetime is 20h"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"liveConnectConstraints": {}}, UNKNOWN.format("liveConnectConstraints", "auth_token")),
        ({"config": {"uses": 1}}, UNKNOWN.format("config", "auth_token")),
        (
            {"bidiGenerateContentSetup": {"sessionResumption": {"transparent": True}}},
            UNKNOWN.format("transparent", "auth_token.bidi_generate_content_setup.session_resumption"),
        ),
        ({"expireTime": at(20 * 3600 + 1)}, FAR),
        ({"newSessionExpireTime": at(21 * 3600)}, "new_session_" + FAR),
        ({"uses": -1}, "Request contains an invalid argument."),
        ({"expireTime": at(-1)}, "Request contains an invalid argument."),
        ({"uses": "many"}, "Invalid value at 'auth_token.uses' (TYPE_INT32), \"many\""),
        (
            {"expireTime": "tomorrow"},
            "Invalid value at 'auth_token.expire_time' (type.googleapis.com/google.protobuf.Timestamp), \"tomorrow\"",
        ),
    ],
)
def test_calls_that_are_refused(body: dict[str, Any], message: str) -> None:
    error = envelope(ledger().mint(orjson.dumps(body), now_s=NOW_S))
    assert (error["code"], error["status"], error["message"]) == (400, "INVALID_ARGUMENT", message)


@pytest.mark.parametrize("body", [b"not json", b"[1]", b'{"a":' * 200 + b"1" + b"}" * 200])
def test_bodies_that_are_no_message(body: bytes) -> None:
    assert envelope(ledger().mint(body, now_s=NOW_S))["status"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("key", "code", "status", "text"),
    [
        ("wrong", 400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
        ("wrong_new_format", 401, "UNAUTHENTICATED", "Request had invalid authentication credentials."),
        ("missing", 403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers"),
    ],
)
def test_bad_keys(key: KeyState, code: int, status: str, text: str) -> None:
    tokens = ledger()
    error = envelope(tokens.mint(b"", now_s=NOW_S, key=key))
    assert (error["code"], error["status"]) == (code, status)
    assert error["message"].startswith(text)
    unknown_first = envelope(tokens.mint(b'{"x": 1}', now_s=NOW_S, key=key))
    assert "Unknown name" in unknown_first["message"]
    assert tokens.expire_all(now_s=NOW_S) == ()


def test_the_reason_of_a_bad_key_stands_in_the_details() -> None:
    (info,) = envelope(ledger().mint(b"", now_s=NOW_S, key="wrong"))["details"]
    assert (info["reason"], info["domain"]) == ("API_KEY_INVALID", "googleapis.com")
    assert info["metadata"] == {"service": "generativelanguage.googleapis.com"}


def test_the_stand_in_backend_mints_by_the_rules() -> None:
    rules = TokenRules(uses=2, new_session_window_s=5, lifetime_s=50)
    minted = ledger(rules).mint_by_rules(now_s=NOW_S)
    assert (minted.uses, minted.new_session_window_s, minted.lifetime_s) == (2, 5, 50)


def test_a_secret_that_comes_twice_is_our_fault() -> None:
    tokens = TokenLedger(TokenRules(), new_secret=lambda: "same")
    tokens.mint_by_rules(now_s=NOW_S)
    with pytest.raises(ValueError, match="twice"):
        tokens.mint_by_rules(now_s=NOW_S)


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("/v1/auth_tokens", "auth_tokens"),
        ("//v1alpha//auth_tokens", "auth_tokens"),
        ("/pre/v1beta/auth_tokens", "auth_tokens"),
        ("/v1alpha/ephemeralTokens:create", "article"),
        ("/v2/auth_tokens", None),
        ("/v1/auth_tokens/abc", None),
    ],
)
def test_token_paths(path: str, call: str | None) -> None:
    assert match_token_path(path) == call


@pytest.mark.parametrize(
    ("text", "at_s"),
    [
        ("2027-01-15T08:00:00.000Z", NOW_S),
        ("2027-01-15T08:00:00+00:00", NOW_S),
        ("2027-01-15T09:00:00.5+01:00", NOW_S + 0.5),
        ("2027-01-15T08:00:00", None),
        ("2027-01-15", None),
        ("soon", None),
    ],
)
def test_timestamps(text: str, at_s: float | None) -> None:
    assert parse_timestamp_s(text) == at_s
    if at_s is not None:
        assert parse_timestamp_s(format_timestamp(at_s)) == at_s


# ---- the article's dialect


def test_the_articles_call_is_not_found_by_default_and_says_what_is_right() -> None:
    error = envelope(ledger().mint_article(b"{}", now_s=NOW_S))
    assert (error["code"], error["status"]) == (404, "NOT_FOUND")
    assert "/auth_tokens" in error["message"]


@pytest.mark.parametrize("wrap", [False, True])
def test_the_articles_dialect(wrap: bool) -> None:
    tokens = ledger(dialect="article")
    config = {"responseModalities": ["AUDIO"], "temperature": 0.5, "session_resumption": {}, "odd": 1}
    body: dict[str, Any] = {"uses": 1, "liveConnectConstraints": {"model": "gemini-x", "config": config}}
    minted = tokens.mint_article(orjson.dumps({"config": body} if wrap else body), now_s=NOW_S)
    assert isinstance(minted, Minted)
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


# ---- constraints: the three readings of setup and mask

CLIENT = {
    "model": "models/mine",
    "generationConfig": {"temperature": 1.0, "topK": 9.0},
    "systemInstruction": {"parts": [{"text": "be rude"}]},
    "sessionResumption": {"handle": "h" * 36},
}
SETUP = {
    "model": "models/theirs",
    "generationConfig": {"temperature": 0.1, "responseModalities": ["AUDIO"]},
    "sessionResumption": {},
}


def constrained(client: dict[str, Any] = CLIENT, **body: Any) -> dict[str, Any]:
    tokens = ledger()
    before = orjson.dumps(client)
    result = tokens.apply_constraints(mint(tokens, **body).name, client)
    assert orjson.dumps(client) == before
    return result


def test_without_setup_and_mask_the_clients_setup_counts() -> None:
    assert constrained() == CLIENT
    assert ledger().apply_constraints("auth_tokens/unknown", CLIENT) == CLIENT


def test_a_setup_alone_replaces_the_clients_but_for_its_handle() -> None:
    assert constrained(bidiGenerateContentSetup=SETUP) == SETUP | {"sessionResumption": {"handle": "h" * 36}}
    assert constrained({"model": "models/mine"}, bidiGenerateContentSetup=SETUP) == SETUP
    assert constrained(bidi_generate_content_setup={"model": "models/theirs"}) == {"model": "models/theirs"}


@pytest.mark.parametrize(
    "mask",
    [
        "model,generationConfig.temperature,sessionResumption",
        "session_resumption,generation_config.temperature,model",
        " model , temperature,sessionResumption,",
    ],
)
def test_a_mask_takes_only_what_it_names_in_any_casing_and_order(mask: str) -> None:
    assert constrained(bidiGenerateContentSetup=SETUP, fieldMask=mask) == {
        "model": "models/theirs",
        "generationConfig": {"temperature": 0.1, "topK": 9.0},
        "systemInstruction": {"parts": [{"text": "be rude"}]},
        "sessionResumption": {"handle": "h" * 36},
    }


def test_a_masked_field_that_the_token_has_not_is_unset() -> None:
    result = constrained(fieldMask="temperature,systemInstruction.parts,output_audio_transcription")
    assert result == CLIENT | {"generationConfig": {"topK": 9.0}, "systemInstruction": {}}


@given(st.permutations(["model", "generationConfig.temperature", "generationConfig.responseModalities", "tools"]))
def test_the_order_of_a_mask_does_not_matter(names: list[str]) -> None:
    assert constrained(bidiGenerateContentSetup=SETUP, fieldMask=",".join(names)) == CLIENT | {
        "model": "models/theirs",
        "generationConfig": {"temperature": 0.1, "topK": 9.0, "responseModalities": ["AUDIO"]},
    }
