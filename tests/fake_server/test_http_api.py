"""Plain HTTP, without a socket: what each call is answered, and what is told of it (protocol, section 2)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import orjson
import pytest
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from fake_server import acts
from fake_server.events import ServerEvent
from fake_server.http_api import HttpApi, refused_upgrade
from fake_server.refusals import find_refusal
from tests.fake_server.house import House


@dataclass
class Asked:
    house: House
    told: list[ServerEvent] = field(default_factory=list)

    async def ask(
        self, method: str, path: str, body: bytes = b"", key: str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, web.Response]:
        api = HttpApi(self.house.control.service, self.told.append, asyncio.Event())
        shown = self.house.secrets.api_key if key is None else key
        stream = StreamReader(mock.Mock(spec=BaseProtocol), 2**16, loop=asyncio.get_running_loop())
        stream.feed_data(body)
        stream.feed_eof()
        request = make_mocked_request(
            method, path, headers={"x-goog-api-key": shown} if headers is None else headers, payload=stream
        )
        response = await api.answer(request, 1, "live")
        data = response.body or b""
        assert isinstance(data, bytes)
        return response.status, orjson.loads(data) if data.startswith(b"{") else data, response

    def of(self, kind: str) -> list[Any]:
        return [event for event in self.told if event.kind == kind]


@pytest.fixture
def asked() -> Asked:
    return Asked(House())


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha"])
async def test_a_token_is_made(asked: Asked, version: str) -> None:
    status, answer, _ = await asked.ask("POST", f"/pre//{version}/auth_tokens", b'{"uses": 0}')
    assert status == 200
    assert list(answer) == ["name"]
    assert answer["name"].startswith("auth_tokens/")
    (minted,) = asked.of("token.minted")
    assert (minted.token, minted.via, minted.uses, minted.problems) == ("token-1", "service", 0, ())
    (http,) = asked.of("http.answered")
    assert (http.path, http.status) == (f"/pre/{version}/auth_tokens", 200)


async def test_the_key_may_stand_in_the_query(asked: Asked) -> None:
    path = f"/v1beta/auth_tokens?key={asked.house.secrets.api_key}"
    assert (await asked.ask("POST", path, headers={}))[0] == 200


@pytest.mark.parametrize(
    ("key", "status", "reason"),
    [("AIzaWrong", 400, "API_KEY_INVALID"), ("AQ.Wrong", 401, "ACCESS_TOKEN_TYPE_UNSUPPORTED")],
)
async def test_wrong_keys(asked: Asked, key: str, status: int, reason: str) -> None:
    got, answer, _ = await asked.ask("POST", "/v1/auth_tokens", key=key)
    assert got == status
    assert answer["error"]["details"][0]["reason"] == reason
    assert [(event.status, event.deliberate) for event in asked.of("token.call_refused")] == [(status, False)]


async def test_no_key_and_a_body_that_is_told_first(asked: Asked) -> None:
    assert (await asked.ask("POST", "/v1/auth_tokens", key=""))[0] == 403
    status, answer, _ = await asked.ask("POST", "/v1/auth_tokens", b'{"liveConnectConstraints": {}}', key="")
    assert status == 400
    assert "liveConnectConstraints" in answer["error"]["message"]


async def test_fields_that_only_we_do_not_know_are_told(asked: Asked) -> None:
    body = b'{"bidiGenerateContentSetup": {"model": "models/x", "novelty": 1}}'
    assert (await asked.ask("POST", "/v1/auth_tokens", body))[0] == 200
    (minted,) = asked.of("token.minted")
    assert "novelty" in minted.problems[0]


async def test_the_version_of_the_path_decides_what_is_known(asked: Asked) -> None:
    body = b'{"bidiGenerateContentSetup": {"proactivity": {}}}'
    assert (await asked.ask("POST", "/v1beta/auth_tokens", body))[0] == 400
    assert (await asked.ask("POST", "/v1alpha/auth_tokens", body))[0] == 200


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "OPTIONS"])
@pytest.mark.parametrize("path", ["/v1alpha/auth_tokens", "/v1beta/auth_tokens/abc", "/token", "/anything"])
async def test_other_verbs_are_not_found_with_an_empty_body(asked: Asked, method: str, path: str) -> None:
    assert (await asked.ask(method, path))[:2] == (404, b"")
    assert [event.kind for event in asked.told] == ["http.answered"]


async def test_the_articles_path_is_not_found_and_says_which_is_right(asked: Asked) -> None:
    status, answer, _ = await asked.ask("POST", "/v1alpha/ephemeralTokens:create", b"{}")
    assert status == 404
    assert "auth_tokens" in answer["error"]["message"]
    assert asked.of("token.call_refused")[0].via == "article"


async def test_the_articles_dialect() -> None:
    asked = Asked(House(dialect="article"))
    status, answer, _ = await asked.ask("POST", "/v1alpha/ephemeralTokens:create", b'{"config": {"uses": 1}}')
    assert (status, sorted(answer)) == (200, ["expireTime", "name"])


async def test_the_stand_in_backend(asked: Asked) -> None:
    status, answer, _ = await asked.ask("POST", "/token", key="")
    assert (status, sorted(answer)) == (200, ["expiresAt", "token"])
    assert asked.of("token.minted")[0].via == "backend"


async def test_a_body_too_large(asked: Asked) -> None:
    status, answer, _ = await asked.ask("POST", "/v1/auth_tokens", b'{"name": "' + b"x" * 1_100_000 + b'"}')
    assert status == 400
    assert "exceeds the limit" in answer["error"]["message"]
    assert len(asked.of("token.call_refused")) == 1


@pytest.mark.parametrize(
    ("status", "word"), [(401, "UNAUTHENTICATED"), (429, "RESOURCE_EXHAUSTED"), (503, "UNAVAILABLE")]
)
async def test_token_calls_that_fail_on_purpose(asked: Asked, status: int, word: str) -> None:
    asked.house.act(acts.FailTokenCalls(status=status, times=1, retry_after_s=2.5))
    got, answer, response = await asked.ask("POST", "/token")
    assert (got, answer["error"]["status"]) == (status, word)
    assert answer["error"]["message"] == find_refusal(f"http_{status}").template
    assert response.headers["Retry-After"] == "2.5"
    assert asked.of("token.call_refused")[0].deliberate
    assert (await asked.ask("POST", "/token"))[0] == 200


async def test_a_status_without_a_text_of_its_own_and_garbage(asked: Asked) -> None:
    asked.house.act(acts.FailTokenCalls(status=500, times=1))
    status, answer, response = await asked.ask("POST", "/token")
    assert (status, answer["error"]["status"]) == (500, "INTERNAL")
    assert answer["error"]["message"] == "Internal error encountered."
    assert "Retry-After" not in response.headers
    asked.house.act(acts.FailTokenCalls(how="garbage", times=1))
    status, body, _ = await asked.ask("POST", "/token")
    assert (status, body[:9]) == (200, b"<!doctype")


def test_a_refused_upgrade_speaks_googles_envelope() -> None:
    response = refused_upgrade(find_refusal("http_429"))
    assert isinstance(response.body, bytes)
    assert orjson.loads(response.body)["error"]["status"] == "RESOURCE_EXHAUSTED"
