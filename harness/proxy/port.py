"""The port: what every fault proxy can be asked for. Faults are named by what the client experiences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class FaultKind(StrEnum):
    """What a network fault does to the client."""

    CUT = "cut"
    """Live links are closed in an orderly way (FIN); new dials work at once."""
    RESET = "reset"
    """Live links end with RST; new dials work at once."""
    STALL = "stall"
    """Bytes are held, and all of them arrive when it lifts; the link lives. New dials are held too."""
    BLACKHOLE = "blackhole"
    """Bytes are dropped; links that lived through it are dead, and closed (FIN), when it lifts."""
    REFUSE = "refuse"
    """Live links are cut, dials are refused (RST to the SYN)."""
    UNAVAILABLE = "unavailable"
    """Live links are cut; dials are accepted, then closed, and each is reported to the observer."""
    SLOW = "slow"
    """Every byte arrives later, by `latency_ms` ± `jitter_ms`."""
    THROTTLE = "throttle"
    """No more than `rate_bytes_per_s` pass."""
    SLICE = "slice"
    """Bytes arrive in small pieces of about `slice_bytes`, `slice_delay_ms` apart."""


class Direction(StrEnum):
    """Which bytes a fault hits: `up` is client to server."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"


class Scope(StrEnum):
    """`all`: links that live and links that are dialled while it is in force. `existing`: only those that live now."""

    ALL = "all"
    EXISTING = "existing"


INSTANT = frozenset({FaultKind.CUT, FaultKind.RESET})
"""Faults that happen once: they have nothing to lift."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One network fault as asked for."""

    kind: FaultKind
    direction: Direction = Direction.BOTH
    scope: Scope = Scope.ALL
    latency_ms: float = 1000.0
    jitter_ms: float = 0.0
    rate_bytes_per_s: float = 8000.0
    slice_bytes: int = 64
    slice_delay_ms: float = 10.0


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a proxy can really produce: checked before a run, so that no fault is ever silently replaced."""

    faults: frozenset[tuple[FaultKind, Direction, Scope]]

    def can(self, fault: Fault) -> bool:
        """True when the proxy can really produce it."""
        return (fault.kind, fault.direction, fault.scope) in self.faults


@dataclass(frozen=True, slots=True)
class Dialled:
    """A dial that the proxy accepted and closed at once (`unavailable`)."""

    link: str


@dataclass(frozen=True, slots=True)
class ClientClosed:
    """The client closed its own end of a link."""

    link: str
    upstream_port: int | None
    """Local port of the proxy's own socket towards the server for that link: equals the peer port that the server
    sees. None when unknown."""


ProxyObserver = Callable[[Dialled | ClientClosed], None]


class ProxyError(Exception):
    """The proxy itself failed (died, does not answer, refuses a request): exit code 3."""


class Link(Protocol):
    """One way from the client to one listener of the server."""

    @property
    def name(self) -> str:
        """`live` or `backend`."""
        ...

    @property
    def port(self) -> int:
        """Where the client dials, on 127.0.0.1; the same for the link's whole life, also through `refuse`."""
        ...

    async def apply(self, fault: Fault) -> None:
        """Put a fault in force; returns when it bites. Raises `ProxyError`; `ValueError` if not in `abilities`."""
        ...

    async def lift(self, fault: Fault) -> None:
        """End a fault that `apply` began; returns when bytes (or dials) pass again. Nothing to do for instant ones."""
        ...

    async def check(self) -> None:
        """Raises `ProxyError`, within seconds, when it fails by itself: no fault that was asked for explains it."""
        ...

    async def close(self) -> None:
        """Remove the link; never raises for one that is gone already."""
        ...


class FaultProxy(Protocol):
    """Makes links. One serves all runs of a call; each run opens its own links and closes them."""

    @property
    def kind(self) -> str:
        """`toxiproxy` or `builtin`."""
        ...

    @property
    def version(self) -> str:
        """As the server itself reports it; of the built-in relay, the harness's own version."""
        ...

    @property
    def abilities(self) -> Abilities:
        """What it can really produce."""
        ...

    async def open_link(
        self, name: str, upstream_port: int, observer: ProxyObserver | None = None, *, label: str = ""
    ) -> Link:
        """A new link from a free port on 127.0.0.1 to `upstream_port` there. `label`: the name is unique among runs."""
        ...

    async def close(self) -> None:
        """Stop whatever was started for this call; proxies that we made in somebody else's server are removed."""
        ...
