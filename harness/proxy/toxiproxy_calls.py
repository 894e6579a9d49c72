"""Calls to one Toxiproxy server through `toxiproxy-python`: off the event loop, with deadlines, over kept connections.

The package has one global server address, makes a connection for each call and waits for ever. So its `requests`
module is replaced by one that sends each call through the kept connection of the calling thread; every thread belongs
to one server, which also lifts the limit of one server a process. The stand-in is `http.client`, as a kept
`requests.Session` takes five times its processor time, and a fault on two links is eight calls.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from typing import Any, TypeVar
from urllib.parse import urlsplit

import toxiproxy
import toxiproxy.api
from toxiproxy.api import APIConsumer
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

from harness.proxy.port import ProxyError
from harness.proxy.sockets import peer_ended
from harness.proxy.toxics import Toxic

CALL_DEADLINE_S = 5.0
"""An answer takes 1-3 ms. A server that is dead refuses at once; this bounds one that is stopped or stuck."""

QUEUE_DEADLINE_S = 2 * CALL_DEADLINE_S
"""For a call that waits for a free thread first."""

THREADS = 8
"""Two links, both directions, of two runs at once; more only fight for the interpreter."""

HEADERS = {"User-Agent": "live-api-harness", "Content-Type": "application/json"}
"""Not a browser's: Toxiproxy answers 403 to those."""

_T = TypeVar("_T")


class BadAnswerError(Exception):
    """An HTTP status that the package does not know as an error."""


class _Answer:
    """The part of `requests.Response` that the package uses."""

    def __init__(self, status_code: int, content: bytes) -> None:
        self.status_code = status_code
        self.content = content

    def json(self) -> Any:
        return json.loads(self.content)


class _KeptConnections:
    """Stands in for the `requests` module inside `toxiproxy.api`."""

    def __init__(self) -> None:
        self.of_thread = threading.local()

    def get(self, url: str, **ignored: Any) -> _Answer:
        return self._send("GET", url, None)

    def post(self, url: str, json: Any = None, **ignored: Any) -> _Answer:
        return self._send("POST", url, json)

    def delete(self, url: str, **ignored: Any) -> _Answer:
        return self._send("DELETE", url, None)

    def _send(self, method: str, url: str, body: Any) -> _Answer:
        connection: HTTPConnection = self.of_thread.connection
        if connection.sock is not None and peer_ended(connection.sock):
            connection.close()  # the server drops what is idle for a minute; `request` connects again
        connection.timeout = CALL_DEADLINE_S
        if connection.sock is not None:
            connection.sock.settimeout(CALL_DEADLINE_S)
        data = None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, urlsplit(url).path, data, HEADERS)
            response = connection.getresponse()
            answer = _Answer(response.status, response.read())
        except BaseException:
            connection.close()
            raise
        if answer.status_code >= 400 and answer.status_code not in (400, 404, 409):
            raise BadAnswerError(f"HTTP {answer.status_code}: {answer.content.decode(errors='replace')}")
        return answer


_KEPT = _KeptConnections()


class ToxiproxyCalls:
    """The verbs that the adapter needs, each awaitable, each ending within its deadline in a result or `ProxyError`."""

    def __init__(self, base_url: str, why_dead: Callable[[], str | None] = lambda: None) -> None:
        """`why_dead` tells, after a failed call, what is known of the server's end (None: nothing)."""
        toxiproxy.api.requests = _KEPT
        self.base_url = base_url.rstrip("/")
        self._why_dead = why_dead
        self._made: list[HTTPConnection] = []
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="toxiproxy", initializer=self._start_thread)
        self._server = toxiproxy.Toxiproxy()

    async def version(self) -> str:
        """As the server reports it; `git` for one that was not built by its release script."""
        answer: dict[str, str] = await self._call("asking its version", lambda: APIConsumer.get("/version").json())
        return str(answer.get("version", "unknown"))

    async def warm_up(self) -> None:
        """Start every thread and its connection, so that no fault waits for that."""
        everyone = threading.Barrier(THREADS)

        def greet() -> None:
            APIConsumer.get("/version")
            everyone.wait(CALL_DEADLINE_S)

        await asyncio.gather(*(self._call("first calls", greet) for _ in range(THREADS)))

    async def create(self, name: str, listen: str, upstream: str) -> int:
        """Make a proxy; returns its port."""
        made = await self._call(
            f"making proxy {name!r}", lambda: self._server.create(upstream=upstream, name=name, listen=listen)
        )
        return int(str(made.listen).rpartition(":")[2])

    async def see(self, name: str) -> None:
        """Raises `ProxyError` when the server has ended, does not answer, or has no such proxy any more."""
        why = self._why_dead()
        if why is not None:
            raise ProxyError(f"Toxiproxy at {self.base_url}: {why}")
        await self._call(f"looking at proxy {name!r}", lambda: APIConsumer.get(f"/proxies/{name}").json())

    async def set_state(self, name: str, *, enabled: bool, upstream: str) -> None:
        """One call, done by the server as one step: a changed upstream ends live links and listens on at once."""
        state = {"enabled": enabled, "upstream": upstream}
        await self._call(f"changing proxy {name!r}", lambda: APIConsumer.post(f"/proxies/{name}", json=state).json())

    async def add(self, name: str, toxic: Toxic) -> None:
        """Put a toxic in force on open and future links of the proxy."""
        proxy = _proxy(name)
        await self._call(
            f"adding toxic {toxic.name!r} to {name!r}",
            lambda: proxy.add_toxic(
                name=toxic.name, type=toxic.type, stream=toxic.stream, attributes=dict(toxic.attributes)
            ),
        )

    async def update(self, name: str, toxic: Toxic) -> None:
        """Give a toxic other attributes; the package has no call for it."""
        path = f"/proxies/{name}/toxics/{toxic.name}"
        change = {"attributes": dict(toxic.attributes)}
        await self._call(
            f"changing toxic {toxic.name!r} of {name!r}", lambda: APIConsumer.post(path, json=change).json()
        )

    async def remove(self, name: str, toxic: Toxic) -> None:
        """Take a toxic away."""
        proxy = _proxy(name)
        await self._call(f"removing toxic {toxic.name!r} from {name!r}", lambda: proxy.destroy_toxic(toxic.name))

    async def destroy(self, name: str) -> None:
        """Remove a proxy, its links and its toxics."""
        await self._call(f"removing proxy {name!r}", _proxy(name).destroy)

    async def close(self) -> None:
        """End the threads and their connections; waits no longer than a call may take."""
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)
        for connection in self._made:
            connection.close()

    def _start_thread(self) -> None:
        parts = urlsplit(self.base_url)
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=CALL_DEADLINE_S)
        self._made.append(connection)
        _KEPT.of_thread.connection = connection

    async def _call(self, doing: str, function: Callable[[], _T]) -> _T:
        try:
            async with asyncio.timeout(QUEUE_DEADLINE_S):
                return await asyncio.get_running_loop().run_in_executor(self._pool, function)
        except (OSError, HTTPException, threading.BrokenBarrierError) as error:
            what = self._why_dead() or _in_short(error)
            raise ProxyError(f"Toxiproxy at {self.base_url}: {doing}: {what}") from error
        except (BadAnswerError, NotFound, ProxyExists, InvalidToxic) as error:
            raise ProxyError(f"Toxiproxy at {self.base_url}: {doing}: {_said(error)}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProxyError(
                f"Toxiproxy at {self.base_url}: {doing}: its answer is not Toxiproxy's: {error}"
            ) from error


def _proxy(name: str) -> Any:
    return toxiproxy.Proxy(name=name, upstream="", enabled=True, listen="")


def _in_short(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {CALL_DEADLINE_S:g} s; it is stopped, stuck, or somebody does not read its links"
    return f"it does not answer; it has probably died ({error or type(error).__name__})"


def _said(error: Exception) -> str:
    said = error.args[0] if error.args else error
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    return " ".join(text.split())[:200]  # a server that is not Toxiproxy's may answer with a page
