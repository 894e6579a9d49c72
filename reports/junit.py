"""junit.xml: a suite for each run, a case for each check, and one for the run itself.

Never greener than the exit code: what could not be judged and what was our own fault are errors, never skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from harness.verdict import CheckStatus, ExitCode, Finding, Level, RunStatus, Verdict
from reports.summary import RunRecord
from reports.text import visible
from reports.words import blame, exit_word, run_label, scenario_label

_TEXT_LIMIT = 4000


def render_junit(runs: Sequence[RunRecord], exit_code: ExitCode) -> str:
    """The whole file. A non-zero `exit_code` that no case explains gets a suite `harness` with an error."""
    root = ET.Element("testsuites", {"name": "live-api-harness"})
    for run in runs:
        root.append(_suite(run))
    if exit_code is not ExitCode.PASSED and root.find(".//failure") is None and root.find(".//error") is None:
        suite = ET.SubElement(root, "testsuite", {"name": "harness"})
        case = ET.SubElement(suite, "testcase", {"classname": "harness", "name": "call", "time": "0.000"})
        _outcome(case, "error", f"exit-{int(exit_code)}", f"exit code {int(exit_code)}: {exit_word(exit_code)}")
        _count(suite)
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    root.set("time", f"{sum(run.verdict.duration_s for run in runs):.3f}")
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(run: RunRecord) -> ET.Element:
    verdict = run.verdict
    suite = ET.Element("testsuite", {"name": visible(run_label(verdict))})
    properties = ET.SubElement(suite, "properties")
    for name, value in (
        ("scenario", verdict.scenario),
        ("variant", verdict.variant or ""),
        ("client", verdict.client),
        ("seed", str(verdict.seed)),
        ("status", verdict.status.value),
        ("exit_code", str(int(verdict.exit_code))),
        ("report", f"{run.folder}/report.html"),
        ("reproduce", verdict.reproduce),
    ):
        ET.SubElement(properties, "property", {"name": name, "value": visible(value, _TEXT_LIMIT)})
    _run_case(suite, verdict)
    for found in verdict.checks:
        _check_case(suite, verdict, found)
    for check in verdict.stale:
        if check not in {found.check for found in verdict.checks}:
            _outcome(_case(suite, verdict, check), "failure", "stale", f"{check}: listed as failing, but not judged")
    if verdict.exit_code is not ExitCode.PASSED and verdict.status is not RunStatus.SKIPPED:
        _explain_exit(suite, verdict)
    _count(suite)
    output = ET.SubElement(suite, "system-out")
    output.text = visible(f"report: {run.folder}/report.html\nrepeat: {verdict.reproduce}", 8000, keep_newlines=True)
    return suite


def _case(suite: ET.Element, verdict: Verdict, name: str, duration_s: float = 0.0) -> ET.Element:
    classname = visible(f"{verdict.client}.{scenario_label(verdict)}")
    return ET.SubElement(
        suite, "testcase", {"classname": classname, "name": visible(name), "time": f"{duration_s:.3f}"}
    )


def _run_case(suite: ET.Element, verdict: Verdict) -> None:
    """The run itself: carries what no check can say."""
    case = _case(suite, verdict, "run", verdict.duration_s)
    if verdict.status in (RunStatus.INCONCLUSIVE, RunStatus.ERROR):
        _outcome(case, "error", verdict.status.value, blame(verdict).because)
    elif verdict.status is RunStatus.SKIPPED:
        _outcome(case, "skipped", "skipped", verdict.message or "no reason given")


def _check_case(suite: ET.Element, verdict: Verdict, found: Finding) -> None:
    case = _case(suite, verdict, found.check)
    told = f"{found.level.value}: {found.summary}"
    lines = ", ".join(str(n) for n in found.evidence[:50])
    body = f"{told}\nevidence: journal lines {lines or 'none'}\nrepeat: {verdict.reproduce}"
    if found.check in verdict.stale:
        _outcome(case, "failure", "stale", f"holds, but is listed as failing: take it off the list ({told})")
    elif found.status is CheckStatus.FAIL and found.check in verdict.waived:
        _outcome(case, "skipped", "waived", f"waived: {verdict.waived[found.check]} ({told})")
    elif found.status is CheckStatus.FAIL:
        _outcome(case, "error" if found.level is Level.SELF else "failure", found.level.value, told, body)
    elif found.status is CheckStatus.UNKNOWN:
        counts = found.level in (Level.MUST, Level.SELF) or verdict.exit_code is not ExitCode.PASSED
        _outcome(case, "error" if counts else "skipped", "unknown", f"unknown: {told}", body if counts else "")
    elif found.status is CheckStatus.NOT_APPLICABLE:
        _outcome(case, "skipped", "not_applicable", f"not applicable: {found.summary}")
    elif found.status is CheckStatus.WARN:
        ET.SubElement(case, "system-out").text = visible(f"warns: {body}", _TEXT_LIMIT, keep_newlines=True)


def _explain_exit(suite: ET.Element, verdict: Verdict) -> None:
    """A run that did not pass has at least one failure or error, whatever its checks say."""
    if suite.find(".//failure") is None and suite.find(".//error") is None:
        case = suite.find("testcase")
        if case is not None:
            kind = "failure" if verdict.exit_code is ExitCode.FAILED else "error"
            _outcome(case, kind, f"exit-{int(verdict.exit_code)}", verdict.message or exit_word(verdict.exit_code))


def _outcome(case: ET.Element, tag: str, kind: str, message: str, body: str = "") -> None:
    outcome = ET.SubElement(case, tag, {"message": visible(message, 1000)})
    if tag != "skipped":
        outcome.set("type", kind)
    if body:
        outcome.text = visible(body, _TEXT_LIMIT, keep_newlines=True)


def _count(suite: ET.Element) -> None:
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("time", f"{sum(float(case.get('time', '0')) for case in cases):.3f}")
