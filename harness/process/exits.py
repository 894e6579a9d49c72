"""Notices that a process has ended, whoever still holds its pipes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a process ended."""

    code: int | None
    """None when a signal ended it."""
    signal: str | None
    """`SIGKILL` and the like; None when it left by itself."""

    @classmethod
    def of(cls, returncode: int) -> ExitStatus:
        """From `subprocess.Popen.returncode`."""
        if returncode >= 0:
            return cls(returncode, None)
        try:
            return cls(None, signal.Signals(-returncode).name)
        except ValueError:
            return cls(None, f"signal {-returncode}")


def watch_exit(process: subprocess.Popen[bytes], on_exit: Callable[[], None]) -> Callable[[], None]:
    """Call `on_exit` once on the running loop when `process` has ended and is reaped; returns what ends the watch.

    By pidfd where the system has them (Linux 5.3), else by a thread that waits. Not by `asyncio.subprocess`: its
    `wait` hangs for as long as a grandchild holds the pipes.
    """
    loop = asyncio.get_running_loop()
    pidfd = _open_pidfd(process.pid)
    if pidfd is None:
        _watch_by_thread(loop, process, on_exit)
        return lambda: None

    open_fds = [pidfd]

    def end_watch() -> None:
        if open_fds:
            loop.remove_reader(pidfd)
            os.close(open_fds.pop())

    def ready() -> None:
        if process.poll() is not None:
            end_watch()
            on_exit()

    loop.add_reader(pidfd, ready)
    return end_watch


def _open_pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _watch_by_thread(
    loop: asyncio.AbstractEventLoop, process: subprocess.Popen[bytes], on_exit: Callable[[], None]
) -> None:
    def wait() -> None:
        process.wait()
        try:
            loop.call_soon_threadsafe(on_exit)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    threading.Thread(target=wait, name=f"wait for client {process.pid}", daemon=True).start()
