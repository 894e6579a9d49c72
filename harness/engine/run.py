"""One run, from the first file to the last process: starts the parts in order, plays, stops them in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import secrets
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fake_server.app import FakeServer, Listener
from fake_server.clock import Clock
from fake_server.events import FrameSent, ServerEvent
from fake_server.labels import Labels
from fake_server.speech import wav
from harness.client_config import ClientConfig
from harness.client_environment import ClientAddresses, environment
from harness.contract import parse_line
from harness.engine.faults import FaultRunner
from harness.engine.recorder import Recorder
from harness.engine.situation import Situation
from harness.engine.story import StoryPlayer
from harness.engine.triggers import Condition, TriggerBoard
from harness.errors import HarnessFault
from harness.journal.events import (
    ClientCommand,
    ClientExited,
    ClientOutput,
    ClientStarted,
    ClientStopping,
    Entry,
    HarnessLag,
    LinkClientClosed,
    LinkDial,
    Note,
    ProxyReady,
    RunEnded,
    RunPlanned,
    StepEnded,
    StepStarted,
)
from harness.journal.writer import JournalError, JournalWriter
from harness.plan import Plan
from harness.process import ClientProcess, ExitStatus
from harness.proxy.port import ClientClosed, Dialled, FaultProxy, Link, ProxyError
from harness.redaction import Redactor
from harness.scenario.faults import ClientFault
from harness.tls import Authority
from harness.translate import behaviour

LAG_WORTH_TELLING_MS = 20.0
LAG_PROBE_S = 0.05


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all runs of one call share."""

    proxy: FaultProxy
    why_this_proxy: str
    authority: Authority
    clock: Clock
    base_environment: dict[str, str]
    start_slots: asyncio.Semaphore
    """How many clients may be starting at one time."""


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a run, before anybody judges it."""

    folder: Path
    journal: Path
    outcome: str
    """As `run.ended`: `played`, `skipped`, `interrupted`, `harness_error`."""
    message: str


class _Client:
    """The program under test as the story sees it: commands in, lines out, restarts."""

    def __init__(self, run: RunPlayer) -> None:
        self._run = run
        self._process: ClientProcess | None = None
        self._instance = 0
        self._asked = False

    @property
    def driven(self) -> bool:
        return self._run.plan.client.driven

    def wav_path(self, utterance: int) -> str:
        return str(self._run.scratch / f"utterance-{utterance}.wav")

    def command(self, command: dict[str, object]) -> None:
        if not self.driven or self._process is None:
            return
        told = {key: Path(str(value)).name if key == "wav" else value for key, value in command.items()}
        self._run.recorder.record(ClientCommand(told))
        self._process.send(command)

    async def start(self) -> None:
        run = self._run
        async with run.surroundings.start_slots:
            self._instance += 1
            self._asked = False
            self._process = await ClientProcess.start(
                run.client.resolved_command,
                cwd=run.client.cwd,
                env=run.client_environment(),
                run_id=run.run_id,
                stdout_path=run.folder / "client.stdout",
                stderr_path=run.folder / "client.stderr",
                redactor=run.redactor,
                on_line=self._on_line,
                keeps_stdin_open=True,
                append=self._instance > 1,
            )
            run.recorder.record(ClientStarted(self._instance))
            self._process.exited.add_done_callback(functools.partial(self._on_exit, self._instance))

    async def connect(self) -> str:
        """Ask for the first session and wait for it."""
        run = self._run
        self.command({"do": "connect"})
        if run.situation.live:
            return "done"
        entry = await run.recorder.wait_for(
            lambda entry: (
                entry.event.kind in {"session.started", "client.exited"} or run.situation.unsupported is not None
            ),
            run.plan.client.start_within,
        )
        if entry is None:
            return "timed_out"
        return "done" if entry.event.kind == "session.started" else "client_gone"

    def _on_line(self, stream: str, text: str) -> None:
        event = parse_line(text) if stream == "stdout" else None
        self._run.recorder.record(event if event is not None else ClientOutput(stream, text[:4096]))

    def _on_exit(self, instance: int, exited: asyncio.Future[ExitStatus]) -> None:
        if exited.cancelled():
            return
        status = exited.result()
        self._run.recorder.record(
            ClientExited(instance, status.code, status.signal, self._asked, self._run.situation.hung_up)
        )

    async def control(self, fault: ClientFault) -> None:
        if self._process is None:
            return
        match fault.client:
            case "suspend":
                self._process.suspend()
            case "resume":
                self._process.resume()
            case "restart":
                await self.stop(ask=False)
                await self.start()
                self.command({"do": "connect"})

    async def stop(self, *, ask: bool) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        if ask and not process.exited.done():
            self._run.recorder.record(ClientStopping(self._instance, "asked", "quit"))
        self._asked = True
        took = await process.stop(ask=ask, within_s=self._run.plan.client.stop_within)
        for how in took:
            if how != "asked":
                self._run.recorder.record(ClientStopping(self._instance, how.split(":")[0], how))


class RunPlayer:
    """Plays one plan into one folder."""

    def __init__(
        self,
        plan: Plan,
        client: ClientConfig,
        folder: Path,
        run_id: str,
        surroundings: Surroundings,
        progress: Callable[[str], None],
    ) -> None:
        self.plan = plan
        self.client = client
        self.folder = folder
        self.run_id = run_id
        self.surroundings = surroundings
        self.situation = Situation()
        self.redactor = Redactor()
        self._progress = progress
        self._triggers = TriggerBoard()
        self._links: dict[str, Link] = {}
        self._faults: FaultRunner | None = None
        self._story: StoryPlayer | None = None
        self._broken: str | None = None
        """What went wrong in a part of ours, first of all; None: nothing."""

    async def play(self) -> Played:
        """Play to the end, whatever the client does. Cancellation (Ctrl-C) stops everything and is passed on."""
        self._prepare_folder()
        journal_path = self.folder / "journal.jsonl"
        outcome, message = "harness_error", ""
        with contextlib.ExitStack() as files:
            self.scratch = Path(files.enter_context(tempfile.TemporaryDirectory(prefix="live-api-harness-")))
            writer = JournalWriter(journal_path, self.surroundings.clock, self.redactor.redact)
            files.callback(writer.close)
            self.recorder = Recorder(writer)
            self.recorder.listen(self._take)
            self.recorder.record(RunPlanned(self.plan.model_dump(mode="json")))
            try:
                outcome, message = await self._play_with_parts()
            except asyncio.CancelledError:
                outcome, message = "interrupted", "stopped by the user"
                raise
            except (HarnessFault, ProxyError, OSError) as error:
                message = str(error)
            finally:
                if self._broken is not None and outcome == "played":
                    outcome, message = "harness_error", self._broken
                with contextlib.suppress(JournalError):
                    self.recorder.record(RunEnded(outcome, message))
        if writer.failed is not None:
            outcome, message = "harness_error", f"the journal could not be written: {writer.failed}"
        return Played(self.folder, journal_path, outcome, message)

    def _prepare_folder(self) -> None:
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True)

    async def _play_with_parts(self) -> tuple[str, str]:
        async with contextlib.AsyncExitStack() as parts:
            await self._start_server(parts)
            await self._open_links(parts)
            self._write_speech()
            client = _Client(self)
            faults = FaultRunner(self.recorder, self._links, self.server, client.control)
            story = StoryPlayer(
                self.plan, client, self.recorder, self.situation, faults, self._triggers, self._progress
            )
            self._faults, self._story = faults, story
            parts.push_async_callback(faults.lift_all)
            parts.callback(story.cancel_timers)
            parts.push_async_callback(client.stop, ask=True)
            lag = asyncio.create_task(self._watch_lag())
            parts.callback(lag.cancel)
            self._arm_timeline()
            await client.start()
            self._progress("connecting")
            self.recorder.record(StepStarted(0, "connect", {}))
            connected = await client.connect()
            self.recorder.record(StepEnded(0, connected))
            if connected == "done":
                await story.play()
                if self.situation.hung_up:
                    await story.watch_after_hang_up()
                else:
                    await story.probe()
            self._progress("stopping")
            if self.situation.unsupported is not None:
                return "skipped", self.situation.unsupported
            return "played", ""
        raise AssertionError("an exit stack never swallows")  # pragma: no cover

    # --- parts ---------------------------------------------------------------------------------------------------

    async def _start_server(self, parts: contextlib.AsyncExitStack) -> None:
        tls = self.surroundings.authority.server_context if self.plan.client.tls == "on" else None
        labels = Labels(self.redactor.learn)
        self.server = FakeServer(
            behaviour(self.plan),
            clock=self.surroundings.clock,
            observer=self._observe,
            labels=labels,
            seed=self.plan.seed,
            new_secret=functools.partial(secrets.token_hex, 16),
            gate=self._gate,
        )
        self.redactor.mark(self.server.marker)
        self.server.on_error = self._server_broke
        await self.server.start([Listener("live", tls=tls), Listener("backend", tls=tls)])
        parts.push_async_callback(self.server.stop)

    async def _open_links(self, parts: contextlib.AsyncExitStack) -> None:
        proxy = self.surroundings.proxy
        for name in ("live", "backend"):
            link = await proxy.open_link(name, self.server.port(name), self._on_proxy, label=self.run_id)
            self._links[name] = link
            parts.push_async_callback(link.close)
        self.recorder.record(ProxyReady(proxy.kind, proxy.version, self.surroundings.why_this_proxy))

    def _write_speech(self) -> None:
        for utterance in self.plan.utterances:
            samples = wav(
                utterance.number, utterance.speech_samples, utterance.total_samples - utterance.speech_samples
            )
            (self.scratch / f"utterance-{utterance.number}.wav").write_bytes(samples)

    def client_environment(self) -> dict[str, str]:
        """The contract's variables, over the environment that the harness itself was given."""
        scheme: Literal["http", "https"] = "https" if self.plan.client.tls == "on" else "http"
        return environment(
            self.surroundings.base_environment,
            plan_name=self.plan.scenario.scenario,
            seed=self.plan.seed,
            run_id=self.run_id,
            model=self.server.model,
            policy=self.plan.client.policy,
            addresses=ClientAddresses(
                scheme=scheme, live_port=self._links["live"].port, backend_port=self._links["backend"].port
            ),
            api_key=self.server.api_key,
            authority=self.surroundings.authority,
            extra=self.client.env,
            vertex=self.plan.scenario.session.profile == "vertex",
        )

    # --- facts coming in -----------------------------------------------------------------------------------------

    def _take(self, entry: Entry) -> None:
        self.situation.take(entry)
        self._triggers.see(entry.event, "after")

    def _observe(self, event: ServerEvent) -> None:
        self.recorder.record(event)

    def _gate(self, frame: FrameSent) -> Awaitable[None] | None:
        due = [task for task in self._triggers.see(frame, "before") if isinstance(task, asyncio.Task)]
        return _all_done(due) if due else None

    def _on_proxy(self, seen: Dialled | ClientClosed) -> None:
        match seen:
            case Dialled(link=link):
                self.recorder.record(LinkDial(link))
            case ClientClosed(link=link, upstream_port=port):
                socket = None if port is None else self.server.socket_of_peer(port)
                self.recorder.record(LinkClientClosed(link, socket))
                if socket is not None:
                    self.server.client_closed(socket)

    def _server_broke(self, error: BaseException) -> None:
        if self._broken is None:
            self._broken = f"the fake server failed: {type(error).__name__}: {error}"
            self.recorder.record(Note(self._broken))

    # --- timeline ------------------------------------------------------------------------------------------------

    def _arm_timeline(self) -> None:
        for entry in self.plan.scenario.timeline:
            when = entry.when
            condition = Condition(
                when.event,
                nth=when.nth,
                every=when.every,
                connection=when.connection,
                after_s=when.after_s,
                filter=when.filter,
                edge=when.edge,
            )
            assert self._story is not None  # noqa: S101 - set a few lines before this is called
            self._triggers.add(condition, self._story.firing(entry.do))

    async def _watch_lag(self) -> None:
        loop = asyncio.get_running_loop()
        worst_ms, told_s = 0.0, loop.time()
        while True:
            expected_s = loop.time() + LAG_PROBE_S
            await asyncio.sleep(LAG_PROBE_S)
            worst_ms = max(worst_ms, (loop.time() - expected_s) * 1000)
            if loop.time() - told_s >= 1.0:
                if worst_ms > LAG_WORTH_TELLING_MS:
                    self.recorder.record(HarnessLag(round(worst_ms, 1)))
                worst_ms, told_s = 0.0, loop.time()


async def _all_done(tasks: list[asyncio.Task[None]]) -> None:
    await asyncio.wait(tasks)
