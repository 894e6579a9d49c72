"""From a journal to a verdict: every check, then one status and one exit code. Pure: no file, no clock, no client."""

from __future__ import annotations

import datetime
import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.baseline import NEVER_EXCUSED, Baseline
from harness.checks import CATALOGUE
from harness.checks.own import slipped
from harness.checks.rule import find
from harness.checks.view import View
from harness.checks.view_given import Given, plan_names, read_given
from harness.journal.events import Journal, RunEnded, RunPlanned
from harness.metrics import measure
from harness.policy import Waiver
from harness.verdict import CheckStatus, ExitCode, Finding, Level, RunStatus, Verdict


@dataclass(frozen=True, slots=True)
class _Result:
    status: RunStatus
    exit_code: ExitCode
    message: str = ""


def judge_run(
    journal: Journal,
    *,
    client_name: str,
    reproduce: str,
    baseline: Baseline | None = None,
    waivers: Iterable[Waiver] = (),
    strict: bool = False,
    select: str | None = None,
    today: datetime.date,
) -> Verdict:
    """Judge one run.

    `client_name` and `reproduce` are passed through to the verdict; no check sees them. `strict` makes a SHOULD count
    as a MUST. `select` is a glob of check ids; SELF-1 is judged in any case. `today` decides which waivers hold.
    Never raises for what a journal holds.
    """
    plan = _plan_of(journal)
    scenario, variant, seed = plan_names(plan)
    given = read_given(plan)
    findings: tuple[Finding, ...] = ()
    metrics: Mapping[str, object] = {}
    if given is not None:
        view = View(journal, given)
        findings = tuple(find(check, view) for check in CATALOGUE.values() if _is_selected(check.id, select))
        metrics = measure(view)
    known = baseline.reasons(scenario, variant) if baseline is not None else {}
    waived = {**_waived(waivers, today), **known}
    stale = tuple(
        finding.check for finding in findings if finding.check in known and finding.status is CheckStatus.PASS
    )
    excused = {
        finding.check: waived[finding.check]
        for finding in findings
        if finding.check in waived and finding.check not in NEVER_EXCUSED and _is_trouble(finding)
    }
    result = _result(journal, given, findings, excused, stale, strict=strict)
    return Verdict(
        scenario=scenario,
        variant=variant,
        client=client_name,
        seed=seed,
        status=result.status,
        exit_code=result.exit_code,
        duration_s=journal.entries[-1].t if journal.entries else 0.0,
        checks=findings,
        metrics=metrics,
        reproduce=reproduce,
        message=result.message,
        waived=excused,
        stale=stale,
    )


def _plan_of(journal: Journal) -> Mapping[str, object]:
    first = journal.entries[0].event if journal.entries else None
    return first.plan if isinstance(first, RunPlanned) else {}


def _is_selected(check: str, select: str | None) -> bool:
    return select is None or fnmatch.fnmatchcase(check, select) or CATALOGUE[check].level is Level.SELF


def _waived(waivers: Iterable[Waiver], today: datetime.date) -> dict[str, str]:
    """The client's own waivers that still hold, with their reasons."""
    return {
        one.check: f"{one.because} (until {one.until})"
        for one in waivers
        if today <= datetime.date.fromisoformat(one.until)
    }


def _is_trouble(finding: Finding) -> bool:
    return finding.status in (CheckStatus.FAIL, CheckStatus.WARN, CheckStatus.UNKNOWN)


def _result(
    journal: Journal,
    given: Given | None,
    findings: Iterable[Finding],
    excused: Mapping[str, str],
    stale: tuple[str, ...],
    *,
    strict: bool,
) -> _Result:
    early = _ended_early(journal, given)
    if early is not None and early.exit_code is not ExitCode.HARNESS_FAULT:
        return early
    binding = {Level.MUST, Level.SHOULD} if strict else {Level.MUST}
    counted = [one for one in findings if one.check not in excused]
    ours = [one for one in counted if one.level is Level.SELF and one.status is CheckStatus.FAIL]
    if early is not None or ours:
        return early or _Result(RunStatus.ERROR, ExitCode.HARNESS_FAULT, ours[0].summary)
    failed = [
        one
        for one in counted
        if one.status is CheckStatus.FAIL
        or (strict and one.status is CheckStatus.WARN and one.level is not Level.HARDENING)
    ]
    if failed or stale:
        return _Result(RunStatus.FAIL, ExitCode.FAILED)
    open_questions = [
        one for one in counted if one.status is CheckStatus.UNKNOWN and one.level in {*binding, Level.SELF}
    ]
    if open_questions:
        return _Result(RunStatus.INCONCLUSIVE, ExitCode.INCONCLUSIVE)
    if not any(one.status in _JUDGED and one.level is not Level.SELF for one in findings):
        return _Result(RunStatus.SKIPPED, ExitCode.NOTHING_JUDGED, "no check applied to this run")
    return _Result(RunStatus.PASS, ExitCode.PASSED)


_JUDGED = frozenset({CheckStatus.PASS, CheckStatus.FAIL, CheckStatus.WARN})


def _ended_early(journal: Journal, given: Given | None) -> _Result | None:
    """What a run comes to that was not played to its end; None: it was."""
    if given is None:
        why = "the journal does not begin with a plan that this version understands"
        return _Result(RunStatus.ERROR, ExitCode.HARNESS_FAULT, why)
    ended = next((entry.event for entry in reversed(journal.entries) if isinstance(entry.event, RunEnded)), None)
    match ended:
        case None:
            why = "the journal stops before the run ended: the harness was killed, or could not write"
            return _Result(RunStatus.ERROR, ExitCode.HARNESS_FAULT, why)
        case RunEnded(outcome="played"):
            return None
        case RunEnded(outcome="skipped", message=message):
            return _Result(RunStatus.SKIPPED, ExitCode.NOTHING_JUDGED, message)
        case RunEnded(outcome="not_started", message=message):
            return _Result(RunStatus.ERROR, ExitCode.BAD_USAGE, message)
        case RunEnded(outcome="interrupted", message=message):
            return _Result(RunStatus.ERROR, ExitCode.INTERRUPTED, message or "interrupted")
        case RunEnded(message=message):
            return _Result(RunStatus.ERROR, ExitCode.HARNESS_FAULT, message or "no reason was left")


__all__ = ["judge_run", "slipped"]
