"""Peers for the proxy suite: a client and a server that note what they see, at the level of TCP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

DEADLINE_S = 8.0
CHATTER_BYTES = 96
CHATTER_PAUSE_S = 0.002


class Peer:
    """One end of a connection. Notes every read, and how the stream ended: `fin`, `rst`, or None while it lives."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.port: int = sock.getsockname()[1]
        self.peer_port: int = sock.getpeername()[1]
        self.sent = bytearray()
        self.received = bytearray()
        self.reads: list[int] = []
        self.ended: str | None = None
        self._send_was_reset = False
        self._news = asyncio.Event()
        self._chatter: asyncio.Task[None] | None = None
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while data := await loop.sock_recv(self.sock, 65536):
                self.received += data
                self.reads.append(len(data))
                self._news.set()
            # The system tells of a reset once, to whoever asks first; a read then finds a plain end.
            self.ended = "rst" if self._send_was_reset else "fin"
        except ConnectionResetError:
            self.ended = "rst"
        self._news.set()

    async def until(self, true: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
        """Wait until `true()`, which depends on what this peer sees; TimeoutError after `deadline_s`."""
        async with asyncio.timeout(deadline_s):
            while not true():
                self._news.clear()
                await self._news.wait()

    async def gets(self, data: bytes, deadline_s: float = DEADLINE_S) -> None:
        await self.until(lambda: data in self.received, deadline_s)

    async def end(self, deadline_s: float = DEADLINE_S) -> str | None:
        await self.until(lambda: self.ended is not None, deadline_s)
        return self.ended

    async def hears_nothing(self, for_s: float = 0.15) -> bool:
        """True when neither a byte nor an end comes for `for_s`."""
        seen = (len(self.received), self.ended)
        with contextlib.suppress(TimeoutError):
            await self.until(lambda: (len(self.received), self.ended) != seen, for_s)
            return False
        return True

    async def settles(self) -> None:
        """Wait until what was under way has arrived."""
        while not await self.hears_nothing(0.05):
            assert self.ended is None, "ended while bytes were awaited"

    async def send(self, data: bytes) -> None:
        self.sent += data
        try:
            await asyncio.get_running_loop().sock_sendall(self.sock, data)
        except ConnectionResetError:
            self._send_was_reset = True
            raise

    @property
    def talks(self) -> bool:
        """True after `chatter`, until `hush`."""
        return self._chatter is not None

    def chatter(self) -> None:
        """Send numbered pieces from now on, about 500 a second."""
        self._chatter = asyncio.create_task(self._chat())

    async def _chat(self) -> None:
        number = 0
        with contextlib.suppress(OSError):
            while True:
                await self.send(f"[{self.port}:{number}]".encode().ljust(CHATTER_BYTES, b"."))
                number += 1
                await asyncio.sleep(CHATTER_PAUSE_S)

    async def hush(self) -> None:
        if self._chatter is not None:
            self._chatter.cancel()
            await asyncio.gather(self._chatter, return_exceptions=True)
            self._chatter = None

    async def close(self, *, finish: bool = True) -> None:
        """Close this end: in an orderly way, or (`finish` False) as the program's death would, mid-anything."""
        await self.hush()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        if finish:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_WR)
        self.sock.close()


class RawServer:
    """Accepts, and answers nothing by itself: each accepted connection is a `Peer` for the test to use."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self.accepted: list[Peer] = []
        self._news = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        try:
            self.accepted.append(Peer(sock))
        except OSError:  # reset before it was accepted
            sock.close()
        self._news.set()

    async def number(self, index: int) -> Peer:
        """The connection accepted as number `index`, from 0."""
        async with asyncio.timeout(DEADLINE_S):
            while len(self.accepted) <= index:
                self._news.clear()
                await self._news.wait()
        return self.accepted[index]

    async def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._listener.fileno())
        self._listener.close()
        for peer in self.accepted:
            await peer.close()


async def dial(port: int) -> Peer:
    """Connect to 127.0.0.1; raises ConnectionRefusedError."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        return Peer(sock)
    except OSError:
        sock.close()
        raise
