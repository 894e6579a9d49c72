"""Allure results: a test result for each run, a step for each check, its journal and client logs attached."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from allure_commons import model2
from allure_commons.logger import AllureFileLogger

from harness.verdict import CheckStatus, ExitCode, Finding, Level, RunStatus, Verdict
from reports.summary import RunRecord
from reports.text import visible
from reports.words import blame, broken, run_word, scenario_label

_RUN_STATUS: Mapping[RunStatus, str] = {
    RunStatus.PASS: model2.Status.PASSED,
    RunStatus.FAIL: model2.Status.FAILED,
    RunStatus.INCONCLUSIVE: model2.Status.BROKEN,
    RunStatus.ERROR: model2.Status.BROKEN,
    RunStatus.SKIPPED: model2.Status.SKIPPED,
}

_ATTACHMENTS: Sequence[tuple[str, str, str, str]] = (
    ("report.html", "Report", "text/html", "html"),
    ("journal.jsonl", "Journal", "text/plain", "jsonl"),
    ("verdict.json", "Verdict", "application/json", "json"),
    ("client.stdout", "Client, standard output", "text/plain", "txt"),
    ("client.stderr", "Client, standard error", "text/plain", "txt"),
)
"""File in the run's folder, name shown, media type, ending."""


def write_allure(out: Path, runs: Sequence[RunRecord]) -> None:
    """Write `out/allure-results/` anew; attachments are copied from the runs' folders, those that are there."""
    # Typed as Any: the library has no annotations.
    make_logger: Callable[..., Any] = AllureFileLogger
    logger = make_logger(str(out / "allure-results"), clean=True)
    for run in runs:
        result = allure_result(run)
        for name, shown, media_type, ending in _ATTACHMENTS:
            source = out / run.folder / name
            if source.is_file() and source.stat().st_size:
                file_name = f"{uuid.uuid5(uuid.UUID(result.uuid), name)}-attachment.{ending}"
                logger.report_attached_file(str(source), file_name)
                result.attachments.append(model2.Attachment(name=shown, source=file_name, type=media_type))
        logger.report_result(result)


def allure_result(run: RunRecord) -> model2.TestResult:
    """The result of one run, without attachments. `uuid` and `historyId` are the same each time it is rendered."""
    verdict = run.verdict
    name = scenario_label(verdict)
    # The folder, since two results of one history in one call would show as a retry, and hide the first.
    history = hashlib.sha256(run.folder.encode(errors="replace")).hexdigest()[:32]
    start_ms = round(1000 * (run.started_wall_s or 0.0))
    stop_ms = start_ms + round(1000 * verdict.duration_s)
    labels = {
        "parentSuite": "live-api-harness",
        "suite": verdict.client,
        "subSuite": verdict.scenario,
        "feature": verdict.scenario,
        "framework": "live-api-harness",
        "language": "any",
    }
    return model2.TestResult(
        uuid=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{history}/{verdict.seed}")),
        historyId=history,
        testCaseId=history,
        fullName=visible(f"{verdict.client}: {name}"),
        name=visible(f"{name} ({verdict.client})"),
        description=visible(run.story or blame(verdict).because, 2000),
        status=_run_status(verdict),
        stage="finished",
        statusDetails=_details(verdict),
        labels=[model2.Label(name=key, value=visible(value)) for key, value in labels.items()],
        parameters=[
            model2.Parameter(name="client", value=visible(verdict.client)),
            model2.Parameter(name="variant", value=visible(verdict.variant or "none")),
            # Excluded: runs of other seeds belong to the same history.
            model2.Parameter(name="seed", value=str(verdict.seed), excluded=True),
        ],
        steps=[_step(found, verdict, start_ms, stop_ms) for found in verdict.checks],
        start=start_ms,
        stop=stop_ms,
    )


def _run_status(verdict: Verdict) -> str:
    status = _RUN_STATUS[verdict.status]
    if status == model2.Status.PASSED and verdict.exit_code is not ExitCode.PASSED:
        return str(model2.Status.BROKEN)
    return status


def _details(verdict: Verdict) -> model2.StatusDetails | None:
    if verdict.status is RunStatus.PASS:
        return None
    lines = [f"{found.check}: {found.summary}" for found in broken(verdict)] or [blame(verdict).because]
    return model2.StatusDetails(
        message=visible("\n".join([f"{run_word(verdict)}:", *lines]), 4000, keep_newlines=True),
        trace=visible(f"repeat: {verdict.reproduce}", 2000),
    )


def _step(found: Finding, verdict: Verdict, start_ms: int, stop_ms: int) -> model2.TestStepResult:
    status: str = {
        CheckStatus.PASS: model2.Status.PASSED,
        CheckStatus.FAIL: model2.Status.BROKEN if found.level is Level.SELF else model2.Status.FAILED,
        CheckStatus.WARN: model2.Status.PASSED,
        CheckStatus.UNKNOWN: model2.Status.BROKEN,
        CheckStatus.NOT_APPLICABLE: model2.Status.SKIPPED,
    }[found.status]
    told = found.summary
    if found.check in verdict.stale:
        status, told = model2.Status.FAILED, f"holds, but is listed as failing: {told}"
    elif found.status is CheckStatus.FAIL and found.check in verdict.waived:
        status, told = model2.Status.SKIPPED, f"waived, {verdict.waived[found.check]}: {told}"
    elif found.status is CheckStatus.WARN:
        told = f"warns: {told}"
    lines = ", ".join(str(n) for n in found.evidence[:50])
    return model2.TestStepResult(
        name=visible(f"{found.check} ({found.level.value}): {told}", 600),
        status=status,
        stage="finished",
        statusDetails=model2.StatusDetails(message=visible(told, 2000)),
        parameters=[model2.Parameter(name="journal lines", value=lines)] if lines else [],
        start=start_ms,
        stop=stop_ms,
    )
