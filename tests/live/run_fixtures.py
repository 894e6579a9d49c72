"""`harness run` as the program that it is, for tests: what it is given, what it leaves, and a line to its client."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

from harness.journal.events import Journal, RunEnded
from harness.journal.reader import read_journal
from harness.proxy.locate import locate

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
TALKER = [sys.executable, str(PROGRAMS / "talker.py")]
CLIENT = [sys.executable, "-S", str(PROGRAMS / "client.py")]
COMMAND = [sys.executable, "-c", "from harness.cli import main; main()"]
DEADLINE_S = 40.0

QUICK = """
session:
  model_script: {setup_complete_after: 0s, think: 20ms, reply_audio: 100ms, audio_pace: 0}
  resumption: {every: 100ms, first_after: 0s}
"""
SHORT = f"""
scenario: short
title: Two turns, and nothing goes wrong
do_nothing: pass
{QUICK}
story:
  - say: Hello.
"""
LONG = f"""
scenario: long
title: A call that lasts longer than any test
do_nothing: pass
{QUICK}
story:
  - say: Hello.
  - wait: 60s
"""

_E = TypeVar("_E")


@dataclass(frozen=True)
class Ended:
    """A call that is over."""

    code: int
    stdout: str
    stderr: str
    out: Path
    took_s: float

    @property
    def folder(self) -> Path:
        """Of its one run."""
        (journal,) = self.out.rglob("journal.jsonl")
        return journal.parent

    @property
    def journal(self) -> Journal:
        return read_journal(self.folder / "journal.jsonl")

    @property
    def verdict(self) -> dict[str, Any]:
        return cast("dict[str, Any]", json.loads((self.folder / "verdict.json").read_text()))

    def of(self, kind: type[_E]) -> list[_E]:
        return [entry.event for entry in self.journal.entries if isinstance(entry.event, kind)]

    def check(self, name: str) -> dict[str, Any]:
        return next(found for found in self.verdict["checks"] if found["id"] == name)

    @property
    def outcome(self) -> RunEnded:
        """The last line of the journal, which must be whole."""
        assert self.journal.whole, "the journal is not whole"
        return self.of(RunEnded)[-1]

    @property
    def said(self) -> str:
        return self.stdout + self.stderr


class Call:
    """One call of the harness in a folder of its own, which is also its place for temporary files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.environment = {**os.environ, "TMPDIR": str(self.temporary), "PYTHONPATH": str(ROOT)}
        for name in ("TOXIPROXY_URL", "TOXIPROXY_SERVER"):
            self.environment.pop(name, None)
        self.command = COMMAND
        self.process: subprocess.Popen[str]
        self._began_s = 0.0

    def client(self, command: Sequence[str], **fields: object) -> str:
        """Write client.yaml; returns its path. JSON is YAML."""
        path = self.folder / "client.yaml"
        given = {"name": "c", "command": list(command), "tls": "off", "can": ["text"], "stop_within": "15s", **fields}
        path.write_text(json.dumps(given))
        return str(path)

    def start(
        self,
        client: Sequence[str] | None = None,
        *options: str,
        scenario: str = SHORT,
        proxy: str = "builtin",
        config: Mapping[str, object] | None = None,
        **popen: Any,
    ) -> None:
        file = self.folder / "scenario.yaml"
        file.write_text(scenario)
        chosen = [] if client is None else ["--client-config", self.client(client, **(config or {}))]
        self._began_s = time.monotonic()
        self.process = subprocess.Popen(
            [
                *self.command,
                "run",
                str(file),
                *chosen,
                "--seed",
                "1",
                "--proxy",
                proxy,
                "--out",
                str(self.out),
                *options,
            ],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            **{"stdout": subprocess.PIPE, **popen},
        )

    def end(self) -> Ended:
        """Wait for it to end."""
        try:
            stdout, stderr = self.process.communicate(timeout=DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            stdout, stderr = self.process.communicate()
            raise AssertionError(f"it did not end; it said: {stdout}{stderr}") from None
        took_s = time.monotonic() - self._began_s
        return Ended(self.process.returncode, stdout or "", stderr, self.out, took_s)

    def play(self, client: Sequence[str] | None = None, *options: str, **how: Any) -> Ended:
        """Start it and wait for its end."""
        self.start(client, *options, **how)
        return self.end()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def left_processes(self) -> list[str]:
        """Whatever still runs that was started for this call, by the folder in its environment."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and int(folder.name) != self.process.pid:
                with contextlib.suppress(OSError):
                    if str(self.temporary).encode() in (folder / "environ").read_bytes():
                        found.append(f"{folder.name} {(folder / 'cmdline').read_bytes()!r}")
        return found

    def left_files(self) -> list[str]:
        return sorted(path.name for path in self.temporary.iterdir())

    def clean_up(self) -> None:
        """End what a failed test has left."""
        if hasattr(self, "process") and self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        for line in self.left_processes() if hasattr(self, "process") else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(line.split()[0]), signal.SIGKILL)


class Line:
    """Where the client under test tells the test what no result may hold."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(DEADLINE_S)
        self.port: int = self._listener.getsockname()[1]

    def hear(self) -> dict[str, Any]:
        """The next thing told."""
        connection, _ = self._listener.accept()
        with connection:
            connection.settimeout(DEADLINE_S)
            data = b"".join(iter(lambda: connection.recv(65536), b""))
        return cast("dict[str, Any]", json.loads(data))

    def close(self) -> None:
        self._listener.close()


def calls(tmp_path: Path) -> Iterator[Call]:
    """Body of the fixture `call`."""
    call = Call(tmp_path)
    yield call
    call.clean_up()


def lines() -> Iterator[Line]:
    """Body of the fixture `line`."""
    line = Line()
    yield line
    line.close()


def runs(pid: int) -> bool:
    """True while the process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def gone(pid: int, within_s: float = 10.0) -> bool:
    """True as soon as the process has ended; False when it has not after `within_s`."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], within_s)[0])
    finally:
        os.close(handle)


def toxiproxy_program() -> Path:
    """The server program; the test is skipped where there is none, and fails where nothing may be missing."""
    found = locate(os.environ)
    if found is None or found.program is None:
        reason = "no Toxiproxy server program was found: `harness doctor --install-toxiproxy` fetches one"
        if os.environ.get("HARNESS_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found.program
