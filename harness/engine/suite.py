"""Several runs side by side: longest first, a bounded number at once, results in the order they were asked for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from harness.client_config import ClientConfig
from harness.engine.run import Played, RunPlayer, Surroundings, make_ready
from harness.engine.story import QUIET_AFTER_HANG_UP_S, SAMPLE_RATE_HZ
from harness.journal.events import RunEnded, RunPlanned
from harness.journal.reader import read_journal
from harness.journal.writer import JournalError, JournalWriter
from harness.judge import slipped
from harness.needs import unmet_needs
from harness.plan import Plan, for_client
from harness.policy import ClientProfile
from harness.scenario.model import HangUp, Until, Wait
from harness.verdict import ExitCode, RunStatus, Verdict

CLIENTS_STARTING_AT_ONCE = 4
"""More than this on two cores makes starts late (measured: the 99th percentile of our own lag grows)."""
RUNS_AT_ONCE_PER_CORE = 4
TYPICAL_TURN_S = 2.0


def default_jobs() -> int:
    """Enough runs at once to keep the machine busy: scenarios mostly wait."""
    return RUNS_AT_ONCE_PER_CORE * (os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One run to be played."""

    label: str
    """`tunnel~dies` or `tunnel~dies~7`: unique in a call."""
    plan: Plan
    client: ClientConfig
    folder: Path
    run_id: str
    """Unlike any other run's on this machine, so that what a client leaves behind can be told apart."""
    reproduce: str
    skip: str | None = None
    """Why it cannot be played (an ability that is missing); None: play it."""


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run and its verdict."""

    planned: PlannedRun
    verdict: Verdict


class Progress(Protocol):
    """Who is told how the runs go; cannot influence them."""

    def run_started(self, label: str) -> None:
        """It is being played from now on."""
        ...

    def run_event(self, label: str, text: str) -> None:
        """Something worth a line happened."""
        ...

    def run_finished(self, label: str, verdict: Verdict, folder: Path) -> None:
        """It was played and judged."""
        ...


def longest_s(plan: Plan) -> float:
    """Seconds that a run is likely to take: only for playing the longest first, so a rough sum will do."""
    story_s = 0.0
    for number, step in enumerate(plan.scenario.story, start=1):
        turn = plan.turn(number)
        match step:
            case Wait():
                story_s += step.wait
            case Until() if step.recovered is not None:
                story_s += step.recovered.within_s
            case HangUp():
                story_s += QUIET_AFTER_HANG_UP_S
            case _:
                story_s += TYPICAL_TURN_S
        if turn is not None and turn.utterance is not None:
            story_s += plan.utterance(turn.utterance).total_samples / SAMPLE_RATE_HZ
        story_s += max((meanwhile.do.for_s or 0.0 for meanwhile in step.meanwhile), default=0.0)
    return story_s


Judge = Callable[[PlannedRun, Played], Verdict]
"""Judges a played run and writes its results; called in a worker thread."""


async def play_all(
    runs: Sequence[PlannedRun],
    surroundings: Mapping[str, Surroundings],
    judge: Judge,
    progress: Progress,
    *,
    jobs: int,
) -> list[FinishedRun]:
    """Play every run, at most `jobs` at once; `surroundings` by kind of proxy. The result keeps the order of `runs`.

    A run whose triggers slipped is played once more, alone, when the others are done: a busy machine is not the
    client's fault. A run that cannot be played or judged through a mistake of ours is an error of its own, and leaves
    the others alone.
    """
    finished: dict[str, FinishedRun] = {}
    playing: set[RunPlayer] = set()
    slots = asyncio.Semaphore(max(1, jobs))
    slipped_runs: list[PlannedRun] = []

    async def play_one(run: PlannedRun, *, last_chance: bool) -> None:
        async with slots:
            progress.run_started(run.label)
            try:
                played = await _play(run, surroundings[run.plan.proxy.kind], progress, playing)
                if played.other_profile is not None:
                    progress.run_event(run.label, "the client says what it can and does: planned again for that")
                    run = _for_client(run, played.other_profile)
                    played = await _play(run, surroundings[run.plan.proxy.kind], progress, playing)
                if not last_chance and len(runs) > 1 and await asyncio.to_thread(_slipped, played):
                    progress.run_event(run.label, "our own triggers were late: it will be played once more, alone")
                    slipped_runs.append(run)
                    return
                verdict = await asyncio.to_thread(judge, run, played)
            except Exception as error:  # noqa: BLE001 - the other runs have done nothing wrong
                verdict = _unjudged(run, error)
            finished[run.label] = FinishedRun(run, verdict)
            progress.run_finished(run.label, verdict, run.folder)

    with _unheard_faults_break_off(playing):
        async with asyncio.TaskGroup() as group:
            for run in sorted(runs, key=lambda run: -longest_s(run.plan)):
                group.create_task(play_one(run, last_chance=False))
        for run in slipped_runs:
            await play_one(run, last_chance=True)
    return [finished[run.label] for run in runs]


@contextlib.contextmanager
def _unheard_faults_break_off(playing: Iterable[RunPlayer]) -> Iterator[None]:
    """What goes wrong where nobody awaits it (no file descriptors left, a mistake in a callback) is a fault of ours.

    Whose run it belongs to is not known, so that all that are being played then are given up.
    """
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error, players = context.get("exception"), list(playing)
        if not isinstance(error, Exception) or not players:
            loop.default_exception_handler(context)
        for player in players if isinstance(error, Exception) else ():
            player.break_off(f"{context.get('message', 'a fault of ours')}: {type(error).__name__}: {error}")

    loop.set_exception_handler(handle)
    try:
        yield
    finally:
        loop.set_exception_handler(before)


async def _play(run: PlannedRun, surroundings: Surroundings, progress: Progress, playing: set[RunPlayer]) -> Played:
    if run.skip is not None:
        return _note_skip(run, surroundings)
    player = RunPlayer(
        run.plan,
        run.client,
        run.folder,
        run.run_id,
        surroundings,
        lambda text: progress.run_event(run.label, text),
    )
    playing.add(player)
    try:
        return await player.play()
    finally:
        playing.discard(player)


def _for_client(run: PlannedRun, profile: ClientProfile) -> PlannedRun:
    plan = for_client(run.plan, profile)
    return replace(run, plan=plan, skip=unmet_needs(plan.scenario, profile, plan.proxy.kind))


def _note_skip(run: PlannedRun, surroundings: Surroundings) -> Played:
    """A skipped run leaves a journal too: the plan, and why it was not played."""
    make_ready(run.folder)
    journal = run.folder / "journal.jsonl"
    writer = JournalWriter(journal, surroundings.clock, None)
    writer.append(RunPlanned(run.plan.model_dump(mode="json")))
    writer.append(RunEnded("skipped", run.skip or ""))
    writer.close()
    return Played(run.folder, journal, "skipped", run.skip or "")


def _unjudged(run: PlannedRun, error: Exception) -> Verdict:
    """The verdict on a run that we could not bring to one."""
    message = f"its results could not be kept: {error}"
    if not isinstance(error, OSError | JournalError):
        last = traceback.extract_tb(error.__traceback__)[-1]
        message = f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno}); please report this"
    return Verdict(
        scenario=run.plan.scenario.scenario,
        variant=run.plan.variant,
        client=run.client.name,
        seed=run.plan.seed,
        status=RunStatus.ERROR,
        exit_code=ExitCode.HARNESS_FAULT,
        duration_s=0.0,
        checks=(),
        metrics={},
        reproduce=run.reproduce,
        message=message,
    )


def _slipped(played: Played) -> bool:
    return slipped(read_journal(played.journal))
