"""The self-test's comparing: what is expected of our own clients, and what can come instead."""

from __future__ import annotations

import pytest

from harness.clients.catalogue import BROKEN_CLIENTS, BrokenClient
from harness.selftest import (
    DO_NOTHING,
    REFERENCE,
    Expected,
    Matrix,
    Mismatch,
    Player,
    Role,
    compare,
    expected_runs,
    mismatches,
)
from harness.verdict import CheckStatus, ExitCode, Finding, Level, RunStatus, Verdict

PASS, FAIL, WARN = CheckStatus.PASS, CheckStatus.FAIL, CheckStatus.WARN
UNKNOWN, NEVER = CheckStatus.UNKNOWN, CheckStatus.NOT_APPLICABLE
LEVELS = {"RESUME-2": Level.MUST, "GOAWAY-1": Level.SHOULD, "SELF-1": Level.SELF}
FORGETS = BrokenClient("RESUME-2", "m.resume_2", ("drop",), {"RETRY-1": "it brings it with it"})
DEAF = BrokenClient("GOAWAY-1", "m.goaway_1", ("goaway~a", "goaway~b"))
SCENARIOS = {"drop": "fail", "goaway~a": "fail", "goaway~b": "pass"}


def verdict(status: RunStatus = RunStatus.PASS, message: str = "", **found: CheckStatus) -> Verdict:
    """A verdict whose checks are named with `_` for `-`."""
    checks = [
        Finding(name.replace("_", "-"), LEVELS.get(name.replace("_", "-"), Level.MUST), one, f"{name} says why")
        for name, one in found.items()
    ]
    code = {RunStatus.PASS: ExitCode.PASSED, RunStatus.FAIL: ExitCode.FAILED}.get(status, ExitCode.HARNESS_FAULT)
    return Verdict("s", None, "c", 1, status, code, 1.0, tuple(checks), {}, "", message)


GOOD = verdict(RESUME_2=PASS, GOAWAY_1=PASS, SELF_1=PASS)
FORGETS_GOOD = verdict(RunStatus.FAIL, RESUME_2=FAIL, GOAWAY_1=PASS, SELF_1=PASS)
DEAF_GOOD = verdict(RESUME_2=PASS, GOAWAY_1=WARN, SELF_1=PASS)
ALL_GOOD = {
    "reference/drop": GOOD,
    "reference/goaway~a": GOOD,
    "reference/goaway~b": GOOD,
    "do-nothing/drop": verdict(RunStatus.FAIL, RESUME_2=FAIL),
    "do-nothing/goaway~a": verdict(RunStatus.FAIL, RESUME_2=FAIL),
    "do-nothing/goaway~b": verdict(GOAWAY_1=WARN),
    "broken-resume-2/drop": FORGETS_GOOD,
    "broken-goaway-1/goaway~a": DEAF_GOOD,
    "broken-goaway-1/goaway~b": DEAF_GOOD,
}
EXPECTED = expected_runs(SCENARIOS, [FORGETS, DEAF])


def matrix_with(**changed: Verdict | None) -> Matrix:
    """The matrix of a self-test in which some runs came out otherwise; None: the run was never judged."""
    labels = {label.replace("-", "_").replace("/", "__").replace("~", "_"): label for label in ALL_GOOD}
    changes = {labels[name]: one for name, one in changed.items()}
    verdicts = {label: changes.get(label, one) for label, one in ALL_GOOD.items()}
    return compare(EXPECTED, {label: one for label, one in verdicts.items() if one is not None}, LEVELS)


def told(run: Expected, given: Verdict) -> list[str]:
    return [one.told for one in mismatches(run, given)]


# What is played ------------------------------------------------------------------------------------------------------


def test_everything_is_played_once() -> None:
    assert [run.label for run in EXPECTED] == list(ALL_GOOD)
    assert [run.do_nothing for run in EXPECTED if run.player is DO_NOTHING] == ["fail", "fail", "pass"]


def test_only_plays_the_broken_clients_of_some_checks_and_the_reference_where_they_are() -> None:
    labels = [run.label for run in expected_runs(SCENARIOS, [FORGETS, DEAF], ["RESUME-2"])]
    assert labels == ["reference/drop", "broken-resume-2/drop"]
    assert expected_runs(SCENARIOS, [FORGETS, DEAF], ["SELF-1"]) == []


def test_the_real_catalogue_has_no_two_runs_of_one_name() -> None:
    scenarios = {scenario: "fail" for client in BROKEN_CLIENTS for scenario in client.scenarios}
    labels = [run.label for run in expected_runs(scenarios, BROKEN_CLIENTS)]
    assert len(labels) == len(set(labels)) > len(BROKEN_CLIENTS)


# One run -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (GOOD, []),
        (verdict(RESUME_2=NEVER, GOAWAY_1=UNKNOWN), []),
        (verdict(RunStatus.FAIL, RESUME_2=FAIL), ["RESUME-2 fails: RESUME_2 says why"]),
        (verdict(GOAWAY_1=WARN), ["GOAWAY-1 warns: GOAWAY_1 says why"]),
        (verdict(RunStatus.INCONCLUSIVE, RESUME_2=UNKNOWN), ["RESUME-2 is unknown: RESUME_2 says why"]),
        (verdict(RunStatus.INCONCLUSIVE, "too short"), ["the run came out as inconclusive: too short"]),
        (verdict(RunStatus.SKIPPED, "no audio"), []),
        (verdict(RunStatus.ERROR, "the disk is full"), ["fault of the harness: the disk is full"]),
        (verdict(RunStatus.ERROR, SELF_1=FAIL), ["fault of the harness: SELF_1 says why"]),
    ],
)
def test_the_reference_client_passes_every_check(given: Verdict, expected: list[str]) -> None:
    assert told(Expected(REFERENCE, "drop"), given) == expected


@pytest.mark.parametrize(
    ("states", "given", "expected"),
    [
        ("fail", verdict(RunStatus.FAIL, RESUME_2=FAIL), ""),
        ("pass", verdict(GOAWAY_1=WARN), ""),
        ("fail", verdict(), "says `do_nothing: fail`, and the run came out as pass: no check fails"),
        ("pass", verdict(RunStatus.FAIL, RESUME_2=FAIL), "came out as fail: RESUME-2 (RESUME_2 says why)"),
        ("fail", verdict(RunStatus.INCONCLUSIVE, RESUME_2=UNKNOWN), "came out as inconclusive: RESUME-2"),
    ],
)
def test_the_client_that_does_nothing_gets_what_the_scenario_states(states: str, given: Verdict, expected: str) -> None:
    found = told(Expected(DO_NOTHING, "drop", states), given)
    assert len(found) == bool(expected)
    assert expected in "".join(found)


@pytest.mark.parametrize(
    ("client", "given", "expected"),
    [
        (FORGETS, FORGETS_GOOD, []),
        (FORGETS, verdict(RunStatus.FAIL, RESUME_2=FAIL, RETRY_1=FAIL), []),
        (FORGETS, verdict(RESUME_2=PASS), ["RESUME-2 should fail and holds: RESUME_2 says why"]),
        (FORGETS, verdict(RESUME_2=UNKNOWN), ["RESUME-2 should fail and is unknown: RESUME_2 says why"]),
        (FORGETS, verdict(RESUME_2=NEVER), ["RESUME-2 should fail and never arose: RESUME_2 says why"]),
        (FORGETS, verdict(RESUME_2=WARN), ["RESUME-2 should fail and only warns: RESUME_2 says why"]),
        (FORGETS, verdict(RETRY_1=FAIL), ["RESUME-2 was not judged"]),
        (
            FORGETS,
            verdict(RunStatus.FAIL, RESUME_2=FAIL, AUTH_1=FAIL, GOAWAY_1=WARN),
            [
                "AUTH-1 fails, too, which this client may not break: AUTH_1 says why",
                "GOAWAY-1 warns, too, which this client may not break: GOAWAY_1 says why",
            ],
        ),
        (DEAF, DEAF_GOOD, []),
        (DEAF, verdict(RunStatus.SKIPPED, "no such proxy"), []),
    ],
)
def test_a_broken_client_fails_its_check_and_nothing_unrelated(
    client: BrokenClient, given: Verdict, expected: list[str]
) -> None:
    assert told(Expected(Player.broken(client), "drop"), given) == expected


# The matrix ----------------------------------------------------------------------------------------------------------


def test_all_as_it_should_be() -> None:
    matrix = matrix_with()
    assert (matrix.mismatches, matrix.not_played, matrix.played) == ((), (), 9)
    assert matrix.exit_code is ExitCode.PASSED
    resume, goaway, own = matrix.rows
    assert (resume.check, resume.level, resume.broken_client) == ("RESUME-2", Level.MUST, "broken-resume-2")
    assert (resume.tripped_in, resume.not_tripped_in, resume.not_played_in) == (("drop",), (), ())
    assert (resume.reference_holds, resume.reference_breaks, resume.reference_not_applicable) == (3, 0, 0)
    assert goaway.tripped_in == ("goaway~a", "goaway~b")
    assert (own.check, own.broken_client, own.tripped_in) == ("SELF-1", None, ())


def test_a_wrong_run_is_listed_with_its_name() -> None:
    matrix = matrix_with(broken_goaway_1__goaway_b=GOOD, reference__drop=DEAF_GOOD)
    assert [(one.label, one.told) for one in matrix.mismatches] == [
        ("reference/drop", "GOAWAY-1 warns: GOAWAY_1 says why"),
        ("broken-goaway-1/goaway~b", "GOAWAY-1 should fail and holds: GOAWAY_1 says why"),
    ]
    assert (matrix.rows[1].tripped_in, matrix.rows[1].not_tripped_in) == (("goaway~a",), ("goaway~b",))
    assert (matrix.rows[1].reference_breaks, matrix.rows[1].reference_holds) == (1, 2)
    assert matrix.exit_code is ExitCode.FAILED


def test_a_fault_of_the_harness_weighs_more_and_says_nothing_about_the_client() -> None:
    broke = verdict(RunStatus.ERROR, "the proxy died", RESUME_2=FAIL)
    matrix = matrix_with(broken_resume_2__drop=broke, reference__goaway_a=verdict(RunStatus.FAIL, RESUME_2=FAIL))
    assert matrix.exit_code is ExitCode.HARNESS_FAULT
    assert (matrix.rows[0].tripped_in, matrix.rows[0].not_played_in) == ((), ("drop",))
    assert Mismatch("broken-resume-2/drop", "fault of the harness: the proxy died", fault=True) in matrix.mismatches


def test_a_run_that_was_never_judged_is_a_mismatch() -> None:
    matrix = matrix_with(do_nothing__drop=None)
    assert matrix.mismatches == (Mismatch("do-nothing/drop", "it was not judged"),)


def test_what_cannot_be_played_is_told_and_no_mismatch_while_the_check_is_proved_elsewhere() -> None:
    skipped = verdict(RunStatus.SKIPPED, "the scenario needs the builtin proxy")
    matrix = matrix_with(broken_goaway_1__goaway_a=skipped, reference__goaway_a=skipped)
    assert matrix.not_played == (
        ("reference/goaway~a", "the scenario needs the builtin proxy"),
        ("broken-goaway-1/goaway~a", "the scenario needs the builtin proxy"),
    )
    assert (matrix.exit_code, matrix.played) == (ExitCode.PASSED, 7)
    assert matrix.rows[1].not_played_in == ("goaway~a",)


def test_a_check_whose_broken_client_could_nowhere_be_played_is_not_proved() -> None:
    matrix = matrix_with(broken_resume_2__drop=verdict(RunStatus.SKIPPED, "no"))
    assert [one.told for one in matrix.mismatches] == [
        "RESUME-2: not proved, since none of the runs of its broken client could be played"
    ]


def test_a_check_that_the_reference_client_never_comes_to_is_not_proved() -> None:
    nothing = verdict(RESUME_2=PASS, GOAWAY_1=NEVER, SELF_1=PASS)
    matrix = matrix_with(reference__drop=nothing, reference__goaway_a=nothing, reference__goaway_b=nothing)
    assert [one.told for one in matrix.mismatches] == [
        "GOAWAY-1: not proved, since in no run of the reference client it came to it"
    ]


def test_with_only_the_reference_client_is_not_played_everywhere_so_it_need_not_come_to_it() -> None:
    expected = expected_runs(SCENARIOS, [FORGETS, DEAF], ["RESUME-2"])
    verdicts = {"reference/drop": verdict(RESUME_2=NEVER), "broken-resume-2/drop": FORGETS_GOOD}
    matrix = compare(expected, verdicts, LEVELS, ["RESUME-2"])
    assert ([row.check for row in matrix.rows], matrix.mismatches) == (["RESUME-2"], ())


def test_a_check_of_ours_needs_no_broken_client_and_any_other_does() -> None:
    matrix = compare(EXPECTED, ALL_GOOD, {**LEVELS, "WIRE-9": Level.HARDENING})
    assert [one.told for one in matrix.mismatches if "no broken client" in one.told] == [
        "WIRE-9: no broken client is made for it"
    ]
    assert matrix.rows[-1].broken_client is None


def test_nothing_to_play_is_nothing_judged() -> None:
    assert compare([], {}, {"SELF-1": Level.SELF}, ["SELF-1"]).exit_code is ExitCode.NOTHING_JUDGED


def test_roles_are_words() -> None:
    assert [str(role) for role in Role] == ["reference", "do-nothing", "broken"]
