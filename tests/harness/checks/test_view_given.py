"""What a plan promises."""

from __future__ import annotations

from typing import Any

import pytest

from harness.checks.view_given import plan_names, read_given
from tests.harness.checks.journal_builder import Book, given_of


def test_the_client_s_side_of_a_plan() -> None:
    given = given_of(Book(policy={"redial": "manual"}, driven=False))
    assert given.policy.redial == "manual"
    assert not given.driven
    assert given.seed == 7
    assert given.variant is None


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ({}, False),
        ({"resume_spends_use": True}, True),
        ({"refuse": "http_401"}, True),
        ({"refuse": "close_1011"}, False),
    ],
)
def test_http_401_implies_that_a_resume_spends_a_use(tokens: dict[str, Any], expected: bool) -> None:
    assert given_of(Book(session={"tokens": tokens})).resume_spends_use is expected


def test_the_scenario_s_side_of_a_plan() -> None:
    plain = given_of(Book())
    assert (plain.named, plain.handles_are_sessions) == (frozenset(), False)
    assert (plain.lost_at_most, plain.doubled_at_most) == (None, None)
    assert not plain.has_faults
    full = given_of(
        Book(
            checks=["RETRY-1"],
            session={"resumption": {"handles": "session"}},
            expect={"speech": {"lost": "as_declared", "doubled": {"at_most": "1500ms"}}},
            story=[{"speak": "2s"}, {"do": {"network": "cut"}}],
        )
    )
    assert full.named == {"RETRY-1"}
    assert full.handles_are_sessions
    assert (full.lost_at_most, full.doubled_at_most) == ("as_declared", 1.5)
    assert full.has_faults
    other = given_of(Book(expect={"speech": {"lost": {"at_most": "0s"}, "doubled": "as_declared"}}))
    assert (other.lost_at_most, other.doubled_at_most) == (0.0, "as_declared")


@pytest.mark.parametrize(
    "story",
    [
        [{"do": {"network": "cut"}}],
        [{"say": "Hello.", "meanwhile": {"at": "1s", "do": {"network": "reset"}}}],
    ],
)
def test_faults_hang_on_steps(story: list[dict[str, Any]]) -> None:
    assert given_of(Book(story=story)).has_faults


def test_faults_stand_in_a_timeline() -> None:
    plan = dict(Book().plan)
    scenario = dict(plan["scenario"])  # type: ignore[call-overload]  # a mapping, as it was made
    scenario["timeline"] = [{"when": {"event": "session_started"}, "do": {"network": "cut"}}]
    given = read_given({**plan, "scenario": scenario})
    assert given is not None
    assert given.has_faults


@pytest.mark.parametrize(
    "spoilt",
    [
        {},
        {"scenario": None},
        {"scenario": {"scenario": "x"}},
        {"client": {"policy": {"redial": "never heard of"}}},
        {"client": 7},
        {"scenario": {"scenario": "x", "title": "t", "new_in_version_9": 1}},
    ],
)
def test_a_plan_of_another_version_cannot_be_understood_but_named(spoilt: dict[str, Any]) -> None:
    plan = {**Book().plan, **spoilt} if spoilt else {}
    assert read_given(plan) is None
    assert plan_names(plan)[0] in ("x", "unknown", "by_hand")


def test_variant_and_seed_are_read_where_they_make_sense() -> None:
    plan = dict(Book().plan)
    given = read_given({**plan, "variant": "dies", "seed": 3})
    assert given is not None
    assert (given.variant, given.seed) == ("dies", 3)
    given = read_given({**plan, "variant": 5, "seed": "x"})
    assert given is not None
    assert (given.variant, given.seed) == (None, 0)
    assert plan_names({**plan, "variant": "dies", "seed": 3}) == ("by_hand", "dies", 3)
    assert plan_names({"scenario": "x", "variant": 5, "seed": "x"}) == ("unknown", None, 0)
