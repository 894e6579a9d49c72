"""Watches for clients that close their own end while a fault of Toxiproxy keeps the server from seeing it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from harness.proxy import socket_table
from harness.proxy.socket_table import Entry, LinkTracker

POLL_S = 0.025
"""How late a client's close is told, at most, while a fault is in force. One reading takes well under a millisecond."""


class Watched:
    """One link's place in the watch."""

    def __init__(self, listen_port: int, upstream_port: int, on_closed: Callable[[int | None], None]) -> None:
        self.listen_port = listen_port
        self.upstream_port = upstream_port
        self.on_closed = on_closed
        self.tracker = LinkTracker(listen_port, upstream_port)
        self.faults = 0
        self.generation = 0

    def forget(self) -> None:
        """The proxy ended this link's connections itself; a table read before does not count."""
        self.generation += 1
        self.tracker.forget()


class ClientWatch:
    """Reads the socket table every `POLL_S`, and only while a watched link has a fault in force."""

    def __init__(self) -> None:
        self._links: list[Watched] = []
        self._task: asyncio.Task[None] | None = None
        self._able = socket_table.available()

    def add(self, watched: Watched) -> None:
        """Know of a link; reads nothing yet."""
        self._links.append(watched)

    async def remove(self, watched: Watched) -> None:
        """The link is gone."""
        if watched in self._links:
            self._links.remove(watched)
        watched.faults = 0
        await self._stop_if_idle()

    def begin(self, watched: Watched) -> None:
        """A fault is put in force on the link; the first look follows at once, and delays nothing."""
        if not self._able:
            return
        watched.faults += 1
        if self._task is None:
            self._task = asyncio.create_task(self._poll())

    async def end(self, watched: Watched) -> None:
        """The fault is lifted; a last look is taken when it was the link's last."""
        if watched.faults == 0:
            return
        watched.faults -= 1
        if watched.faults == 0:
            await self._look([watched])
        await self._stop_if_idle()

    async def close(self) -> None:
        """Stop watching everything."""
        self._links.clear()
        await self._stop_if_idle()

    async def _stop_if_idle(self) -> None:
        task = self._task
        if task is not None and not any(link.faults for link in self._links):
            self._task = None
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _poll(self) -> None:
        while True:
            await self._look([link for link in self._links if link.faults])
            await asyncio.sleep(POLL_S)

    async def _look(self, links: list[Watched]) -> None:
        generations = [link.generation for link in links]
        try:
            table = await asyncio.to_thread(socket_table.read)
        except OSError:
            return
        for link, generation in zip(links, generations, strict=True):
            if link.generation == generation:
                self._update(link, table)

    def _update(self, link: Watched, table: list[Entry]) -> None:
        listeners = {other.listen_port for other in self._links if other.upstream_port == link.upstream_port}
        for closed in link.tracker.update(table, listeners | {link.listen_port}):
            link.on_closed(closed.upstream_port)
