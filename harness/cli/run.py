"""`harness run`: plays scenarios against one client, judges them, writes the results."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import functools
import importlib.metadata
import os
import random
import secrets
import shlex
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

import click

from fake_server.clock import Clock, SystemClock
from harness.baseline import Baseline, load_baseline
from harness.checks import CATALOGUE
from harness.client_config import ClientConfig, from_command_line, load_client_config, reference_client
from harness.engine.run import Played, Surroundings
from harness.engine.suite import (
    CLIENTS_STARTING_AT_ONCE,
    FinishedRun,
    PlannedRun,
    default_jobs,
    play_all,
)
from harness.errors import HarnessFault, UserMistake
from harness.journal.reader import read_journal
from harness.judge import judge_run
from harness.plan import ProxyInfo, make_plan, unmet_needs
from harness.proxy.choose import open_proxy
from harness.proxy.port import FaultProxy, ProxyError
from harness.scenario.library import Selected, find_scenarios
from harness.tls import make_authority
from harness.verdict import ExitCode, Verdict, merge_exit_codes
from harness.verdict_json import write_verdict

ProxyKind = Literal["auto", "toxiproxy", "builtin"]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The command line of `harness run`, checked."""

    scenarios: tuple[str, ...]
    client: ClientConfig
    client_words: tuple[str, ...]
    """The options that named the client, for the command that repeats a run."""
    out: Path
    seeds: tuple[int, ...]
    jobs: int
    proxy: ProxyKind
    baseline: Baseline | None
    select: str | None
    strict: bool
    as_json: bool
    verbosity: int
    """-1 quiet, 0 normal, 1 and more verbose."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("scenarios", nargs=-1, required=True, metavar="SCENARIO...")
@click.option("--client", "client_command", metavar="CMD", help="Command line that starts the client under test.")
@click.option("--client-config", metavar="FILE", help="client.yaml: command, abilities and policy of the client.")
@click.option("--out", metavar="DIR", help="Where results go.  [default: harness-results/<time>-<seed>]")
@click.option("--seed", type=click.IntRange(0), help="Same file, seed and client: same plan.  [default: drawn]")
@click.option("--repeat", type=click.IntRange(1), default=1, show_default=True, help="Play each N times, seed upwards.")
@click.option("--jobs", type=click.IntRange(1), help="Runs at one time.  [default: enough to keep the machine busy]")
@click.option(
    "--proxy",
    type=click.Choice(["auto", "toxiproxy", "builtin"]),
    default="auto",
    show_default=True,
    help="What stands in the links.",
)
@click.option(
    "--tls",
    type=click.Choice(["auto", "on", "off"]),
    default="auto",
    show_default=True,
    help="auto: what the client's config says, else on.",
)
@click.option("--baseline", metavar="FILE", help="Checks that are known to fail.")
@click.option("--select", metavar="CHECK_GLOB", help="Judge these checks only, as in 'RESUME-*'.")
@click.option("--strict", is_flag=True, help="A SHOULD counts as a MUST.")
@click.option("--json", "as_json", is_flag=True, help="Print summary.json on standard output.")
@click.option("-q", "--quiet", is_flag=True, help="Only what failed.")
@click.option("-v", "--verbose", count=True, help="Every step and fault.")
def run(
    scenarios: tuple[str, ...],
    client_command: str | None,
    client_config: str | None,
    out: str | None,
    seed: int | None,
    repeat: int,
    jobs: int | None,
    proxy: str,
    tls: str,
    baseline: str | None,
    select: str | None,
    strict: bool,
    as_json: bool,
    quiet: bool,
    verbose: int,
) -> None:
    """Play scenarios against one client, judge them, write the results.

    SCENARIO is a file, a folder, or the name of a built-in one (tunnel, or tunnel~dies for one variant). Without
    --client and --client-config the built-in reference client plays.
    """
    client, words = _client(client_command, client_config, tls)
    first_seed = seed if seed is not None else random.SystemRandom().randrange(1, 1_000_000)
    started = datetime.datetime.now().astimezone()
    if select is not None and not _selects_any(select):
        raise UserMistake(f"--select {select!r} matches no check; `harness list checks` prints them")
    options = RunOptions(
        scenarios=scenarios,
        client=client,
        client_words=words,
        out=Path(out) if out else Path("harness-results") / f"{started:%Y%m%d-%H%M%S}-{first_seed}",
        seeds=tuple(range(first_seed, first_seed + repeat)),
        jobs=jobs or default_jobs(),
        proxy=cast("ProxyKind", proxy),
        baseline=load_baseline(Path(baseline)) if baseline else None,
        select=select,
        strict=strict,
        as_json=as_json,
        verbosity=-1 if quiet else verbose,
    )
    selected = [one for name in options.scenarios for one in find_scenarios(name)]
    sys.exit(asyncio.run(play_and_report(options, selected)))


def _client(command: str | None, config: str | None, tls: str) -> tuple[ClientConfig, tuple[str, ...]]:
    if command and config:
        raise UserMistake("--client and --client-config were both given: one of them names the client; leave one out")
    words: tuple[str, ...]
    if command:
        client, words = from_command_line(command), ("--client", command)
    elif config:
        client, words = load_client_config(Path(config)), ("--client-config", config)
    else:
        client, words = reference_client(), ()
    client.resolved_command  # noqa: B018 - raises at once, with the way out, when the program is not there
    if tls != "auto":
        client = replace(client, profile=client.profile.model_copy(update={"tls": tls}))
        words = (*words, "--tls", tls)
    return client, words


def _selects_any(glob: str) -> bool:
    import fnmatch

    return any(fnmatch.fnmatchcase(check, glob) for check in CATALOGUE)


# --- playing ---------------------------------------------------------------------------------------------------------


async def play_and_report(options: RunOptions, selected: Sequence[Selected]) -> ExitCode:
    """Everything after the command line was understood; returns the exit code of the call."""
    from reports.console import Console
    from reports.write import write_call

    clock = SystemClock()
    console = Console(verbosity=options.verbosity, json_on_stdout=options.as_json)
    with tempfile.TemporaryDirectory(prefix="live-api-harness-tls-") as tls_folder:
        authority = make_authority(Path(tls_folder))
        async with _proxies(options, selected, clock, console.note) as proxies:
            shared = asyncio.Semaphore(CLIENTS_STARTING_AT_ONCE)
            surroundings = {
                kind: Surroundings(proxy, why, authority, clock, dict(os.environ), shared)
                for kind, (proxy, why) in proxies.items()
            }
            runs = _plan_runs(options, selected, proxies)
            judge = functools.partial(_judge_and_write, options)
            finished = await play_all(runs, surroundings, judge, console, jobs=options.jobs)
    exit_code = merge_exit_codes(one.verdict.exit_code for one in finished)
    command = shlex.join(["harness", *sys.argv[1:]])
    summary = await asyncio.to_thread(
        write_call, options.out, [(one.planned.folder, one.verdict) for one in finished], exit_code, command
    )
    console.summary([(one.verdict, one.planned.folder) for one in finished], exit_code, options.out)
    if options.as_json:
        click.echo(summary)
    return exit_code


@contextlib.asynccontextmanager
async def _proxies(
    options: RunOptions, selected: Sequence[Selected], clock: Clock, tell: object
) -> AsyncIterator[dict[str, tuple[FaultProxy, str]]]:
    """The proxies that the runs will need, by kind: the chosen one, and the relay where a scenario asks for it."""
    opened: dict[str, tuple[FaultProxy, str]] = {}
    try:
        proxy, why = await open_proxy(options.proxy, seed=options.seeds[0], clock=clock)
        opened[proxy.kind] = (proxy, why)
        if callable(tell):
            tell(f"proxy: {why}")
        wanted = {one.scenario.needs.proxy for one in selected}
        if options.proxy == "auto" and "builtin" in wanted and "builtin" not in opened:
            relay, _ = await open_proxy("builtin", seed=options.seeds[0], clock=clock)
            opened["builtin"] = (relay, "the scenario needs what only the built-in relay can do")
        yield opened
    except ProxyError as error:
        raise HarnessFault(str(error)) from error
    finally:
        for proxy, _ in opened.values():
            await proxy.close()


def _plan_runs(
    options: RunOptions, selected: Sequence[Selected], proxies: dict[str, tuple[FaultProxy, str]]
) -> list[PlannedRun]:
    main_kind = next(iter(proxies))
    several_seeds = len(options.seeds) > 1
    runs = []
    for one in selected:
        for seed in options.seeds:
            kind = "builtin" if one.scenario.needs.proxy == "builtin" and "builtin" in proxies else main_kind
            proxy = proxies[kind][0]
            info = ProxyInfo.of(proxy.kind, proxy.version, proxy.abilities)
            label = one.label + (f"~{seed}" if several_seeds else "")
            plan = make_plan(one.scenario, one.variant, seed, options.client.profile, info, versions())
            runs.append(
                PlannedRun(
                    label=label,
                    plan=plan,
                    client=options.client,
                    folder=options.out / options.client.name / label,
                    run_id=f"run-{secrets.token_hex(4)}",
                    reproduce=_reproduce(options, one, seed, kind),
                    skip=unmet_needs(one.scenario, options.client.profile, proxy.kind, proxy.abilities),
                )
            )
    return runs


def _reproduce(options: RunOptions, one: Selected, seed: int, proxy_kind: str) -> str:
    words = ["harness", "run", one.reference, *options.client_words, "--seed", str(seed)]
    if options.proxy != "auto" or proxy_kind != "toxiproxy":
        words += ["--proxy", proxy_kind]
    return shlex.join(words)


def versions() -> dict[str, str]:
    """What a plan depends on: the harness itself, and Faker, whose word lists change between releases."""
    return {
        "harness": importlib.metadata.version("live-api-harness"),
        "faker": importlib.metadata.version("faker"),
        "python": ".".join(str(part) for part in sys.version_info[:3]),
    }


def _judge_and_write(options: RunOptions, run: PlannedRun, played: Played) -> Verdict:
    from harness.cli.texts import check_texts
    from reports.write import write_run

    journal = read_journal(played.journal)
    verdict = judge_run(
        journal,
        client_name=options.client.name,
        reproduce=run.reproduce,
        baseline=options.baseline,
        waivers=options.client.waivers,
        strict=options.strict,
        select=options.select,
        today=datetime.datetime.now().astimezone().date(),
    )
    write_verdict(run.folder / "verdict.json", verdict)
    write_run(run.folder, journal, verdict, check_texts())
    return verdict


__all__ = ["FinishedRun", "RunOptions", "play_and_report", "run", "versions"]
