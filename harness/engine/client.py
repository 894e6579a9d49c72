"""The program under test as the person of the story reaches it: commands in, lines out, stopped and started again."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from harness.client_config import ClientConfig
from harness.contract import for_journal, parse_hello, parse_line, with_hello
from harness.engine.recorder import Recorder
from harness.engine.situation import Situation
from harness.journal.events import ClientCommand, ClientExited, ClientOutput, ClientStarted, ClientStopping, Note
from harness.plan import Plan
from harness.policy import ClientProfile
from harness.process import ClientProcess, ExitStatus
from harness.redaction import Redactor
from harness.scenario.faults import ClientFault

_T = TypeVar("_T")

HURRIED_STOP_S = 1.0
"""How long a client may take to leave by itself when nothing is judged any more (Ctrl-C, a fault of ours)."""
STARTING_S = 5.0
"""A client that has no session by then makes way for the next to start. Measured on two cores: eight that import an SDK
at once take 3 to 7 s to their first line, and one alone less than 1 s."""
LONGEST_TOLD_LINE = 4096
"""Characters of a line of output in the journal; the whole of it is in the client's own file."""
TOLD_CHARACTERS = {"output": 1024 * 1024, "events": 16 * 1024 * 1024}
"""So much the journal tells of, so that it stays readable. Measured with 100 MB of output: 2.5 s and 90 MB of memory
for the whole call, and 5.5 s and 230 MB when the journal tells of all that is kept."""


class ClientUnderTest:
    """One program, and what becomes of it over restarts."""

    def __init__(
        self,
        plan: Plan,
        config: ClientConfig,
        *,
        folder: Path,
        scratch: Path,
        run_id: str,
        environment: Callable[[], dict[str, str]],
        recorder: Recorder,
        situation: Situation,
        redactor: Redactor,
        start_slots: asyncio.Semaphore,
        on_broken: Callable[[str], None],
    ) -> None:
        """`on_broken` is told when its output cannot be kept (disk full): a fault of ours."""
        self._profile = plan.client
        self._config = config
        self._folder = folder
        self._scratch = scratch
        self._run_id = run_id
        self._environment = environment
        self._recorder = recorder
        self._situation = situation
        self._redactor = redactor
        self._start_slots = start_slots
        self._on_broken = on_broken
        self._process: ClientProcess | None = None
        self._starting: asyncio.Task[None] | None = None
        self._instance = 0
        self._ended_by_us: set[int] = set()
        self._exits_told: set[int] = set()
        self._told_characters = dict.fromkeys(TOLD_CHARACTERS, 0)
        self._held: list[dict[str, object]] = []
        """Commands that came while it was being started again."""

    @property
    def driven(self) -> bool:
        """False: it talks by itself and takes no commands."""
        return self._profile.driven

    @property
    def other_profile(self) -> ClientProfile | None:
        """What the client is by its own `hello`, where the plan has something else; None: it is as planned.

        What its configuration sets outright stays as it is.
        """
        hello = self._situation.hello
        if hello is None or not self.driven:
            return None
        said = with_hello(self._config.profile, parse_hello(hello))
        return said if said != self._profile else None

    def wav_path(self, utterance: int) -> str:
        """Where the WAV of an utterance lies."""
        return str(self._scratch / f"utterance-{utterance}.wav")

    def command(self, command: dict[str, object]) -> None:
        """Write one command line; while the program is being started again, as soon as it is there."""
        if not self.driven:
            return
        if self._process is None:
            self._held.append(command)
            return
        self._recorder.record(ClientCommand(for_journal(command)))
        if not self._process.send(command) and self._situation.client_alive:
            self._recorder.record(Note(f"the client does not read its commands: `{command['do']}` never reached it"))

    async def start(self) -> None:
        """Start the program. Raises `UserMistake` when it cannot be started.

        It holds its slot until it has its first session, or for `STARTING_S`: what it loads meanwhile is what makes
        others late.
        """
        await self._start_slots.acquire()
        try:
            await self._start()
        except BaseException:
            self._start_slots.release()
            raise
        self._starting = asyncio.create_task(self._until_started())
        self._starting.add_done_callback(lambda _: self._start_slots.release())

    async def _until_started(self) -> None:
        if self._situation.client_alive and not self._situation.live:
            started = {"session.started", "client.exited"}
            await self._recorder.wait_for(lambda entry: entry.event.kind in started, STARTING_S)

    async def _start(self) -> None:
        self._instance += 1
        self._process = process = await ClientProcess.start(
            self._config.resolved_command,
            cwd=self._config.cwd,
            env=self._environment(),
            run_id=self._run_id,
            stdout_path=self._folder / "client.stdout",
            stderr_path=self._folder / "client.stderr",
            redactor=self._redactor,
            on_line=self._on_line,
            keeps_stdin_open=True,
            append=self._instance > 1,
        )
        self._recorder.record(ClientStarted(self._instance))
        process.exited.add_done_callback(functools.partial(self._on_exit, self._instance))

    async def connect(self) -> str:
        """Ask for the first session and wait for it: `done`, `timed_out`, `client_gone`, or `other_profile`."""
        self.command({"do": "connect"})
        situation = self._situation
        if situation.live:
            return "done"
        entry = await self._recorder.wait_for(
            lambda entry: (
                entry.event.kind in {"session.started", "client.exited"}
                or situation.unsupported is not None
                or self.other_profile is not None
            ),
            self._profile.start_within if situation.client_alive else 0.0,
        )
        if self.other_profile is not None:
            return "other_profile"
        if entry is not None and entry.event.kind == "session.started":
            return "done"
        return "timed_out" if entry is None and situation.client_alive else "client_gone"

    async def control(self, fault: ClientFault) -> Callable[[], Awaitable[None]] | None:
        """Carry out a fault of the program: suspend, resume, or kill it. Returns what is left to do: to start it again.

        Nothing happens while there is no program.
        """
        if self._process is None:
            return None
        match fault.client:
            case "suspend":
                self._process.suspend()
            case "resume":
                self._process.resume()
            case "restart":
                await self._end(self._process.kill)
                return self._start_again
        return None

    async def _start_again(self) -> None:
        await self.start()
        self.command({"do": "connect"})
        held, self._held = self._held, []
        for command in held:
            self.command(command)

    async def stop(self, *, hurry: bool) -> None:
        """Ask it to leave, and end it and all that it left behind if it does not.

        `hurry`: it has a second to leave by itself, whatever its config says.
        """
        process = self._process
        if process is None:
            return
        if not process.exited.done():
            self._recorder.record(ClientStopping(self._instance, "asked", "quit"))
        within_s = self._profile.stop_within
        if hurry:
            within_s = min(within_s, HURRIED_STOP_S)
        took = await self._end(functools.partial(process.stop, ask=True, within_s=within_s))
        for how in took or ():
            if how != "asked":
                self._recorder.record(ClientStopping(self._instance, how.split(":")[0], how))

    async def _end(self, end: Callable[[], Awaitable[_T]]) -> _T:
        process, self._process = self._process, None
        if self._starting is not None:
            self._starting.cancel()
        assert process is not None  # noqa: S101 - both callers have looked
        if not process.exited.done():
            self._ended_by_us.add(self._instance)
        try:
            return await end()
        finally:
            if process.exited.done():
                # Told here, since a callback would come only after what follows has begun.
                self._on_exit(self._instance, process.exited)
            if process.output_error is not None:
                self._on_broken(f"the client's output could not be kept: {process.output_error}")

    def _on_line(self, stream: str, text: str) -> None:
        event = parse_line(text) if stream == "stdout" else None
        what = "output" if event is None else "events"
        told = text[:LONGEST_TOLD_LINE] if event is None else text
        if self._told_characters[what] >= TOLD_CHARACTERS[what]:
            return
        self._told_characters[what] += len(told) + 1
        self._recorder.record(event or ClientOutput(stream, told))
        if self._told_characters[what] >= TOLD_CHARACTERS[what]:
            self._recorder.record(Note(f"the client prints a lot: from here on its {what} are in its own files alone"))

    def _on_exit(self, instance: int, exited: asyncio.Future[ExitStatus]) -> None:
        if exited.cancelled() or instance in self._exits_told:
            return
        self._exits_told.add(instance)
        status = exited.result()
        asked = instance in self._ended_by_us
        self._recorder.record(ClientExited(instance, status.code, status.signal, asked, self._situation.hung_up))
