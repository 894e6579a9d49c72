"""Nothing is left behind by `harness run`: after its end, Ctrl-C, SIGTERM, a second Ctrl-C, and SIGKILL."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from fake_server.clock import SystemClock
from harness.journal.events import ClientExited, ClientStopping, RunEnded
from harness.journal.reader import read_journal
from harness.process import linux
from harness.proxy.toxiproxy_server import OWNER_VARIABLE, start_server
from tests.live import run_fixtures
from tests.live.run_fixtures import COMMAND, LONG, TALKER, Call, Ended, Line, gone, runs

pytestmark = [pytest.mark.live, pytest.mark.skipif(not linux.AVAILABLE, reason="needs /proc")]
call = pytest.fixture(run_fixtures.calls)
line = pytest.fixture(run_fixtures.lines)

HURRIED_S = 8.0
"""What a cancelled CI job is given before SIGKILL, on most services."""


@pytest.fixture
def program() -> Path:
    return run_fixtures.toxiproxy_program()


def assert_nothing_is_left(call: Call) -> None:
    assert call.left_processes() == []
    assert call.left_files() == []


def assert_interrupted(ended: Ended) -> None:
    assert ended.code == 130, ended.said
    assert "Traceback" not in ended.said
    assert ended.outcome == RunEnded("interrupted", "stopped by the user")
    assert ended.verdict["exit_code"] == 130
    summary = json.loads((ended.out / "summary.json").read_text())
    assert summary["exit_code"] == 130


def test_after_a_run_of_a_client_that_forks(call: Call, line: Line) -> None:
    call.environment["TEST_PORT"] = str(line.port)
    call.start([*TALKER, "forks"])
    children = line.hear()["children"]
    ended = call.end()
    assert ended.code == 0, ended.said
    assert not any(runs(pid) for pid in children)
    assert [stop.how for stop in ended.of(ClientStopping)] == ["asked", "swept"]
    assert_nothing_is_left(call)


@pytest.mark.toxiproxy
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_after_a_signal_to_the_harness(call: Call, line: Line, program: Path, number: signal.Signals) -> None:
    call.environment |= {"TEST_PORT": str(line.port), "TOXIPROXY_SERVER": str(program)}
    call.start([*TALKER, "forks"], scenario=LONG, proxy="toxiproxy")
    children = line.hear()["children"]
    assert len(call.left_processes()) >= 1 + 1 + len(children)  # Toxiproxy, the client, and its own
    began_s = time.monotonic()
    call.signal(number)
    ended = call.end()
    assert time.monotonic() - began_s < HURRIED_S
    assert_interrupted(ended)
    assert not any(runs(pid) for pid in children)
    assert_nothing_is_left(call)


def test_after_ctrl_c_with_a_client_that_does_not_leave(call: Call, line: Line) -> None:
    call.environment["TEST_PORT"] = str(line.port)
    call.start([*TALKER, "stays"], "--repeat", "2", scenario=LONG, config={"stop_within": "60s"})
    clients = [line.hear()["pid"], line.hear()["pid"]]
    began_s = time.monotonic()
    call.signal(signal.SIGINT)
    stdout, stderr = call.process.communicate(timeout=run_fixtures.DEADLINE_S)
    assert time.monotonic() - began_s < HURRIED_S
    assert call.process.returncode == 130, stdout + stderr
    assert "Traceback" not in stdout + stderr
    journals = [read_journal(path) for path in call.out.rglob("journal.jsonl")]
    assert [journal.entries[-1].event for journal in journals] == [RunEnded("interrupted", "stopped by the user")] * 2
    exits = [entry.event for journal in journals for entry in journal.entries if isinstance(entry.event, ClientExited)]
    assert [(exited.signal, exited.asked) for exited in exits] == [("SIGKILL", True)] * 2
    assert len(json.loads((call.out / "summary.json").read_text())["runs"]) == 2
    assert not any(runs(pid) for pid in clients)
    assert_nothing_is_left(call)


def test_after_a_second_ctrl_c(call: Call, line: Line) -> None:
    call.environment["TEST_PORT"] = str(line.port)
    call.start([*TALKER, "stays"], scenario=LONG)
    client = line.hear()["pid"]
    call.signal(signal.SIGINT)
    assert line.hear()["told_to_leave"]
    began_s = time.monotonic()
    call.signal(signal.SIGINT)
    ended = call.end()
    assert time.monotonic() - began_s < HURRIED_S / 2
    assert ended.code == 130, ended.said
    assert "Traceback" not in ended.said
    assert not runs(client)
    assert_nothing_is_left(call)


@pytest.fixture
def theirs(program: Path) -> Iterator[str]:
    """Address of somebody else's Toxiproxy, with a proxy of theirs."""
    server = asyncio.run(start_server(program, seed=1, clock=SystemClock()))
    body = {"name": "theirs", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"}
    requests.post(f"{server.url}/proxies", json=body, timeout=5).raise_for_status()
    yield server.url
    asyncio.run(server.stop())


@pytest.mark.toxiproxy
def test_somebody_elses_toxiproxy_only_loses_our_proxies(call: Call, line: Line, theirs: str) -> None:
    def proxies() -> list[str]:
        return list(requests.get(f"{theirs}/proxies", timeout=5).json())

    call.environment |= {"TEST_PORT": str(line.port), "TOXIPROXY_URL": theirs}
    call.start([*TALKER, "plain"], scenario=LONG, proxy="toxiproxy")
    line.hear()
    assert len(proxies()) == 3
    call.signal(signal.SIGINT)
    assert_interrupted(call.end())
    assert proxies() == ["theirs"]


# --- a harness that is killed ----------------------------------------------------------------------------------------


def kill_in_mid_run(call: Call, line: Line, program: Path, kind: str) -> tuple[int, list[int]]:
    """Play, and kill the harness when its client has a session; returns the client and the Toxiproxy servers."""
    call.environment |= {"TEST_PORT": str(line.port), "TOXIPROXY_SERVER": str(program)}
    call.start([*TALKER, kind], scenario=LONG, proxy="toxiproxy")
    client = line.hear()["pid"]
    servers = [
        int(left.split()[0])
        for left in call.left_processes()
        if OWNER_VARIABLE.encode() in Path(f"/proc/{left.split()[0]}/environ").read_bytes()
    ]
    assert servers
    call.process.kill()
    call.process.communicate(timeout=run_fixtures.DEADLINE_S)
    return client, servers


@pytest.mark.toxiproxy
def test_what_a_killed_harness_started_ends_by_itself(call: Call, line: Line, program: Path) -> None:
    client, servers = kill_in_mid_run(call, line, program, "plain")
    assert all(gone(pid) for pid in [client, *servers])
    assert call.left_processes() == []
    (journal_file,) = call.out.rglob("journal.jsonl")
    journal = read_journal(journal_file)
    assert not journal.whole
    kinds = {entry.event.kind for entry in journal.entries}
    assert {"run.planned", "proxy.ready", "client.started"} <= kinds  # facts are on disk 50 ms later
    assert "unknown" not in kinds
    report = subprocess.run(
        [*COMMAND, "report", str(call.out)], env=call.environment, cwd=call.folder, capture_output=True, text=True
    )
    assert report.returncode == 3, report.stdout + report.stderr
    assert "the journal stops before the run ended: the harness was killed" in report.stdout
    assert json.loads((journal_file.parent / "verdict.json").read_text())["exit_code"] == 3


@pytest.mark.toxiproxy
def test_doctor_finds_the_client_that_a_killed_harness_left(call: Call, line: Line, program: Path) -> None:
    client, servers = kill_in_mid_run(call, line, program, "stays")
    assert line.hear()["told_to_leave"]  # its standard input is closed
    assert all(gone(pid) for pid in servers)
    try:
        doctor = subprocess.run(
            [*COMMAND, "doctor"], env=call.environment, cwd=call.folder, capture_output=True, text=True
        )
    finally:
        os.kill(client, signal.SIGKILL)
    assert doctor.returncode == 3
    found = re.search(rf"PROBLEM  left-over process: {client}, of run run-[0-9a-f]+: .*talker\.py stays", doctor.stdout)
    assert found is not None, doctor.stdout
    assert f"hint: `kill {client}`" in doctor.stdout
    assert gone(client)
