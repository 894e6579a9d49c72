"""Listening sockets that count what they accept, also links that never get as far as a request."""

from __future__ import annotations

import asyncio
import socket
import ssl
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import web

TLS_HANDSHAKE_S = 20.0
TLS_SHUTDOWN_S = 1.0
"""A peer that is gone must not keep a closed TLS link alive."""
_CLOSE_ROUNDS = 100


@dataclass(frozen=True)
class Listener:
    """One address to listen at."""

    name: str
    """Told with every socket, request and upgrade: under the harness `live` or `backend`."""
    host: str = "127.0.0.1"
    port: int = 0
    """0: any free port; `FakeServer.port` then says which."""
    tls: ssl.SSLContext | None = None
    """None: plain text."""


class WatchedHandler(web.RequestHandler):
    """aiohttp's protocol, which also remembers how its link ended."""

    def __init__(self, manager: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        # No keep-alive limit of its own: how long a link lives is for the behaviour to say.
        super().__init__(manager, loop=loop, access_log=None)  # type: ignore[arg-type]
        self.lost: asyncio.Future[Exception | None] = loop.create_future()
        """Done when the link is gone: None for an orderly end, else what broke it."""

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called by the event loop."""
        if not self.lost.done():
            self.lost.set_result(exc if isinstance(exc, Exception) else None)
        super().connection_lost(exc)


class _CountingSocket(socket.socket):
    """A listening socket that says what it accepts, before anything else is done with it."""

    on_accept: Callable[[socket.socket, Any], None]
    turning_away = False

    def accept(self) -> tuple[socket.socket, Any]:
        if self.turning_away:
            raise BlockingIOError
        link, peer = super().accept()
        self.on_accept(link, peer)
        return link, peer


class OpenListener:
    """One listener, listening."""

    def __init__(self, listener: Listener, on_accept: Callable[[str, Any], int]) -> None:
        """`on_accept` is given the listener's name and the peer, and gives the link its number."""
        self.listener = listener
        self.port = 0
        self._on_accept = on_accept
        self._links: weakref.WeakValueDictionary[int, socket.socket] = weakref.WeakValueDictionary()
        self._socket: _CountingSocket | None = None
        self._server: asyncio.Server | None = None
        self._http: web.Server | None = None

    async def open(self, handler: Callable[[web.BaseRequest], Any]) -> None:
        """Begin to listen; raises `OSError` when the address cannot be had."""
        loop = asyncio.get_running_loop()
        host = self.listener.host
        sock = _CountingSocket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.on_accept = self._accepted
            self._socket = sock
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setblocking(False)
            sock.bind((host, self.listener.port))
            http = self._http = web.Server(handler)
            tls: dict[str, Any] = {}
            if self.listener.tls is not None:
                tls = {"ssl_handshake_timeout": TLS_HANDSHAKE_S, "ssl_shutdown_timeout": TLS_SHUTDOWN_S}
            self._server = await loop.create_server(
                lambda: WatchedHandler(http, loop), sock=sock, ssl=self.listener.tls, backlog=512, **tls
            )
        except BaseException:
            sock.close()
            raise
        self.port = sock.getsockname()[1]

    async def stop_listening(self) -> None:
        """Accept nothing more."""
        if self._socket is not None:
            self._socket.turning_away = True
        for _ in range(3):  # asyncio trips over a link that was accepted, but not taken up, when its server closes
            await asyncio.sleep(0)
        if self._server is not None:
            self._server.close()

    async def close(self) -> None:
        """Stop listening and end every link, at once; takes two seconds at most."""
        await self.stop_listening()
        for link in list(self._links.values()):
            with suppress(OSError):  # gone by itself
                link.shutdown(socket.SHUT_RDWR)
        for _ in range(_CLOSE_ROUNDS):  # the loop closes them when it sees the end; nobody tells of a failed handshake
            if all(link.fileno() < 0 for link in self._links.values()):
                break
            await asyncio.sleep(0.01)
        if self._http is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._http.shutdown(0.5), 2.0)

    def _accepted(self, link: socket.socket, peer: Any) -> None:
        self._links[self._on_accept(self.listener.name, peer)] = link
