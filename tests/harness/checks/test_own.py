"""SELF: our own slips, which are never the client's."""

from __future__ import annotations

import pytest

from harness.checks.own import slipped
from harness.journal.events import FaultFailed
from tests.harness.checks.journal_builder import Book, evidence_of, finding, kinds, status


def run_with(act: str = "network.cut", **fault: object) -> Book:
    book = Book()
    book.opens(1.0, 1)
    book.fault(5.0, act, **fault)  # type: ignore[arg-type]  # words of the builder
    book.ends(30.0)
    return book


def test_self_1_holds() -> None:
    book = run_with()
    assert status(book, "SELF-1") == "pass"
    assert kinds(evidence_of(book, "SELF-1")) == {"fault.in_force"}
    assert not slipped(book.journal())


@pytest.mark.parametrize(
    ("after_s", "lag_ms", "expected"),
    [
        (0.0, 50.0, "pass"),
        (0.0, 50.1, "fail"),
        (0.2, 50.1, "fail"),  # 20 % of it are 40 ms: the larger bound counts
        (1.0, 200.0, "pass"),
        (1.0, 200.1, "fail"),
    ],
)
def test_self_1_allows_a_trigger_the_larger_of_50_ms_and_a_fifth_of_its_delay(
    after_s: float, lag_ms: float, expected: str
) -> None:
    book = run_with(after_s=after_s, lag_ms=lag_ms)
    assert status(book, "SELF-1") == expected
    assert slipped(book.journal()) is (expected == "fail")


@pytest.mark.parametrize(
    ("for_s", "lag_ms", "expected"),
    [(0.1, 50.0, "pass"), (0.1, 50.1, "fail"), (8.0, 1600.0, "pass"), (8.0, 1601, "fail")],
)
def test_self_1_allows_an_end_the_larger_of_50_ms_and_a_fifth_of_its_time(
    for_s: float, lag_ms: float, expected: str
) -> None:
    book = run_with("network.stall", for_s=for_s, lifted_lag_ms=lag_ms)
    assert status(book, "SELF-1") == expected
    assert slipped(book.journal()) is (expected == "fail")
    if expected == "fail":
        assert kinds(evidence_of(book, "SELF-1")) == {"fault.due", "fault.in_force", "fault.lifted"}


def test_self_1_has_no_bound_for_the_end_of_a_fault_whose_beginning_it_did_not_see() -> None:
    book = run_with("network.stall", for_s=8.0, lifted_lag_ms=100.0)
    assert status(book, "SELF-1") == "pass"
    assert status(book.without("fault.in_force"), "SELF-1") == "unknown"


def test_self_1_breaks_for_a_fault_that_could_not_be_done() -> None:
    book = run_with()
    failed = book.add(6.0, FaultFailed(2, "network.stall", "no such link"))
    assert status(book, "SELF-1") == "fail"
    assert finding(book, "SELF-1").evidence == (book.n(failed),)
    assert "no such link" in finding(book, "SELF-1").summary
    assert not slipped(book.journal())


@pytest.mark.parametrize("deliberate", [True, False])
def test_self_1_breaks_for_a_frame_that_the_service_could_not_send_unless_it_was_meant(deliberate: bool) -> None:
    book = run_with()
    odd = book.sends(3.0, 1, "server_content", invalid="turnComplete is no number")
    if deliberate:
        book = book.without_marks(odd)
        event = odd.event
        fields = {**vars(event), "deliberate": True}
        book.add(3.0, type(event)(**fields))
    assert status(book, "SELF-1") == ("pass" if deliberate else "fail")


@pytest.mark.parametrize("kind", ["run.ended", "frame.sent", "fault.in_force"])
def test_self_1_needs(kind: str) -> None:
    assert status(run_with().without(kind), "SELF-1") == "unknown"


def test_self_1_holds_for_a_run_without_faults() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.ends(30.0)
    assert status(book, "SELF-1") == "pass"
