"""`harness selftest`: plays the reference, the do-nothing and every broken client, and prints the matrix of proofs."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TextIO, cast

import click

from harness.checks import CATALOGUE
from harness.cli.check_names import checks_matching
from harness.cli.judging import JOURNAL
from harness.cli.playing import MAX_SEED, ProxyKind, WantedRun, draw_seed, out_folder, play, prepare_out
from harness.client_config import PYTHON, REFERENCE_FILE, ClientConfig, load_client_config, reference_client
from harness.clients.catalogue import BROKEN_CLIENTS
from harness.engine.suite import FinishedRun, default_jobs
from harness.journal.reader import read_journal
from harness.scenario.library import Selected, builtin_names, find_scenarios
from harness.selftest import Expected, Matrix, Mismatch, Player, Role, Row, compare, expected_runs, mismatches
from harness.verdict import ExitCode, Level, RunStatus, Verdict
from harness.verdict_json import write_whole

DO_NOTHING_FILE = REFERENCE_FILE.with_name("do_nothing.yaml")
CLIENT_FILE = "client.yaml"
"""Written into each client's folder, so that one run can be repeated alone."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only", metavar="CHECK_GLOB", help="Prove these checks only, as in 'RESUME-*'.")
@click.option("--jobs", type=click.IntRange(1), help="Runs at one time.  [default: enough to keep the machine busy]")
@click.option("--seed", type=click.IntRange(0, MAX_SEED), help="For all runs.  [default: drawn]")
@click.option("--out", metavar="DIR", help="Where results go.  [default: harness-results/selftest-<time>-<seed>]")
@click.option(
    "--proxy",
    type=click.Choice(["auto", "toxiproxy", "builtin"]),
    default="auto",
    show_default=True,
    help="What stands in the links.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the matrix as JSON on standard output.")
@click.option("-v", "--verbose", count=True, help="Every step and fault.")
def selftest(
    only: str | None, jobs: int | None, seed: int | None, out: str | None, proxy: str, as_json: bool, verbose: int
) -> int:
    """Play the reference and the broken clients through their scenarios; print the matrix.

    The reference client must pass every check in every scenario, each broken client must fail the check that it is
    made for and nothing unrelated, and the client that does nothing must get the verdict that each scenario states.
    Exit code 0: all is so; 1: something is not, and is listed; 3: a fault of the harness.
    """
    chosen = None if only is None else [check.id for check in checks_matching(only, "--only")]
    drawn = draw_seed() if seed is None else seed
    folder = out_folder(out, "selftest-", drawn)
    scenarios = {one.label: one for one in find_scenarios(*builtin_names())}
    expected = expected_runs(
        {label: str(one.scenario.do_nothing) for label, one in scenarios.items()}, BROKEN_CLIENTS, chosen
    )
    stream = sys.stderr if as_json else sys.stdout
    progress = Progress(expected, stream, verbose=verbose > 0)
    progress.note(f"{len(expected)} runs, seed {drawn}")
    wanted = _wanted_runs(expected, scenarios, folder, drawn)
    prepare_out(folder, wanted)
    _write_clients(wanted)
    outcome = play(
        wanted,
        progress,
        out=folder,
        jobs=jobs or default_jobs(),
        proxy=cast("ProxyKind", proxy),
        note=progress.note,
    )
    verdicts = {one.planned.label: one.verdict for one in outcome.finished}
    matrix = compare(expected, verdicts, {check.id: check.level for check in CATALOGUE.values()}, chosen)
    exit_code = matrix.exit_code
    if outcome.interrupted:
        # What was stopped, or never begun, says nothing.
        matrix, exit_code = replace(matrix, mismatches=()), ExitCode.INTERRUPTED
    index = _write_index(folder, outcome.finished, exit_code)
    if as_json:
        click.echo(json.dumps(_document(matrix, exit_code, drawn, outcome.finished), indent=2, ensure_ascii=False))
    if outcome.interrupted:
        progress.note(f"Interrupted after {len(verdicts)} of {len(expected)} runs; results {index}")
        return int(exit_code)
    for line in matrix_lines(matrix, {one.planned.label: one for one in outcome.finished}):
        progress.line(line)
    progress.line("")
    progress.line(f"results {index}")
    progress.line(f"Exit code {int(exit_code)}: {_EXIT_WORDS[exit_code]}.")
    return int(exit_code)


_EXIT_WORDS = {
    ExitCode.PASSED: "all is as the catalogue says",
    ExitCode.FAILED: "something is not as the catalogue says",
    ExitCode.HARNESS_FAULT: "fault in the harness, the proxy or the fake server",
    ExitCode.NOTHING_JUDGED: "nothing was played",
}


# --- what is played --------------------------------------------------------------------------------------------------


def client_of(player: Player) -> ClientConfig:
    """How one of our own clients is started, and what it promises.

    The broken ones promise what the reference client does; the one that does nothing has a file of its own.
    """
    config = load_client_config(DO_NOTHING_FILE) if player.role is Role.DO_NOTHING else reference_client()
    return replace(config, name=player.name, command=(PYTHON, "-m", player.module))


def _wanted_runs(
    expected: Sequence[Expected], scenarios: Mapping[str, Selected], out: Path, seed: int
) -> list[WantedRun]:
    wanted = []
    for run in expected:
        config = out / run.player.name / CLIENT_FILE
        wanted.append(
            WantedRun(
                selected=scenarios[run.scenario],
                client=client_of(run.player),
                seed=seed,
                label=run.label,
                folder=out / run.player.name / run.scenario,
                again=("harness", "run", run.scenario, "--client-config", str(config), "--seed", str(seed)),
            )
        )
    return wanted


def _write_clients(wanted: Sequence[WantedRun]) -> None:
    """A client.yaml for each client (JSON is YAML), for the commands that repeat single runs."""
    for client in {run.client.name: run.client for run in wanted}.values():
        folder = next(run.folder.parent for run in wanted if run.client.name == client.name)
        folder.mkdir(parents=True, exist_ok=True)
        given = {
            "name": client.name,
            "command": list(client.command),
            "cwd": str(client.cwd),
            **client.profile.model_dump(mode="json"),
        }
        write_whole(folder / CLIENT_FILE, json.dumps(given, indent=2) + "\n")


# --- what is told ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Progress:
    """A line for each start and end: whether a run came out as it should, not whether its client is right."""

    expected: Sequence[Expected]
    stream: TextIO
    verbose: bool

    def line(self, text: str) -> None:
        """One line, at once."""
        from reports.text import visible

        self.stream.write(visible(text, 4000) + "\n")
        self.stream.flush()

    def note(self, text: str) -> None:
        """What concerns the call as a whole."""
        self.line(text)

    def run_started(self, label: str) -> None:
        """It is being played from now on."""
        self.line(f"PLAY  {label}")

    def run_event(self, label: str, text: str) -> None:
        """Something worth a line happened."""
        if self.verbose:
            self.line(f"      {label}: {text}")

    def run_finished(self, label: str, verdict: Verdict, folder: Path) -> None:
        """It was played and judged."""
        from reports.text import seconds

        if verdict.exit_code is ExitCode.INTERRUPTED:
            self.line(f"STOP  {label}")
            return
        run = next(one for one in self.expected if one.label == label)
        wrong = mismatches(run, verdict)
        if verdict.status is RunStatus.SKIPPED:
            self.line(f"SKIP  {label}: {verdict.message}")
            return
        self.line(f"{'WRONG' if wrong else 'OK   '} {label}  {seconds(verdict.duration_s)}")
        for one in wrong:
            self.line(f"      {one.told}")


def matrix_lines(matrix: Matrix, finished: Mapping[str, FinishedRun]) -> Iterator[str]:
    """The matrix, and after it whatever is not as it should be; `finished` by `Expected.label`."""
    table = [("check", "level", "broken client", "trips it in", "reference"), *map(_cells, matrix.rows)]
    widths = [max(len(row[column]) for row in table) for column in range(4)]
    yield ""
    for row in table:
        yield "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])
    if matrix.not_played:
        yield ""
        yield "Not played:"
        yield from (f"  {label}: {why}" for label, why in matrix.not_played)
    yield ""
    if not matrix.mismatches:
        yield f"All {matrix.played} runs came out as they should." if matrix.played else "No client is made for this."
        return
    yield "Not as it should be:"
    for label in dict.fromkeys(mismatch.label for mismatch in matrix.mismatches):
        of_run = [mismatch for mismatch in matrix.mismatches if mismatch.label == label]
        yield from _trouble(label, of_run, finished.get(label))


def _trouble(label: str, found: Sequence[Mismatch], finished: FinishedRun | None) -> Iterator[str]:
    if label:
        yield f"  {label}"
    for mismatch in found:
        yield f"    {mismatch.told}" if label else f"  {mismatch.told}"
    if finished is not None:
        yield f"    report {finished.planned.folder / 'report.html'}"
        yield f"    repeat {finished.planned.reproduce}"


def _cells(row: Row) -> tuple[str, str, str, str, str]:
    name = row.broken_client or ("none: it is about the harness" if row.level is Level.SELF else "NONE")
    missed = f"NOT in {', '.join(row.not_tripped_in)}" if row.not_tripped_in else ""
    left_out = f"not played in {', '.join(row.not_played_in)}" if row.not_played_in else ""
    where = "; ".join(part for part in (", ".join(row.tripped_in), missed, left_out) if part) or "-"
    counts = [
        (row.reference_breaks, "BREAKS"),
        (row.reference_unknown, "UNKNOWN"),
        (row.reference_holds, "holds"),
        (row.reference_not_applicable, "never arose"),
    ]
    reference = ", ".join(f"{word} in {count}" for count, word in counts if count) or "not played"
    return row.check, str(row.level), name, where, reference


def _document(matrix: Matrix, exit_code: ExitCode, seed: int, finished: Sequence[FinishedRun]) -> dict[str, object]:
    runs = {one.planned.label: one for one in finished}
    return {
        "contract": 1,
        "exit_code": int(exit_code),
        "seed": seed,
        "played": matrix.played,
        "checks": [asdict(row) for row in matrix.rows],
        "not_played": [{"run": label, "because": why} for label, why in matrix.not_played],
        "mismatches": [
            {
                "run": one.label or None,
                "told": one.told,
                "fault_of_the_harness": one.fault,
                "folder": str(runs[one.label].planned.folder) if one.label in runs else None,
                "reproduce": runs[one.label].planned.reproduce if one.label in runs else None,
            }
            for one in matrix.mismatches
        ],
    }


def _write_index(out: Path, finished: Sequence[FinishedRun], exit_code: ExitCode) -> Path:
    """The page clients × scenarios; no JUnit or Allure, where a broken client's failure would count as one."""
    from reports.index import render_index
    from reports.write import make_record

    records = [
        make_record(out, one.planned.folder, read_journal(one.planned.folder / JOURNAL), one.verdict)
        for one in finished
    ]
    page = out / "index.html"
    words = _EXIT_WORDS.get(exit_code, "the self-test was interrupted")
    told = render_index(
        records,
        exit_code,
        shlex.join(["harness", *sys.argv[1:]]),
        headline=f"Self-test: {words}",
        troubles="What did not pass: broken clients are made to fail",
    )
    write_whole(page, told)
    return page
