"""`harness run`: plays scenarios against one client, judges them, writes the results."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import click

from harness.cli.judging import Rules, read_rules
from harness.cli.playing import MAX_SEED, ProxyKind, WantedRun, draw_seed, out_folder, play
from harness.client_config import ClientConfig, from_command_line, load_client_config, reference_client
from harness.engine.suite import default_jobs
from harness.errors import UserMistake
from harness.scenario.library import Selected, find_scenarios
from harness.verdict import ExitCode, merge_exit_codes

_OF_A_CALL = frozenset({"summary.json", "summary.md", "index.html", "junit.xml", "allure-results", "selftest.json"})
"""What stands beside the clients' folders."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The command line of `harness run`, checked."""

    client: ClientConfig
    again: tuple[str, ...]
    """The options that a command needs to play and judge the same way, without scenario, seed and proxy."""
    out: Path
    seeds: tuple[int, ...]
    jobs: int
    proxy: ProxyKind
    rules: Rules
    as_json: bool
    verbosity: int
    """-1 quiet, 0 normal, 1 and more verbose."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("scenarios", nargs=-1, required=True, metavar="SCENARIO...")
@click.option("--client", "client_command", metavar="CMD", help="Command line that starts the client under test.")
@click.option("--client-config", metavar="FILE", help="client.yaml: command, abilities and policy of the client.")
@click.option("--out", metavar="DIR", help="Where results go.  [default: harness-results/<time>-<seed>]")
@click.option(
    "--seed", type=click.IntRange(0, MAX_SEED), help="Same file, seed and client: same plan.  [default: drawn]"
)
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
@click.option("--baseline", metavar="FILE", help="Checks that are known to fail; one that holds fails the run.")
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
) -> int:
    """Play scenarios against one client, judge them, write the results.

    SCENARIO is a file, a folder, or the name of a built-in one (tunnel, or tunnel~dies for one variant). Without
    --client and --client-config the built-in reference client plays.
    """
    client, client_words = _client(client_command, client_config, tls)
    first_seed = draw_seed() if seed is None else seed
    if first_seed + repeat - 1 > MAX_SEED:
        raise UserMistake(
            f"--seed {first_seed} --repeat {repeat}: the last seed would be over {MAX_SEED}; choose a smaller --seed"
        )
    rules = read_rules(
        baseline=baseline,
        select=select,
        strict=strict,
        waivers=client.waivers,
        waivers_in=client_config or "client",
    )
    judged_by = [*(["--baseline", baseline] if baseline else []), *(["--select", select] if select else [])]
    options = RunOptions(
        client=client,
        again=(*client_words, *judged_by, *(["--strict"] if strict else [])),
        out=out_folder(out, "", first_seed),
        seeds=tuple(range(first_seed, first_seed + repeat)),
        jobs=jobs or default_jobs(),
        proxy=cast("ProxyKind", proxy),
        rules=rules,
        as_json=as_json,
        verbosity=-1 if quiet else verbose,
    )
    return int(play_and_report(options, wanted_runs(options, find_scenarios(*scenarios))))


def wanted_runs(options: RunOptions, selected: Sequence[Selected]) -> list[WantedRun]:
    """Every scenario with every seed; labels name the seed where there are several."""
    several_seeds = len(options.seeds) > 1
    wanted = []
    for one in selected:
        for seed in options.seeds:
            label = f"{one.label}~{seed}" if several_seeds else one.label
            again = ("harness", "run", one.reference, *options.again, "--seed", str(seed))
            folder = options.out / options.client.name / label
            wanted.append(WantedRun(one, options.client, seed, label, folder, again))
    return wanted


def play_and_report(options: RunOptions, wanted: Sequence[WantedRun]) -> ExitCode:
    """Everything after the command line was understood; returns the exit code of the call.

    After Ctrl-C the reports over all runs are written, too, of what had begun by then.
    """
    from reports.console import Console
    from reports.write import write_call

    console = Console(verbosity=options.verbosity, json_on_stdout=options.as_json)
    try:
        outcome = play(
            wanted,
            console,
            out=options.out,
            jobs=options.jobs,
            proxy=options.proxy,
            rules=options.rules,
            note=console.note,
        )
    finally:
        console.close()
    runs = [(one.planned.folder, one.verdict) for one in outcome.finished]
    exit_code = merge_exit_codes(verdict.exit_code for _, verdict in runs)
    if outcome.interrupted:
        exit_code = ExitCode.INTERRUPTED
    summary = write_call(options.out, runs, exit_code, shlex.join(["harness", *sys.argv[1:]]))
    console.summary([(verdict, folder) for folder, verdict in runs], exit_code, options.out)
    if options.as_json:
        click.echo(summary, nl=False)
    return exit_code


def _client(command: str | None, config: str | None, tls: str) -> tuple[ClientConfig, tuple[str, ...]]:
    if command is not None and config is not None:
        raise UserMistake("--client and --client-config were both given: one of them names the client; leave one out")
    words: tuple[str, ...]
    if command is not None:
        client, words = from_command_line(command), ("--client", command)
    elif config is not None:
        client, words = load_client_config(Path(config)), ("--client-config", config)
    else:
        client, words = reference_client(), ()
    client.resolved_command  # noqa: B018 - raises at once, with the way out, when the program is not there
    if client.name in _OF_A_CALL:
        raise UserMistake(f"the client's name {client.name!r} is that of a result of every call; give it another name")
    if tls != "auto":
        client = replace(client, profile=client.profile.model_copy(update={"tls": tls}))
        words = (*words, "--tls", tls)
    return client, words
