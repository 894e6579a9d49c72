"""The built-in fault proxy: an asyncio TCP relay in this process, with every fault of the port."""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from importlib import metadata

from fake_server.clock import Clock
from harness.proxy.port import (
    Abilities,
    ClientClosed,
    Dialled,
    Direction,
    Fault,
    FaultKind,
    ProxyError,
    ProxyObserver,
    Scope,
)
from harness.proxy.port_holder import HOLDS_BESIDE_A_LISTENER, PortHolder
from harness.proxy.relay_connection import RelayConnection
from harness.proxy.turn_away import Acceptor, TurnAway

_ON_DIALS = frozenset({FaultKind.REFUSE, FaultKind.UNAVAILABLE})
"""Faults that meet dials: neither one direction of bytes nor the links of now alone can have them."""

BUILTIN_ABILITIES = Abilities(
    frozenset(
        (kind, direction, scope)
        for kind in FaultKind
        for direction in Direction
        for scope in Scope
        if kind not in _ON_DIALS or (direction is Direction.BOTH and scope is Scope.ALL)
    )
)
"""Everything that means something."""


def check_able(abilities: Abilities, kind: str, fault: Fault) -> None:
    """Raises `ValueError`, for the user's eyes, when `abilities` lacks the fault."""
    if not abilities.can(fault):
        raise ValueError(
            f"fault {fault.kind.value!r} (direction {fault.direction.value}, scope {fault.scope.value}): "
            f"the {kind} proxy cannot really produce it; say `needs: {{proxy: builtin}}`, or change the fault"
        )


class RelayLink:
    """See `harness.proxy.port.Link`."""

    def __init__(self, name: str, upstream_port: int, observer: ProxyObserver | None, clock: Clock, seed: int) -> None:
        """Listens at once. Raises `OSError` when no port can be had."""
        self._name = name
        self._upstream_port = upstream_port
        self._observer = observer
        self._clock = clock
        self._seed = seed
        self._dials = 0
        self._in_force: list[Fault] = []
        self._connections: dict[RelayConnection, asyncio.Task[None]] = {}
        self._turn_away = TurnAway(lambda: self._tell(Dialled(self._name)))
        self._holder = PortHolder() if HOLDS_BESIDE_A_LISTENER else None
        self._acceptor: Acceptor | None = Acceptor(self._holder.port if self._holder else 0, self._on_dial)
        self._port = self._acceptor.port
        self.closed = False
        self._failure: str | None = None
        """What went wrong in the relay itself, first of all; None: nothing."""

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
        check_able(BUILTIN_ABILITIES, "builtin", fault)
        if self.closed:
            raise ProxyError(f"link `{self._name}`: fault {fault.kind.value!r} was asked for after it was closed")
        match fault.kind:
            case FaultKind.CUT:
                for connection in list(self._connections):
                    connection.cut(fault.direction)
            case FaultKind.RESET:
                for connection in list(self._connections):
                    connection.reset(fault.direction)
            case FaultKind.REFUSE | FaultKind.UNAVAILABLE:
                self._in_force.append(fault)
                self._open_or_shut()  # before the cut: a dial that waits to be accepted is a live link too
                for connection in list(self._connections):
                    connection.cut(Direction.BOTH)
            case _:
                if fault.scope is Scope.ALL:
                    self._in_force.append(fault)
                for connection in list(self._connections):
                    connection.begin(fault)

    async def lift(self, fault: Fault) -> None:
        """See `Link.lift`."""
        if fault in self._in_force:
            self._in_force.remove(fault)
        for connection in list(self._connections):
            connection.end(fault)
        self._open_or_shut()

    async def check(self) -> None:
        """See `Link.check`."""
        for connection in self._connections:
            self._note_failure(connection.failure)
        if self._failure is not None:
            raise ProxyError(f"link `{self._name}`: the built-in relay failed: {self._failure}")

    async def close(self) -> None:
        """See `Link.close`."""
        self.closed = True
        self._in_force.clear()
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None
        if self._holder is not None:
            self._holder.close()
        await self._turn_away.close()
        tasks = list(self._connections.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_dial(self, client: socket.socket) -> None:
        if self.closed:
            client.close()
            return
        if any(fault.kind is FaultKind.UNAVAILABLE for fault in self._in_force):
            self._turn_away(client)
            return
        self._dials += 1
        try:
            connection = RelayConnection(
                client,
                self._upstream_port,
                [fault for fault in self._in_force if fault.kind not in _ON_DIALS],
                clock=self._clock,
                seed=self._seed + self._dials,
                on_client_closed=lambda upstream_port: self._tell(ClientClosed(self._name, upstream_port)),
            )
        except OSError as error:  # no file descriptors left
            client.close()
            self._note_failure(error)
            return
        task = asyncio.get_running_loop().create_task(connection.run())
        self._connections[connection] = task
        task.add_done_callback(partial(self._forget, connection))

    def _forget(self, connection: RelayConnection, task: asyncio.Task[None]) -> None:
        self._connections.pop(connection, None)
        self._note_failure(connection.failure)
        if not task.cancelled():
            self._note_failure(task.exception())

    def _note_failure(self, error: BaseException | None) -> None:
        if error is not None and self._failure is None and not self.closed:
            self._failure = f"{type(error).__name__}: {error}"

    def _open_or_shut(self) -> None:
        """Listen unless a `refuse` is in force; the port stays ours either way."""
        refused = any(fault.kind is FaultKind.REFUSE for fault in self._in_force)
        if self.closed or refused == (self._acceptor is None):
            return
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None
            if not HOLDS_BESIDE_A_LISTENER:
                self._holder = PortHolder(self._port)
            return
        if not HOLDS_BESIDE_A_LISTENER and self._holder is not None:
            self._holder.close()
            self._holder = None
        try:
            self._acceptor = Acceptor(self._port, self._on_dial)
        except OSError as error:
            raise ProxyError(f"link `{self._name}`: port {self._port} could not be opened again: {error}") from error

    def _tell(self, fact: Dialled | ClientClosed) -> None:
        if self._observer is not None:
            self._observer(fact)


class BuiltinProxy:
    """See `harness.proxy.port.FaultProxy`."""

    def __init__(self, *, seed: int, clock: Clock) -> None:
        """`seed` decides jitter alone; `clock` is the run's."""
        self._seed = seed
        self._clock = clock
        self._links: list[RelayLink] = []

    @property
    def kind(self) -> str:
        """See `FaultProxy.kind`."""
        return "builtin"

    @property
    def version(self) -> str:
        """See `FaultProxy.version`."""
        try:
            return metadata.version("live-api-harness")
        except metadata.PackageNotFoundError:
            return "unknown (not installed)"

    @property
    def abilities(self) -> Abilities:
        """See `FaultProxy.abilities`."""
        return BUILTIN_ABILITIES

    async def open_link(
        self, name: str, upstream_port: int, observer: ProxyObserver | None = None, *, label: str = ""
    ) -> RelayLink:
        """See `FaultProxy.open_link`."""
        del label  # links here need no unique names
        try:
            link = RelayLink(name, upstream_port, observer, self._clock, self._seed)
        except OSError as error:
            raise ProxyError(f"link `{name}`: no free port on 127.0.0.1: {error}") from error
        self._links = [other for other in self._links if not other.closed] + [link]
        return link

    async def close(self) -> None:
        """See `FaultProxy.close`."""
        links, self._links = self._links, []
        for link in links:
            await link.close()
