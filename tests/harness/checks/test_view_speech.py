"""The ledger of speech, to the sample."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checks.view_speech import Span, Spoken, Timing, length, milliseconds, timing, within, without
from tests.harness.checks.journal_builder import Book, view_of

SECOND = 16_000


def book_with(*arrivals: tuple[float, int, int], speech_s: float = 6.0) -> Book:
    """One utterance from 10 s on; what arrived, when, from and to which sample."""
    book = Book()
    book.opens(1.0, 1)
    book.speaks(10.0, speech_s=speech_s)
    for t, start, end in arrivals:
        book.audio(t, 1, start, end)
    return book


def spoken(book: Book) -> Spoken:
    (found,) = view_of(book).speech.spoken
    return found


# Spans ---------------------------------------------------------------------------------------------------------------


def test_length_and_milliseconds() -> None:
    assert length([(0, 5), (7, 9)]) == 7
    assert length([]) == 0
    assert milliseconds(16_000) == 1000
    assert milliseconds(24) == 2


@pytest.mark.parametrize(
    ("spans", "limits", "inside", "outside"),
    [
        ([(0, 10)], [], [], [(0, 10)]),
        ([], [(0, 10)], [], []),
        ([(0, 10)], [(0, 10)], [(0, 10)], []),
        ([(0, 10)], [(3, 5), (7, 20)], [(3, 5), (7, 10)], [(0, 3), (5, 7)]),
        ([(0, 4), (6, 10)], [(2, 8)], [(2, 4), (6, 8)], [(0, 2), (8, 10)]),
        ([(5, 6)], [(0, 1), (2, 3), (4, 9)], [(5, 6)], []),
        ([(0, 3)], [(3, 9)], [], [(0, 3)]),
    ],
)
def test_the_parts_of_spans_in_and_out_of_limits(
    spans: list[Span], limits: list[Span], inside: list[Span], outside: list[Span]
) -> None:
    assert list(within(spans, limits)) == inside
    assert list(without(spans, limits)) == outside


def spans(points: list[int]) -> list[Span]:
    ordered = sorted(set(points))
    return list(zip(ordered[::2], ordered[1::2], strict=False))


@given(st.lists(st.integers(0, 60), max_size=12).map(spans), st.lists(st.integers(0, 60), max_size=12).map(spans))
def test_what_is_in_and_what_is_out_make_up_the_whole(of: list[Span], limits: list[Span]) -> None:
    def samples(some: list[Span] | tuple[Span, ...]) -> list[int]:
        return [sample for start, end in some for sample in range(start, end)]

    allowed = set(samples(limits))
    assert samples(within(of, limits)) == [one for one in samples(of) if one in allowed]
    assert samples(without(of, limits)) == [one for one in samples(of) if one not in allowed]


# The ledger ----------------------------------------------------------------------------------------------------------


def test_all_that_arrived_once_is_neither_lost_nor_doubled() -> None:
    found = spoken(book_with((11.0, 0, 2 * SECOND), (13.0, 2 * SECOND, 6 * SECOND)))
    assert (found.number, found.samples, found.ends_s) == (1, 6 * SECOND, 16.0)
    assert (found.lost, found.doubled, found.disordered) == ((), (), ())
    assert [(one.start, one.end, one.beside) for one in found.arrivals] == [(0, 32_000, False), (32_000, 96_000, False)]


def test_what_never_came_and_what_came_again() -> None:
    found = spoken(book_with((11.0, 0, 100), (12.0, 50, 200), (13.0, 60, 90), (14.0, 300, 96_000)))
    assert found.lost == ((200, 300),)
    assert found.doubled == ((50, 60), (60, 90), (60, 90), (90, 100))


def test_the_coded_quiet_and_odd_ranges_count_for_nothing() -> None:
    found = spoken(book_with((11.0, 0, 96_000), (17.0, 96_000, 120_000), (17.5, -50, 0), (18.0, 200_000, 200_100)))
    assert (found.lost, found.doubled, found.disordered) == ((), (), ())


def test_order_is_seen_beyond_10_ms() -> None:
    slightly = spoken(book_with((11.0, 0, 1000), (12.0, 1160, 5000), (13.0, 1000, 1160)))
    assert slightly.disordered == ()
    late = spoken(book_with((11.0, 0, 1000), (12.0, 1161, 5000), (13.0, 1000, 1161), (14.0, 1000, 1161)))
    assert [(one.start, one.end) for one in late.disordered] == [(1000, 1161)]


def test_a_replay_is_no_disorder() -> None:
    assert spoken(book_with((11.0, 0, 50_000), (12.0, 10_000, 60_000), (13.0, 0, 96_000))).disordered == ()


def test_only_a_live_session_hears() -> None:
    book = Book()
    book.opens(5.0, 1)
    book.speaks(10.0)
    book.audio(4.0, 1, 0, 100)  # before it was live
    book.audio(11.0, 1, 100, 200)
    book.closes(12.0, 1, 1000)
    book.audio(12.1, 1, 200, 300)  # was on its way
    book.audio(12.2, 1, 300, 400)
    book.audio(12.3, 7, 400, 500)  # a connection without a session
    assert [(one.start, one.end) for one in spoken(book).arrivals] == [(100, 200), (200, 300)]


def test_a_copy_beside_another_session_is_no_double() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.opens(5.0, 2)
    book.speaks(10.0)
    book.audio(11.0, 1, 0, 100)
    book.audio(11.0, 2, 0, 100)
    book.closes(12.0, 1, 1000)
    book.audio(13.0, 2, 0, 100)
    found = spoken(book)
    assert [one.beside for one in found.arrivals] == [True, True, False]
    assert found.doubled == ()


def test_utterances_are_told_apart_and_unknown_ones_passed_over() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.speaks(10.0, 2, speech_s=1.0)
    book.speaks(5.0, 1, speech_s=1.0)
    book.audio(6.0, 1, 0, SECOND, utterance=1)
    book.audio(11.0, 1, 0, 8000, utterance=2)
    book.audio(12.0, 1, 0, 100, utterance=9)
    ledger = view_of(book).speech
    assert [(one.number, length(one.lost)) for one in ledger.spoken] == [(1, 0), (2, 8000)]


def test_of_an_utterance_that_was_begun_twice_the_first_counts() -> None:
    book = book_with()
    book.speaks(20.0, speech_s=1.0)
    assert spoken(book).turn.t == 10.0


def test_audio_that_nobody_could_place() -> None:
    book = Book()
    book.opens(1.0, 1)
    first = book.audio(2.0, 1, 0, 0, unplaced=1000)
    book.audio(3.0, 1, 0, 0, unplaced=-5)
    last = book.audio(4.0, 1, 0, 100, unplaced=0)
    ledger = view_of(book).speech
    assert ledger.unrecognised_samples == 1000
    assert [moment.n for moment in ledger.audio_frames] == [book.n(first), book.n(last)]
    assert view_of(Book()).speech.audio_frames == ()


@pytest.mark.parametrize(
    ("t", "sample"),
    [
        *((t, 0) for t in (float("-inf"), 9.0, 10.0)),
        (10.5, 8000),
        *((t, 96_000) for t in (15.99999, 16.0, 99.0, 1e308, float("inf"))),
    ],
)
def test_which_sample_was_spoken_when(t: float, sample: int) -> None:
    assert spoken(book_with()).sample_at(t) == sample


def test_when_a_sample_was_spoken() -> None:
    assert spoken(book_with()).spoken_s(8000) == 10.5


def test_the_ledger_agrees_with_counting_each_sample() -> None:
    chance = random.Random(7)
    for _ in range(20):
        arrivals = []
        for number in range(30):
            start = chance.randrange(0, 1500)
            arrivals.append((11.0 + number / 10, start, start + chance.randrange(1, 300)))
        found = spoken(book_with(*arrivals, speech_s=0.1))
        depth = [sum(start <= sample < end for _, start, end in arrivals) for sample in range(1600)]
        assert length(found.lost) == depth.count(0)
        assert length(found.doubled) == sum(max(0, times - 1) for times in depth)


# Timing --------------------------------------------------------------------------------------------------------------


def divided(book: Book, until_s: float = float("inf")) -> Timing:
    view = view_of(book)
    return timing(view.speech.spoken[0], view.gaps, until_s)


def at(seconds: float) -> int:
    return round((seconds - 10.0) * SECOND)


def test_words_without_a_drop_are_all_before() -> None:
    assert divided(book_with()) == Timing(((0, 96_000),), (), ())


def test_words_are_divided_by_what_was_known() -> None:
    book = book_with()
    book.cut(11.996, 1)
    book.opens(13.97, 2)
    found = divided(book)
    assert found.before == ((0, at(12.0)),)
    assert [span for _, span in found.during] == [(at(12.0), at(14.0))]
    assert found.after == ((at(14.0), 96_000),)


def test_words_between_two_gaps_are_before_the_second() -> None:
    book = book_with()
    book.cut(10.996, 1)
    book.opens(11.97, 2)
    book.cut(12.996, 2)
    book.opens(13.97, 3)
    found = divided(book)
    assert found.before == ((0, at(11.0)), (at(12.0), at(13.0)))
    assert [span for _, span in found.during] == [(at(11.0), at(12.0)), (at(13.0), at(14.0))]
    assert found.after == ((at(14.0), 96_000),)


def test_words_after_a_drop_that_was_never_known_are_before() -> None:
    book = book_with()
    book.cut(10.996, 1)
    book.opens(11.97, 2)
    book.fault(13.996, "network.blackhole")
    found = divided(book)
    assert found.before == ((0, at(11.0)), (at(14.0), 96_000))
    assert found.after == ((at(12.0), at(14.0)),)


def test_nothing_is_said_after_the_end() -> None:
    book = book_with()
    book.cut(11.996, 1)
    book.opens(13.97, 2)
    assert divided(book, 13.0).during[0][1] == (at(12.0), at(13.0))
    assert divided(book, 13.0).after == ()
    assert divided(book, 11.0) == Timing(((0, at(11.0)),), (), ())


def test_a_gap_outside_the_words_divides_nothing() -> None:
    for drop_s in (5.0, 20.0):
        book = book_with()
        book.cut(drop_s, 1)
        book.opens(drop_s + 1.0, 2)
        assert divided(book).during == ()
