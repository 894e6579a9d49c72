"""`harness run` and `harness selftest` as the programs that they are: whole runs, and what Ctrl-C leaves behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.live
DEADLINE_S = 60.0
LONG = "scenario: long\ntitle: t\nchecks: [RESUME-1]\ndo_nothing: fail\nstory: [{teach: [name]}, {wait: 50s}]\n"
SHORT = "scenario: short\ntitle: t\nchecks: [RESUME-1]\ndo_nothing: fail\nstory: [{wait: 10ms}]\n"


async def start(*words: str, cwd: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from harness.cli import main; main()",
        *words,
        cwd=cwd,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "CI": "1"},
    )


async def call(*words: str, cwd: Path) -> tuple[int | None, str, str]:
    process = await start(*words, cwd=cwd)
    async with asyncio.timeout(DEADLINE_S):
        stdout, stderr = await process.communicate()
    return process.returncode, stdout.decode(), stderr.decode()


async def test_a_whole_run_and_the_same_judged_again(tmp_path: Path) -> None:
    words = ("run", "drop_idle", "--seed", "7", "--proxy", "builtin", "--out", "out", "--json")
    code, stdout, stderr = await call(*words, cwd=tmp_path)
    assert code == 0, stderr
    (run,) = json.loads(stdout)["runs"]
    assert (run["status"], run["reproduce"]) == ("pass", "harness run drop_idle --seed 7 --proxy builtin")
    folder = tmp_path / "out" / run["folder"]
    verdict = json.loads((folder / "verdict.json").read_text())
    assert (verdict["contract"], verdict["status"], verdict["seed"]) == (1, "pass", 7)
    states = {check["id"]: check["status"] for check in verdict["checks"]}
    assert states["RESUME-2"] == states["SELF-1"] == "pass"
    assert (folder / "report.html").is_file()
    baseline = tmp_path / "known.yaml"
    baseline.write_text("known: [{check: RESUME-2, scenario: drop_idle, because: it was so}]\n")
    code, stdout, _ = await call("report", "out", "--baseline", "known.yaml", "--json", cwd=tmp_path)
    (again,) = json.loads(stdout)["runs"]
    assert (code, again["stale"], again["reproduce"]) == (1, ["RESUME-2"], run["reproduce"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interruption_keeps_what_was_finished_and_ends_the_clients(
    number: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / "long.yaml").write_text(LONG)
    (tmp_path / "short.yaml").write_text(SHORT)
    words = ("run", "long.yaml", "short.yaml", "--seed", "7", "--proxy", "builtin", "--jobs", "2", "--out", "out")
    process = await start(*words, cwd=tmp_path)
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE_S):
        async for line in process.stdout:
            if line.startswith(b"PASSED  short"):
                break
        process.send_signal(number)
        rest = await process.stdout.read()
        code = await process.wait()
    assert code == 130, rest
    assert b"INTERRUPTED  long" in rest
    assert b"2 runs: 1 passed, 1 interrupted. Exit code 130: interrupted." in rest
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert sorted((run["scenario"], run["exit_code"]) for run in summary["runs"]) == [("long", 130), ("short", 0)]
    journal = (tmp_path / "out" / "reference" / "long" / "journal.jsonl").read_text().splitlines()
    assert json.loads(journal[-1])["outcome"] == "interrupted"


async def test_the_self_test_of_one_check(tmp_path: Path) -> None:
    words = ("selftest", "--only", "wire-1", "--seed", "7", "--proxy", "builtin", "--out", "out", "--json")
    code, stdout, stderr = await call(*words, cwd=tmp_path)
    told = json.loads(stdout)
    assert (code, told["mismatches"]) == (0, []), stderr
    (row,) = told["checks"]
    assert (row["check"], row["tripped_in"], row["reference_holds"]) == ("WIRE-1", ["drop_idle"], 1)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["broken-wire-1", "index.html", "reference"]
