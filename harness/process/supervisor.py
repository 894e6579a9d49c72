"""Starts, feeds, watches and ends one client under test, whatever it does."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import errno
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.contract import encode_command, leave
from harness.errors import HarnessFault, UserMistake
from harness.process import linux
from harness.process.exits import ExitStatus, watch_exit
from harness.process.family import Family
from harness.process.output import OnLine, Output
from harness.redaction import Redactor

_NICER_BY = 10
"""A client that burns the processor must not make the harness late."""
_QUEUE_LIMIT_BYTES = 1024 * 1024
"""Commands for a client that does not read; a command has some 100 bytes."""
_ASK_DEAF_S = 1.0
"""A client that was never sent a command may not listen at all: standard input closes, then so long."""
_TERMINATE_WITHIN_S = 2.0
_KILL_WITHIN_S = 5.0
"""The kernel needs milliseconds; a disk that hangs takes longer."""
_KILL_NOW_WITHIN_S = 1.0
_SWEEP_TERMINATE_WITHIN_S = 0.5
_SWEEP_WITHIN_S = 3.0
_LOOK_EVERY_S = 0.02
_SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})
"""Errors of a start that say something about the machine, and nothing about the command."""


class ClientProcess:
    """One running client. Made by `start`; whoever starts it must `stop` it, which never fails and is bounded."""

    exited: asyncio.Future[ExitStatus]
    """Done when the program itself has ended, and all that it had written by then has been told to `on_line`."""

    def __init__(
        self, process: subprocess.Popen[bytes], run_id: str, stdout: Output, stderr: Output, commands: _Commands | None
    ) -> None:
        self.pid = process.pid
        self._process = process
        self._outputs = (stdout, stderr)
        self._commands = commands
        self._family = Family(process.pid, run_id)
        self._suspended = False
        self._stopped = False
        self.exited = asyncio.get_running_loop().create_future()
        self._end_watch = watch_exit(process, self._on_exit)
        atexit.register(self._family.kill_now)  # whatever ends the harness (a second Ctrl-C), short of SIGKILL

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        run_id: str,
        stdout_path: Path,
        stderr_path: Path,
        redactor: Redactor,
        on_line: OnLine,
        keeps_stdin_open: bool = True,
        append: bool = False,
    ) -> ClientProcess:
        """Start `command` in a process group of its own, with `env` as its whole environment.

        `run_id` must be no other run's on this machine: it marks what belongs to the client. `on_line(stream, text)`
        is called for each line. `append`: go on in the output files of an earlier instance. `keeps_stdin_open=False`:
        it reads an empty standard input. Raises `UserMistake` when the program cannot be started, `HarnessFault` when
        this machine has nothing left to start one with.
        """
        linux.become_subreaper()
        try:
            process = subprocess.Popen(  # noqa: ASYNC220 - returns in milliseconds; see module `exits` for why not asyncio
                command,
                cwd=cwd,
                env={**env, linux.MARK: run_id, **({linux.OWNER: linux.owner()} if linux.AVAILABLE else {})},
                stdin=subprocess.PIPE if keeps_stdin_open else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                # Not a new session: the kernel shares the processor by sessions, and `nice` acts within one only.
                process_group=0,
            )
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in _SCARCE:
                raise HarnessFault(f"this machine cannot start the client: {error.strerror}; see `ulimit -a`") from None
            raise UserMistake(f"the client cannot be started: {command[0]!r}: {_why_not(command[0], error)}") from None
        try:
            _make_nicer(process.pid)
            assert process.stdout is not None  # noqa: S101 - opened above
            assert process.stderr is not None  # noqa: S101
            stdout = Output("stdout", process.stdout.fileno(), stdout_path, redactor, on_line, append=append)
            stderr = Output("stderr", process.stderr.fileno(), stderr_path, redactor, on_line, append=append)
            commands = None if process.stdin is None else _Commands(process.stdin.fileno())
            return cls(process, run_id, stdout, stderr, commands)
        except BaseException:
            process.kill()
            process.wait()
            raise

    @property
    def output_bytes(self) -> int:
        """All that it has printed, kept or not."""
        return sum(output.received_bytes for output in self._outputs)

    @property
    def output_error(self) -> OSError | None:
        """Why client.stdout or client.stderr is not complete (disk full); None while all is well."""
        return next((output.error for output in self._outputs if output.error is not None), None)

    def send(self, command: Mapping[str, object]) -> bool:
        """Queue one command. Never blocks; False when it will not arrive: the client does not read any more."""
        return self._commands is not None and self._commands.send(encode_command(command))

    def suspend(self) -> None:
        """Stop its whole group in its tracks (SIGSTOP)."""
        if not self.exited.done():
            self._suspended = True
            self._family.signal_group(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `suspend`."""
        if self._suspended and not self.exited.done():
            self._family.signal_group(signal.SIGCONT)
        self._suspended = False

    async def kill(self) -> None:
        """End it as the system would, by SIGKILL, and all that it left behind. Takes milliseconds, 9 s at most."""
        await self._stop(ask=False, within_s=0.0, gently=False)

    async def stop(self, *, ask: bool, within_s: float) -> list[str]:
        """End it, and all that it left behind; returns what that took, in order.

        `ask`: first a `quit` line and the end of standard input, then up to `within_s` for it to leave. After that
        SIGTERM, then SIGKILL to its group, then whatever is left is swept. In the list: `asked`, `terminated`,
        `killed`, `swept: names of programs`; empty when it had left by itself and left nothing behind. Takes at most
        `within_s` and 11 s; when cancelled, kills everything at once.
        """
        return await self._stop(ask=ask, within_s=within_s, gently=True)

    async def _stop(self, *, ask: bool, within_s: float, gently: bool) -> list[str]:
        if self._stopped:
            return []
        self._stopped = True
        try:
            if gently:
                self.resume()
            took = await self._end_leader(ask, within_s, gently=gently)
            took += await self._sweep(gently=gently)
        except BaseException:
            self._kill_now()
            raise
        finally:
            self._let_go()
        return took

    def _kill_now(self) -> None:
        self._family.kill_now()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_KILL_NOW_WITHIN_S)

    async def _end_leader(self, ask: bool, within_s: float, *, gently: bool) -> list[str]:
        took: list[str] = []
        if self.exited.done():
            return took
        await asyncio.to_thread(self._family.look)  # who leaves the group later is known from here on
        if ask:
            took.append("asked")
            heard_commands = self._commands is not None and self._commands.used
            if self._commands is not None:
                self._commands.finish(encode_command(leave()) if heard_commands else b"")
            await self._wait_for_exit(within_s if heard_commands else min(within_s, _ASK_DEAF_S))
        for number, name, patience_s in (
            (signal.SIGTERM, "terminated", _TERMINATE_WITHIN_S),
            (signal.SIGKILL, "killed", _KILL_WITHIN_S),
        ):
            if not self.exited.done() and (gently or number is signal.SIGKILL):
                took.append(name)
                self._family.signal_group(number)
                await self._wait_for_exit(patience_s)
        return took

    async def _wait_for_exit(self, patience_s: float) -> None:
        await asyncio.wait([self.exited], timeout=patience_s)

    async def _sweep(self, *, gently: bool) -> list[str]:
        """End what the client left behind: `gently` asked by SIGTERM, and killed half a second later."""
        loop = asyncio.get_running_loop()
        members = await asyncio.to_thread(self._family.look)
        if not members:
            if not linux.AVAILABLE:
                self._family.signal_group(signal.SIGKILL)
            return []
        names = ", ".join(sorted({member.name for member in members}))
        self._family.signal_all(members, signal.SIGTERM if gently else signal.SIGKILL)
        self._family.signal_all(members, signal.SIGCONT)  # one that is stopped would not notice
        began_s = loop.time()
        while members and loop.time() - began_s < _SWEEP_WITHIN_S:
            await asyncio.sleep(_LOOK_EVERY_S)
            members = await asyncio.to_thread(self._family.look)
            if not gently or loop.time() - began_s > _SWEEP_TERMINATE_WITHIN_S:
                self._family.signal_all(members, signal.SIGKILL)
        return [f"swept: {names}"]

    def _on_exit(self) -> None:
        for output in self._outputs:
            output.drain()
        if not self.exited.done():
            self.exited.set_result(ExitStatus.of(self._process.returncode))

    def _let_go(self) -> None:
        if self._process.poll() is not None:
            self._end_watch()
            self._on_exit()
        for output in self._outputs:
            output.close()
        if self._commands is not None:
            self._commands.close()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._family.forget()
        atexit.unregister(self._family.kill_now)


class _Commands:
    """Writes to a client's standard input as far as it reads, and never waits for it."""

    def __init__(self, fd: int) -> None:
        self.used = False
        self._fd = fd
        self._queue = bytearray()
        self._waiting = False
        self._finishing = False
        self._broken = False
        self._loop = asyncio.get_running_loop()
        os.set_blocking(fd, False)

    def send(self, line: bytes) -> bool:
        if self._broken or self._finishing or len(self._queue) + len(line) > _QUEUE_LIMIT_BYTES:
            return False
        self.used = True
        self._queue += line
        if not self._waiting:
            self._write()
        return not self._broken

    def finish(self, last_line: bytes) -> None:
        """Write `last_line`, then close."""
        if last_line:
            self.send(last_line)
        self._finishing = True
        if not self._queue:
            self.close()

    def close(self) -> None:
        """Close at once; the queue is lost."""
        if self._waiting:
            self._loop.remove_writer(self._fd)
            self._waiting = False
        self._queue.clear()
        if not self._broken:
            self._broken = True
            # Replaced, not closed: the number belongs to the Popen object, which closes it later.
            with open(os.devnull, "rb") as nothing:  # noqa: PTH123
                os.dup2(nothing.fileno(), self._fd, inheritable=False)

    def _write(self) -> None:
        try:
            while self._queue:
                done = os.write(self._fd, self._queue)
                del self._queue[:done]
        except BlockingIOError:
            if not self._waiting:
                self._waiting = True
                self._loop.add_writer(self._fd, self._write)
            return
        except OSError:  # it reads no more, or is gone: its exit says so
            self.close()
            return
        if self._waiting:
            self._loop.remove_writer(self._fd)
            self._waiting = False
        if self._finishing:
            self.close()


def _why_not(program: str, error: OSError | ValueError) -> str:
    """Why it cannot be started, and the way out."""
    if not isinstance(error, OSError):
        return f"{error}; check its command"
    if error.errno == errno.ENOEXEC:
        return "it is no program and does not begin with `#!`; start it by its interpreter, as in `python app.py`"
    if error.errno == errno.ENOENT and os.path.exists(program):  # noqa: PTH110 - may be any text
        return "the interpreter that its first line names is not there; correct that line, or name another interpreter"
    return f"{error.strerror or error}; check its command and cwd"


def _make_nicer(pid: int) -> None:
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PGRP, pid, min(19, os.getpriority(os.PRIO_PROCESS, 0) + _NICER_BY))
