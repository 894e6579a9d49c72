"""Clients that misbehave, through the whole of `harness run`: exit code, message, a whole journal, their output."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.journal.events import (
    ClientCommand,
    ClientEvent,
    ClientExited,
    ClientOutput,
    ClientStopping,
    Note,
    RunEnded,
    UserTurn,
)
from harness.process.output import CUT_FILE_MARK, FILE_LIMIT_BYTES
from tests.live import run_fixtures
from tests.live.run_fixtures import CLIENT, LONG, SHORT, TALKER, Call, Line, runs

pytestmark = pytest.mark.live
call = pytest.fixture(run_fixtures.calls)
line = pytest.fixture(run_fixtures.lines)

MOST_MEMORY_MB = 160
"""Of the harness and what it starts, each by itself; 90 MB were measured with 100 MB of output."""


# --- it cannot be started: exit 4 ------------------------------------------------------------------------------------


def missing(folder: Path) -> list[str]:
    return [str(folder / "nothing")]


def not_executable(folder: Path) -> list[str]:
    (folder / "app").write_text("#!/bin/sh\n")
    return [str(folder / "app")]


def no_program(folder: Path) -> list[str]:
    (folder / "app").write_text("hello\n")
    (folder / "app").chmod(0o755)
    return [str(folder / "app")]


def no_interpreter(folder: Path) -> list[str]:
    (folder / "app").write_text("#!/no/such/python\n")
    (folder / "app").chmod(0o755)
    return [str(folder / "app")]


@pytest.mark.parametrize(
    ("make", "told", "is_tried"),
    [
        (missing, "is not there", False),
        (not_executable, "may not be executed; run `chmod +x` on it", False),
        (no_program, "it is no program and does not begin with `#!`; start it by its interpreter", True),
        (no_interpreter, "the interpreter that its first line names is not there; correct that line", True),
    ],
)
def test_one_that_cannot_be_started_is_the_users_mistake(call: Call, make: object, told: str, is_tried: bool) -> None:
    assert callable(make)
    ended = call.play(make(call.folder))
    assert ended.code == 4, ended.said
    assert told in ended.said
    assert "Traceback" not in ended.said
    assert ended.out.exists() == is_tried  # what is known before anything is played leaves nothing
    if is_tried:
        assert ended.outcome.outcome == "not_started"
        assert (ended.verdict["status"], ended.verdict["exit_code"]) == ("error", 4)
        assert (ended.folder / "report.html").exists()


# --- it ends by itself: exit 1 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "how", "printed"),
    [
        ([*CLIENT, "leaves_with", "0"], "with exit code 0", "no end of line"),
        ([*CLIENT, "leaves_with", "3"], "with exit code 3", "no end of line"),
        ([*CLIENT, "crashes"], "by SIGSEGV", ""),
        ([*TALKER, "crashes_on_turn"], "by SIGABRT", '{"event": "hello"'),
    ],
)
def test_one_that_ends_by_itself_has_failed(call: Call, command: Sequence[str], how: str, printed: str) -> None:
    ended = call.play(command)
    assert ended.code == 1, ended.said
    assert ended.outcome == RunEnded("played", "")
    assert ended.check("LIFE-1")["status"] == "fail"
    assert ended.check("LIFE-1")["summary"] == f"the program ended by itself, {how}"
    assert f"LIFE-1 the program ended by itself, {how}" in ended.stdout
    (exited,) = ended.of(ClientExited)
    assert not exited.asked
    assert (ended.folder / "client.stdout").read_text().startswith(printed)
    assert (ended.folder / "client.stderr").exists()


def test_one_that_is_killed_in_mid_run_has_failed(call: Call, line: Line) -> None:
    call.environment["TEST_PORT"] = str(line.port)
    call.start([*TALKER, "plain"], scenario=LONG)
    os.kill(line.hear()["pid"], signal.SIGKILL)
    ended = call.end()
    assert ended.code == 1, ended.said
    assert ended.took_s < 30  # and not after the minute that the story would have gone on
    assert ended.outcome == RunEnded("played", "")
    assert ended.check("LIFE-1")["summary"] == "the program ended by itself, by SIGKILL"


# --- it stays, and does not do what it should ------------------------------------------------------------------------


def test_one_that_never_connects_cannot_be_judged(call: Call) -> None:
    ended = call.play([*CLIENT, "good"], config={"start_within": "500ms"})
    assert ended.code == 2, ended.said
    assert ended.outcome == RunEnded("played", "")
    assert ended.check("LIFE-1")["summary"] == "the client never had a session"
    assert "LIFE-1 the client never had a session" in ended.stdout
    assert ended.check("LIFE-3")["status"] == "pass"
    assert not ended.of(UserTurn)  # nobody talks to a client that is not there


def test_one_that_does_not_leave_has_failed(call: Call, line: Line) -> None:
    call.environment["TEST_PORT"] = str(line.port)
    ended = call.play([*TALKER, "stays"], config={"stop_within": "300ms"})
    assert ended.code == 1, ended.said
    assert ended.outcome == RunEnded("played", "")
    assert [stop.how for stop in ended.of(ClientStopping)] == ["asked", "terminated", "killed"]
    assert ended.check("LIFE-1")["status"] == "pass"
    assert ended.check("LIFE-3")["status"] == "fail"
    assert "LIFE-3 did not leave within 0.3 s of being told to, and had to be" in ended.stdout
    assert not runs(line.hear()["pid"])


def test_one_that_takes_no_commands_is_judged_by_the_wire(call: Call) -> None:
    drop = "  - do: {server: abort}\n  - until: {recovered: {within: 5s}}\n"
    ended = call.play([*TALKER, "alone"], scenario=SHORT + drop, config={"driven": False})
    assert ended.code == 0, ended.said
    assert ended.outcome == RunEnded("played", "")
    assert not ended.of(ClientCommand)
    assert ended.check("RETRY-1")["status"] == "pass"
    assert [stop.how for stop in ended.of(ClientStopping)] == ["asked", "terminated"]
    assert ended.check("LIFE-3")["status"] == "pass"  # nobody has told it to listen


# --- its output ------------------------------------------------------------------------------------------------------


LEAVES_ITS_STATUS = """
import atexit, pathlib
atexit.register(lambda: pathlib.Path("status").write_text(pathlib.Path("/proc/self/status").read_text()))
from harness.cli import main
main()
"""


def test_a_hundred_megabytes_of_output_are_bounded(call: Call) -> None:
    call.command = [sys.executable, "-c", LEAVES_ITS_STATUS]
    ended = call.play([*TALKER, "noisy", "100"])
    assert ended.code == 0, ended.said
    assert ended.outcome == RunEnded("played", "")
    stdout = (ended.folder / "client.stdout").read_bytes()
    assert len(stdout) == FILE_LIMIT_BYTES + len(CUT_FILE_MARK)
    assert b"\nnoise noise" in stdout
    assert stdout.endswith(CUT_FILE_MARK)
    assert (ended.folder / "journal.jsonl").stat().st_size < 4_000_000
    assert any("prints a lot" in note.text for note in ended.of(Note))
    assert any(event.event == "reply" for event in ended.of(ClientEvent))  # said after the noise
    # The peak since the program began: getrusage would also count what the test's own process held when it forked.
    peak = re.search(r"VmHWM:\s+(\d+) kB", (call.folder / "status").read_text())
    assert peak is not None
    assert int(peak[1]) < MOST_MEMORY_MB * 1024


def test_garbage_is_kept_and_confuses_nothing(call: Call) -> None:
    ended = call.play([*TALKER, "garbage"])
    assert ended.code == 0, ended.said
    assert ended.outcome == RunEnded("played", "")
    assert bytes(range(256)) * 40 in (ended.folder / "client.stdout").read_bytes()
    assert b"\x1b[2J" in (ended.folder / "client.stderr").read_bytes()
    assert max(len(output.text) for output in ended.of(ClientOutput)) == 4096
    assert ended.journal.entries[-1].event.kind == "run.ended"
    assert "\x1b" not in ended.said
    assert "\x1b" not in (ended.folder / "report.html").read_text()


def test_one_that_closes_its_output_is_judged_by_the_wire(call: Call) -> None:
    ended = call.play([*TALKER, "closes_stdout"])
    assert ended.code == 0, ended.said
    assert ended.outcome == RunEnded("played", "")
    assert ended.took_s < 30
    assert [event.event for event in ended.of(ClientEvent)] == ["hello", "state"]


def test_a_child_that_holds_the_output_does_not_hold_the_run(call: Call, line: Line) -> None:
    call.environment["TEST_PORT"] = str(line.port)
    call.start([*TALKER, "leaves_child"], scenario=SHORT)
    children = line.hear()["children"]
    ended = call.end()
    assert ended.code == 0, ended.said
    assert ended.took_s < 30
    assert [(exited.code, exited.asked) for exited in ended.of(ClientExited)] == [(0, True)]
    assert [stop.how for stop in ended.of(ClientStopping)] == ["asked", "swept"]
    assert not any(runs(pid) for pid in children)
