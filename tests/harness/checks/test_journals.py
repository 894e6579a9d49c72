"""Real journals, judged again: as they are, torn, cut, mixed up, and under other names."""

from __future__ import annotations

import dataclasses
import datetime
import random
import time
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.checks import CATALOGUE
from harness.checks.rule import find
from harness.checks.view import View
from harness.checks.view_evidence import MUST_HAVE_BEEN
from harness.checks.view_given import read_given
from harness.clients.catalogue import broken_client
from harness.journal.events import ClientEvent, ClientOutput, Entry, Journal, RunPlanned
from harness.journal.reader import parse_journal
from harness.journal.registry import decode_event
from harness.judge import judge_run
from harness.verdict import CheckStatus, ExitCode, Finding, Level, Verdict
from tests.harness.checks.stored_journals import (
    NAMES,
    RIGHT,
    WRONG,
    as_object,
    content,
    kinds,
    lines,
    renumbered,
    stored,
    without,
)

TODAY = datetime.date(2026, 12, 1)
INCONCLUSIVE_BY_RULE = {"reference.dials_refused"}
"""Refused dials leave no trace: what counts them cannot be judged."""
LEAVES_A_STALLED_LINK_OPEN = "abandons-links.tunnel~stays"
"""No broken client of the catalogue: it redials while its link is stalled, and has two live links afterwards."""
DO_NOTHING = {
    "do-nothing.drop_idle": ExitCode.FAILED,
    "do-nothing.goaway_idle~ahead": ExitCode.FAILED,
    "do-nothing.hang_up~idle": ExitCode.PASSED,
    "do-nothing.tunnel~dies": ExitCode.FAILED,
    "do-nothing.tunnel~stays": ExitCode.PASSED,
}
SMALL = ["reference.hang_up~retrying", "broken-life-1.drop_idle", "do-nothing.drop_idle", "broken-life-3.hang_up~idle"]
"""Short ones, for what is tried at every line."""


def judged(journal: Journal, name: str = "somebody") -> Verdict:
    return judge_run(journal, client_name=name, reproduce="harness run x", today=TODAY)


def findings(journal: Journal) -> dict[str, CheckStatus]:
    given_plan = journal.entries[0].event
    assert isinstance(given_plan, RunPlanned)
    plan = read_given(given_plan.plan)
    assert plan is not None
    view = View(journal, plan)
    return {check: find(rule, view).status for check, rule in CATALOGUE.items()}


def trips(status: CheckStatus) -> bool:
    return status in (CheckStatus.FAIL, CheckStatus.WARN)


# As they are ---------------------------------------------------------------------------------------------------------


def test_every_rule_has_a_journal_that_holds_it_and_one_that_breaks_it() -> None:
    held = {check for name in RIGHT for check, status in findings(stored(name)).items() if status == "pass"}
    assert held == set(CATALOGUE)
    broken = {check for name in WRONG for check, status in findings(stored(name)).items() if trips(status)}
    assert broken == set(CATALOGUE) - {"SELF-1"}


@pytest.mark.parametrize("name", [name for name in RIGHT if name != LEAVES_A_STALLED_LINK_OPEN])
def test_a_right_client_passes(name: str) -> None:
    verdict = judged(stored(name))
    assert [one for one in verdict.checks if trips(one.status)] == []
    expected = ExitCode.INCONCLUSIVE if name in INCONCLUSIVE_BY_RULE else ExitCode.PASSED
    assert verdict.exit_code is expected, [one for one in verdict.checks if one.status == "unknown"]


def test_who_leaves_a_stalled_link_open_has_two_sessions_when_the_stall_is_over() -> None:
    tripped = [check for check, status in findings(stored(LEAVES_A_STALLED_LINK_OPEN)).items() if trips(status)]
    assert tripped == ["RETRY-7"]


@pytest.mark.parametrize("name", WRONG)
def test_a_broken_client_trips_its_check_and_nothing_unrelated(name: str) -> None:
    client = broken_client(name.partition(".")[0].removeprefix("broken-").upper())
    tripped = {check for check, status in findings(stored(name)).items() if trips(status)}
    assert client.check in tripped
    assert tripped <= client.allowed


@pytest.mark.parametrize(("name", "code"), DO_NOTHING.items())
def test_who_does_nothing_gets_what_the_scenario_says(name: str, code: ExitCode) -> None:
    assert judged(stored(name)).exit_code is code


@pytest.mark.parametrize("name", NAMES)
def test_evidence_points_into_the_journal_and_at_what_a_rule_reads(name: str) -> None:
    journal = stored(name)
    for finding in judged(journal).checks:
        assert list(finding.evidence) == sorted(set(finding.evidence))
        assert all(1 < n <= len(journal.entries) for n in finding.evidence)
        if finding.status in (CheckStatus.FAIL, CheckStatus.WARN):
            assert finding.evidence
        if finding.status in (CheckStatus.PASS, CheckStatus.FAIL, CheckStatus.WARN):
            assert finding.summary
            assert not finding.summary.endswith(".")


def test_judging_twice_finds_the_same() -> None:
    for name in NAMES:
        assert judged(stored(name)) == judged(parse_journal(content(name)))


# Torn ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_deleting_any_class_of_events_clears_nobody_and_condemns_nobody(name: str) -> None:
    journal = stored(name)
    whole = findings(journal)
    for kind in kinds(journal):
        torn = findings(without(journal, kind))
        for check, rule in CATALOGUE.items():
            if kind in rule.needs:
                assert torn[check] != "pass", f"{check} passes without {kind}"
            if trips(whole[check]):
                assert torn[check] != "pass", f"{check} does not see what it saw, without {kind}"
            if whole[check] == "pass" and kind in MUST_HAVE_BEEN:
                assert not trips(torn[check]), f"{check} accuses for want of {kind}"


@pytest.mark.parametrize("name", RIGHT)
def test_a_verdict_without_the_run_s_end_or_the_plan_is_our_fault(name: str) -> None:
    assert judged(without(stored(name), "run.ended")).exit_code is ExitCode.HARNESS_FAULT
    assert judged(renumbered(list(stored(name).entries[1:]))).exit_code is ExitCode.HARNESS_FAULT


# Cut -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_a_journal_that_is_cut_at_any_line_is_our_fault(name: str) -> None:
    told = lines(name)
    for kept in range(len(told)):
        assert judged(parse_journal(b"\n".join(told[:kept]))).exit_code is ExitCode.HARNESS_FAULT


@pytest.mark.parametrize("name", NAMES)
def test_a_journal_that_is_cut_anywhere_is_our_fault(name: str) -> None:
    data = content(name)
    chance = random.Random(name)
    for _ in range(2):
        cut = parse_journal(data[: chance.randrange(1, len(data) - 20)])
        assert judged(cut).exit_code is ExitCode.HARNESS_FAULT


# Mixed up ------------------------------------------------------------------------------------------------------------

UNSETTLED = (ExitCode.INCONCLUSIVE, ExitCode.HARNESS_FAULT)


@pytest.mark.parametrize("name", NAMES)
def test_swapped_lines_settle_nothing(name: str) -> None:
    told = lines(name)
    chance = random.Random(name)
    for _ in range(2):
        first = chance.randrange(0, len(told) - 1)
        second = chance.randrange(first + 1, len(told))
        mixed = [*told]
        mixed[first], mixed[second] = told[second], told[first]
        assert judged(parse_journal(b"\n".join(mixed))).exit_code in UNSETTLED


@pytest.mark.parametrize("name", NAMES)
def test_a_line_that_is_there_twice_settles_nothing(name: str) -> None:
    told = lines(name)
    chance = random.Random(name)
    for _ in range(2):
        place = chance.randrange(0, len(told))
        twice = parse_journal(b"\n".join([*told[: place + 1], *told[place:]]))
        code = judged(twice).exit_code
        if orjson.loads(told[place])["kind"].startswith(("client.event", "client.output", "note")):
            assert code is judged(stored(name)).exit_code
        else:
            assert code in UNSETTLED, told[place][:100]


def test_a_line_that_cannot_be_read_settles_nothing() -> None:
    told = lines("reference.drop_idle")
    told[40] = b"{" + told[40]
    assert judged(parse_journal(b"\n".join(told))).exit_code is ExitCode.INCONCLUSIVE


# Under other names ----------------------------------------------------------------------------------------------------


def by_another_name(journal: Journal, name: str) -> Journal:
    """The same run of a client that calls itself otherwise, in its hello and in all of its output."""
    entries = []
    for entry in journal.entries:
        event = entry.event
        if isinstance(event, ClientEvent) and event.event == "hello":
            event = ClientEvent("hello", {**event.data, "client": name, "version": name})
        elif isinstance(event, ClientOutput):
            event = ClientOutput(event.stream, f"{name}: {event.text}")
        entries.append(Entry(entry.n, entry.t, event))
    return Journal(tuple(entries), journal.whole)


def test_no_check_knows_whom_it_judges() -> None:
    for name in NAMES:
        one = judged(stored(name), "reference")
        other = judged(by_another_name(stored(name), "harness.clients.broken.auth_1"), "broken-auth-1")
        assert dataclasses.replace(one, client="") == dataclasses.replace(other, client="")


# Anything ------------------------------------------------------------------------------------------------------------

ODD_VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 7, 2**40, -(2**62), 0.0, -3.5, 1e-9, 1e18, 1e308, -1e308),
    *("", "x", "live", "all", "both", "handle-1", "token-1", "empty-handle", "unknown-handle-1", "network.stall"),
    *("network.blackhole", "server.go_away", "setup", "setup_complete", "go_away", "realtime_input", "played"),
    *("hang_up", "quit", "reconnecting", "gave_up", "killed", [], ["x"], [1], {}, {"a": 1}),
    [{"utterance": 1, "start": -5, "end": 2**40}],
    {"goAway": {"timeLeft": "9" * 400 + "s"}},
    {"setup": {"sessionResumption": {"handle": 5}}},
]


def mutated(event_of: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Some value in an event's line is another."""
    changed = orjson.loads(orjson.dumps(event_of))
    here: Any = changed
    while True:
        key = chance.choice(sorted(here)) if isinstance(here, dict) else chance.randrange(len(here))
        deeper = here[key]
        if isinstance(deeper, dict | list) and deeper and chance.random() < 0.7:
            here = deeper
            continue
        if chance.random() < 0.2 and isinstance(here, dict):
            del here[key]
        else:
            here[key] = chance.choice(ODD_VALUES)
        return changed  # type: ignore[no-any-return]  # as it was read


def spoiled(name: str, seed: int) -> Journal:
    """A stored journal, and what chance made of it."""
    chance = random.Random(seed)
    entries = list(stored(name).entries)
    for _ in range(chance.choice([1, 1, 2, 5, 20])):
        place = chance.randrange(len(entries))
        match chance.choice(["delete", "double", "move", "mutate", "mutate", "mutate", "time", "cut", "kind"]):
            case "delete":
                del entries[place]
            case "double":
                entries.insert(chance.randrange(len(entries) + 1), entries[place])
            case "move":
                entries.insert(chance.randrange(len(entries)), entries.pop(place))
            case "mutate":
                entry = entries[place]
                entries[place] = Entry(entry.n, entry.t, decode_event(mutated(as_object(entry.event), chance)))
            case "time":
                t = chance.choice([0.0, -1.0, 1e308, entries[place].t + chance.uniform(-5, 5)])
                entries[place] = Entry(entries[place].n, t, entries[place].event)
            case "cut":
                entries = entries[: max(1, place)]
            case "kind":
                kind = entries[place].event.kind
                entries = [entry for entry in entries if entry.event.kind != kind] or entries[:1]
        if not entries:
            break
    if chance.random() < 0.5:
        return renumbered(entries)
    return Journal(tuple(entries), whole=chance.random() < 0.5)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.sampled_from(NAMES), st.integers(0, 2**32))
def test_nothing_that_a_journal_holds_makes_judging_fail_or_last(name: str, seed: int) -> None:
    journal = spoiled(name, seed)
    began_s = time.process_time()
    verdict = judged(journal)
    assert time.process_time() - began_s < 2.0
    assert isinstance(verdict.exit_code, ExitCode)
    assert all(isinstance(finding, Finding) for finding in verdict.checks)
    if verdict.exit_code is ExitCode.PASSED:
        # What passes has an end, contradicts nothing, and lacks nothing that a rule needs.
        assert journal.entries[-1].event.kind == "run.ended" or "run.ended" in kinds(journal)
        assert not any(one.status == "unknown" for one in verdict.checks if one.level in (Level.MUST, Level.SELF))


def test_a_very_long_journal_is_judged_in_time() -> None:
    base = stored("broken-retry-2.hang_up~retrying")
    dials = [entry for entry in base.entries if entry.event.kind == "link.dial"]
    begin, end = dials[0], dials[-1]
    before = [entry for entry in base.entries if entry.n < begin.n]
    after = [entry for entry in base.entries if entry.n > end.n]
    many = [Entry(0, begin.t + number * (end.t - begin.t) / 10_000, begin.event) for number in range(10_000)]
    began_s = time.process_time()
    verdict = judged(renumbered([*before, *many, *after]))
    assert time.process_time() - began_s < 5.0
    assert verdict.metrics["dials"] == 10_001
    assert [one.status for one in verdict.checks if one.check == "RETRY-2"] == ["fail"]
