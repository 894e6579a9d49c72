"""summary.json: all runs of one call, for other programs, with the command that repeats each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from harness.verdict import ExitCode, RunStatus, Verdict
from reports.text import shorten, visible
from reports.words import broken, unjudged

CONTRACT = 1


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of a call, as the reports over many runs need it."""

    verdict: Verdict
    folder: str
    """Where its results are, relative to the results folder of the call, with `/`."""
    story: str = ""
    """The run in one sentence (`reports.words.story`); empty: the verdict's own message is used."""
    started_wall_s: float | None = None
    """Seconds since 1970 at which the run began; None: not known."""


def summary_json(runs: Sequence[RunRecord], exit_code: ExitCode, command: str) -> dict[str, object]:
    """What summary.json holds, as plain values: safe to encode, whatever a client wrote."""
    return {
        "contract": CONTRACT,
        "exit_code": int(exit_code),
        "command": visible(command, 4000),
        "counts": {status.value: sum(run.verdict.status is status for run in runs) for status in RunStatus},
        "runs": [_run(run) for run in runs],
    }


def render_summary(runs: Sequence[RunRecord], exit_code: ExitCode, command: str) -> str:
    """The text of summary.json."""
    return orjson.dumps(summary_json(runs, exit_code, command), option=orjson.OPT_INDENT_2).decode() + "\n"


def _run(run: RunRecord) -> dict[str, object]:
    verdict = run.verdict
    return {
        "scenario": visible(verdict.scenario),
        "variant": None if verdict.variant is None else visible(verdict.variant),
        "client": visible(verdict.client),
        "seed": verdict.seed,
        "status": verdict.status.value,
        "exit_code": int(verdict.exit_code),
        "duration_s": verdict.duration_s,
        "folder": visible(run.folder, 4000),
        "message": visible(verdict.message, 2000),
        "failed": [_finding(found.check, found.summary) for found in broken(verdict)],
        "unknown": [_finding(found.check, found.summary) for found in unjudged(verdict)],
        "waived": shorten(dict(verdict.waived), 600),
        "stale": [visible(check) for check in verdict.stale],
        "metrics": shorten(dict(verdict.metrics), 600),
        "reproduce": visible(verdict.reproduce, 4000),
    }


def _finding(check: str, summary: str) -> dict[str, str]:
    return {"check": visible(check), "summary": visible(summary, 2000)}
