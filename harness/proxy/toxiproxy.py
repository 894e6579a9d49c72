"""The fault proxy of record: links through a Toxiproxy 2.12 server."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re

from harness.proxy.client_watch import ClientWatch, Watched
from harness.proxy.port import (
    Abilities,
    ClientClosed,
    Dialled,
    Direction,
    Fault,
    FaultKind,
    ProxyError,
    ProxyObserver,
)
from harness.proxy.port_holder import HOLDS_BESIDE_A_LISTENER, PortHolder
from harness.proxy.relay import check_able
from harness.proxy.toxic_chain import ToxicChain
from harness.proxy.toxics import TOXIPROXY_ABILITIES
from harness.proxy.toxiproxy_calls import ToxiproxyCalls
from harness.proxy.toxiproxy_server import ToxiproxyServer
from harness.proxy.turn_away import Acceptor, TurnAway

OPEN_ATTEMPTS = 5
"""In another network namespace (a container) a port that is free here may be taken."""

_ON_PROXY = frozenset({FaultKind.REFUSE, FaultKind.UNAVAILABLE})
"""Faults that are a state of the server's proxy; all that last and are none of these are toxics."""

_NUMBERS = itertools.count(1)


class ToxiproxyLink:
    """See `harness.proxy.port.Link`. Made by `ToxiproxyProxy.open_link`."""

    def __init__(
        self,
        name: str,
        proxy_name: str,
        port: int,
        upstream_port: int,
        holder: PortHolder | None,
        calls: ToxiproxyCalls,
        watch: ClientWatch,
        observer: ProxyObserver | None,
    ) -> None:
        self._name = name
        self._proxy_name = proxy_name
        self._port = port
        self._holder = holder
        self._calls = calls
        self._watch = watch
        self._observer = observer
        self._upstream_port = upstream_port
        self._restarts = 0
        self._state_lock = asyncio.Lock()
        self._watched = Watched(port, upstream_port, lambda known: self._tell(ClientClosed(name, known)))
        self._watch.add(self._watched)
        self._chains = [ToxicChain(calls, proxy_name, way) for way in (Direction.UP, Direction.DOWN)]
        self._in_force: list[Fault] = []
        self._turn_away = TurnAway(lambda: self._tell(Dialled(name)))
        self._acceptor: Acceptor | None = None
        self._closed = False

    async def open(self) -> None:
        """Make the link ready for faults; raises `ProxyError`."""
        await asyncio.gather(*(chain.open() for chain in self._chains))

    @property
    def name(self) -> str:
        """See `Link.name`."""
        return self._name

    @property
    def port(self) -> int:
        """See `Link.port`."""
        return self._port

    async def apply(self, fault: Fault) -> None:
        """See `Link.apply`."""
        check_able(TOXIPROXY_ABILITIES, "toxiproxy", fault)
        if self._closed:
            raise ProxyError(f"link `{self._name}`: fault {fault.kind.value!r} was asked for after it was closed")
        if fault.kind is FaultKind.CUT:
            await self._cut()
            return
        self._in_force.append(fault)
        if fault.kind in _ON_PROXY:
            await self._set_state()
        else:
            self._watch.begin(self._watched)
            await self._set_toxics()

    async def lift(self, fault: Fault) -> None:
        """See `Link.lift`."""
        if fault not in self._in_force or self._closed:
            return
        self._in_force.remove(fault)
        if fault.kind in _ON_PROXY:
            await self._set_state()
        else:
            await self._watch.end(self._watched)
            await self._set_toxics()

    async def check(self) -> None:
        """See `Link.check`."""
        if not self._closed:
            await self._calls.see(self._proxy_name)

    async def close(self) -> None:
        """See `Link.close`."""
        if self._closed:
            return
        self._closed = True
        await self._watch.remove(self._watched)
        with contextlib.suppress(ProxyError):  # gone with its server, or by somebody's hand
            if self._in_force:
                self._in_force.clear()
                await self._set_toxics()  # or the server would keep what they hold, in somebody else's for an hour
            await self._calls.destroy(self._proxy_name)
        if self._acceptor is not None:
            self._acceptor.close()
        await self._turn_away.close()
        self._release()

    @property
    def closed(self) -> bool:
        """True after `close`."""
        return self._closed

    async def _cut(self) -> None:
        self._restarts += 1
        await self._set_state()

    def _upstream(self, port: int) -> str:
        """The server restarts a proxy, ending its links, when the upstream's spelling changes: so a cut is one call,
        in which no dial is refused. A zero before the port is another spelling of the same address.
        """
        return f"127.0.0.1:{'0' if self._restarts % 2 else ''}{port}"

    async def _set_state(self) -> None:
        """Bring the server's proxy to what the faults in force ask for; every change is one call."""
        async with self._state_lock:
            kinds = [fault.kind for fault in self._in_force]
            refused = FaultKind.REFUSE in kinds
            target_port = self._upstream_port
            if FaultKind.UNAVAILABLE in kinds:
                self._acceptor = self._acceptor or Acceptor(0, self._turn_away)
                target_port = self._acceptor.port
            if not HOLDS_BESIDE_A_LISTENER and not refused:
                self._release()
            self._watched.forget()
            await self._calls.set_state(self._proxy_name, enabled=not refused, upstream=self._upstream(target_port))
            self._watched.forget()
            if not HOLDS_BESIDE_A_LISTENER and refused:
                self._hold()
            if FaultKind.UNAVAILABLE not in kinds and self._acceptor is not None:
                self._acceptor.close()
                self._acceptor = None

    def _release(self) -> None:
        if self._holder is not None:
            self._holder.close()
            self._holder = None

    def _hold(self) -> None:
        try:
            self._holder = self._holder or PortHolder(self._port)
        except OSError as error:
            raise ProxyError(f"link `{self._name}`: port {self._port} was taken while refused: {error}") from error

    async def _set_toxics(self) -> None:
        await asyncio.gather(*(chain.bring_to(list(self._in_force)) for chain in self._chains))

    def _tell(self, fact: Dialled | ClientClosed) -> None:
        if self._observer is not None and not self._closed:
            self._observer(fact)


class ToxiproxyProxy:
    """See `harness.proxy.port.FaultProxy`."""

    def __init__(self, calls: ToxiproxyCalls, version: str, server: ToxiproxyServer | None) -> None:
        """`server` None: somebody else's, from which only our proxies are removed at the end."""
        self._calls = calls
        self._version = version
        self._server = server
        self._watch = ClientWatch()
        self._links: list[ToxiproxyLink] = []

    @property
    def kind(self) -> str:
        """See `FaultProxy.kind`."""
        return "toxiproxy"

    @property
    def version(self) -> str:
        """See `FaultProxy.version`."""
        return self._version

    @property
    def abilities(self) -> Abilities:
        """See `FaultProxy.abilities`."""
        return TOXIPROXY_ABILITIES

    @property
    def server_pid(self) -> int | None:
        """Process id of the server that was started for this call; None for somebody else's."""
        return self._server.pid if self._server else None

    @property
    def server_url(self) -> str:
        """Where the server's API answers."""
        return self._calls.base_url

    async def check(self) -> None:
        """Raises `ProxyError` when the server has died or does not answer."""
        await self._calls.version()

    async def open_link(
        self, name: str, upstream_port: int, observer: ProxyObserver | None = None, *, label: str = ""
    ) -> ToxiproxyLink:
        """See `FaultProxy.open_link`."""
        proxy_name = re.sub(r"[^A-Za-z0-9_.-]", "_", f"harness-{os.getpid()}-{next(_NUMBERS)}-{label}-{name}")
        holder, port = await self._make(proxy_name, upstream_port)
        link = ToxiproxyLink(name, proxy_name, port, upstream_port, holder, self._calls, self._watch, observer)
        try:
            await link.open()
        except BaseException:
            await link.close()
            raise
        self._links = [other for other in self._links if not other.closed] + [link]
        return link

    async def _make(self, proxy_name: str, upstream_port: int) -> tuple[PortHolder | None, int]:
        upstream = f"127.0.0.1:{upstream_port}"
        if not HOLDS_BESIDE_A_LISTENER:
            return None, await self._calls.create(proxy_name, "127.0.0.1:0", upstream)
        for attempt in range(OPEN_ATTEMPTS):
            holder = PortHolder()
            try:
                return holder, await self._calls.create(proxy_name, f"127.0.0.1:{holder.port}", upstream)
            except ProxyError as error:
                holder.close()
                if "address already in use" not in str(error) or attempt == OPEN_ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """See `FaultProxy.close`."""
        links, self._links = self._links, []
        try:
            await asyncio.gather(*(link.close() for link in links))
            await self._watch.close()
        finally:
            try:
                await self._calls.close()
            finally:
                if self._server is not None:
                    await self._server.stop()
