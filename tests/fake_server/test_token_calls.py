"""The REST call that makes a token, as SDKs and hand-written clients send it (protocol, sections 2.1 and 2.3)."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_server.constraints import UNCONSTRAINED, Constraints
from fake_server.token_calls import (
    BODY_TOO_LARGE,
    CallRefused,
    KeyState,
    TokenPath,
    TokenRequest,
    format_timestamp,
    match_token_path,
    parse_timestamp_s,
    read_article_call,
    read_token_call,
    refuse_key,
)
from tests.fake_server.mints import NOW_S, at, envelope, ledger


def read(body: bytes | dict[str, Any], **changes: Any) -> TokenRequest | CallRefused:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return read_token_call(data, **({"version": "v1beta", "unknown_fields": "warn"} | changes))


# ---- the path


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("/v1/auth_tokens", TokenPath("auth_tokens", "v1")),
        ("//v1alpha//auth_tokens", TokenPath("auth_tokens", "v1alpha")),
        ("/pre/v1beta/auth_tokens/", TokenPath("auth_tokens", "v1beta")),
        ("/v1alpha/ephemeralTokens:create", TokenPath("article", "v1alpha")),
        ("/v2/auth_tokens", None),
        ("/v1/auth_tokens/abc", None),
        ("/v1/auth_tokens\n", None),
        ("/auth_tokens", None),
    ],
)
def test_token_paths(path: str, call: TokenPath | None) -> None:
    assert match_token_path(path) == call


# ---- bodies


@pytest.mark.parametrize("body", [b"", b"  \r\n", b"{}", b'{"uses": null}'])
def test_an_empty_call_asks_for_nothing(body: bytes) -> None:
    assert read(body) == TokenRequest(None, None, None, UNCONSTRAINED, ())


SETUP: dict[str, Any] = {
    "model": "models/gemini-x",
    "generationConfig": {"responseModalities": ["AUDIO"], "temperature": 0.5},
    "systemInstruction": {"parts": [{"text": "Be brief."}], "role": "user"},
    "sessionResumption": {},
}
MASK = (
    "model,generationConfig.responseModalities,generationConfig.temperature,"
    "systemInstruction.parts,systemInstruction.role,sessionResumption"
)
PYTHON = {  # google-genai 3.4.0: `lock_additional_fields=["top_k", "output_audio_transcription"]`
    "uses": 2,
    "expireTime": "2027-01-15T08:20:00+00:00",
    "newSessionExpireTime": "2027-01-15T08:01:00+00:00",
    "bidiGenerateContentSetup": SETUP,
    "fieldMask": MASK + ",generationConfig.top_k,output_audio_transcription",
}
JAVASCRIPT = {  # @google/genai 3.1.0, the same
    "uses": 2,
    "expireTime": "2027-01-15T08:20:00.000Z",
    "newSessionExpireTime": "2027-01-15T08:01:00.000Z",
    "bidiGenerateContentSetup": SETUP,
    "fieldMask": MASK + ",generationConfig.topK,outputAudioTranscription",
}


@pytest.mark.parametrize("body", [PYTHON, JAVASCRIPT])
def test_what_sdks_send(body: dict[str, Any]) -> None:
    request = read(body)
    assert isinstance(request, TokenRequest)
    assert (request.uses, request.expires_at_s, request.window_until_s) == (2, NOW_S + 1200, NOW_S + 60)
    assert request.problems == ()
    assert request.constraints == Constraints(
        SETUP,
        (
            ("model",),
            ("generationConfig", "responseModalities"),
            ("generationConfig", "temperature"),
            ("systemInstruction", "parts"),
            ("systemInstruction", "role"),
            ("sessionResumption",),
            ("generationConfig", "topK"),
            ("outputAudioTranscription",),
        ),
    )


@pytest.mark.parametrize(("uses", "read_as"), [(0, 0), ("3", 3), (2.0, 2)])
def test_uses_in_every_form_of_proto3(uses: Any, read_as: int) -> None:
    request = read({"uses": uses})
    assert isinstance(request, TokenRequest)
    assert request.uses == read_as


UNKNOWN = "Invalid JSON payload received. Unknown name \"{}\" at '{}': Cannot find field."
SETUP_PATH = "auth_token.bidi_generate_content_setup"
TIMESTAMP = "type.googleapis.com/google.protobuf.Timestamp"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"liveConnectConstraints": {}}, UNKNOWN.format("liveConnectConstraints", "auth_token")),
        ({"lockAdditionalFields": []}, UNKNOWN.format("lockAdditionalFields", "auth_token")),
        ({"config": {"uses": 1}}, UNKNOWN.format("config", "auth_token")),
        ({"authToken": {"uses": 1}}, UNKNOWN.format("authToken", "auth_token")),
        (
            {"bidiGenerateContentSetup": {"sessionResumption": {"transparent": True}}},
            UNKNOWN.format("transparent", f"{SETUP_PATH}.session_resumption"),
        ),
        (
            {"bidiGenerateContentSetup": {"generationConfig": {"inputAudioTranscription": {}}}},
            UNKNOWN.format("inputAudioTranscription", f"{SETUP_PATH}.generation_config"),
        ),
        ({"uses": "many"}, "Invalid value at 'auth_token.uses' (TYPE_INT32), \"many\""),
        ({"uses": 2**31}, "Invalid value at 'auth_token.uses' (TYPE_INT32), 2147483648"),
        ({"uses": True}, "Invalid value at 'auth_token.uses' (TYPE_INT32), true"),
        ({"expireTime": "tomorrow"}, f"Invalid value at 'auth_token.expire_time' ({TIMESTAMP}), \"tomorrow\""),
        (
            {"new_session_expire_time": "2027-01-15"},
            f"Invalid value at 'auth_token.new_session_expire_time' ({TIMESTAMP}), \"2027-01-15\"",
        ),
        ({"expireTime": 1_800_000_000}, f"Invalid value at 'auth_token.expire_time' ({TIMESTAMP}), 1800000000"),
        ({"fieldMask": ["model"]}, None),
    ],
)
def test_bodies_that_are_refused_before_the_key_is_looked_at(body: dict[str, Any], message: str | None) -> None:
    for key in ("valid", "missing", "wrong", "wrong_new_format"):
        error = envelope(ledger().mint(orjson.dumps(body), now_s=NOW_S, key=key))  # type: ignore[arg-type]
        assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
        assert message is None or error["message"] == message
        (detail,) = error["details"]
        assert detail["fieldViolations"][0]["field"].startswith("auth_token")


@pytest.mark.parametrize("body", [b"not json", b"[1]", b'"x"', b"\xff", b'{"a":' * 200 + b"1" + b"}" * 200])
def test_bodies_that_are_no_message(body: bytes) -> None:
    for answer in (read(body), read_article_call(body, version="v1alpha")):
        assert isinstance(answer, CallRefused)
        assert (answer.http_status, answer.status) == (400, "INVALID_ARGUMENT")


def test_a_field_that_only_we_do_not_know_is_warned_of_or_refused() -> None:
    body = {"bidiGenerateContentSetup": {"model": "models/x", "novelty": 1}}
    warned = ledger().mint(orjson.dumps(body), now_s=NOW_S)
    assert not isinstance(warned, CallRefused)
    assert warned.problems == (UNKNOWN.format("novelty", SETUP_PATH),)
    strict = ledger(unknown_fields="refuse")
    assert envelope(strict.mint(orjson.dumps(body), now_s=NOW_S))["message"] == warned.problems[0]


def test_fields_of_one_version_only_go_by_the_calls_path() -> None:
    body = {"bidiGenerateContentSetup": {"proactivity": {"proactiveAudio": True}}}
    assert isinstance(read(body, version="v1beta"), CallRefused)
    assert isinstance(read(body, version="v1alpha"), TokenRequest)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "uses",
                        "expireTime",
                        "fieldMask",
                        "field_mask",
                        "bidiGenerateContentSetup",
                        "model",
                        "config",
                        "generationConfig",
                        "sessionResumption",
                        "handle",
                        "liveConnectConstraints",
                        "tools",
                        "x",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_no_body_breaks_the_call(document: Any) -> None:
    body = orjson.dumps(document)
    for dialect in ("google", "article"):
        tokens = ledger(dialect=dialect)  # type: ignore[arg-type]
        for answer in (tokens.mint(body, now_s=NOW_S), tokens.mint_article(body, now_s=NOW_S)):
            if isinstance(answer, CallRefused):
                assert answer.http_status in (400, 404)
            else:
                assert isinstance(tokens.apply_constraints(answer.name, {"model": "models/m"}), dict)


# ---- keys


@pytest.mark.parametrize(
    ("key", "code", "status", "text", "reason"),
    [
        ("wrong", 400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", "API_KEY_INVALID"),
        (
            "wrong_new_format",
            401,
            "UNAUTHENTICATED",
            "Request had invalid authentication credentials.",
            "ACCESS_TOKEN_TYPE_UNSUPPORTED",
        ),
        ("missing", 403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers", None),
    ],
)
def test_bad_keys(key: KeyState, code: int, status: str, text: str, reason: str | None) -> None:
    refused = refuse_key(key)
    assert refused is not None
    error = refused.response["error"]
    assert (error["code"], error["status"]) == (code, status)
    assert error["message"].startswith(text)
    if reason is not None:
        (info,) = error["details"]
        assert info == {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": reason,
            "domain": "googleapis.com",
            "metadata": {"service": "generativelanguage.googleapis.com"},
        }


def test_a_good_key_and_a_body_too_large() -> None:
    assert refuse_key("valid") is None
    assert BODY_TOO_LARGE.response["error"]["code"] == 400


# ---- times


@pytest.mark.parametrize(
    ("text", "at_s"),
    [
        ("2027-01-15T08:00:00.000Z", NOW_S),
        ("2027-01-15T08:00:00+00:00", NOW_S),
        ("2027-01-15T09:00:00.5+01:00", NOW_S + 0.5),
        ("2027-01-15T08:00:00.123456789Z", NOW_S + 0.123456),
        ("2027-01-15T08:00:00", None),
        ("2027-01-15", None),
        ("20270115T080000Z", None),
        ("2027-13-15T08:00:00Z", None),
        ("2027-01-15 08:00:00Z", None),
        ("soon", None),
        ("", None),
    ],
)
def test_timestamps(text: str, at_s: float | None) -> None:
    assert parse_timestamp_s(text) == at_s
    if at_s is not None:
        assert parse_timestamp_s(format_timestamp(at_s)) == pytest.approx(at_s, abs=0.001)


OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(timezones=OFFSETS))
def test_every_time_with_an_offset_is_read(moment: datetime) -> None:
    assert parse_timestamp_s(moment.isoformat()) == moment.timestamp()


# ---- the article


def test_the_articles_bodies() -> None:
    flat = {"uses": 1, "expireTime": at(600), "liveConnectConstraints": {"model": "x", "config": {"seed": 1}}}
    for body in (flat, {"config": flat}):
        request = read_article_call(orjson.dumps(body), version="v1alpha")
        assert isinstance(request, TokenRequest)
        assert request.constraints.setup == {"model": "models/x", "generationConfig": {"seed": 1}}
        assert (request.uses, request.expires_at_s) == (1, NOW_S + 600)
    odd = read_article_call(b'{"liveConnectConstraints": 1, "novelty": 2}', version="v1alpha")
    assert isinstance(odd, TokenRequest)
    assert odd.constraints == UNCONSTRAINED
    assert len(odd.problems) == 1
