"""The fake server's shell: sockets, HTTP and WebSockets by aiohttp. It carries out effects and decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Literal

from aiohttp import web

from fake_server.acts import Act
from fake_server.behaviour import Behaviour
from fake_server.clock import Clock
from fake_server.control import Control, Work
from fake_server.credentials import find_credentials
from fake_server.events import HttpAnswered, Observer, SocketAccepted
from fake_server.frames import FramePress
from fake_server.http_api import HttpApi, refused_upgrade
from fake_server.labels import Labels
from fake_server.link import Gate, Link
from fake_server.listener import Listener, OpenListener, WatchedHandler
from fake_server.profiles import match_live_path
from fake_server.refusals import Refusal
from fake_server.secret_values import SecretValues, seeded_secrets
from fake_server.service import ActError
from fake_server.session import Session

__all__ = ["ActError", "FakeServer", "Gate", "Listener"]

_STOP_S = 3.0
_MOST_LINKS_KNOWN = 100_000
"""The newest links whose numbers are kept."""
_SERVICES: tuple[Literal["developer", "vertex"], ...] = ("developer", "vertex")


class FakeServer:
    """A fake Live API on the running event loop, at any number of listeners.

    `observer` is told every fact, in order, on the loop's thread. `gate` is asked before each frame is written: what
    it returns is awaited first. `new_secret` gives texts that secrets are made of; None: they come from `seed`.
    Faults of the server itself go to `on_error`, and to the client as a close 1011.
    """

    def __init__(
        self,
        behaviour: Behaviour,
        *,
        clock: Clock,
        observer: Observer,
        labels: Labels,
        seed: int,
        new_secret: Callable[[], str] | None = None,
        gate: Gate | None = None,
    ) -> None:
        secrets = SecretValues(new_secret or seeded_secrets(seed))
        self.api_key = secrets.api_key
        """The only key that is accepted: a secret."""
        self.marker = secrets.marker
        """Eight characters that every secret of this server holds."""
        self.model = behaviour.model
        """Model id to ask for."""
        self.on_error: Callable[[Exception], None] | None = None
        labels.name("key", secrets.api_key)
        self._behaviour = behaviour
        self._clock = clock
        self._observe = observer
        self._gate = gate
        self._control = Control(behaviour, clock=clock, labels=labels, secrets=secrets)
        self._presses = {service: FramePress(behaviour.frames, service, labels) for service in _SERVICES}
        self._stopping = asyncio.Event()
        self._http = HttpApi(self._control.service, observer, self._stopping)
        self._listeners: dict[str, OpenListener] = {}
        self._links: dict[int, Link] = {}
        self._no_links = asyncio.Event()
        self._no_links.set()
        self._sockets = 0
        self._socket_numbers: dict[tuple[str, str, int], int] = {}
        self._socket_of_port: dict[int, int] = {}

    # ---- life

    async def start(self, listeners: Sequence[Listener]) -> None:
        """Listen. Raises `OSError` when an address cannot be had; nothing listens then."""
        try:
            for listener in listeners:
                opened = OpenListener(listener, self._accepted)
                await opened.open(partial(self._handle, listener.name))
                self._listeners[listener.name] = opened
        except BaseException:
            await self.stop()
            raise

    def port(self, listener_name: str) -> int:
        """The port of a listener; raises `KeyError` for one that is not listening."""
        return self._listeners[listener_name].port

    async def stop(self) -> None:
        """End everything: at most some seconds, and nothing listens or runs afterwards."""
        self._stopping.set()
        await asyncio.gather(*(listener.stop_listening() for listener in self._listeners.values()))
        for link in list(self._links.values()):
            link.drop()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._no_links.wait(), _STOP_S)
        await asyncio.gather(*(listener.close() for listener in self._listeners.values()))
        self._listeners.clear()

    # ---- what an owner may do

    def act(self, act: Act) -> None:
        """Carry out an act now. Raises `ActError` when there is nothing to act on."""
        self._perform(self._control.act(act, self._clock.monotonic_s()))

    def lift(self, act: Act) -> None:
        """End a lasting act before its own time; nothing happens when it is over already."""
        self._perform(self._control.lift(act, self._clock.monotonic_s()))

    def client_closed(self, socket: int) -> None:
        """The client closed its own end of a link, as a proxy saw: its session may now be resumed."""
        self._control.client_closed(socket, self._clock.monotonic_s())

    def socket_of_peer(self, peer_port: int) -> int | None:
        """The number of the newest link that came from this port; None: there was none."""
        return self._socket_of_port.get(peer_port)

    # ---- what comes in

    def _accepted(self, listener: str, peer: Any) -> int:
        self._sockets += 1
        link = (listener, peer[0], peer[1])
        self._socket_numbers.pop(link, None)  # the newest stands last
        self._socket_numbers[link] = self._sockets
        if len(self._socket_numbers) > _MOST_LINKS_KNOWN:
            del self._socket_numbers[next(iter(self._socket_numbers))]
        self._socket_of_port[peer[1]] = self._sockets
        self._observe(SocketAccepted(self._sockets, listener))
        return self._sockets

    async def _handle(self, listener: str, request: web.BaseRequest) -> web.StreamResponse:
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        socket = self._socket_numbers.get((listener, peer[0], peer[1]), 0) if peer else 0
        upgrades = request.headers.get("Upgrade", "").strip().lower() == "websocket"
        path = match_live_path(request.path) if upgrades else None
        if path is None:
            return await self._http.answer(request, socket, listener)
        ws = web.WebSocketResponse(
            timeout=1.0,
            autoclose=False,
            autoping=False,
            compress=False,
            max_msg_size=self._behaviour.limits.max_frame_bytes,
        )
        if not ws.can_prepare(request):
            self._observe(HttpAnswered(socket, listener, request.method, request.path, 400))
            return web.Response(status=400)
        received, answered, session = self._control.upgrade(
            path,
            socket=socket,
            listener=listener,
            presented=find_credentials(request.query, request.headers),
            now_s=self._clock.monotonic_s(),
        )
        self._observe(received)
        if isinstance(session, Refusal):
            self._observe(answered)
            return refused_upgrade(session)
        try:
            await ws.prepare(request)
            protocol, transport = request.protocol, request.transport
            if isinstance(protocol, WatchedHandler) and transport is not None:
                self._observe(answered)
                await self._carry(session, ws, protocol, transport)
        finally:
            self._control.ended(received.connection)
        return ws

    async def _carry(
        self, session: Session, ws: web.WebSocketResponse, protocol: WatchedHandler, transport: asyncio.Transport
    ) -> None:
        link = Link(
            session,
            ws,
            protocol,
            transport,
            clock=self._clock,
            observer=self._observe,
            press=self._presses[session.caller.service],
            gate=self._gate,
            on_error=self._failed,
        )
        self._links[link.number] = link
        self._no_links.clear()
        try:
            await link.run()
        finally:
            self._links.pop(link.number, None)
            if not self._links:
                self._no_links.set()

    # ---- what goes out

    def _perform(self, work: Work) -> None:
        for connection, effects in work:
            link = self._links.get(connection)
            if link is not None:
                link.perform(effects)

    def _failed(self, error: Exception) -> None:
        if self.on_error is not None:
            self.on_error(error)
