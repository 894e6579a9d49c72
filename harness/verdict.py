"""The verdict: findings in, one status and one exit code out. Imports nothing of the harness."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum


class Level(StrEnum):
    """How binding a check is."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    HARDENING = "HARDENING"
    SELF = "SELF"
    """Ours: a failure is a fault of the harness."""


class CheckStatus(StrEnum):
    """What a check found."""

    PASS = "pass"
    FAIL = "fail"
    WARN = "warn"
    """A SHOULD or HARDENING rule that does not hold."""
    UNKNOWN = "unknown"
    """What the rule is about arose, and the evidence is missing."""
    NOT_APPLICABLE = "not_applicable"
    """What the rule is about never arose."""


class RunStatus(StrEnum):
    """What one run came to."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"
    SKIPPED = "skipped"


class ExitCode(IntEnum):
    """Exit codes of the command line (contract, section 2)."""

    PASSED = 0
    FAILED = 1
    INCONCLUSIVE = 2
    HARNESS_FAULT = 3
    BAD_USAGE = 4
    NOTHING_JUDGED = 5
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's result for one run."""

    check: str
    level: Level
    status: CheckStatus
    summary: str
    """One sentence with the facts in it: `dialled again with token-1, 4 times in 2.1 s`."""
    evidence: tuple[int, ...] = ()
    """Sequence numbers of journal entries, in order."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verdict.json` holds."""

    scenario: str
    variant: str | None
    client: str
    seed: int
    status: RunStatus
    exit_code: ExitCode
    duration_s: float
    checks: tuple[Finding, ...]
    metrics: Mapping[str, object]
    reproduce: str
    message: str = ""
    """Why a run is an error, skipped or inconclusive; empty otherwise."""
    waived: Mapping[str, str] = field(default_factory=dict)
    """Check id → why its failure does not count (baseline or the client's own `waive`)."""
    stale: tuple[str, ...] = ()
    """Baseline entries that passed: they fail the run, so that the list only shrinks."""


SEVERITY: Sequence[ExitCode] = (
    ExitCode.INTERRUPTED,
    ExitCode.BAD_USAGE,
    ExitCode.HARNESS_FAULT,
    ExitCode.FAILED,
    ExitCode.INCONCLUSIVE,
    ExitCode.PASSED,
)
"""Several runs come to the first of these that any of them has."""


def merge_exit_codes(codes: Iterable[ExitCode]) -> ExitCode:
    """The exit code of a call that made several runs; 5 when none of them judged anything."""
    seen = set(codes) - {ExitCode.NOTHING_JUDGED}
    for code in SEVERITY:
        if code in seen:
            return code
    return ExitCode.NOTHING_JUDGED
