"""`harness report`: judges stored journals again and draws them, running nothing."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from harness.cli.judging import JOURNAL, VERDICT, Rules, judge_and_write, read_rules
from harness.errors import UserMistake
from harness.journal.events import Journal, RunPlanned
from harness.journal.reader import read_journal
from harness.verdict import ExitCode, Verdict, merge_exit_codes

WATCH_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """The command line of `harness report`, checked."""

    directory: Path
    rules: Rules


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run that was played before."""

    folder: Path
    client: str
    reproduce: str


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("directory", metavar="DIR")
@click.option("--watch", is_flag=True, help="Go on until Ctrl-C, drawing what changes: for use while a run goes on.")
@click.option("--client-config", metavar="FILE", help="client.yaml whose waivers count.")
@click.option("--baseline", metavar="FILE", help="Checks that are known to fail.")
@click.option("--select", metavar="CHECK_GLOB", help="Judge these checks only, as in 'RESUME-*'.")
@click.option("--strict", is_flag=True, help="A SHOULD counts as a MUST.")
@click.option("--json", "as_json", is_flag=True, help="Print summary.json on standard output.")
@click.option("-q", "--quiet", is_flag=True, help="Only what failed.")
@click.option("-v", "--verbose", count=True, help="Also what was warned of, waived or unknown.")
def report(
    directory: str,
    watch: bool,
    client_config: str | None,
    baseline: str | None,
    select: str | None,
    strict: bool,
    as_json: bool,
    quiet: bool,
    verbose: int,
) -> int:
    """Judge and draw stored journals again, running nothing.

    DIR is the results folder of a call, or the folder of one run.
    """
    from reports.console import Console

    options = ReportOptions(Path(directory), _rules(client_config, baseline, select, strict))
    folders = find_runs(options.directory)
    if not folders and not watch:
        raise UserMistake(
            f"{directory}: no {JOURNAL} in it or below it; give the folder that `harness run --out` wrote, "
            "or that of one run in it"
        )
    if watch:
        return _watch(options)
    console = Console(verbosity=-1 if quiet else verbose, json_on_stdout=as_json)
    runs: list[tuple[Path, Verdict]] = []
    for folder in folders:
        verdict = judge_and_draw(folder, options)
        console.run_finished(_label(folder, options.directory), verdict, folder)
        runs.append((folder, verdict))
    exit_code = merge_exit_codes(verdict.exit_code for _, verdict in runs)
    summary = _write_call(options, runs, exit_code)
    console.summary([(verdict, folder) for folder, verdict in runs], exit_code, options.directory)
    if as_json:
        click.echo(summary, nl=False)
    return int(exit_code)


def find_runs(directory: Path) -> list[Path]:
    """Folders of runs in `directory`, in order: those with a journal. Raises `UserMistake` when it is no folder."""
    if not directory.is_dir():
        raise UserMistake(f"{directory}: no such folder; give the folder that `harness run --out` wrote")
    return sorted(path.parent for path in directory.rglob(JOURNAL) if path.is_file())


def judge_and_draw(folder: Path, options: ReportOptions, *, keep_verdict: bool = True) -> Verdict:
    """Judge one stored run, and write its report.html and, with `keep_verdict`, its verdict.json."""
    journal = read_journal(folder / JOURNAL)
    stored = stored_run(folder, journal)
    return judge_and_write(
        folder,
        journal,
        options.rules,
        client_name=stored.client,
        reproduce=stored.reproduce,
        keep_verdict=keep_verdict,
    )


def _rules(client_config: str | None, baseline: str | None, select: str | None, strict: bool) -> Rules:
    if client_config is None:
        return read_rules(baseline=baseline, select=select, strict=strict)
    from harness.client_config import load_client_config

    waivers = load_client_config(Path(client_config)).waivers
    return read_rules(baseline=baseline, select=select, strict=strict, waivers=waivers, waivers_in=client_config)


def stored_run(folder: Path, journal: Journal) -> StoredRun:
    """What a journal does not say, since no check may see it: from verdict.json, else from the folder and the plan."""
    told = _json_object(folder / VERDICT)
    client, reproduce = told.get("client"), told.get("reproduce")
    return StoredRun(
        folder,
        client if isinstance(client, str) and client else folder.absolute().parent.name,
        reproduce if isinstance(reproduce, str) and reproduce else _command_from_plan(journal),
    )


def _command_from_plan(journal: Journal) -> str:
    first = journal.entries[0].event if journal.entries else None
    plan = first.plan if isinstance(first, RunPlanned) else {}
    scenario = plan.get("scenario")
    name = scenario.get("scenario") if isinstance(scenario, Mapping) else scenario
    if not isinstance(name, str):
        return ""
    variant = plan.get("variant")
    selector = f"{name}~{variant}" if isinstance(variant, str) else name
    return shlex.join(["harness", "run", selector, "--seed", str(plan.get("seed", 0))])


def _json_object(path: Path) -> Mapping[str, object]:
    """The object in a JSON file; empty when the file is missing or damaged, since it is only a help here."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _write_call(options: ReportOptions, runs: list[tuple[Path, Verdict]], exit_code: ExitCode) -> str:
    """The pages over all runs; for the folder of one run the summary's text alone."""
    from harness.cli.texts import check_texts
    from reports.write import call_summary, write_call

    told = _json_object(options.directory / "summary.json").get("command")
    command = told if isinstance(told, str) and told else shlex.join(["harness", *sys.argv[1:]])
    if (options.directory / JOURNAL).is_file():
        return call_summary(options.directory, runs, exit_code, command)
    return write_call(options.directory, runs, exit_code, command, check_texts())


def _label(folder: Path, directory: Path) -> str:
    return folder.relative_to(directory).as_posix() if folder != directory else folder.absolute().name


def _watch(options: ReportOptions) -> int:
    """Draw every journal that grows, until Ctrl-C. The verdict of a run that still goes on is not kept."""
    seen: dict[Path, tuple[int, int]] = {}
    verdicts: dict[Path, Verdict] = {}
    click.echo(f"watching {options.directory}; Ctrl-C ends it")
    try:
        while True:
            changed = False
            for folder in find_runs(options.directory):
                state = (folder / JOURNAL).stat()
                if seen.get(folder) == (state.st_size, state.st_mtime_ns):
                    continue
                seen[folder] = (state.st_size, state.st_mtime_ns)
                verdicts[folder] = judge_and_draw(folder, options, keep_verdict=False)
                changed = True
                click.echo(f"drawn: {folder / 'report.html'}")
            if changed:
                runs = [(folder, verdicts[folder]) for folder in sorted(verdicts)]
                _write_call(options, runs, merge_exit_codes(verdict.exit_code for _, verdict in runs))
            time.sleep(WATCH_EVERY_S)
    except KeyboardInterrupt:
        return int(ExitCode.PASSED)
