"""summary.md: the runs of a call as a Markdown page for a CI job: what broke comes first."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from harness.verdict import ExitCode, RunStatus
from reports.explain import CheckText
from reports.summary import RunRecord
from reports.text import plural, seconds, visible
from reports.words import blame, broken, exit_word, run_label, run_word, scenario_label

MOST_DETAILS = 40
"""Runs told in full; a job summary may hold 1 MiB."""
MOST_ROWS = 500

_ORDER = (RunStatus.ERROR, RunStatus.FAIL, RunStatus.INCONCLUSIVE, RunStatus.SKIPPED, RunStatus.PASS)


def render_markdown(
    runs: Sequence[RunRecord], exit_code: ExitCode, command: str, explain: Mapping[str, CheckText] | None = None
) -> str:
    """The whole page. With `explain`, failed checks say how to mend a client."""
    counted = {status: sum(run.verdict.status is status for run in runs) for status in _ORDER}
    words = {
        RunStatus.ERROR: "harness fault",
        RunStatus.FAIL: "failed",
        RunStatus.INCONCLUSIVE: "inconclusive",
        RunStatus.SKIPPED: "skipped",
        RunStatus.PASS: "passed",
    }
    told = ", ".join(f"{count} {words[status]}" for status, count in counted.items() if count)
    lines = [
        f"# Live API harness: {exit_word(exit_code)}",
        "",
        f"{plural(len(runs), 'run')}{': ' + told if told else ''}. Exit code {int(exit_code)}.",
        "",
    ]
    ordered = sorted(runs, key=lambda run: _ORDER.index(run.verdict.status))
    troubled = [run for run in ordered if run.verdict.status not in (RunStatus.PASS, RunStatus.SKIPPED)]
    for run in troubled[:MOST_DETAILS]:
        lines += _details(run, explain or {})
    if len(troubled) > MOST_DETAILS:
        lines += [f"… and {len(troubled) - MOST_DETAILS} more that did not pass; index.html has them.", ""]
    if runs:
        lines += ["| Result | Scenario | Client | Seed | Took | Broke |", "| --- | --- | --- | ---: | ---: | --- |"]
        lines += [_row(run) for run in ordered[:MOST_ROWS]]
        if len(ordered) > MOST_ROWS:
            lines.append(f"| … | {len(ordered) - MOST_ROWS} more | | | | |")
        lines.append("")
    if command:
        lines += ["All of it again:", "", *_code(command), ""]
    return "\n".join(lines)


def _details(run: RunRecord, explain: Mapping[str, CheckText]) -> list[str]:
    verdict = run.verdict
    fault = blame(verdict)
    lines = [f"## {run_word(verdict)}: {_plain(run_label(verdict))}", ""]
    if run.story:
        lines += [_plain(run.story), ""]
    lines += [f"Whose fault: **{_plain(fault.who)}**. {_plain(fault.because, 600)}", ""]
    for found in broken(verdict):
        text = explain.get(found.check)
        lines.append(f"- **{_plain(found.check)}** ({found.level.value}): {_plain(found.summary, 600)}")
        if text is not None:
            lines.append(f"  - Mend it: {_plain(text.fix, 600)}")
    lines += ["", f"Report: {_inline_code(run.folder + '/report.html')}", "", *_code(verdict.reproduce), ""]
    return lines


def _row(run: RunRecord) -> str:
    verdict = run.verdict
    failed = ", ".join(_plain(found.check) for found in broken(verdict)) or "–"
    return (
        f"| {run_word(verdict)} | {_plain(scenario_label(verdict))} | {_plain(verdict.client)} | {verdict.seed} "
        f"| {seconds(verdict.duration_s)} | {failed} |"
    )


def _plain(text: str, limit: int = 300) -> str:
    """`text` as words, with nothing in it that Markdown or HTML would act on."""
    shown = re.sub(r"([\\`*_\[\]#|~$])", r"\\\1", visible(text, limit))
    for mark, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("@", "&#64;"), ("://", "&#58;//")):
        shown = shown.replace(mark, entity)
    return shown


def _inline_code(text: str) -> str:
    shown = visible(text, 600)
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    return f"{fence} {shown} {fence}"


def _code(text: str) -> list[str]:
    shown = visible(text, 4000)
    fence = "`" * max(3, max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    return [f"{fence}sh", shown, fence]
