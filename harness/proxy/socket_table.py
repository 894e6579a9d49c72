"""The kernel's table of TCP sockets (Linux): what it says of the client's own end, of which Toxiproxy tells nothing."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

TABLE = Path("/proc/net/tcp")
_LOOPBACK = f"{int.from_bytes(bytes([127, 0, 0, 1]), sys.byteorder):08X}"
_LINE = re.compile(
    rf"^ *\d+: {_LOOPBACK}:([0-9A-F]{{4}}) {_LOOPBACK}:([0-9A-F]{{4}}) ([0-9A-F]{{2}}) \S+ \S+ \S+ +\d+ +\d+ (\d+)",
    re.MULTILINE,
)

NEAR = 64
"""Inode numbers are given in order on each core. A proxy that accepts and then dials, on one thread, gets neighbours;
this many numbers may lie between them."""


class State(IntEnum):
    """TCP states, numbered as in the kernel's `tcp_states.h`."""

    ESTABLISHED = 1
    SYN_SENT = 2
    SYN_RECV = 3
    FIN_WAIT1 = 4
    FIN_WAIT2 = 5
    TIME_WAIT = 6
    CLOSE = 7
    CLOSE_WAIT = 8
    LAST_ACK = 9
    LISTEN = 10
    CLOSING = 11
    NEW_SYN_RECV = 12


_STATES = frozenset(State)
CLIENT_CLOSED_FIRST = frozenset({State.CLOSE_WAIT, State.LAST_ACK})
PROXY_CLOSED_FIRST = frozenset({State.FIN_WAIT1, State.FIN_WAIT2, State.TIME_WAIT, State.CLOSING})


@dataclass(frozen=True, slots=True)
class Entry:
    """One socket whose both ends are on 127.0.0.1."""

    local_port: int
    remote_port: int
    state: State
    inode: int
    """0 while nobody has accepted it, and when nobody owns it any more."""


def available() -> bool:
    """True where the table can be read."""
    return sys.platform == "linux" and TABLE.exists()


def read() -> list[Entry]:
    """The table as it is now; raises `OSError` where there is none."""
    return parse(TABLE.read_text(encoding="ascii"))


def parse(text: str) -> list[Entry]:
    """Entries of `/proc/net/tcp` between addresses of 127.0.0.1; lines that are not understood are left out."""
    return [
        Entry(int(local, 16), int(remote, 16), State(int(state, 16)), int(inode))
        for local, remote, state, inode in _LINE.findall(text)
        if int(state, 16) in _STATES
    ]


@dataclass(frozen=True, slots=True)
class Closed:
    """A client that closed its own end; `upstream_port` None when its connection to the server is not known."""

    client_port: int
    upstream_port: int | None


class LinkTracker:
    """Follows the connections of one proxy listener through successive tables."""

    def __init__(self, listen_port: int, upstream_port: int) -> None:
        self._listen_port = listen_port
        self._upstream_port = upstream_port
        self._open: dict[int, int | None] = {}
        self._told: set[int] = set()

    def forget(self) -> None:
        """All connections of now are none of ours any more: we ended them ourselves."""
        self._told.update(self._open)
        self._open.clear()

    def update(self, entries: Iterable[Entry], listeners: Collection[int]) -> list[Closed]:
        """Clients that have closed since the last table.

        `listeners`: ports of all proxy listeners that dial the same server, this one's included; their
        connections are told apart from each other.
        """
        table = list(entries)
        mine = {entry.remote_port: entry for entry in table if entry.local_port == self._listen_port}
        mine = {port: entry for port, entry in mine.items() if entry.state is not State.LISTEN}
        self._told &= set(mine)
        for port, entry in mine.items():
            started = entry.inode and entry.state in (State.ESTABLISHED, State.CLOSE_WAIT)
            if started and port not in self._told:
                self._open.setdefault(port, None)
        if None in self._open.values():
            self._pair(table, listeners)
        closed = []
        for port in list(self._open):
            state = mine[port].state if port in mine else None
            if state is None or state in CLIENT_CLOSED_FIRST:
                closed.append(Closed(port, self._open.pop(port)))
            elif state in PROXY_CLOSED_FIRST:
                del self._open[port]
            else:
                continue
            self._told.add(port)
        self._told &= set(mine)
        return closed

    def _pair(self, table: list[Entry], listeners: Collection[int]) -> None:
        accepted = {
            entry.inode: (entry.local_port, entry.remote_port)
            for entry in table
            if entry.local_port in listeners and entry.inode
        }
        dialled = {
            entry.inode: entry.local_port
            for entry in table
            if entry.remote_port == self._upstream_port and entry.inode and entry.local_port not in listeners
        }
        for accepted_inode, dialled_inode in pair_inodes(accepted, dialled).items():
            listen_port, client_port = accepted[accepted_inode]
            if listen_port == self._listen_port and self._open.get(client_port, 0) is None:
                self._open[client_port] = dialled[dialled_inode]


def pair_inodes(accepted: Collection[int], dialled: Collection[int]) -> dict[int, int]:
    """Which dialled socket belongs to which accepted one; those that cannot be told are left out.

    A proxy accepts, then dials: the dialled socket is the nearest one made after the accepted one, and the other
    way round. What is left over belongs together only when it is one of each.
    """
    pairs: dict[int, int] = {}
    free_accepted, free_dialled = set(accepted), set(dialled)
    for inode in sorted(accepted):
        after = min((other for other in free_dialled if other > inode), default=None)
        if after is None or after - inode > NEAR:
            continue
        if inode == max(other for other in accepted if other < after):
            pairs[inode] = after
            free_accepted.discard(inode)
            free_dialled.discard(after)
    if len(free_accepted) == 1 and len(free_dialled) == 1:
        pairs[free_accepted.pop()] = free_dialled.pop()
    return pairs
