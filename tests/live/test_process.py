"""Real client programs, the misbehaving kinds above all: each is understood, bounded, and gone in the end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from harness.contract import parse_line
from harness.errors import UserMistake
from harness.process import ClientProcess, ExitStatus, exits, left_over, linux
from harness.process.family import Family
from harness.process.output import CUT_FILE_MARK, CUT_LINE_MARK, FILE_LIMIT_BYTES
from harness.redaction import Redactor

pytestmark = pytest.mark.live
PROGRAM = Path(__file__).parent / "programs" / "client.py"
DEADLINE_S = 30.0
MARKER = "3f9ab07c"
TOKEN = f"auth_tokens/{MARKER}f1e2d3c4b5a6978877665544"
linux_only = pytest.mark.skipif(not linux.AVAILABLE, reason="needs /proc")


class Started:
    """A running program, with what it has said so far."""

    def __init__(self) -> None:
        self.process: ClientProcess
        self.lines: list[tuple[str, str]] = []
        self.events: list[dict[str, Any]] = []
        self._news = asyncio.Condition()
        self._waker: set[asyncio.Task[None]] = set()

    def on_line(self, stream: str, text: str) -> None:
        self.lines.append((stream, text))
        event = parse_line(text) if stream == "stdout" else None
        if event is not None:
            self.events.append(dict(event.data))
        task = asyncio.ensure_future(self._wake())
        self._waker.add(task)
        task.add_done_callback(self._waker.discard)

    async def _wake(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def event(self, name: str, nth: int = 1) -> dict[str, Any]:
        def those() -> list[dict[str, Any]]:
            return [event for event in self.events if event["event"] == name]

        async with asyncio.timeout(DEADLINE_S), self._news:
            await self._news.wait_for(lambda: len(those()) >= nth)
        return those()[nth - 1]

    async def exit(self) -> ExitStatus:
        async with asyncio.timeout(DEADLINE_S):
            return await asyncio.shield(self.process.exited)


@contextlib.asynccontextmanager
async def running(folder: Path, *arguments: str, run_id: str = "run-test", **options: Any) -> AsyncIterator[Started]:
    os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    started = Started()
    redactor = Redactor(MARKER)
    redactor.learn(TOKEN, "token-1")
    started.process = await ClientProcess.start(
        [sys.executable, str(PROGRAM), *arguments],
        cwd=folder,
        env=dict(os.environ),
        run_id=run_id,
        stdout_path=folder / "client.stdout",
        stderr_path=folder / "client.stderr",
        redactor=redactor,
        on_line=started.on_line,
        **options,
    )
    try:
        yield started
    finally:
        await started.process.stop(ask=False, within_s=0)


def runs(pid: int) -> bool:
    found = linux.read_process(pid)
    return found is not None and not found.zombie


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def test_a_driven_client_hears_commands_and_leaves_when_asked(tmp_path: Path) -> None:
    async with running(tmp_path, "good") as client:
        hello = await client.event("hello")
        assert hello["nice"] >= 10
        assert hello["group_is_own"]
        assert client.process.send({"do": "say", "text": "Grüße\nzwei"})
        assert (await client.event("heard"))["command"] == {"do": "say", "text": "Grüße\nzwei"}
        assert await client.process.stop(ask=True, within_s=DEADLINE_S) == ["asked"]
        assert client.process.exited.result() == ExitStatus(0, None)
        assert client.events[-1]["command"] == {"do": "quit"}
        assert await client.process.stop(ask=True, within_s=DEADLINE_S) == []
        assert client.process.send({"do": "say", "text": "too late"}) is False
    assert (tmp_path / "client.stdout").read_text().count("\n") == 3


async def test_a_client_that_was_never_told_anything_is_asked_by_closing_its_input(tmp_path: Path) -> None:
    async with running(tmp_path, "good") as client:
        await client.event("hello")
        assert await client.process.stop(ask=True, within_s=DEADLINE_S) == ["asked"]
        assert [event["event"] for event in client.events] == ["hello"]


async def test_a_client_without_input_reads_an_empty_one(tmp_path: Path) -> None:
    async with running(tmp_path, "good", keeps_stdin_open=False) as client:
        assert await client.exit() == ExitStatus(0, None)
        assert client.process.send({"do": "connect"}) is False


@pytest.mark.parametrize("code", [0, 3])
async def test_one_that_leaves_at_once_is_heard_to_its_last_word(tmp_path: Path, code: int) -> None:
    async with running(tmp_path, "leaves_with", str(code)) as client:
        assert await client.exit() == ExitStatus(code, None)
        assert client.lines == [("stdout", "no end of line")]  # told before the exit was
        assert await client.process.stop(ask=True, within_s=DEADLINE_S) == []


async def test_a_crash_is_known_by_its_signal(tmp_path: Path) -> None:
    async with running(tmp_path, "crashes") as client:
        assert await client.exit() == ExitStatus(None, "SIGSEGV")


async def test_an_exit_is_also_seen_where_there_are_no_pidfds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exits, "_open_pidfd", lambda pid: None)
    async with running(tmp_path, "leaves_with", "3") as client:
        assert await client.exit() == ExitStatus(3, None)


async def test_one_that_never_reads_does_not_stop_us(tmp_path: Path) -> None:
    async with running(tmp_path, "deaf") as client:
        await client.event("ready")
        sent = 0
        while client.process.send({"do": "say", "text": "x" * 1000}):
            sent += 1
            assert sent < 5000  # the queue is bounded
        assert sent > 500
        assert await client.process.stop(ask=True, within_s=0.05) == ["asked", "terminated"]
        assert client.process.exited.result() == ExitStatus(None, "SIGTERM")


async def test_one_that_closed_its_input_is_no_error(tmp_path: Path) -> None:
    async with running(tmp_path, "closes_stdin") as client:
        await client.event("ready")
        assert client.process.send({"do": "connect"}) is False
        assert await client.process.stop(ask=True, within_s=0.05) == ["asked", "terminated"]


async def test_one_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.process.supervisor._TERMINATE_WITHIN_S", 0.1)
    async with running(tmp_path, "ignores_term") as client:
        await client.event("ready")
        assert await client.process.stop(ask=True, within_s=0.05) == ["asked", "terminated", "killed"]
        assert client.process.exited.result() == ExitStatus(None, "SIGKILL")


async def test_one_that_tidies_up_at_sigterm_may_do_so(tmp_path: Path) -> None:
    async with running(tmp_path, "tidies_up") as client:
        await client.event("ready")
        assert await client.process.stop(ask=False, within_s=0) == ["terminated"]
        assert client.process.exited.result() == ExitStatus(7, None)


async def test_one_that_closes_its_output_still_lives(tmp_path: Path) -> None:
    async with running(tmp_path, "closes_stdout") as client:
        await client.event("ready")
        assert not client.process.exited.done()
        assert await client.process.stop(ask=False, within_s=0) == ["terminated"]


@linux_only
async def test_a_suspended_client_stands_still_and_can_be_stopped(tmp_path: Path) -> None:
    async with running(tmp_path, "good") as client:
        await client.event("hello")

        async def stands_still() -> None:
            async with asyncio.timeout(DEADLINE_S):
                while state_of(client.process.pid) != "T":  # noqa: ASYNC110 - the kernel tells nobody
                    await asyncio.sleep(0.001)

        client.process.suspend()
        await stands_still()
        client.process.send({"do": "say", "text": "while suspended"})
        client.process.resume()
        await client.event("heard")
        client.process.suspend()
        await stands_still()
        assert await client.process.stop(ask=True, within_s=DEADLINE_S) == ["asked"]


# --- output ----------------------------------------------------------------------------------------------------------


async def test_a_hundred_megabytes_are_bounded_on_disk_and_hide_no_event(tmp_path: Path) -> None:
    async with running(tmp_path, "noisy") as client:
        await client.event("mark", nth=10)
        assert client.process.output_bytes > 95_000_000
        await client.process.stop(ask=True, within_s=DEADLINE_S)
    size = (tmp_path / "client.stdout").stat().st_size
    assert size == FILE_LIMIT_BYTES + len(CUT_FILE_MARK)
    assert (tmp_path / "client.stdout").read_bytes().endswith(CUT_FILE_MARK)
    told = sum(len(text) + 1 for _, text in client.lines)
    assert told < FILE_LIMIT_BYTES + 100_000


async def test_a_restart_goes_on_in_the_same_files_and_within_the_same_bound(tmp_path: Path) -> None:
    for number in (1, 2):
        async with running(tmp_path, "leaves_with", str(number), append=number > 1) as client:
            await client.exit()
    assert (tmp_path / "client.stdout").read_text() == "no end of line" * 2


async def test_an_endless_line_is_cut_and_marked(tmp_path: Path) -> None:
    async with running(tmp_path, "one_long_line") as client:
        await client.event("after")
    first = client.lines[0][1]
    assert first.endswith(CUT_LINE_MARK)
    assert len(first) == 1024 * 1024 + len(CUT_LINE_MARK)
    assert len(client.lines) == 2


async def test_garbage_is_kept_as_log_and_confuses_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, "garbage") as client:
        await client.event("after")
        assert [event["event"] for event in client.events] == ["�", "after"]
    assert bytes(range(256)) * 40 in (tmp_path / "client.stdout").read_bytes()


async def test_a_secret_never_reaches_the_disk_or_a_listener(tmp_path: Path) -> None:
    async with running(tmp_path, "prints", f"?access_token={TOKEN} and {MARKER}a1") as client:
        await client.event("after")
        await client.process.stop(ask=True, within_s=DEADLINE_S)
    clean = "?access_token=token-1 and [redacted]"
    assert (tmp_path / "client.stderr").read_text() == clean
    assert (tmp_path / "client.stdout").read_text().startswith(clean + "\n")
    assert ("stdout", clean) in client.lines
    assert ("stderr", clean) in client.lines


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
async def test_a_full_disk_is_told_and_does_not_stop_the_client(tmp_path: Path) -> None:
    (tmp_path / "client.stdout").symlink_to("/dev/full")
    async with running(tmp_path, "good") as client:
        await client.event("hello")
        assert client.process.output_error is not None
        assert await client.process.stop(ask=True, within_s=DEADLINE_S) == ["asked"]


# --- nothing is left behind ------------------------------------------------------------------------------------------


@linux_only
@pytest.mark.parametrize("kind", ["forks", "forgets_environment"])
async def test_nothing_of_a_client_that_forks_is_left(tmp_path: Path, kind: str) -> None:
    async with running(tmp_path, kind) as client:
        pids = (await client.event("children"))["pids"]
        assert all(runs(pid) for pid in pids)
        client.process.send({"do": "connect"})
        took = await client.process.stop(ask=True, within_s=DEADLINE_S)
        assert took[0] == "asked"
        assert took[1].startswith("swept: python")
        assert not any(runs(pid) for pid in pids)


@linux_only
async def test_grandchildren_that_hold_the_output_do_not_hide_the_exit(tmp_path: Path) -> None:
    async with running(tmp_path, "forks") as client:
        pids = (await client.event("children"))["pids"]
        client.process.send({"do": "quit"})
        assert await client.exit() == ExitStatus(0, None)
        assert all(runs(pid) for pid in pids)
        assert (await client.process.stop(ask=True, within_s=DEADLINE_S))[0].startswith("swept: ")
        assert not any(runs(pid) for pid in pids)


@linux_only
@pytest.mark.parametrize("same_run", [False, True])
async def test_clients_side_by_side_do_not_disturb_each_other(tmp_path: Path, same_run: bool) -> None:
    async with (
        running(tmp_path / "a", "forks", run_id="run-a") as one,
        running(tmp_path / "b", "good", run_id="run-a" if same_run else "run-b") as other,
    ):
        await one.event("children")
        await other.event("hello")
        await one.process.stop(ask=False, within_s=0)
        other.process.send({"do": "say", "text": "still there"})
        assert (await other.event("heard"))["command"]["text"] == "still there"


@linux_only
async def test_a_cancelled_stop_kills_everything_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, "forks") as client:
        pids = (await client.event("children"))["pids"]
        client.process.suspend()  # and so it will not leave when asked
        task = asyncio.create_task(client.process.stop(ask=False, within_s=DEADLINE_S))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not any(runs(pid) for pid in [*pids, client.process.pid])


@linux_only
async def test_what_a_living_harness_watches_is_not_left_over(tmp_path: Path) -> None:
    async with running(tmp_path, "good", run_id="run-living") as client:
        await client.event("hello")
        assert linux.mark_of(client.process.pid) == "run-living"
        assert "run-living" not in {found.run_id for found in left_over()}


@linux_only
async def test_one_look_at_the_process_table_is_quick(tmp_path: Path) -> None:
    async with running(tmp_path, "good") as client:
        await client.event("hello")
        family = Family(client.process.pid, "run-test")
        started_s = time.process_time()
        assert [member.pid for member in family.look()] == [client.process.pid]
        assert time.process_time() - started_s < 0.5


# --- what cannot be started ------------------------------------------------------------------------------------------


def no_program(folder: Path) -> list[str]:
    return [str(folder / "nothing")]


def no_permission(folder: Path) -> list[str]:
    (folder / "plain.txt").write_text("x")
    return [str(folder / "plain.txt")]


def no_format(folder: Path) -> list[str]:
    (folder / "plain").write_text("no program\n")
    (folder / "plain").chmod(0o755)
    return [str(folder / "plain")]


def nul_byte(folder: Path) -> list[str]:
    return [sys.executable, "a\0b"]


@pytest.mark.parametrize("command", [no_program, no_permission, no_format, nul_byte])
async def test_a_program_that_cannot_be_started_is_the_users_mistake(
    tmp_path: Path, command: Callable[[Path], list[str]]
) -> None:
    with pytest.raises(UserMistake, match="the client cannot be started"):
        await ClientProcess.start(
            command(tmp_path),
            cwd=tmp_path,
            env={},
            run_id="run-test",
            stdout_path=tmp_path / "client.stdout",
            stderr_path=tmp_path / "client.stderr",
            redactor=Redactor(),
            on_line=lambda stream, text: None,
        )
