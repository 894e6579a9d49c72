"""The figures of a run, on journals made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from harness.metrics import measure
from tests.harness.checks.journal_builder import Book, view_of

NAMES = [
    "connections", "dials", "tokens_minted", "tokens_spent", "refusals", "recovery_s", "speech_lost_ms",
    "speech_doubled_ms", "detection_s", "harness_lag_ms",
]  # fmt: skip


def figures(book: Book) -> dict[str, Any]:
    return dict(measure(view_of(book)))


def test_the_contract_s_figures_in_its_order() -> None:
    assert list(figures(Book())) == NAMES


def test_what_was_not_measured_is_none_and_what_did_not_happen_is_0() -> None:
    assert figures(Book()) == {
        "connections": 0,
        "dials": 0,
        "tokens_minted": 0,
        "tokens_spent": 0,
        "refusals": 0,
        "recovery_s": [],
        "speech_lost_ms": None,
        "speech_doubled_ms": None,
        "detection_s": [],
        "harness_lag_ms": None,
    }


def test_counts() -> None:
    book = Book()
    book.opens(1.0, 1, token="token-1")
    book.mints(2.0, "token-9")
    book.opens(3.0, 2, token="token-2", handle="handle-1")  # a resume that spends nothing
    book.dials(4.0, 3, token="token-3", status=401, refusal="http_401")
    book.refused_dial(5.0, 4, "quota")
    book.knocks(6.0, 50)
    book.turned_away(7.0)
    found = figures(book)
    assert (found["connections"], found["dials"]) == (4, 6)
    assert (found["tokens_minted"], found["tokens_spent"], found["refusals"]) == (3, 1, 2)


def test_a_token_is_counted_as_spent_once_however_often() -> None:
    book = Book()
    book.mints(0.5, "token-1", uses=0)
    book.opens(1.0, 1, token="token-1", minted=False)
    book.opens(2.0, 2, token="token-1", minted=False)
    assert figures(book)["tokens_spent"] == 1


# Recovery ------------------------------------------------------------------------------------------------------------


def test_recovery_is_counted_from_known_to_the_first_content() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.turn(4.0, 1, "say", "Hello.")
    book.cut(4.996, 1)  # known at 5.0
    book.opens(5.97, 2)
    book.frame(6.5, 2, "client_content")
    assert figures(book)["recovery_s"] == [1.5]


def test_recovery_is_counted_from_the_link_being_there_where_that_is_later() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.turn(4.0, 1, "say", "Hello.")
    book.fault(4.996, "network.blackhole", for_s=8.0)
    book.drops_own_end(7.0, 1)
    book.opens(13.47, 2)
    book.frame(13.75, 2, "realtime_input")
    assert figures(book)["recovery_s"] == [0.75]
    assert figures(book)["detection_s"] == [2.004]


def test_recovery_ends_with_the_session_where_the_user_had_nothing_to_say_before() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.cut(4.996, 1)
    book.opens(5.97, 2)
    assert figures(book)["recovery_s"] == [1.0]
    book.turn(20.0, 1, "say", "Hello again.")
    book.frame(20.1, 2, "client_content")
    assert figures(book)["recovery_s"] == [1.0]


def test_recovery_passes_over_what_is_no_content() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.turn(4.0, 1, "say", "Hello.")
    book.cut(4.996, 1)
    book.opens(5.97, 2)
    book.frame(6.1, 2, "unknown")
    book.frame(6.25, 2, "tool_response")
    assert figures(book)["recovery_s"] == [1.25]


def test_recovery_before_the_link_was_there_took_no_time() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.fault(4.0, "tokens.fail", for_s=5.0)
    book.cut(4.996, 1)
    book.opens(5.97, 2)
    assert figures(book)["recovery_s"] == [0.0]


def test_a_session_that_never_came_back_has_no_recovery() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.cut(5.0, 1)
    assert figures(book)["recovery_s"] == [None]


def test_there_is_a_recovery_for_every_drop_and_none_for_a_client_s_own_decision() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.cut(4.996, 1)
    book.opens(5.97, 2)
    book.closes(10.0, 2, 1011)
    book.opens(11.97, 3)
    book.is_left(20.0, 3)
    book.opens(21.0, 4)
    book.goes_away(30.0, 4)
    book.is_left(31.0, 4)
    book.opens(31.47, 5)
    book.hangs_up(40.0)
    book.is_left(40.1, 5)
    assert figures(book)["recovery_s"] == [1.0, 2.0, 0.5]


def test_recovery_counts_a_silence_of_the_service_that_the_client_left() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.fault(4.0, "server.silence")
    book.is_left(10.0, 1)
    book.opens(10.47, 2)
    assert figures(book)["recovery_s"] == [0.5]


# Detection -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("left_s", "expected"), [(7.5, [2.5]), (None, [None])])
def test_detection_runs_from_the_silence_to_leaving(left_s: float | None, expected: list[float | None]) -> None:
    book = Book()
    book.opens(1.0, 1)
    book.fault(5.0, "network.blackhole")
    if left_s is not None:
        book.drops_own_end(left_s, 1)
    assert figures(book)["detection_s"] == expected


def test_who_leaves_because_the_user_hangs_up_has_noticed_nothing() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.fault(5.0, "network.blackhole", for_s=40.0)
    book.hangs_up(9.0)
    book.drops_own_end(9.1, 1)
    assert figures(book)["detection_s"] == [None]


def test_only_silent_faults_are_detected() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.cut(5.0, 1)
    assert figures(book)["detection_s"] == []


# Speech --------------------------------------------------------------------------------------------------------------


def test_speech_that_was_lost_and_doubled() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.speaks(10.0, speech_s=1.0)
    book.speaks(20.0, 2, speech_s=1.0)
    book.audio(10.5, 1, 0, 8000)
    book.audio(10.6, 1, 6400, 8000)
    book.audio(20.5, 1, 0, 15_984, utterance=2)
    found = figures(book)
    assert (found["speech_lost_ms"], found["speech_doubled_ms"]) == (501, 100)


def test_speech_is_whole_or_nothing_was_lost() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.speaks(10.0, speech_s=1.0)
    book.audio(11.0, 1, 0, 16_000)
    found = figures(book)
    assert (found["speech_lost_ms"], found["speech_doubled_ms"]) == (0, 0)


def test_words_after_the_hang_up_are_not_lost() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.speaks(10.0, speech_s=6.0)
    book.audio(11.0, 1, 0, 16_000)
    book.hangs_up(11.5)
    assert figures(book)["speech_lost_ms"] == 500


# Our own lag ---------------------------------------------------------------------------------------------------------


def test_lag_of_one_fault() -> None:
    book = Book()
    book.fault(5.0, "network.stall", for_s=1.0, lag_ms=4.0, lifted_lag_ms=1.5)
    assert figures(book)["harness_lag_ms"] == {"p50": 1.5, "p99": 4.0, "worst": 4.0}


def test_lag_of_many() -> None:
    book = Book()
    for number in range(1, 201):
        book.fault(float(number), "network.cut", lag_ms=float(number))
    assert figures(book)["harness_lag_ms"] == {"p50": 100.0, "p99": 198.0, "worst": 200.0}


def test_a_fault_that_never_bit_has_no_lag() -> None:
    book = Book()
    book.fault(5.0, "network.cut", bites=False)
    assert figures(book)["harness_lag_ms"] is None
