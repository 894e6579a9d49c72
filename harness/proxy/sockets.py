"""Steps on non-blocking sockets that asyncio lacks: close as wanted, notice an end without reading."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import struct

READ_BYTES = 64 * 1024
_LINGER_ZERO = struct.pack("ii", 1, 0)
_PEER_ENDED = getattr(select, "POLLRDHUP", 0) | select.POLLERR | select.POLLHUP


async def until_writable(sock: socket.socket) -> None:
    """Returns when `sock` takes bytes again."""
    loop = asyncio.get_running_loop()
    writable: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not writable.done():
            writable.set_result(None)

    loop.add_writer(sock.fileno(), wake)
    try:
        await writable
    finally:
        if sock.fileno() >= 0:
            loop.remove_writer(sock.fileno())


def peer_ended(sock: socket.socket) -> bool:
    """True when the other side has closed or reset, though bytes may be unread. Linux; elsewhere resets alone."""
    if sock.fileno() < 0:
        return False
    poll = select.poll()
    poll.register(sock.fileno(), getattr(select, "POLLRDHUP", 0))
    return any(events & _PEER_ENDED for _, events in poll.poll(0))


def end_sending(sock: socket.socket) -> None:
    """FIN: the other side reads all that was sent, then the end. Nothing happens on a socket that is gone."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)


def abort(sock: socket.socket) -> None:
    """RST: the other side's next call on the link fails. Closes `sock`."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    sock.close()


async def read_away(sock: socket.socket, deadline_s: float) -> bool:
    """Read and forget until the other side ends, for at most `deadline_s`; True when it did end.

    A socket closed with unread bytes sends RST: whoever wants an orderly close must read first.
    """
    loop = asyncio.get_running_loop()
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(deadline_s):
            while await loop.sock_recv(sock, READ_BYTES):
                pass
            return True
    return peer_ended(sock)
