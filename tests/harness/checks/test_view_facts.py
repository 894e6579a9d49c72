"""Facts by class and kind, and small readings of payloads."""

from __future__ import annotations

import pytest

from fake_server import events as server
from harness.checks.view_facts import Fact, Facts, Moment, at, duration_s
from harness.journal.events import Entry, Journal, LinkDial, RunEnded


def test_facts_are_sorted_by_class_in_the_journal_s_order() -> None:
    entries = (
        Entry(1, 0.5, LinkDial("live")),
        Entry(2, 0.7, RunEnded("played", "")),
        Entry(3, 0.6, LinkDial("backend")),
    )
    facts = Facts(Journal(entries, True))
    assert [(fact.n, fact.event.link) for fact in facts.of(LinkDial)] == [(1, "live"), (3, "backend")]
    assert facts.of(server.SocketAccepted) == ()
    assert facts.has("link.dial")
    assert not facts.has("note")
    assert facts.end_s == 0.7


def test_an_empty_journal_has_no_facts_and_no_length() -> None:
    facts = Facts(Journal((), False))
    assert facts.end_s == 0.0
    assert not facts.has("run.ended")


def test_a_fact_is_a_moment_too() -> None:
    assert Fact(3, 1.5, "x").moment == Moment(3, 1.5)


@pytest.mark.parametrize(
    ("value", "path", "expected"),
    [
        ({"a": {"b": 1}}, ("a", "b"), 1),
        ({"a": {"b": 1}}, ("a",), {"b": 1}),
        ({"a": {"b": 1}}, ("b",), None),
        ({"a": 1}, ("a", "b"), None),
        (None, ("a",), None),
        ([1], ("a",), None),
        ("text", (), "text"),
    ],
)
def test_at_finds_a_member_or_none(value: object, path: tuple[str, ...], expected: object) -> None:
    assert at(value, *path) == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        *[("57s", 57.0), ("1.5s", 1.5), ("0s", 0.0), ("5.s", 5.0)],
        *((other, None) for other in ("-1s", "5", "s", 5, None, "1e3s", " 5s", "5s ")),
    ],
)
def test_durations_are_read_as_the_wire_has_them(told: object, expected: float | None) -> None:
    assert duration_s(told) == expected
