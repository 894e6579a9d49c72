"""What becomes of `harness run` when the things around it fail: bad input, a proxy that dies, a full disk."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.journal.events import ClientOutput, RunEnded
from harness.journal.reader import read_journal
from harness.proxy.toxiproxy_server import OWNER_VARIABLE
from tests.live import run_fixtures
from tests.live.run_fixtures import COMMAND, LONG, SHORT, TALKER, Call, Line

pytestmark = pytest.mark.live
call = pytest.fixture(run_fixtures.calls)
line = pytest.fixture(run_fixtures.lines)


@pytest.fixture
def program() -> Path:
    return run_fixtures.toxiproxy_program()


# --- bad input: exit 4, with the place -------------------------------------------------------------------------------


def text(content: str | bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


def nothing(path: Path) -> None:
    assert not path.exists()


BAD = {
    "unknown key": (text(SHORT + "colour: red\n"), r"s.yaml:\d+:1: .*colour"),
    "bad duration": (text(SHORT + "  - wait: 2 parsecs\n"), r"s.yaml:\d+:11: .*2 parsecs"),
    "unknown fault": (text(SHORT + "  - do: {network: earthquake}\n"), r"s.yaml:\d+:\d+: .*earthquake"),
    "YAML syntax": (text("scenario: x\n  title: [\n"), r"s.yaml:\d+:\d+: "),
    "empty": (text(""), r"s.yaml:1:1: "),
    "10 MB": (text(SHORT + "# " + "x" * 10_000_000), r"s.yaml:1:1: the file has 10.0 MB; the limit is"),
    "missing": (nothing, r"s.yaml"),
    "binary": (text(os.urandom(64) + b"\0\xff\xfe"), r"s.yaml"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_told_with_its_place(tmp_path: Path, kind: str) -> None:
    write, told = BAD[kind]
    path = tmp_path / "s.yaml"
    write(path)
    result = CliRunner().invoke(main, ["run", str(path), "--out", str(tmp_path / "out"), "--proxy", "builtin"])
    assert result.exit_code == 4, result.output
    assert "Traceback" not in result.output
    assert re.search(told, result.stderr), result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.toxiproxy
def test_a_fault_that_the_proxy_cannot_do_is_told_with_its_place(call: Call, program: Path) -> None:
    call.environment["TOXIPROXY_SERVER"] = str(program)
    ended = call.play(None, scenario=SHORT + "  - do: {network: reset}\n", proxy="toxiproxy")
    assert ended.code == 4, ended.said
    assert re.search(r"scenario.yaml:\d+:\d+: .*reset", ended.stderr)
    assert call.left_processes() == []
    assert not call.out.exists()


# --- the proxy -------------------------------------------------------------------------------------------------------


@pytest.mark.toxiproxy
def test_a_toxiproxy_that_dies_is_the_harnesss_fault_at_once(call: Call, line: Line, program: Path) -> None:
    call.environment |= {"TEST_PORT": str(line.port), "TOXIPROXY_SERVER": str(program)}
    relayed = call.folder / "relayed.yaml"
    relayed.write_text(SHORT.replace("scenario: short", "scenario: relayed\nneeds: {proxy: builtin}"))
    call.start([*TALKER, "plain"], str(relayed), scenario=LONG, proxy="auto")
    line.hear()
    line.hear()
    (server,) = [
        int(found.split()[0])
        for found in call.left_processes()
        if OWNER_VARIABLE.encode() in Path(f"/proc/{found.split()[0]}/environ").read_bytes()
    ]
    os.kill(server, signal.SIGKILL)
    ended = call.end()
    assert ended.code == 3, ended.said
    assert ended.took_s < 30
    assert "the server has ended (killed by signal 9)" in ended.stdout
    assert "Traceback" not in ended.said
    runs = {run["scenario"]: run for run in json.loads((ended.out / "summary.json").read_text())["runs"]}
    assert runs["long"]["exit_code"] == 3
    assert runs["relayed"]["exit_code"] == 0  # what does not depend on it is judged as ever
    journal = read_journal(ended.out / "c" / "long" / "journal.jsonl")
    assert journal.whole
    last = journal.entries[-1].event
    assert isinstance(last, RunEnded)
    assert last.outcome == "harness_error"
    assert "the server has ended (killed by signal 9)" in last.message
    assert call.left_processes() == []
    assert call.left_files() == []


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        (
            "TOXIPROXY_URL",
            "http://127.0.0.1:9",
            r"no Toxiproxy server answers there \(.*refused\); start one, correct or",
        ),
        ("TOXIPROXY_URL", "foo", r"TOXIPROXY_URL='foo': expected http://127.0.0.1:PORT.*; correct or unset it, or use"),
        ("TOXIPROXY_SERVER", "/no/such", r"/no/such: .* no such executable file; correct what names it, or use"),
    ],
)
def test_a_toxiproxy_that_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str
) -> None:
    monkeypatch.delenv("TOXIPROXY_URL", raising=False)
    monkeypatch.setenv(variable, value)
    (tmp_path / "s.yaml").write_text(SHORT)
    result = CliRunner().invoke(main, ["run", str(tmp_path / "s.yaml"), "--out", str(tmp_path / "out")])
    assert result.exit_code == 3, result.output
    assert re.search(told, result.stderr), result.stderr
    assert "`--proxy builtin`" in result.stderr
    assert "Traceback" not in result.output


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = subprocess.run([*COMMAND, "serve", "--port", port], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 3
    assert "cannot listen at 127.0.0.1: Address already in use; choose another" in ended.stderr
    assert "Traceback" not in ended.stderr


# --- the disk --------------------------------------------------------------------------------------------------------


def test_a_disk_that_is_full_is_the_harnesss_fault_and_what_was_written_stays(call: Call) -> None:
    limit_bytes = 400_000

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    ended = call.play([*TALKER, "noisy", "6"], preexec_fn=limit)
    assert ended.code == 3, ended.said
    assert "Traceback" not in ended.said
    assert "File too large" in ended.said
    assert (ended.folder / "client.stdout").stat().st_size == limit_bytes
    assert (ended.folder / "journal.jsonl").stat().st_size == limit_bytes
    journal = ended.journal
    assert not journal.whole
    assert sum(isinstance(entry.event, ClientOutput) for entry in journal.entries) > 1000
    assert json.loads((ended.out / "summary.json").read_text())["runs"][0]["exit_code"] == 3
    assert call.left_processes() == []
    assert call.left_files() == []


def test_client_output_that_cannot_be_kept_is_the_harnesss_fault(call: Call) -> None:
    limit_bytes = 4_000_000  # the journal tells of less

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    ended = call.play([*TALKER, "noisy", "6"], preexec_fn=limit)
    assert ended.code == 3, ended.said
    assert ended.outcome.outcome == "harness_error"
    assert "the client's output could not be kept: " in ended.outcome.message
    assert ended.verdict["status"] == "error"
    assert (ended.folder / "report.html").exists()


# --- whoever reads what it prints ------------------------------------------------------------------------------------


def test_a_reader_that_leaves_changes_nothing(call: Call) -> None:
    reader, writer = os.pipe()
    os.close(reader)  # as after `harness run | head -0`
    try:
        call.start([*TALKER, "plain"], stdout=writer)
    finally:
        os.close(writer)
    ended = call.end()
    assert ended.code == 0, ended.stderr
    assert ended.stderr == ""
    assert ended.outcome == RunEnded("played", "")
    assert ended.verdict["exit_code"] == 0
    assert (ended.out / "summary.json").exists()
