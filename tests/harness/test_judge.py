"""From a journal to a verdict: one status and one exit code for everything that a run can come to."""

from __future__ import annotations

import dataclasses
import datetime

import pytest

from harness.baseline import Baseline, KnownFailure
from harness.checks import CATALOGUE
from harness.journal.events import Entry, Journal, Note, RunEnded, RunPlanned
from harness.judge import judge_run, slipped
from harness.policy import Waiver
from harness.verdict import CheckStatus, ExitCode, Level, RunStatus, Verdict, merge_exit_codes
from tests.harness.checks.journal_builder import Book

TODAY = datetime.date(2026, 12, 1)
KNOWN_RESUME_2 = Baseline((KnownFailure(check="RESUME-2", because="app issue 12"),))


def verdict(
    given: Book | Journal,
    *,
    baseline: Baseline | None = None,
    waivers: tuple[Waiver, ...] = (),
    strict: bool = False,
    select: str | None = None,
    name: str = "somebody",
    today: datetime.date = TODAY,
) -> Verdict:
    return judge_run(
        given.journal() if isinstance(given, Book) else given,
        client_name=name,
        reproduce="harness run by_hand --seed 7",
        baseline=baseline,
        waivers=waivers,
        strict=strict,
        select=select,
        today=today,
    )


def outcome(found: Verdict) -> tuple[str, int]:
    return str(found.status), int(found.exit_code)


def statuses(found: Verdict) -> dict[str, CheckStatus]:
    return {one.check: one.status for one in found.checks}


def good(**options: object) -> Book:
    """A drop that is mastered."""
    book = Book(**options)  # type: ignore[arg-type]  # words of the builder
    book.opens(1.0, 1, token="token-1")
    book.update(2.0, 1, "handle-1")
    book.cut(5.0, 1)
    book.opens(5.5, 2, token="token-2", handle="handle-1")
    book.probes(20.0, 2)
    book.ends(40.0)
    return book


def forgetful(**options: object) -> Book:
    """A drop that is answered without a handle: RESUME-2 fails, and nothing else."""
    book = Book(**options)  # type: ignore[arg-type]  # words of the builder
    book.opens(1.0, 1, token="token-1")
    book.update(2.0, 1, "handle-1")
    book.cut(5.0, 1)
    book.opens(5.5, 2, token="token-2", session="session-2")
    book.probes(20.0, 2)
    book.ends(40.0)
    return book


def deaf(**options: object) -> Book:
    """A goAway that is ignored: GOAWAY-1, a SHOULD, warns."""
    book = Book(**options)  # type: ignore[arg-type]  # words of the builder
    book.opens(1.0, 1)
    book.goes_away(5.0, 1, "5s")
    book.closes(10.0, 1, 1008, refusal="go_away_ignored")
    book.opens(10.5, 2)
    book.probes(20.0, 2)
    book.ends(40.0)
    return book


def crashed() -> Book:
    book = Book()
    book.opens(1.0, 1)
    book.exits(3.0, 1)
    book.ends(4.0, leaves=False)
    return book


def never_connects() -> Book:
    """It stays, and never connects: nobody can say anything about it."""
    book = Book()
    book.ends(25.0)
    return book


# The whole of a verdict ----------------------------------------------------------------------------------------------


def test_a_verdict_holds_all_of_a_run() -> None:
    found = verdict(good())
    assert outcome(found) == ("pass", 0)
    assert (found.scenario, found.variant, found.client, found.seed) == ("by_hand", None, "somebody", 7)
    assert found.duration_s == 41.0
    assert [one.check for one in found.checks] == list(CATALOGUE)
    assert [one.level for one in found.checks] == [check.level for check in CATALOGUE.values()]
    assert found.metrics["connections"] == 2
    assert found.reproduce == "harness run by_hand --seed 7"
    assert (found.message, dict(found.waived), found.stale) == ("", {}, ())


def test_the_name_of_a_client_changes_nothing() -> None:
    for book in (good(), forgetful(), deaf(), crashed(), never_connects()):
        one, other = verdict(book, name="somebody"), verdict(book, name="somebody else")
        assert dataclasses.replace(one, client="") == dataclasses.replace(other, client="")


# Exit codes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("book", "expected"),
    [
        (good(), ("pass", 0)),
        (deaf(), ("pass", 0)),  # a SHOULD only warns
        (forgetful(), ("fail", 1)),
        (crashed(), ("fail", 1)),
        (never_connects(), ("inconclusive", 2)),
    ],
)
def test_what_played_runs_come_to(book: Book, expected: tuple[str, int]) -> None:
    assert outcome(verdict(book)) == expected


@pytest.mark.parametrize(
    ("run_ended", "expected", "message"),
    [
        (RunEnded("skipped", "the client cannot speak"), ("skipped", 5), "the client cannot speak"),
        (RunEnded("not_started", "no such program"), ("error", 4), "no such program"),
        (RunEnded("interrupted", ""), ("error", 130), "interrupted"),
        (RunEnded("interrupted", "stopped by the user"), ("error", 130), "stopped by the user"),
        (RunEnded("harness_error", "no port"), ("error", 3), "no port"),
        (RunEnded("harness_error", ""), ("error", 3), "no reason was left"),
        (RunEnded("of version 9", "?"), ("error", 3), "?"),
    ],
)
@pytest.mark.parametrize("book", [good(), forgetful(), crashed()])
def test_what_other_runs_come_to_whatever_was_found(
    book: Book, run_ended: RunEnded, expected: tuple[str, int], message: str
) -> None:
    ended = book.without("run.ended")
    ended.add(50.0, run_ended)
    found = verdict(ended)
    assert outcome(found) == expected
    assert found.message == message
    assert found.checks


def test_a_run_that_never_ended_is_our_fault_whatever_was_found() -> None:
    for book in (good(), forgetful(), crashed(), never_connects()):
        found = verdict(book.without("run.ended"))
        assert outcome(found) == ("error", 3)
        assert "stops before the run ended" in found.message


def test_what_was_found_before_the_end_is_told_all_the_same() -> None:
    assert statuses(verdict(forgetful().without("run.ended")))["RESUME-2"] == "fail"


@pytest.mark.parametrize(
    "journal",
    [
        Journal((), False),
        Journal((Entry(1, 0.0, Note("x")),), False),
        Journal((Entry(1, 0.0, RunPlanned({})), Entry(2, 1.0, RunEnded("played", ""))), True),
        Journal(
            (Entry(1, 0.0, RunPlanned({"scenario": 5, "client": []})), Entry(2, 1.0, RunEnded("played", ""))), True
        ),
    ],
)
def test_a_journal_without_a_plan_that_we_understand_is_our_fault(journal: Journal) -> None:
    found = verdict(journal)
    assert outcome(found) == ("error", 3)
    assert "plan" in found.message
    assert (found.checks, dict(found.metrics)) == ((), {})
    assert (found.scenario, found.variant, found.seed) == ("unknown", None, 0)


def test_a_foreign_plan_keeps_its_names() -> None:
    plan = {"scenario": {"scenario": "of_version_9", "new": 1}, "variant": "v", "seed": 4}
    found = verdict(Journal((Entry(1, 0.0, RunPlanned(plan)),), False))
    assert (found.scenario, found.variant, found.seed) == ("of_version_9", "v", 4)


def test_our_own_slip_beats_whatever_the_client_did() -> None:
    for book in (good(), forgetful(), crashed(), never_connects()):
        book.fault(2.0, "network.slow", lag_ms=500.0, for_s=0.1)
        found = verdict(book)
        assert outcome(found) == ("error", 3)
        assert "too busy" in found.message
        assert slipped(book.journal())


def test_a_failure_beats_what_is_unknown() -> None:
    book = forgetful(checks=["RETRY-6"])
    assert statuses(verdict(book))["RETRY-6"] == "unknown"
    assert outcome(verdict(book)) == ("fail", 1)


def test_an_unknown_must_leaves_a_run_inconclusive_and_an_unknown_should_does_not() -> None:
    must = good(checks=["RETRY-6"])
    assert statuses(verdict(must))["RETRY-6"] == "unknown"
    assert outcome(verdict(must)) == ("inconclusive", 2)
    should = good(checks=["GOAWAY-1"])
    assert statuses(verdict(should))["GOAWAY-1"] == "unknown"
    assert outcome(verdict(should)) == ("pass", 0)
    assert outcome(verdict(should, strict=True)) == ("inconclusive", 2)


def test_an_unknown_of_our_own_leaves_a_run_inconclusive() -> None:
    book = good(story=[{"teach": ["name"]}, {"do": {"network": "cut"}}]).without("fault.in_force", "fault.due")
    assert statuses(verdict(book))["SELF-1"] == "unknown"
    assert outcome(verdict(book, select="WIRE-*")) == ("inconclusive", 2)


def test_a_run_to_which_nothing_applies_was_not_judged() -> None:
    found = verdict(good(), select="GOAWAY-*")
    assert outcome(found) == ("skipped", 5)
    assert found.message == "no check applied to this run"
    assert statuses(verdict(good(), select="SPEECH-1")) == {
        "SPEECH-1": CheckStatus.NOT_APPLICABLE,
        "SELF-1": CheckStatus.PASS,
    }


def test_a_damaged_journal_is_inconclusive() -> None:
    for book in (good(), forgetful(), crashed()):
        book.opens(1.0, 1)  # the same connection a second time
        assert outcome(verdict(book)) == ("inconclusive", 2)


# Strict --------------------------------------------------------------------------------------------------------------


def test_strict_makes_a_warning_fail() -> None:
    assert statuses(verdict(deaf()))["GOAWAY-1"] == "warn"
    assert outcome(verdict(deaf(), strict=True)) == ("fail", 1)
    assert outcome(verdict(good(), strict=True)) == ("pass", 0)


def test_strict_counts_a_must_that_is_broken_softly() -> None:
    book = Book(session={"resumption": {"handles": "session"}})
    book.opens(1.0, 1)
    book.update(2.0, 1, "handle-1")
    book.update(3.0, 1, "handle-2")
    book.cut(5.0, 1)
    book.opens(5.5, 2, handle="handle-1")
    book.probes(20.0, 2)
    book.ends(40.0)
    assert statuses(verdict(book))["RESUME-3"] == "warn"
    assert outcome(verdict(book)) == ("pass", 0)
    assert outcome(verdict(book, strict=True)) == ("fail", 1)


def test_hardening_never_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    hardening = dataclasses.replace(CATALOGUE["GOAWAY-1"], level=Level.HARDENING)
    monkeypatch.setattr("harness.judge.CATALOGUE", {**CATALOGUE, "GOAWAY-1": hardening})
    assert statuses(verdict(deaf(), strict=True))["GOAWAY-1"] == "warn"
    assert outcome(verdict(deaf(), strict=True)) == ("pass", 0)
    assert outcome(verdict(good(checks=["GOAWAY-1"]), strict=True)) == ("pass", 0)  # nor does its being unknown


# Select --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("select", "chosen"),
    [
        ("RESUME-2", ["RESUME-2", "SELF-1"]),
        ("AUTH-*", ["AUTH-1", "AUTH-2", "AUTH-3", "SELF-1"]),
        ("SELF-1", ["SELF-1"]),
        ("resume-2", ["SELF-1"]),
        ("*-7", ["RESUME-7", "RETRY-7", "SELF-1"]),
    ],
)
def test_select_is_a_glob_over_ids_and_our_own_check_is_judged_in_any_case(select: str, chosen: list[str]) -> None:
    found = [one.check for one in verdict(good(), select=select).checks]
    assert [check for check in found if check in chosen] == chosen
    assert select != "RESUME-2" or len(found) == 2


def test_what_is_not_selected_cannot_fail_a_run() -> None:
    assert outcome(verdict(forgetful(), select="WIRE-*")) == ("pass", 0)
    assert outcome(verdict(forgetful(), select="RESUME-*")) == ("fail", 1)


# Baseline ------------------------------------------------------------------------------------------------------------


def test_a_known_failure_is_excused_and_told() -> None:
    found = verdict(forgetful(), baseline=KNOWN_RESUME_2)
    assert outcome(found) == ("pass", 0)
    assert found.waived == {"RESUME-2": "app issue 12"}
    assert statuses(found)["RESUME-2"] == "fail"


def test_a_known_failure_that_passes_is_stale_and_fails_the_run() -> None:
    found = verdict(good(), baseline=KNOWN_RESUME_2)
    assert outcome(found) == ("fail", 1)
    assert found.stale == ("RESUME-2",)
    assert found.waived == {}


def test_a_known_failure_that_never_arose_or_was_not_selected_is_not_stale() -> None:
    known = Baseline((KnownFailure(check="GOAWAY-4", because="x"), KnownFailure(check="RESUME-2", because="y")))
    assert verdict(good(), baseline=known, select="GOAWAY-*").stale == ()
    assert verdict(forgetful(), baseline=known).stale == ()


def test_a_known_failure_excuses_a_warning_and_what_is_unknown() -> None:
    assert outcome(verdict(deaf(), baseline=Baseline((KnownFailure(check="GOAWAY-1", because="x"),)), strict=True)) == (
        "pass",
        0,
    )
    unknown = good(checks=["RETRY-6"])
    assert outcome(verdict(unknown, baseline=Baseline((KnownFailure(check="RETRY-6", because="x"),)))) == ("pass", 0)


def test_a_known_failure_of_another_scenario_excuses_nothing() -> None:
    other = Baseline((KnownFailure(check="RESUME-2", scenario="tunnel", because="x"),))
    assert outcome(verdict(forgetful(), baseline=other)) == ("fail", 1)
    assert verdict(good(), baseline=other).stale == ()


def test_one_known_failure_does_not_excuse_another() -> None:
    book = forgetful()
    book.sets_up(30.0, 2)  # WIRE-1 as well
    assert outcome(verdict(book, baseline=KNOWN_RESUME_2)) == ("fail", 1)


@pytest.mark.parametrize("check", ["LIFE-1", "SELF-1"])
def test_crashes_and_our_own_slips_are_never_excused(check: str) -> None:
    book = crashed()
    if check == "SELF-1":
        book.fault(2.0, "network.slow", lag_ms=500.0, for_s=0.1)
    expected = ("error", 3) if check == "SELF-1" else ("fail", 1)
    waiver = Waiver(check=check, because="x", until="2099-01-01")
    listed = Baseline((KnownFailure(check=check, because="x"),))
    for found in (verdict(book, waivers=(waiver,)), verdict(book, baseline=listed)):
        assert outcome(found) == expected
        assert check not in found.waived


# Waivers -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("until", "expected"),
    [("2026-12-02", ("pass", 0)), ("2026-12-01", ("pass", 0)), ("2026-11-30", ("fail", 1))],
)
def test_a_waiver_holds_through_its_last_day(until: str, expected: tuple[str, int]) -> None:
    found = verdict(forgetful(), waivers=(Waiver(check="RESUME-2", because="next release", until=until),))
    assert outcome(found) == expected
    assert dict(found.waived) == ({"RESUME-2": f"next release (until {until})"} if expected[1] == 0 else {})


def test_a_waiver_that_is_not_needed_is_not_stale() -> None:
    found = verdict(good(), waivers=(Waiver(check="RESUME-2", because="x", until="2099-01-01"),))
    assert (outcome(found), found.stale, dict(found.waived)) == (("pass", 0), (), {})


def test_a_baseline_s_reason_stands_before_a_waiver_s() -> None:
    waiver = Waiver(check="RESUME-2", because="x", until="2099-01-01")
    found = verdict(forgetful(), baseline=KNOWN_RESUME_2, waivers=(waiver,))
    assert found.waived == {"RESUME-2": "app issue 12"}


def test_an_excused_failure_is_a_judgement_all_the_same() -> None:
    assert outcome(verdict(forgetful(), baseline=KNOWN_RESUME_2, select="RESUME-2")) == ("pass", 0)


def test_all_that_is_unknown_excused_is_no_judgement() -> None:
    listed = Baseline((KnownFailure(check="RETRY-6", because="x"),))
    assert outcome(verdict(good(checks=["RETRY-6"]), baseline=listed, select="RETRY-6")) == ("skipped", 5)


# Several runs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([], 5),
        ([5, 5], 5),
        ([0, 5], 0),
        ([0, 2], 2),
        ([2, 1, 0], 1),
        ([1, 3, 2], 3),
        ([3, 4], 4),
        ([4, 130, 3], 130),
    ],
)
def test_several_runs_come_to_the_gravest(codes: list[int], expected: int) -> None:
    assert merge_exit_codes(ExitCode(code) for code in codes) == expected


def test_a_verdict_s_status_and_code_agree() -> None:
    allowed = {
        RunStatus.PASS: {0},
        RunStatus.FAIL: {1},
        RunStatus.INCONCLUSIVE: {2},
        RunStatus.ERROR: {3, 130},
        RunStatus.SKIPPED: {5},
    }
    for book in (good(), forgetful(), deaf(), crashed(), never_connects(), good().without("run.ended")):
        found = verdict(book)
        assert found.exit_code in allowed[found.status]
