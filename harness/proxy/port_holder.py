"""Keeps a port ours while nobody listens on it."""

from __future__ import annotations

import socket
import sys

HOLDS_BESIDE_A_LISTENER = sys.platform == "linux"
"""On Linux a bound socket with SO_REUSEADDR that does not listen leaves others free to listen on its port, and still
keeps the system from handing the port out. Elsewhere the port can be held only while nobody listens."""


class PortHolder:
    """A bound, non-listening socket on 127.0.0.1: dials are refused, and no other program is given the port."""

    def __init__(self, port: int = 0) -> None:
        """`port` 0 takes any free one. Raises `OSError` when it cannot be had."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(("127.0.0.1", port))
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """Let go of the port."""
        self._socket.close()


def listen_on(port: int) -> socket.socket:
    """A listening, non-blocking socket on 127.0.0.1; works beside a `PortHolder` on Linux."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(256)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
