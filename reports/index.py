"""index.html: one page for a call: clients × scenarios, what broke, what took longest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from harness.verdict import ExitCode, RunStatus
from reports.html import asset, content_security_policy, environment
from reports.summary import RunRecord
from reports.text import plural, visible
from reports.words import Blame, blame, broken, exit_word, run_word, scenario_label

SLOWEST = 5
MOST_TROUBLED = 200
"""Runs told in full; the matrix has all of them."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One run in the matrix."""

    href: str
    status: str
    word: str
    seed: int
    duration_s: float
    broke: tuple[str, ...]
    """Ids of its failed checks."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A run that did not pass, told in full."""

    href: str
    status: str
    word: str
    label: str
    client: str
    story: str
    blame: Blame
    broke: tuple[tuple[str, str], ...]
    reproduce: str


def render_index(
    runs: Sequence[RunRecord], exit_code: ExitCode, command: str, *, headline: str | None = None, troubles: str = ""
) -> str:
    """The whole page; links are relative to the results folder.

    `headline` is for calls in which a failed run need not be a failure; None: what the exit code means. `troubles` is
    the title over the runs that did not pass; empty: `What broke`.
    """
    clients = sorted({run.verdict.client for run in runs})
    scenarios = sorted({scenario_label(run.verdict) for run in runs})
    matrix = [
        (
            visible(scenario),
            [
                [_cell(run) for run in runs if scenario_label(run.verdict) == scenario and run.verdict.client == client]
                for client in clients
            ],
        )
        for scenario in scenarios
    ]
    troubled = [run for run in runs if run.verdict.status not in (RunStatus.PASS, RunStatus.SKIPPED)]
    counts = [(status.value, sum(run.verdict.status is status for run in runs)) for status in RunStatus]
    style, script = asset("report.css"), asset("index.js")
    return (
        environment()
        .get_template("index.html.j2")
        .render(
            csp=content_security_policy(style, script),
            style=style,
            script=script,
            exit_code=exit_code,
            title=headline or exit_word(exit_code),
            headline=headline or exit_word(exit_code).capitalize(),
            troubles=troubles or "What broke",
            top="pass" if exit_code is ExitCode.PASSED else "fail" if exit_code is ExitCode.FAILED else "error",
            command=command,
            runs=plural(len(runs), "run"),
            counts=[(name, count) for name, count in counts if count],
            clients=[visible(client) for client in clients],
            matrix=matrix,
            troubled=[_trouble(run) for run in troubled[:MOST_TROUBLED]],
            untold=max(0, len(troubled) - MOST_TROUBLED),
            slowest=[
                (_cell(run), visible(scenario_label(run.verdict)), visible(run.verdict.client))
                for run in sorted(runs, key=lambda run: -run.verdict.duration_s)[:SLOWEST]
            ],
        )
    )


def _href(run: RunRecord) -> str:
    # Quoted, and never absolute: a name such as `javascript:` stays a folder.
    return "./" + quote(f"{run.folder}/report.html", errors="replace")


def _cell(run: RunRecord) -> Cell:
    verdict = run.verdict
    broke = tuple(visible(found.check, 60) for found in broken(verdict))
    return Cell(_href(run), verdict.status.value, run_word(verdict), verdict.seed, verdict.duration_s, broke)


def _trouble(run: RunRecord) -> Trouble:
    verdict = run.verdict
    return Trouble(
        href=_href(run),
        status=verdict.status.value,
        word=run_word(verdict),
        label=visible(scenario_label(verdict)),
        client=visible(verdict.client),
        story=visible(run.story, 600),
        blame=blame(verdict),
        broke=tuple((visible(found.check, 60), visible(found.summary, 600)) for found in broken(verdict)),
        reproduce=visible(verdict.reproduce, 1000),
    )
