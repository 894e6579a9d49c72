"""Playing runs, for every command that plays: proxies, plans, clients, verdicts, and what is left after Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import importlib.metadata
import os
import random
import secrets
import shlex
import signal
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fake_server.clock import Clock, SystemClock
from harness.cli.judging import JOURNAL, Rules, judge_and_write
from harness.client_config import ClientConfig
from harness.engine.run import Played, Surroundings
from harness.engine.suite import CLIENTS_STARTING_AT_ONCE, FinishedRun, PlannedRun, Progress, play_all
from harness.errors import HarnessFault, UserMistake
from harness.journal.reader import read_journal
from harness.needs import unmet_needs
from harness.plan import ProxyInfo, make_plan
from harness.proxy.choose import open_proxy
from harness.proxy.port import FaultProxy, ProxyError
from harness.scenario.library import Selected
from harness.scenario.loader import unknown_checks
from harness.tls import make_authority
from harness.verdict import Verdict

ProxyKind = Literal["auto", "toxiproxy", "builtin"]
_Proxies = Mapping[str, tuple[FaultProxy, str]]
"""Kind → the proxy, and why it was taken; the one for scenarios that do not care comes first."""

MAX_SEED = 2**53 - 1
"""The largest whole number that every JSON reader keeps."""


@dataclass(frozen=True, slots=True)
class WantedRun:
    """A run that is to be played, before a proxy is known."""

    selected: Selected
    client: ClientConfig
    seed: int
    label: str
    """`tunnel~dies`: what progress calls it; unique in a call."""
    folder: Path
    """For its results; emptied first."""
    again: tuple[str, ...]
    """The command that repeats it; the proxy is added when it is known."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of playing."""

    finished: list[FinishedRun]
    """In the order of the wish. After an interruption: those that had begun, judged as far as they came."""
    interrupted: bool


def play(
    wanted: Sequence[WantedRun],
    progress: Progress,
    *,
    out: Path,
    jobs: int,
    proxy: ProxyKind = "auto",
    rules: Rules | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Outcome:
    """Play and judge every run, at most `jobs` at once, and write each run's own results.

    `out` holds the folders of the runs; it is made when all is known to be playable. `rules` None: all checks, nothing
    excused. `note` is told what concerns all runs. SIGTERM and Ctrl-C end the call early; what had begun is judged all
    the same. Raises `UserMistake` for what cannot be played (before anything is), `HarnessFault` when a proxy fails,
    `OSError` when results cannot be written.
    """
    refuse_unknown_checks([one.selected for one in wanted])
    refuse_collisions(wanted)
    call = _Call(wanted, progress, out, jobs, proxy, rules or Rules(), note)
    try:
        asyncio.run(call.play())
    except (KeyboardInterrupt, asyncio.CancelledError):
        call.judge_what_had_begun()
        return Outcome(call.in_order(), interrupted=True)
    except BaseExceptionGroup as group:
        raise _first_of(group) from None
    return Outcome(call.in_order(), interrupted=False)


def refuse_unknown_checks(selected: Sequence[Selected]) -> None:
    """Raises `UserMistake` for every check of a scenario's `checks:` that is none, with its place."""
    from harness.checks import CATALOGUE

    loaded = {id(one.loaded): one.loaded for one in selected}.values()
    mistakes = [message for one in loaded for message in unknown_checks(one, CATALOGUE)]
    if mistakes:
        raise UserMistake(mistakes)


def refuse_collisions(wanted: Sequence[WantedRun]) -> None:
    """Raises `UserMistake` for two runs that would write into one folder."""
    first: dict[Path, WantedRun] = {}
    mistakes = []
    for run in wanted:
        other = first.setdefault(run.folder, run)
        if other is not run:
            here = run.selected.loaded.source.where(("scenario",))
            there = other.selected.loaded.source.where(("scenario",))
            mistakes.append(
                f"{here}: `{run.selected.label}` is also the name of the scenario at {there}, and their results would "
                "overwrite each other; rename one of them, or play them by two calls"
            )
    if mistakes:
        raise UserMistake(mistakes)


def out_folder(given: str | None, first_word: str, seed: int) -> Path:
    """Where results go: what `--out` says, else a folder in `harness-results` named by time and seed.

    `first_word` begins the name. Raises `UserMistake` for a name that is empty.
    """
    if given is None:
        now = datetime.datetime.now().astimezone()
        return Path("harness-results") / f"{first_word}{now:%Y%m%d-%H%M%S}-{seed}"
    if not given.strip():
        raise UserMistake("--out is empty: name a folder, or leave the option out")
    return Path(given)


def draw_seed() -> int:
    """For a call that names none: short, since people copy it."""
    return random.SystemRandom().randrange(1, 1_000_000)


def prepare_out(out: Path, wanted: Sequence[WantedRun]) -> None:
    """Make the results folder. Raises `UserMistake` where it cannot be one, or holds something else than results."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UserMistake(f"--out {str(out)!r} is a file; name a folder, which is made when it is not there") from None
    except OSError as error:
        raise UserMistake(
            f"--out {str(out)!r} cannot be made: {error.strerror or error}; name another folder"
        ) from None
    if not os.access(out, os.W_OK | os.X_OK):
        raise UserMistake(f"--out {str(out)!r} may not be written to; name another folder")
    for run in wanted:
        foreign = run.folder.exists() and not (run.folder.is_dir() and _is_run(run.folder))
        if foreign:
            raise UserMistake(
                f"{str(run.folder)!r} is no folder of a run, and would be overwritten; choose another --out"
            )


def _is_run(folder: Path) -> bool:
    return (folder / JOURNAL).exists() or not any(folder.iterdir())


def versions() -> dict[str, str]:
    """What a plan depends on: the harness itself, and Faker, whose word lists change between releases."""
    return {
        "harness": importlib.metadata.version("live-api-harness"),
        "faker": importlib.metadata.version("faker"),
        "python": ".".join(str(part) for part in sys.version_info[:3]),
    }


@dataclass(slots=True)
class _Call:
    """One call that plays."""

    wanted: Sequence[WantedRun]
    progress: Progress
    out: Path
    jobs: int
    proxy: ProxyKind
    rules: Rules
    note: Callable[[str], None]
    _planned: list[PlannedRun] = field(default_factory=list)
    _begun: set[str] = field(default_factory=set)
    """Labels of runs that are or were being played."""
    _judged: dict[str, FinishedRun] = field(default_factory=dict)

    async def play(self) -> None:
        _heed_signals()
        clock = SystemClock()
        with tempfile.TemporaryDirectory(prefix="live-api-harness-tls-") as tls_folder:
            authority = make_authority(Path(tls_folder))
            async with self._open_proxies(clock) as proxies:
                slots = asyncio.Semaphore(CLIENTS_STARTING_AT_ONCE)
                surroundings = {
                    kind: Surroundings(proxy, why, authority, clock, dict(os.environ), slots)
                    for kind, (proxy, why) in proxies.items()
                }
                self._planned = _plan(self.wanted, self.proxy, proxies)
                prepare_out(self.out, self.wanted)
                await play_all(self._planned, surroundings, self._judge, self, jobs=self.jobs)

    def in_order(self) -> list[FinishedRun]:
        """What was judged, in the order of the wish."""
        return [self._judged[run.label] for run in self._planned if run.label in self._judged]

    def judge_what_had_begun(self) -> None:
        """After an interruption: judge the runs that had begun as far as they came."""
        for run in self._planned:
            if run.label in self._begun and run.label not in self._judged and (run.folder / JOURNAL).exists():
                verdict = self._judge(run, None)
                self.progress.run_finished(run.label, verdict, run.folder)

    # What `play_all` tells; it runs in the loop's thread.

    def run_started(self, label: str) -> None:
        self._begun.add(label)
        self.progress.run_started(label)

    def run_event(self, label: str, text: str) -> None:
        self.progress.run_event(label, text)

    def run_finished(self, label: str, verdict: Verdict, folder: Path) -> None:
        planned = next(run for run in self._planned if run.label == label)
        self._judged.setdefault(label, FinishedRun(planned, verdict))  # one that could not be judged is not there yet
        self.progress.run_finished(label, verdict, folder)

    def _judge(self, run: PlannedRun, _played: Played | None) -> Verdict:
        verdict = judge_and_write(
            run.folder,
            read_journal(run.folder / JOURNAL),
            self.rules,
            client_name=run.client.name,
            reproduce=run.reproduce,
        )
        self._judged[run.label] = FinishedRun(run, verdict)
        return verdict

    @contextlib.asynccontextmanager
    async def _open_proxies(self, clock: Clock) -> AsyncIterator[_Proxies]:
        """The proxies that the runs need: the chosen one, and the relay where a scenario asks for it."""
        seed = self.wanted[0].seed if self.wanted else 0
        opened: dict[str, tuple[FaultProxy, str]] = {}
        try:
            proxy, why = await open_proxy(self.proxy, seed=seed, clock=clock)
            opened[proxy.kind] = (proxy, why)
            self.note(f"proxy: {why}")
            asking = [one.label for one in self.wanted if one.selected.scenario.needs.proxy == "builtin"]
            if self.proxy == "auto" and asking and "builtin" not in opened:
                relay, _ = await open_proxy("builtin", seed=seed, clock=clock)
                opened["builtin"] = (relay, "the scenario needs what only the built-in relay can do")
                self.note(f"proxy: the built-in relay for {_some(asking)}, which only it can do")
            yield opened
        except ProxyError as error:
            raise HarnessFault(str(error)) from error
        finally:
            for proxy, _ in opened.values():
                await proxy.close()


def _plan(wanted: Sequence[WantedRun], asked: ProxyKind, proxies: _Proxies) -> list[PlannedRun]:
    """Settle everything. Raises `UserMistake` for faults that the proxies at hand cannot produce."""
    main_kind = next(iter(proxies))
    told = versions()
    planned: list[PlannedRun] = []
    mistakes: dict[str, None] = {}
    for run in wanted:
        scenario, profile = run.selected.scenario, run.client.profile
        kind = "builtin" if scenario.needs.proxy == "builtin" and "builtin" in proxies else main_kind
        proxy, _ = proxies[kind]
        info = ProxyInfo.of(proxy.kind, proxy.version, proxy.abilities)
        skip = unmet_needs(scenario, profile, proxy.kind, proxy.abilities)
        if skip is None:
            mistakes |= dict.fromkeys(run.selected.impossible_faults(proxy.abilities, proxy.kind))
        again = run.again if asked == "auto" and kind == "toxiproxy" else (*run.again, "--proxy", kind)
        planned.append(
            PlannedRun(
                label=run.label,
                plan=make_plan(scenario, run.selected.variant, run.seed, profile, info, told),
                client=run.client,
                folder=run.folder,
                run_id=f"run-{secrets.token_hex(4)}",
                reproduce=shlex.join(again),
                skip=skip,
            )
        )
    if mistakes:
        raise UserMistake(mistakes)
    return planned


def _some(labels: Sequence[str], most: int = 3) -> str:
    shown = ", ".join(dict.fromkeys(labels[:most]))
    return shown if len(labels) <= most else f"{shown} and {len(labels) - most} more"


def _first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What went wrong first; runs that were stopped because of it say nothing."""
    first = group.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first


def _heed_signals() -> None:
    """A CI job that is cancelled gets SIGTERM, a terminal that closes sends SIGHUP: both are taken like Ctrl-C.

    Clients are stopped, and results kept. SIGHUP stays as it is where somebody has set it, as `nohup` does.
    """
    task = asyncio.current_task()
    if task is None or threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        if number == signal.SIGTERM or signal.getsignal(number) is signal.SIG_DFL:
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
