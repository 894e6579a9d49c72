"""The fake server behind links that fail on command, for testing by hand: `harness serve --proxy`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal

from fake_server.app import FakeServer, Listener
from fake_server.behaviour import Behaviour
from fake_server.clock import SystemClock
from fake_server.events import ServerEvent
from fake_server.labels import Labels
from fake_server.serving import Address, greeting, log_line, make_trust
from harness.engine.faults import FaultRunner
from harness.engine.recorder import Recorder
from harness.errors import UserMistake
from harness.journal.events import Entry, LinkClientClosed, LinkDial
from harness.journal.writer import JournalWriter
from harness.proxy.choose import open_proxy
from harness.proxy.port import Abilities, ClientClosed, Dialled, Link
from harness.scenario.faults import ClientFault, Fault, NetworkFault
from harness.scenario.model import Do
from harness.translate import network_fault
from harness.yaml_source import parse_source, validate

_LINKS = ("live", "live-tls")
_HOW = "Type a fault to put it in force, as in `network: blackhole, for: 8s` (Ctrl-C ends it):"


def parse_fault(line: str) -> Fault:
    """The fault in one line that somebody typed: what stands behind `do:` in a scenario, with or without its braces.

    Raises `UserMistake` with all that is wrong in it.
    """
    body = line.strip()
    if not body.startswith("{"):
        body = f"{{{body}}}"
    try:
        fault = validate(Do, parse_source(f"do: {body}\n", "line")).do
    except UserMistake as mistake:
        # There is but one line, so that a place in it says little.
        raise UserMistake(message.split(": ", 1)[-1] for message in mistake.messages) from None
    if isinstance(fault, ClientFault):
        raise UserMistake("do: there is no program here to suspend or restart; do it by hand")
    if isinstance(fault, NetworkFault) and fault.link == "backend":
        raise UserMistake('do.link: "backend" is no link here; token calls go through the same links, so leave it out')
    return fault


class HandTest:
    """One server, a link before each of its ports, and a person who types faults.

    `say` is given a line at a time; `folder` is for files of the moment.
    """

    def __init__(
        self, behaviour: Behaviour, address: Address, seed: int, folder: Path, say: Callable[[str], None]
    ) -> None:
        self._behaviour = behaviour
        self._address = address
        self._seed = seed
        self._folder = folder
        self._say = say

    async def run(self, proxy: Literal["auto", "toxiproxy", "builtin"]) -> None:
        """Serve until SIGINT or SIGTERM. Raises `OSError` and `ProxyError` for what cannot be had."""
        task = asyncio.ensure_future(self._serve(proxy))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def _serve(self, kind: Literal["auto", "toxiproxy", "builtin"]) -> None:
        clock = SystemClock()
        trust = make_trust(self._folder, self._address.host)
        async with AsyncExitStack() as parts:
            writer = JournalWriter(self._folder / "journal.jsonl", clock)
            parts.callback(writer.close)
            recorder = Recorder(writer)
            recorder.listen(self._log)

            def observe(event: ServerEvent) -> None:
                recorder.record(event)

            server = FakeServer(self._behaviour, clock=clock, observer=observe, labels=Labels(), seed=self._seed)
            server.on_error = lambda error: self._say(f"fault of this server: {error!r}")
            host = self._address.host
            await server.start(
                [
                    Listener("live", host, self._address.port),
                    Listener("live-tls", host, self._address.tls_port, trust.server_context),
                ]
            )
            parts.push_async_callback(server.stop)
            proxy, why = await open_proxy(kind, seed=self._seed, clock=clock)
            parts.push_async_callback(proxy.close)

            def seen(what: Dialled | ClientClosed) -> None:
                if isinstance(what, Dialled):
                    recorder.record(LinkDial(what.link))
                else:
                    socket = None if what.upstream_port is None else server.socket_of_peer(what.upstream_port)
                    recorder.record(LinkClientClosed(what.link, socket))

            links: dict[str, Link] = {}
            for name in _LINKS:
                links[name] = await proxy.open_link(name, server.port(name), seen, label="serve")
                parts.push_async_callback(links[name].close)
            faults = FaultRunner(recorder, links, server, _no_program)
            parts.push_async_callback(faults.lift_all)
            ports = Address("127.0.0.1", links["live"].port, links["live-tls"].port)
            *lines, _ = greeting(ports, trust.ca_file, server.api_key, self._behaviour)
            self._say(f"proxy: {why}")
            for line in [*lines, _HOW]:
                self._say(line)
            async for line in _typed_lines():
                await self._begin(line, faults, proxy.abilities)
            await asyncio.Event().wait()

    async def _begin(self, line: str, faults: FaultRunner, abilities: Abilities) -> None:
        try:
            fault = parse_fault(line)
        except UserMistake as mistake:
            for message in mistake.messages:
                self._say(message)
            return
        if isinstance(fault, NetworkFault):
            # Both links are meant, whatever a scenario would call them.
            fault = fault.model_copy(update={"link": "all"})
            if not abilities.can(network_fault(fault)):
                self._say(f"do: this proxy cannot produce `{fault.network}` so; try `--proxy builtin`")
                return
        await asyncio.wait({faults.due(fault)})

    def _log(self, entry: Entry) -> None:
        self._say(f"{entry.t:9.3f}  {log_line(entry.event)}")


async def _no_program(_fault: ClientFault) -> None:
    raise AssertionError("faults of the client are refused when they are typed")


async def _typed_lines() -> AsyncIterator[str]:
    """Lines from standard input until it closes; blank ones are left out. Nothing where there is none to read."""
    reader = asyncio.StreamReader()
    try:
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    except (OSError, ValueError):
        return
    while line := await reader.readline():
        text = line.decode(errors="replace").strip()
        if text:
            yield text
