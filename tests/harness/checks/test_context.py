"""What the service still knows after a drop."""

from __future__ import annotations

import pytest

from harness.checks import CATALOGUE
from harness.journal.events import ClientStarted
from tests.harness.checks.journal_builder import Book, evidence_of, finding, kinds, status, statuses


def session_with(*handles: str, facts: tuple[str, ...] = ("name",), **options: object) -> Book:
    """One session with an update for each handle, at 2 s, 3 s, …; it is cut at 10 s."""
    book = Book(**options)  # type: ignore[arg-type]  # words of the builder
    book.opens(1.0, 1)
    for number, handle in enumerate(handles):
        book.update(2.0 + number, 1, handle, facts=facts)
    book.cut(10.0, 1)
    return book


# RESUME-7 ------------------------------------------------------------------------------------------------------------


def asked(missing: tuple[str, ...] = (), *, answered: bool = True, **options: object) -> Book:
    book = session_with("handle-1", facts=("city", "name"), **options)  # type: ignore[arg-type]  # as above
    book.opens(10.5, 2, handle="handle-1")
    if answered:
        book.asked_and_answered(12.0, 3, 2, ("name", "city"), missing=missing)
    else:
        book.turn(12.0, 3, "ask", "What is my name?", asks=("name",))
    book.ends(60.0)
    return book


def test_resume_7_holds_when_the_facts_are_known() -> None:
    book = asked()
    assert status(book, "RESUME-7") == "pass"
    assert kinds(evidence_of(book, "RESUME-7")) == {"handle.issued", "user.turn", "turn.answered"}
    assert "city and name were still known" in finding(book, "RESUME-7").summary


def test_resume_7_breaks_when_one_is_not() -> None:
    book = asked(("city",))
    assert status(book, "RESUME-7") == "fail"
    assert "city" in finding(book, "RESUME-7").summary
    assert kinds(evidence_of(book, "RESUME-7")) == {"handle.issued", "user.turn", "turn.answered"}


def test_resume_7_owes_only_what_a_received_handle_held() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.update(2.0, 1, "handle-1", facts=("name",))
    book.update(9.9, 1, "handle-2", facts=("city", "name"))
    book.cut(10.0, 1)
    book.opens(10.5, 2, handle="handle-1")
    book.asked_and_answered(12.0, 3, 2, ("name", "city"), missing=("city",))
    book.ends(60.0)
    assert status(book, "RESUME-7") == "pass"


def test_resume_7_takes_the_last_answer_where_a_question_was_asked_again() -> None:
    for first, second, expected in (((), ("name",), "fail"), (("name",), (), "pass")):
        book = session_with("handle-1")
        book.opens(10.5, 2, handle="handle-1")
        book.asked_and_answered(12.0, 3, 2, ("name",), missing=first)
        again = book.hears(20.0, 2, "What is my name?")
        book.answers(20.1, 2, again, known=() if second else ("name",), missing=second)
        book.ends(60.0)
        assert status(book, "RESUME-7") == expected


def test_resume_7_hears_a_spoken_question_by_its_utterance() -> None:
    for utterance, expected in ((4, "fail"), (5, "unknown")):
        book = session_with("handle-1")
        book.opens(10.5, 2, handle="handle-1")
        book.speaks(12.0, 4, speech_s=1.0, asks=("name",))
        number = book.hears(15.0, 2, "", utterance=utterance)
        book.answers(15.1, 2, number, missing=("name",))
        book.ends(60.0)
        assert status(book, "RESUME-7") == expected


def test_resume_7_covers_a_fault_that_was_ridden_out() -> None:
    for missing, expected in (((), "pass"), (("name",), "fail")):
        book = Book()
        book.opens(1.0, 1)
        book.update(2.0, 1, "handle-1", facts=("name",))
        book.fault(5.0, "network.stall", for_s=3.0)
        book.asked_and_answered(12.0, 3, 1, ("name",), missing=missing)
        book.ends(60.0)
        assert status(book, "RESUME-7") == expected


def test_resume_7_is_unknown_when_the_question_was_never_answered() -> None:
    assert status(asked(answered=False), "RESUME-7") == "unknown"


def test_resume_7_never_arises_before_a_drop_or_for_other_facts() -> None:
    before = Book()
    before.opens(1.0, 1)
    before.update(2.0, 1, "handle-1", facts=("name",))
    before.asked_and_answered(4.0, 3, 1, ("name",), missing=("name",))
    before.ends(60.0)
    assert status(before, "RESUME-7") == "not_applicable"
    assert status(asked(("city", "name"), driven=False), "RESUME-7") == "not_applicable"
    other = session_with("handle-1", facts=("job",))
    other.opens(10.5, 2, handle="handle-1")
    other.asked_and_answered(12.0, 3, 2, ("name",), missing=("name",))
    other.ends(60.0)
    assert status(other, "RESUME-7") == "not_applicable"


@pytest.mark.parametrize(("missing", "expected"), [(("name",), "not_applicable"), ((), "pass")])
@pytest.mark.parametrize("how", ["refused", "not now", "forgotten"])
def test_resume_7_owes_nothing_where_the_service_took_the_handle_back(
    how: str, missing: tuple[str, ...], expected: str
) -> None:
    book = session_with("handle-1")
    if how == "refused":
        book.refused_dial(11.0, 2, "session_not_found", handle="handle-1")
        book.opens(11.5, 3, session="session-2")
    elif how == "not now":
        book.refused_dial(11.0, 2, "internal_error", handle="handle-1")
        book.opens(15.5, 3, session="session-2")
    else:
        book.fault(9.0, "server.forget_context")
        book.opens(11.5, 3, handle="handle-1")
    book.asked_and_answered(17.0, 3, 3, ("name",), missing=missing)  # a client that told it again knows it
    book.ends(60.0)
    assert status(book, "RESUME-7") == expected


def test_resume_7_looks_at_what_was_forgotten_before_the_answer_not_before_the_question() -> None:
    book = session_with("handle-1")
    book.turn(10.7, 3, "ask", "What is my name?", asks=("name",))
    book.refused_dial(11.0, 2, "session_not_found", handle="handle-1")
    book.opens(11.5, 3, session="session-2")
    book.answers(12.0, 3, book.hears(11.9, 3, "What is my name?"), missing=("name",))
    book.ends(60.0)
    assert status(book, "RESUME-7") == "not_applicable"


def test_resume_7_owes_what_was_told_again_and_is_held_again() -> None:
    book = session_with("handle-1")
    book.refused_dial(11.0, 2, "session_not_found", handle="handle-1")
    book.opens(11.5, 3, session="session-2")
    book.update(12.0, 3, "handle-2", session="session-2", facts=("name",))
    book.cut(15.0, 3)
    book.opens(15.5, 4, handle="handle-2", session="session-2")
    book.asked_and_answered(17.0, 3, 4, ("name",), missing=("name",))
    book.ends(60.0)
    assert status(book, "RESUME-7") == "fail"


def test_resume_7_owes_nothing_to_a_program_that_was_started_again_and_starts_afresh() -> None:
    for handle, expected in ((None, "not_applicable"), ("handle-1", "fail")):
        book = Book()
        book.opens(1.0, 1)
        book.update(2.0, 1, "handle-1", facts=("name",))
        book.fault(9.99, "client.restart")
        book.link_ends(10.0, 1)
        book.exits(10.1, None, signal="SIGKILL", asked=True)
        book.add(10.5, ClientStarted(2))
        book.opens(11.0, 2, handle=handle, session="session-2")
        book.asked_and_answered(13.0, 3, 2, ("name",), missing=("name",))
        book.ends(60.0)
        assert status(book, "RESUME-7") == expected


def test_resume_7_is_broken_by_a_fresh_start_that_nothing_called_for() -> None:
    book = session_with("handle-1")
    book.opens(10.5, 2, handle="handle-1")
    book.is_left(11.0, 2)
    book.opens(11.1, 3, session="session-2")
    book.asked_and_answered(13.0, 3, 3, ("name",), missing=("name",))
    book.ends(60.0)
    assert statuses(book, "RESUME-2", "RESUME-7") == {"RESUME-2": "pass", "RESUME-7": "fail"}


def test_who_reseeds_must_know_the_facts_and_who_keeps_nothing_need_not() -> None:
    for resumption, expected in (("reseed", "fail"), ("none", "not_applicable")):
        book = asked(("name",), policy={"resumption": resumption}, checks=["RESUME-7"])
        assert status(book, "RESUME-7") == expected


@pytest.mark.parametrize("kind", sorted(CATALOGUE["RESUME-7"].needs))
def test_resume_7_needs(kind: str) -> None:
    for book in (asked(), asked(("name",))):
        assert status(book.without(kind), "RESUME-7") != "pass"
