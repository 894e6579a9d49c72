"""A listener that accepts, tells, and closes: what a dial meets while the service is `unavailable`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

from harness.proxy import sockets
from harness.proxy.port_holder import listen_on

TURN_AWAY_S = 1.0
"""How long a dial that was turned away is read on before its socket is closed for good."""

RETRY_ACCEPT_S = 0.05
"""After a failed accept (no file descriptors left), as accepting would fail again at once."""


class Acceptor:
    """Hands every dial on a port of 127.0.0.1 to `on_dial`, in the event loop, while it is open."""

    def __init__(self, port: int, on_dial: Callable[[socket.socket], None]) -> None:
        """`port` 0 takes any free one. Raises `OSError` when the port cannot be had."""
        self._loop = asyncio.get_running_loop()
        self._on_dial = on_dial
        self._listener = listen_on(port)
        self.port: int = self._listener.getsockname()[1]
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def close(self) -> None:
        """Accept what has been dialled already, then stop listening: later dials are refused."""
        if self._listener.fileno() < 0:
            return
        self._accept()
        with contextlib.suppress(OSError):
            self._loop.remove_reader(self._listener.fileno())
        self._listener.close()

    def _accept(self) -> None:
        while self._listener.fileno() >= 0:
            try:
                client, _ = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                # Nobody who dials is to blame: told to whoever heeds what goes wrong on this loop.
                self._loop.call_exception_handler({"message": "a dial could not be accepted", "exception": error})
                self._loop.remove_reader(self._listener.fileno())
                self._loop.call_later(RETRY_ACCEPT_S, self._accept_again)
                return
            client.setblocking(False)
            self._on_dial(client)

    def _accept_again(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.add_reader(self._listener.fileno(), self._accept)


class TurnAway:
    """Closes dials in an orderly way (FIN), and counts them to `on_dial`."""

    def __init__(self, on_dial: Callable[[], None]) -> None:
        self._on_dial = on_dial
        self._closing: set[asyncio.Task[None]] = set()

    def __call__(self, client: socket.socket) -> None:
        """Turn this dial away."""
        self._on_dial()
        task = asyncio.get_running_loop().create_task(_send_away(client))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Wait for nobody: what is still being read on is closed now."""
        tasks = list(self._closing)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _send_away(client: socket.socket) -> None:
    with client:
        sockets.end_sending(client)
        await sockets.read_away(client, TURN_AWAY_S)
