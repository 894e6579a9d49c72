"""Plain HTTP: token calls, the stand-in for an app's own backend, and 404 for the rest (protocol, section 2)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from fake_server.acts import FailTokenCalls
from fake_server.events import HttpAnswered, Observer, TokenCallRefused, TokenMinted
from fake_server.listener import WatchedHandler
from fake_server.refusals import REFUSALS, Refusal, find_refusal
from fake_server.service import Service
from fake_server.token_calls import BODY_TOO_LARGE, CallRefused, TokenPath, format_timestamp, match_token_path
from fake_server.tokens import Minted

_BACKEND_PATH = "/token"
_STATUS_WORDS: Mapping[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_REFUSED_BY_STATUS = {500: find_refusal("internal_error")} | {row.code: row for row in REFUSALS.values() if row.is_http}
_GARBAGE = b"<!doctype html>\n<html><head><title>Welcome</title></head><body>Please sign in </body></html>\n"


class HttpApi:
    """Answers requests that ask for no WebSocket."""

    def __init__(self, service: Service, observer: Observer, stopping: asyncio.Event) -> None:
        self._service = service
        self._observe = observer
        self._stopping = stopping

    async def answer(self, request: web.BaseRequest, socket: int, listener: str) -> web.Response:
        """One request, answered."""
        response = await self._respond(request)
        path = re.sub("/{2,}", "/", request.path)
        self._observe(HttpAnswered(socket, listener, request.method, path, response.status))
        return response

    async def _respond(self, request: web.BaseRequest) -> web.Response:
        path = re.sub("/{2,}", "/", request.path)
        called = match_token_path(path)
        if request.method != "POST":
            return web.Response(status=404)
        if path.rstrip("/").endswith(_BACKEND_PATH):
            via = "backend"
        elif called is not None:
            via = "service" if called.call == "auth_tokens" else "article"
        else:
            return web.Response(status=404)
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return self._refuse(BODY_TOO_LARGE, via)
        return await self._deliberate(request, via) or self._mint(request, body, via, called)

    async def _deliberate(self, request: web.BaseRequest, via: str) -> web.Response | None:
        """What a scenario ordered for this call; None: it is answered as usual."""
        failure, delay_s = self._service.token_faults(self._service.clock.monotonic_s())
        if delay_s:
            await self._wait(request, delay_s)
        if failure is None:
            return None
        if failure.how == "timeout":
            self._observe(TokenCallRefused(via, None, "never answered", True))
            await self._wait(request, None)
            return _error(503, find_refusal("http_503").reason())  # the server stops: nobody reads this
        status = 200 if failure.how == "garbage" else failure.status
        self._observe(TokenCallRefused(via, status, failure.how, True))
        if failure.how == "garbage":
            return web.Response(body=_GARBAGE, content_type="text/html")
        row = _REFUSED_BY_STATUS.get(status) or find_refusal("http_503")
        return _error(status, row.reason(), headers=_retry_after(failure))

    async def _wait(self, request: web.BaseRequest, seconds: float | None) -> None:
        """Wait, but no longer than the client does."""
        stopping = asyncio.ensure_future(self._stopping.wait())
        waited: set[asyncio.Future[Any]] = {stopping}
        if isinstance(request.protocol, WatchedHandler):
            waited.add(request.protocol.lost)
        await asyncio.wait(waited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()

    def _refuse(self, refused: CallRefused, via: str) -> web.Response:
        self._observe(TokenCallRefused(via, refused.http_status, refused.message, False))
        return _json(refused.http_status, refused.response)

    def _mint(self, request: web.BaseRequest, body: bytes, via: str, called: TokenPath | None) -> web.Response:
        tokens, now_s = self._service.tokens, self._service.clock.wall_s()
        key = self._service.key_state(request.headers.get("x-goog-api-key") or request.query.get("key", ""))
        made: Minted | CallRefused
        if called is None:
            made = tokens.no_room(now_s=now_s) or tokens.mint_by_rules(now_s=now_s)
        elif called.call == "auth_tokens":
            made = tokens.mint(body, now_s=now_s, key=key, version=called.version)
        else:
            made = tokens.mint_article(body, now_s=now_s, key=key, version=called.version)
        if isinstance(made, CallRefused):
            return self._refuse(made, via)
        label = self._service.labels.name("token", made.name)
        self._observe(TokenMinted(label, via, made.uses, made.new_session_window_s, made.lifetime_s, made.problems))
        if via == "backend":
            return _json(200, {"token": made.name, "expiresAt": format_timestamp(made.expires_at_s)})
        return _json(200, made.response)


def refused_upgrade(row: Refusal) -> web.Response:
    """A refusal by HTTP in Google's own envelope."""
    return _error(row.code, row.reason(), headers=_retry_after(row))


def _error(status: int, message: str, *, headers: Mapping[str, str] | None = None) -> web.Response:
    word = _STATUS_WORDS.get(status, "UNKNOWN")
    return _json(status, {"error": {"code": status, "message": message, "status": word}}, headers)


def _json(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> web.Response:
    data = orjson.dumps(body, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    return web.Response(status=status, body=data, content_type="application/json", charset="utf-8", headers=headers)


def _retry_after(failure: FailTokenCalls | Refusal) -> Mapping[str, str] | None:
    return None if failure.retry_after_s is None else {"Retry-After": f"{failure.retry_after_s:g}"}
