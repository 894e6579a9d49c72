"""Starts a Toxiproxy server program of our own, and stops it in every case."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO

from fake_server.clock import Clock
from harness.proxy.port import ProxyError
from harness.proxy.port_holder import HOLDS_BESIDE_A_LISTENER, PortHolder

READY_DEADLINE_S = 5.0
"""A start takes about 20 ms on an idle machine."""

READY_POLL_S = 0.005
STOP_DEADLINE_S = 2.0
START_ATTEMPTS = 5
"""Where the port cannot be held during the start, another program may be given it in between."""

OWNER_VARIABLE = "HARNESS_TOXIPROXY_OWNER"
"""In the server's environment: process id of the harness that started it, for `harness doctor`."""

_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""
"""PR_SET_PDEATHSIG (1), then becomes the server: even after `kill -9` of the harness no server is left behind.
A program of its own, as Python's `preexec_fn` is unsafe in a process with threads."""


class ToxiproxyServer:
    """A server on 127.0.0.1, on a port that nobody else had a chance to take."""

    def __init__(self, process: subprocess.Popen[bytes], log: IO[bytes], port: int) -> None:
        self._process = process
        self._log = log
        self.port = port
        atexit.register(self._kill)

    @property
    def url(self) -> str:
        """Where its API answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def why_dead(self) -> str | None:
        """How it ended, with its last words; None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        return f"the server has ended ({how}){self.last_words()}"

    def last_words(self) -> str:
        """The beginning of what it logged, as the end of a sentence; empty when it said nothing."""
        if self._log.closed:
            return ""
        # `pread`, since the file's offset is shared with the server, which writes there.
        words = os.pread(self._log.fileno(), 2000, 0).decode(errors="replace").strip()
        return f"; it said: {words}" if words else ""

    async def stop(self) -> None:
        """Ask it to stop, then make it; returns when it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.to_thread(self._process.wait, STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._kill()
        except asyncio.CancelledError:
            self._kill()
            raise
        finally:
            self._log.close()
            atexit.unregister(self._kill)

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()


async def start_server(program: Path, *, seed: int, clock: Clock) -> ToxiproxyServer:
    """Start `program` and wait until its API answers.

    Raises `ProxyError` when it cannot be started or does not answer within `READY_DEADLINE_S`.
    """
    problem = ""
    for _ in range(START_ATTEMPTS):
        holder = PortHolder()
        server: ToxiproxyServer | None = None
        try:
            if not HOLDS_BESIDE_A_LISTENER:
                holder.close()
            server = _start(program, holder.port, seed)
            problem = await _until_ready(server, clock)
            if not problem:
                return server
        except BaseException:
            if server is not None:
                await server.stop()
            raise
        finally:
            holder.close()
        await server.stop()
        if "address already in use" not in problem:
            break
    raise ProxyError(
        f"{program}: the Toxiproxy server does not start: {problem}; run `harness doctor`, or use `--proxy builtin`"
    )


def _start(program: Path, port: int, seed: int) -> ToxiproxyServer:
    command = [str(program), "-host", "127.0.0.1", "-port", str(port), "-seed", str(seed)]
    if not program.is_file() or not os.access(program, os.X_OK):
        raise ProxyError(
            f"{program}: the Toxiproxy server cannot be started: there is no such executable file; correct what names "
            "it, or use `--proxy builtin`"
        )
    if sys.platform == "linux":
        command = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command]
    log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the server
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LOG_LEVEL": "error", OWNER_VARIABLE: str(os.getpid())},
            process_group=0,  # Ctrl-C in a terminal is for the harness, which then stops its server in order
        )
    except OSError as error:
        log.close()
        raise ProxyError(f"{program}: the Toxiproxy server cannot be started: {error.strerror}") from error
    return ToxiproxyServer(process, log, port)


async def _until_ready(server: ToxiproxyServer, clock: Clock) -> str:
    """An empty string when it answers, else what is wrong."""
    deadline_s = clock.monotonic_s() + READY_DEADLINE_S
    while clock.monotonic_s() < deadline_s:
        words = server.last_words()
        if (dead := server.why_dead()) is not None or "Server finished with error" in words:
            return dead or words.removeprefix("; it said: ")
        if await asyncio.to_thread(_answers, server.url):
            return ""
        await asyncio.sleep(READY_POLL_S)
    return f"no answer on {server.url} within {READY_DEADLINE_S:g} s{server.last_words()}"


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/version", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
