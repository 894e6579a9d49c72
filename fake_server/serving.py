"""The server on its own, for testing by hand: says where it is, how SDKs find it, and then everything that happens."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

import orjson
import trustme

from fake_server.app import FakeServer, Listener
from fake_server.behaviour import Behaviour, Bounds, Limits
from fake_server.clock import SystemClock
from fake_server.events import ServerEvent
from fake_server.labels import Labels
from fake_server.profiles import SERVICES

_LONGEST_VALUE = 200

_BOUNDS, _LIMITS = Bounds(), Limits()
KEPT: Mapping[str, tuple[int | None, str]] = MappingProxyType(
    {
        "connections": (_BOUNDS.connections, f"connections open at once (default: {_BOUNDS.connections})"),
        "sessions": (_LIMITS.sessions, "sessions that are live at once, as by a key's quota (default: no limit)"),
        "tokens": (_BOUNDS.tokens, f"tokens known at once (default: {_BOUNDS.tokens})"),
        "handles": (_BOUNDS.handles, f"resumption handles known at once (default: {_BOUNDS.handles})"),
        "frame-bytes": (_LIMITS.max_frame_bytes, f"size of one client frame (default: {_LIMITS.max_frame_bytes})"),
    }
)
"""What a person may bound, as `--max-NAME`: the default (None: without limit), and what it is."""


def keeping(behaviour: Behaviour, most: Mapping[str, int | None]) -> Behaviour:
    """The behaviour with these bounds: a value for each name in `KEPT`."""
    limits = replace(behaviour.limits, sessions=most["sessions"])
    bounds = behaviour.bounds
    if (connections := most["connections"]) is not None:
        bounds = replace(bounds, connections=connections)
    if (tokens := most["tokens"]) is not None:
        bounds = replace(bounds, tokens=tokens)
    if (handles := most["handles"]) is not None:
        bounds = replace(bounds, handles=handles)
    if (frame_bytes := most["frame-bytes"]) is not None:
        limits = replace(limits, max_frame_bytes=frame_bytes)
    return replace(behaviour, limits=limits, bounds=bounds)


@dataclass(frozen=True)
class Trust:
    """What TLS needs at both ends."""

    server_context: ssl.SSLContext
    ca_file: Path
    """For clients: a PEM file with the CA that they have to trust."""


@dataclass(frozen=True)
class Address:
    """Where to listen. Port 0: any free one."""

    host: str = "127.0.0.1"
    port: int = 0
    tls_port: int = 0


def make_trust(folder: Path, host: str) -> Trust:
    """A new CA for this one server, its file in `folder`."""
    authority = trustme.CA(organization_name="fake Live API server", organization_unit_name="tests only")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*dict.fromkeys((host, "127.0.0.1", "localhost"))).configure_cert(context)
    ca_file = folder / "test-ca.pem"
    ca_file.write_bytes(authority.cert_pem.bytes())
    return Trust(context, ca_file)


async def serve(behaviour: Behaviour, address: Address, trust: Trust, say: Callable[[str], None], seed: int) -> None:
    """Run until cancelled. `say` is given a line at a time. Raises `OSError` when an address cannot be had."""
    clock = SystemClock()
    start_s = clock.monotonic_s()

    def log(event: ServerEvent) -> None:
        say(f"{clock.monotonic_s() - start_s:9.3f}  {log_line(event)}")

    server = FakeServer(behaviour, clock=clock, observer=log, labels=Labels(), seed=seed)
    server.on_error = lambda error: say(f"fault of this server: {error!r}")
    await server.start(
        [
            Listener("live", address.host, address.port),
            Listener("live-tls", address.host, address.tls_port, trust.server_context),
        ]
    )
    try:
        ports = Address(address.host, server.port("live"), server.port("live-tls"))
        for line in greeting(ports, trust.ca_file, server.api_key, behaviour):
            say(line)
        await asyncio.Event().wait()
    finally:
        await server.stop()


def greeting(address: Address, ca_file: Path, api_key: str, behaviour: Behaviour) -> Iterator[str]:
    """The lines that a person needs to point a client here."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    plain, tls = f"http://{host}:{address.port}", f"https://{host}:{address.tls_port}"
    service = SERVICES[behaviour.profile]
    yield f"Fake Live API server, model {behaviour.model}"
    yield f"  plain    {plain}"
    yield f"  TLS      {tls}"
    yield f"  socket   {tls.replace('http', 'ws', 1)}{service.path.format(version='v1beta')}"
    yield f"  tokens   POST {plain}/v1alpha/auth_tokens   (as an app's own backend: POST {plain}/token)"
    yield f"  trust    {ca_file}"
    if not _is_loopback(address.host):
        yield f"  careful  {address.host} can be reached from other machines, and this server is made to misbehave"
    yield ""
    yield "Python SDK (TLS only):"
    yield f"  export GOOGLE_GEMINI_BASE_URL={tls} GEMINI_API_KEY={api_key} SSL_CERT_FILE={ca_file}"
    yield "Node SDK:"
    yield f"  export GOOGLE_GEMINI_BASE_URL={tls} GEMINI_API_KEY={api_key} NODE_EXTRA_CA_CERTS={ca_file}"
    yield f"  or, without TLS: export GOOGLE_GEMINI_BASE_URL={plain} GEMINI_API_KEY={api_key}"
    yield ""
    yield "What happens, as it happens (Ctrl-C ends it):"


class Told(Protocol):
    """A fact of any kind: a frozen dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    kind: ClassVar[str]


def log_line(event: Told) -> str:
    """One fact on one line: its kind, and its fields as far as they say something."""
    said = []
    for field in fields(event):
        value = getattr(event, field.name)
        if value is None or value == () or value is False:
            continue
        text = value if isinstance(value, str) else orjson.dumps(value, default=_plain).decode()
        if len(text) > _LONGEST_VALUE:
            text = text[:_LONGEST_VALUE] + "…"
        said.append(f"{field.name}={text}")
    return f"{event.kind:<20} {' '.join(said)}"


def _plain(value: object) -> object:
    return dict(value) if hasattr(value, "keys") else str(value)  # type: ignore[call-overload]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
