"""What a check is: a pure function from one reading of a journal to an outcome, and the words around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from harness.checks.view import View
from harness.journal.events import RunEnded
from harness.verdict import CheckStatus, Finding, Level


class Answer(StrEnum):
    """What a rule says of a journal."""

    HOLDS = "holds"
    BROKEN = "broken"
    BROKEN_SOFTLY = "broken softly"
    """Broken, but in a case for which the rule is a SHOULD."""
    UNKNOWN = "unknown"
    NEVER_AROSE = "never arose"
    WAIVED = "waived"
    """The rule does not bind this client: its policy says otherwise, or it takes no commands."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer of one rule for one journal."""

    answer: Answer
    summary: str
    """One sentence with the facts in it, without a full stop."""
    evidence: tuple[int, ...] = ()
    """Sequence numbers of journal entries, in order."""


class Numbered(Protocol):
    """Anything that stands in a journal."""

    @property
    def n(self) -> int:
        """Its sequence number."""
        ...


def _outcome(answer: Answer, summary: str, evidence: Iterable[Numbered | None]) -> Outcome:
    return Outcome(answer, summary, tuple(sorted({one.n for one in evidence if one is not None})))


def holds(summary: str, *evidence: Numbered | None) -> Outcome:
    """The rule was put to the test, and held."""
    return _outcome(Answer.HOLDS, summary, evidence)


def broken(summary: str, *evidence: Numbered | None) -> Outcome:
    """The journal shows that the rule was broken."""
    return _outcome(Answer.BROKEN, summary, evidence)


def broken_softly(summary: str, *evidence: Numbered | None) -> Outcome:
    """Broken where the rule is a SHOULD, although it is a MUST elsewhere."""
    return _outcome(Answer.BROKEN_SOFTLY, summary, evidence)


def unknown(summary: str, *evidence: Numbered | None) -> Outcome:
    """The rule was put to the test, and the evidence does not settle it."""
    return _outcome(Answer.UNKNOWN, summary, evidence)


def never_arose(summary: str, *evidence: Numbered | None) -> Outcome:
    """What the rule is about did not happen in this run."""
    return _outcome(Answer.NEVER_AROSE, summary, evidence)


def waived(summary: str) -> Outcome:
    """The rule does not bind this client, by its policy or because it takes no commands."""
    return Outcome(Answer.WAIVED, summary)


@dataclass(frozen=True, slots=True)
class Check:
    """One rule of the catalogue."""

    id: str
    """Stable for ever: `RESUME-2`."""
    level: Level
    title: str
    """A few words: `A drop is answered with a handle`."""
    rule: str
    """The rule in a sentence or two, as the catalogue has it."""
    evidence: str
    """What it reads of a journal, in prose."""
    fix: str
    """How to mend a client that fails it."""
    seen_in: tuple[str, ...]
    """Public reports of clients that got it wrong, as `owner/repo#12`; empty for a rule of the protocol itself."""
    needs: frozenset[str]
    """Kinds of journal events without which nothing is settled, where the rest of the journal says that they came."""
    judge: Callable[[View], Outcome]


_STATUS = {
    Answer.HOLDS: CheckStatus.PASS,
    Answer.BROKEN_SOFTLY: CheckStatus.WARN,
    Answer.UNKNOWN: CheckStatus.UNKNOWN,
    Answer.NEVER_AROSE: CheckStatus.NOT_APPLICABLE,
}


def find(check: Check, view: View) -> Finding:
    """Judge one check on one journal.

    The result is `unknown`, whatever the rule says, when the journal contradicts itself or lacks events that the rule
    needs and that must have happened: such a journal neither clears nor condemns a client. (Our own slips stay what
    they are.) A check that the scenario is about and that never arose is `unknown`, too. One that does not bind this
    client at all is `not_applicable` in any case.
    """
    outcome = check.judge(view)
    if outcome.answer is Answer.WAIVED:
        return Finding(check.id, check.level, CheckStatus.NOT_APPLICABLE, outcome.summary)
    status = _status(check, outcome)
    summary = outcome.summary
    broken_by_us = check.level is Level.SELF and outcome.answer is Answer.BROKEN
    if doubt := "" if broken_by_us else _doubt(check, view, condemned=status in (CheckStatus.FAIL, CheckStatus.WARN)):
        status, summary = CheckStatus.UNKNOWN, doubt
    if status is CheckStatus.NOT_APPLICABLE and check.id in view.given.named:
        status, summary = CheckStatus.UNKNOWN, f"the scenario is about this, and it never came to it: {summary}"
    return Finding(check.id, check.level, status, summary, outcome.evidence)


def _doubt(check: Check, view: View, *, condemned: bool) -> str:
    """Why this journal cannot settle the check; empty: it can. That the run has not ended yet acquits nobody."""
    if view.contradictions:
        return f"the journal is damaged: {view.contradictions[0][0]}"
    missing = sorted((check.needs & view.missing) - ({RunEnded.kind} if condemned else set()))
    if not missing:
        return ""
    told = ", ".join(f"`{kind}`" for kind in missing)
    return f"the journal holds no {told}, although there must have been some"


def _status(check: Check, outcome: Outcome) -> CheckStatus:
    if outcome.answer is Answer.BROKEN:
        return CheckStatus.FAIL if check.level in (Level.MUST, Level.SELF) else CheckStatus.WARN
    return _STATUS[outcome.answer]
