"""What Linux lets us know of processes: /proc, pidfds, and orphans that come to us instead of to init."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

AVAILABLE = sys.platform == "linux" and Path("/proc/self/stat").exists()
MARK = "HARNESS_RUN_ID"
"""The environment variable by which a run's processes are known."""
OWNER = "HARNESS_OWNER"
"""The one that says which harness started them: its pid, and when it started."""
_PR_SET_CHILD_SUBREAPER = 36
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """One line of the process table."""

    pid: int
    parent: int
    group: int
    started_ticks: int
    """With `pid`, this names one process for the life of the machine: pids alone are used again."""
    zombie: bool
    name: str
    """The program's name, at most 15 characters."""


def become_subreaper() -> bool:
    """Have orphans among our descendants handed to us, so that they can be found; False where that is not possible."""
    if not AVAILABLE:
        return False
    try:
        done: int = ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    except (OSError, AttributeError):
        return False
    return done == 0


def processes() -> dict[int, Process]:
    """All processes of this machine (of this container), by pid. About 20 µs each."""
    table: dict[int, Process] = {}
    for name in os.listdir(_PROC):  # noqa: PTH208 - names, not paths: this reads hundreds
        if name.isdigit():
            found = read_process(int(name))
            if found is not None:
                table[found.pid] = found
    return table


def read_process(pid: int) -> Process | None:
    """One process; None when it is gone."""
    try:
        text = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # The name stands in brackets and may hold anything, brackets too: what follows the last one is regular.
    head, _, tail = text.rpartition(b")")
    fields = tail.split()
    name = head.partition(b"(")[2].decode("utf-8", "replace")
    return Process(pid, int(fields[1]), int(fields[2]), int(fields[19]), fields[0] in (b"Z", b"X"), name)


def descendants(root: int, table: Mapping[int, Process]) -> set[int]:
    """The pids of all children of `root`, their children, and so on, without `root`."""
    children: dict[int, list[int]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    waiting = list(children.get(root, ()))
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting.extend(children.get(pid, ()))
    return found


def mark_of(pid: int) -> str | None:
    """The run that a process belongs to by its environment; None: none, or it may not be read."""
    return variable_of(pid, MARK)


def owner() -> str:
    """This process, as it stands in `OWNER`: no other process of this machine is ever called so."""
    own = read_process(os.getpid())
    return f"{os.getpid()}:{own.started_ticks if own is not None else 0}"


def variable_of(pid: int, wanted: str) -> str | None:
    """A variable of the environment that a process was started with; None: it has none, or it may not be read."""
    try:
        environment = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return None
    for entry in environment.split(b"\0"):
        name, _, value = entry.partition(b"=")
        if name == wanted.encode():
            return value.decode("utf-8", "replace")
    return None


def command_line(pid: int) -> str:
    """The words of its command, with spaces between them; empty when it is gone."""
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def send_signal(process: Process, number: signal.Signals) -> None:
    """Signal this very process; nothing happens when it is gone, even if its pid was given to another."""
    try:
        pidfd = os.pidfd_open(process.pid)
    except OSError:
        return
    try:
        now = read_process(process.pid)
        if now is not None and now.started_ticks == process.started_ticks:
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(pidfd, number)
    finally:
        os.close(pidfd)


def reap(pids: Iterable[int]) -> None:
    """Take the exit status of children of ours that have ended and that nobody else waits for."""
    for pid in pids:
        with contextlib.suppress(OSError):
            os.waitpid(pid, os.WNOHANG)
