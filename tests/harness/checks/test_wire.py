"""WIRE: the order of a client's frames."""

from __future__ import annotations

import pytest

from tests.harness.checks.journal_builder import Book, evidence_of, finding, kinds, status


def talk() -> Book:
    """Two connections in good order."""
    book = Book()
    book.opens(1.0, 1)
    book.asked_and_answered(2.0, 1, 1, ())
    book.cut(5.0, 1)
    book.opens(5.5, 2)
    book.asked_and_answered(6.0, 2, 2, ())
    book.ends(60.0)
    return book


# WIRE-1 --------------------------------------------------------------------------------------------------------------


def test_wire_1_holds_and_points_at_the_setups() -> None:
    book = talk()
    assert status(book, "WIRE-1") == "pass"
    assert kinds(evidence_of(book, "WIRE-1")) == {"frame.received"}
    assert len(finding(book, "WIRE-1").evidence) == 2


@pytest.mark.parametrize("message", ["client_content", "realtime_input", "tool_response", "unknown", "unparsable"])
def test_wire_1_breaks_when_something_else_comes_first(message: str) -> None:
    book = talk()
    book.dials(9.0, 3, key="key-1")
    early = book.frame(9.1, 3, message)
    book.sets_up(9.2, 3)
    assert status(book, "WIRE-1") == "fail"
    assert finding(book, "WIRE-1").evidence == (book.n(early),)
    assert f"`{message}`" in finding(book, "WIRE-1").summary


def test_wire_1_breaks_at_a_second_setup_also_late() -> None:
    book = talk()
    again = book.sets_up(20.0, 2)
    assert status(book, "WIRE-1") == "fail"
    assert book.n(again) in finding(book, "WIRE-1").evidence


def test_wire_1_never_arises_where_nothing_was_sent() -> None:
    book = Book()
    book.dials(1.0, 1, status=503, refusal="http_503")
    book.ends(60.0)
    assert status(book, "WIRE-1") == "not_applicable"


@pytest.mark.parametrize("kind", ["frame.received", "upgrade.received"])
def test_wire_1_needs(kind: str) -> None:
    assert status(talk().without(kind), "WIRE-1") == "unknown"


# WIRE-2 --------------------------------------------------------------------------------------------------------------


def test_wire_2_holds() -> None:
    book = talk()
    assert status(book, "WIRE-2") == "pass"
    assert kinds(evidence_of(book, "WIRE-2")) == {"frame.received", "frame.sent"}


@pytest.mark.parametrize("completed", [True, False])
def test_wire_2_breaks_when_anything_comes_between(completed: bool) -> None:
    book = talk()
    book.dials(9.0, 3, key="key-1")
    book.sets_up(9.1, 3)
    early = book.frame(9.15, 3, "realtime_input", "audio_stream_end")
    if completed:
        book.completes(9.2, 3)
    assert status(book, "WIRE-2") == "fail"
    assert book.n(early) in finding(book, "WIRE-2").evidence


def test_wire_2_leaves_a_second_setup_and_a_late_first_one_to_wire_1() -> None:
    book = talk()
    book.dials(9.0, 3, key="key-1")
    book.frame(9.05, 3, "client_content")
    book.sets_up(9.1, 3)
    book.sets_up(9.15, 3)
    book.completes(9.2, 3)
    assert status(book, "WIRE-2") == "pass"
    assert status(book, "WIRE-1") == "fail"


def test_wire_2_holds_for_a_setup_that_was_refused() -> None:
    book = Book()
    book.refused_dial(1.0, 1, "model_not_found")
    book.ends(60.0)
    assert status(book, "WIRE-2") == "pass"


def test_wire_2_never_arises_without_a_setup() -> None:
    book = Book()
    book.dials(1.0, 1, key="key-1")
    book.frame(1.1, 1, "client_content")
    book.ends(60.0)
    assert status(book, "WIRE-2") == "not_applicable"


def test_wire_2_accuses_nobody_where_our_own_frames_are_missing() -> None:
    # The session's start says as well as the frame itself that setupComplete was there.
    assert status(talk().without("frame.sent"), "WIRE-2") == "unknown"


@pytest.mark.parametrize("kind", ["frame.received", "frame.sent"])
def test_wire_2_needs(kind: str) -> None:
    assert status(talk().without(kind), "WIRE-2") == "unknown"
