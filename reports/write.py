"""Writing of reports: the thin part that touches the disk. verdict.json is the harness's own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.journal.events import FaultInForce, Journal
from harness.journal.reader import parse_journal
from harness.verdict import ExitCode, Verdict
from reports.explain import CheckText
from reports.html import render_report
from reports.index import render_index
from reports.junit import render_junit
from reports.markdown import render_markdown
from reports.summary import RunRecord, render_summary
from reports.words import story


def write_run(folder: Path, journal: Journal, verdict: Verdict, explain: Mapping[str, CheckText]) -> None:
    """Write report.html into the run's folder."""
    _write(folder / "report.html", render_report(journal, verdict, explain))


def write_call(
    out: Path,
    runs: Sequence[tuple[Path, Verdict]],
    exit_code: ExitCode,
    command: str,
    explain: Mapping[str, CheckText] | None = None,
) -> str:
    """Write index.html, junit.xml, summary.json, summary.md and allure-results/; returns the text of summary.json.

    `runs` are the runs' folders, below `out`, and their verdicts.
    """
    # allure_commons takes 0.1 s to import, and only this needs it.
    from reports.allure import write_allure

    records = _records(out, runs)
    out.mkdir(parents=True, exist_ok=True)
    summary = render_summary(records, exit_code, command)
    _write(out / "summary.json", summary)
    _write(out / "junit.xml", render_junit(records, exit_code))
    _write(out / "summary.md", render_markdown(records, exit_code, command, explain))
    _write(out / "index.html", render_index(records, exit_code, command))
    write_allure(out, records)
    return summary


def call_summary(out: Path, runs: Sequence[tuple[Path, Verdict]], exit_code: ExitCode, command: str) -> str:
    """The text of summary.json, nothing written."""
    return render_summary(_records(out, runs), exit_code, command)


def _records(out: Path, runs: Sequence[tuple[Path, Verdict]]) -> list[RunRecord]:
    return [make_record(out, folder, _first_and_faults(folder), verdict) for folder, verdict in runs]


def make_record(out: Path, folder: Path, journal: Journal, verdict: Verdict) -> RunRecord:
    """What the reports over many runs need of one. `folder` is below `out`.

    A journal has no wall time (its plan must be the same each time): the file's own time dates the run.
    """
    path = folder / "journal.jsonl"
    return RunRecord(
        verdict=verdict,
        folder=Path(os.path.relpath(folder, out)).as_posix(),
        story=story(journal, verdict),
        started_wall_s=path.stat().st_mtime - verdict.duration_s if path.exists() else None,
    )


def _first_and_faults(folder: Path) -> Journal:
    """Of a run's journal the lines that its story needs: the plan and the faults. Empty where there is none."""
    try:
        first, *others = (folder / "journal.jsonl").read_bytes().split(b"\n")
    except FileNotFoundError:
        return Journal((), whole=False)
    kind = FaultInForce.kind.encode()
    return parse_journal(b"\n".join([first, *(line for line in others if kind in line), b""]))


def _write(path: Path, text: str) -> None:
    """Whole or not at all: a reader, or a kill, never meets half a file."""
    half = path.with_name(path.name + ".tmp")
    try:
        half.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
        half.replace(path)
    except OSError:
        half.unlink(missing_ok=True)
        raise
