"""From what a rule says to what a run is told: levels, evidence, and journals that settle nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.checks.rule import (
    Answer,
    Check,
    Outcome,
    broken,
    broken_softly,
    find,
    holds,
    never_arose,
    unknown,
    waived,
)
from harness.checks.view import View
from harness.checks.view_facts import Moment
from harness.verdict import CheckStatus, Level
from tests.harness.checks.journal_builder import Book, view_of


def check(judge: Callable[[View], Outcome], level: Level = Level.MUST, *needs: str) -> Check:
    return Check("RETRY-1", level, "t", "r", "e", "f", (), frozenset(needs), judge)


def run(**options: object) -> Book:
    book = Book(**options)  # type: ignore[arg-type]  # words of the builder
    book.opens(1.0, 1)
    book.ends(30.0)
    return book


def found(outcome: Outcome, level: Level = Level.MUST, book: Book | None = None, *needs: str) -> CheckStatus:
    return find(check(lambda view: outcome, level, *needs), view_of(book or run())).status


@pytest.mark.parametrize(
    ("outcome", "level", "expected"),
    [
        (holds("so"), Level.MUST, "pass"),
        (holds("so"), Level.SELF, "pass"),
        (broken("no"), Level.MUST, "fail"),
        (broken("no"), Level.SELF, "fail"),
        (broken("no"), Level.SHOULD, "warn"),
        (broken("no"), Level.HARDENING, "warn"),
        (broken_softly("no"), Level.MUST, "warn"),
        (unknown("?"), Level.MUST, "unknown"),
        (never_arose("-"), Level.MUST, "not_applicable"),
        (waived("-"), Level.MUST, "not_applicable"),
    ],
)
def test_an_answer_and_a_level_make_a_status(outcome: Outcome, level: Level, expected: str) -> None:
    assert found(outcome, level) == expected


def test_every_answer_is_covered() -> None:
    makers = (holds, broken, broken_softly, unknown, never_arose)
    assert {maker("x").answer for maker in makers} | {waived("x").answer} == set(Answer)


def test_evidence_is_sorted_told_once_and_leaves_nothing_out() -> None:
    outcome = holds("so", Moment(9, 1.0), None, Moment(3, 0.5), Moment(9, 1.0))
    assert outcome.evidence == (3, 9)
    finding = find(check(lambda view: outcome), view_of(run()))
    assert (finding.check, finding.summary, finding.evidence) == ("RETRY-1", "so", (3, 9))


def test_a_check_that_the_scenario_is_about_must_arise_unless_it_is_waived() -> None:
    about = run(checks=["RETRY-1"])
    assert found(never_arose("no drop"), Level.MUST, about) == "unknown"
    finding = find(check(lambda view: never_arose("no drop")), view_of(about))
    assert finding.summary == "the scenario is about this, and it never came to it: no drop"
    assert found(waived("by its policy"), Level.MUST, about) == "not_applicable"
    assert found(holds("so"), Level.MUST, about) == "pass"


@pytest.mark.parametrize("outcome", [holds("so"), never_arose("-"), broken("no"), broken_softly("no"), unknown("?")])
def test_a_journal_that_lacks_what_must_have_been_settles_nothing(outcome: Outcome) -> None:
    torn = run().without("frame.received")
    assert found(outcome, Level.MUST, torn, "frame.received") == "unknown"
    if outcome.answer is not Answer.UNKNOWN:
        assert found(outcome, Level.MUST, torn, "frame.sent") != "unknown"
    finding = find(check(lambda view: outcome, Level.MUST, "frame.received", "upgrade.received"), view_of(torn))
    assert "no `frame.received`, although there must have been some" in finding.summary


@pytest.mark.parametrize("outcome", [holds("so"), never_arose("-"), broken("no"), unknown("?")])
def test_a_damaged_journal_settles_nothing(outcome: Outcome) -> None:
    book = run()
    book.opens(1.0, 1)
    assert found(outcome, Level.MUST, book) == "unknown"
    assert found(waived("by its policy"), Level.MUST, book) == "not_applicable"


def test_our_own_slips_stay_what_they_are_in_a_damaged_journal() -> None:
    book = run()
    book.opens(1.0, 1)
    assert found(broken("late"), Level.SELF, book) == "fail"
    assert found(holds("so"), Level.SELF, book) == "unknown"


def test_a_run_that_has_not_ended_acquits_nobody_and_hides_no_failure() -> None:
    cut = run().without("run.ended")
    assert found(holds("so"), Level.MUST, cut, "run.ended") == "unknown"
    assert found(never_arose("-"), Level.MUST, cut, "run.ended") == "unknown"
    assert found(broken("no"), Level.MUST, cut, "run.ended") == "fail"
