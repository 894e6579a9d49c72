"""One run, from the first file to the last process: starts the parts in order, plays, stops them in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import secrets
import shutil
import tempfile
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from fake_server.app import FakeServer, Listener
from fake_server.clock import Clock
from fake_server.events import FrameSent, ServerEvent
from fake_server.labels import Labels
from fake_server.speech import wav
from harness.client_config import ClientConfig
from harness.client_environment import ClientAddresses, environment
from harness.engine.client import ClientUnderTest
from harness.engine.faults import FaultRunner
from harness.engine.recorder import Recorder
from harness.engine.situation import Situation
from harness.engine.story import StoryPlayer
from harness.engine.triggers import Condition, TriggerBoard
from harness.errors import HarnessFault, UserMistake
from harness.journal.events import (
    Entry,
    FaultFailed,
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
from harness.journal.writer import JournalWriter
from harness.plan import Plan
from harness.policy import ClientProfile
from harness.proxy.port import ClientClosed, Dialled, FaultProxy, Link, ProxyError
from harness.redaction import Redactor
from harness.tls import Authority
from harness.translate import behaviour

LAG_WORTH_TELLING_MS = 20.0
LAG_PROBE_S = 0.05
LINKS_CHECKED_EVERY_S = 1.0
"""How late it is noticed, at most, that a proxy has died while no fault was asked of it."""


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
    """As `run.ended`: `played`, `skipped`, `interrupted`, `not_started`, `other_client`, `harness_error`."""
    message: str
    other_profile: ClientProfile | None = None
    """With the outcome `other_client`: what the client said that it is. The run has to be planned for that."""


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
        self._breaks = asyncio.Event()
        self._other_profile: ClientProfile | None = None

    async def play(self) -> Played:
        """Play to the end, whatever the client does.

        Cancellation (Ctrl-C) stops everything and is passed on. Raises `OSError` and `JournalError` when the folder of
        the results cannot be made ready; all else that goes wrong is the outcome.
        """
        make_ready(self.folder)
        journal_path = self.folder / "journal.jsonl"
        outcome, message = "harness_error", ""
        with contextlib.ExitStack() as files:
            self.scratch = Path(files.enter_context(tempfile.TemporaryDirectory(prefix="live-api-harness-")))
            writer = JournalWriter(
                journal_path, self.surroundings.clock, self.redactor.redact, lambda error: self.break_off(str(error))
            )
            files.callback(writer.close)
            self.recorder = Recorder(writer)
            self.recorder.listen(self._take)
            self.recorder.record(RunPlanned(self.plan.model_dump(mode="json")))
            try:
                outcome, message = await self._play_with_parts()
            except asyncio.CancelledError:
                outcome, message = "interrupted", "stopped by the user"
                raise
            except UserMistake as mistake:
                outcome, message = "not_started", str(mistake)
            except (HarnessFault, ProxyError, OSError) as error:
                message = str(error)
            except Exception as error:  # noqa: BLE001 - a mistake of ours ends this run, and no other
                message = f"{type(error).__name__}: {error}"
                self.recorder.record(Note(traceback.format_exc()))
            finally:
                if self._broken is not None and outcome != "interrupted":
                    outcome, message = "harness_error", self._broken
                self.recorder.record(RunEnded(outcome, message))
                self.recorder.close()
        if writer.failed is not None:
            outcome, message = "harness_error", str(writer.failed)
        return Played(self.folder, journal_path, outcome, message, self._other_profile)

    def break_off(self, why: str) -> None:
        """A part of ours has failed: the run ends now, and says nothing about the client."""
        if self._broken is None:
            self._broken = why
            self._breaks.set()

    async def _play_with_parts(self) -> tuple[str, str]:
        async with contextlib.AsyncExitStack() as parts:
            await self._start_server(parts)
            await self._open_links(parts)
            self._write_speech()
            client = ClientUnderTest(
                self.plan,
                self.client,
                folder=self.folder,
                scratch=self.scratch,
                run_id=self.run_id,
                environment=self.client_environment,
                recorder=self.recorder,
                situation=self.situation,
                redactor=self.redactor,
                start_slots=self.surroundings.start_slots,
                on_broken=self.break_off,
            )
            faults = FaultRunner(self.recorder, self._links, self.server, client.control)
            story = StoryPlayer(
                self.plan, client, self.recorder, self.situation, faults, self._triggers, self._progress
            )
            self._faults, self._story = faults, story
            parts.push_async_callback(faults.lift_all)

            async def stop_client(
                problem: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
            ) -> None:
                await client.stop(hurry=problem is not None)

            parts.push_async_exit(stop_client)
            parts.callback(self._begin_nothing_more, story)
            self._on_the_side(parts, self._watch_lag())
            self._on_the_side(parts, self._watch_links())
            self._arm_timeline()
            await self._unless_broken(self._tell_story(client, story))
            await self._check_links()
            if self._other_profile is not None:
                return "other_client", "the client says something else of itself than was planned for"
            self._progress("stopping")
            if self.situation.unsupported is not None:
                return "skipped", self.situation.unsupported
            return "played", ""
        raise AssertionError("an exit stack never swallows")  # pragma: no cover

    async def _tell_story(self, client: ClientUnderTest, story: StoryPlayer) -> None:
        await client.start()
        self._progress("connecting")
        self.recorder.record(StepStarted(0, "connect", {}))
        connected = await client.connect()
        self.recorder.record(StepEnded(0, connected))
        if connected == "other_profile":
            self._other_profile = client.other_profile
        if connected != "done":
            return
        await story.play()
        if self.situation.hung_up:
            await story.watch_after_hang_up()
        else:
            await story.probe()

    async def _unless_broken(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work; raises `HarnessFault` as soon as a part of ours has failed."""
        tasks = [asyncio.create_task(work), asyncio.create_task(self._breaks.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self._broken is not None:
                raise HarnessFault(self._broken)
            tasks[0].result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _begin_nothing_more(self, story: StoryPlayer) -> None:
        """The story is over: what happens while the parts are stopped triggers nothing."""
        story.cancel_timers()
        for condition in self._triggers.clear():
            self.recorder.record(Note(f"a fault never came due: no {condition.event} came for it"))

    @staticmethod
    def _on_the_side(parts: contextlib.AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)

        async def end() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        parts.push_async_callback(end)

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
        parts.push_async_callback(self._close_links)
        for name in ("live", "backend"):
            self._links[name] = await proxy.open_link(name, self.server.port(name), self._on_proxy, label=self.run_id)
        self.recorder.record(ProxyReady(proxy.kind, proxy.version, self.surroundings.why_this_proxy))

    async def _close_links(self) -> None:
        # Side by side: a proxy that does not answer is waited for once.
        await asyncio.gather(*(link.close() for link in self._links.values()))

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
        try:
            self.situation.take(entry)
            self._triggers.see(entry.event, "after")
        except Exception as error:  # noqa: BLE001 - who tells a fact must not stumble over what we make of it
            self.break_off(f"{entry.event.kind} could not be taken in: {type(error).__name__}: {error}")
        if isinstance(entry.event, FaultFailed):
            self.break_off(f"{entry.event.act} could not be done: {entry.event.reason}")

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
        self.break_off(f"the fake server failed: {type(error).__name__}: {error}")

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

    # --- on the side ---------------------------------------------------------------------------------------------

    async def _watch_links(self) -> None:
        while True:
            await asyncio.sleep(LINKS_CHECKED_EVERY_S)
            try:
                await self._check_links()
            except ProxyError as error:
                self.break_off(str(error))
                return

    async def _check_links(self) -> None:
        await asyncio.gather(*(link.check() for link in self._links.values()))

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


def make_ready(folder: Path) -> None:
    """An empty folder for a run's results."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


async def _all_done(tasks: list[asyncio.Task[None]]) -> None:
    await asyncio.wait(tasks)
