"""The position code: made, read back from any pieces, and not found where it is not."""

from __future__ import annotations

import array
import io
import wave
from hashlib import shake_128

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_server import speech
from fake_server.events import SpeechRange
from fake_server.speech import MAX_SAMPLES, PLACED_SAMPLES, SpeechRecogniser, doubled, merge, missing, pcm, wav

TEN_MINUTES = 600 * 16_000
WORDS = 20_000
"""Every utterance in these tests speaks so many samples, then is quiet."""


def hear(data: bytes, sizes: list[int]) -> tuple[list[SpeechRange], int]:
    """Feed `data` in chunks of the given sizes, over and over; join what runs on."""
    recogniser = SpeechRecogniser()
    ranges: list[SpeechRange] = []
    unrecognised = 0
    at = step = 0
    while at < len(data):
        size = sizes[step % len(sizes)]
        heard = recogniser.feed(data[at : at + size])
        at, step = at + size, step + 1
        unrecognised += heard.unrecognised_samples
        for one in heard.ranges:
            speech._add(ranges, one)
    return ranges, unrecognised + recogniser.flush().unrecognised_samples


@st.composite
def slices(draw: st.DrawFn) -> SpeechRange:
    start = draw(st.one_of(st.integers(0, 40_000), st.just(WORDS - 20), st.integers(0, TEN_MINUTES)))
    length = draw(st.one_of(st.integers(1, 2 * PLACED_SAMPLES), st.integers(1, 20_000)))
    return SpeechRange(draw(st.integers(1, 4) | st.just(255)), start, start + length)


def sample(utterance: int, position: int) -> bytes:
    return pcm(utterance, position, position + 1, WORDS)


def ledger(pieces: list[SpeechRange]) -> tuple[list[SpeechRange], int]:
    """The truth, slice by slice: what the docstring of the module promises, by another road.

    A slice counts from where the run before it stops matching, when what is left holds a whole block; a sample at a
    join that both would have goes to the earlier run.
    """
    ranges: list[SpeechRange] = []
    unplaced: list[bytes] = []  # samples that belong to no run, since the last one
    lost = 0
    for piece in pieces:
        start = piece.start
        if ranges and not unplaced:
            last = ranges[-1]
            end = last.end
            while start < piece.end and _is_at(sample(piece.utterance, start), last.utterance, end):
                start, end = start + 1, end + 1
            ranges[-1] = SpeechRange(last.utterance, last.start, end)
        first_block = -(-start // 16) * 16
        if first_block + 16 > piece.end:
            unplaced += [sample(piece.utterance, position) for position in range(start, piece.end)]
            lost += piece.end - start
            continue
        while unplaced and start > 0 and _is_at(unplaced[-1], piece.utterance, start - 1):
            unplaced.pop()
            start, lost = start - 1, lost - 1
        unplaced.clear()
        speech._add(ranges, SpeechRange(piece.utterance, start, piece.end))
    return ranges, lost


def _is_at(one: bytes, utterance: int, position: int) -> bool:
    if position >= MAX_SAMPLES:
        return False
    return one in (pcm(utterance, position, position + 1, MAX_SAMPLES), pcm(utterance, position, position + 1, 0))


@settings(max_examples=150, deadline=None)
@given(
    pieces=st.lists(slices(), min_size=1, max_size=6),
    sizes=st.lists(st.one_of(st.integers(1, 70), st.integers(1, 9_000)), min_size=1, max_size=8),
    odd=st.booleans(),
)
def test_any_slices_in_any_chunks_give_the_true_ledger(pieces: list[SpeechRange], sizes: list[int], odd: bool) -> None:
    truth, lost = ledger(pieces)
    data = b"\x55" * odd + b"".join(pcm(one.utterance, one.start, one.end, WORDS) for one in pieces)
    total = sum(one.end - one.start for one in pieces)
    ranges, unrecognised = hear(data, sizes)
    assert ranges == truth
    assert unrecognised == lost
    assert sum(one.end - one.start for one in ranges) + unrecognised == total


@settings(max_examples=60, deadline=None)
@given(start=st.integers(0, TEN_MINUTES), utterance=st.integers(1, 255), quiet=st.booleans(), odd=st.booleans())
def test_the_shortest_slice_that_is_always_placed(start: int, utterance: int, quiet: bool, odd: bool) -> None:
    data = b"\x01" * odd + pcm(utterance, start, start + PLACED_SAMPLES, 0 if quiet else MAX_SAMPLES)
    assert hear(data, [1]) == ([SpeechRange(utterance, start, start + PLACED_SAMPLES)], 0)


def test_one_byte_at_a_time_over_words_quiet_a_jump_back_and_a_page_boundary() -> None:
    data = pcm(9, 16_300, 20_500, WORDS) + pcm(9, 16_380, 16_500, WORDS)
    truth = [SpeechRange(9, 16_300, 20_500), SpeechRange(9, 16_380, 16_500)]
    assert hear(data, [1]) == (truth, 0)
    assert hear(data, [len(data)]) == (truth, 0)


def test_a_byte_that_goes_missing_costs_one_sample() -> None:
    whole = pcm(3, 0, 4_000, WORDS)
    ranges, unrecognised = hear(whole[:2_001] + whole[2_002:], [320])
    assert ranges == [SpeechRange(3, 0, 1_000), SpeechRange(3, 1_001, 4_000)]
    assert unrecognised <= 1


def test_a_changed_sample_is_the_only_one_that_is_not_recognised() -> None:
    data = bytearray(pcm(3, 0, 4_000, WORDS))
    data[2_000] ^= 1
    assert hear(bytes(data), [640]) == ([SpeechRange(3, 0, 1_000), SpeechRange(3, 1_001, 4_000)], 1)


@pytest.mark.parametrize(
    "signal",
    [
        bytes(64_000),
        array.array("h", [(31 * n) % 2_001 - 1_000 for n in range(32_000)]).tobytes(),
        array.array("h", [n % 256 - 128 for n in range(32_000)]).tobytes(),
        shake_128(b"noise").digest(640_000),
        shake_128(b"room").digest(64_000).translate(bytes(n % 16 for n in range(256))),
    ],
    ids=["silence", "saw", "ramp", "white noise", "low noise"],
)
def test_ordinary_audio_is_never_recognised(signal: bytes) -> None:
    assert hear(signal, [3_200]) == ([], len(signal) // 2)


def test_speech_after_ordinary_audio_is_placed_from_its_first_sample() -> None:
    silence = bytes(2 * 1_000)
    ranges, unrecognised = hear(silence + pcm(1, 0, 500, WORDS) + silence, [333])
    assert ranges == [SpeechRange(1, 0, 500)]
    assert unrecognised == 2_000


def test_quiet_is_quiet_and_words_are_not() -> None:
    words = array.array("h", pcm(1, 0, WORDS, WORDS))
    quiet = array.array("h", pcm(1, WORDS, 2 * WORDS, WORDS))
    assert max(map(abs, quiet)) <= 128  # -48 dBFS
    assert max(words) > 8_000
    assert min(words) < -8_000


def test_the_file_is_an_ordinary_wav_of_words_and_quiet() -> None:
    with wave.open(io.BytesIO(wav(5, 8_000, 1_600)), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        assert file.readframes(file.getnframes()) == pcm(5, 0, 9_600, 8_000)
    assert len(wav(5, 8_000)) == 44 + 2 * (8_000 + 24_000)


@pytest.mark.parametrize(
    ("utterance", "start", "end"), [(0, 0, 1), (256, 0, 1), (1, 2, 1), (1, -1, 1), (1, 0, 2**24 + 1)]
)
def test_what_the_code_cannot_carry_is_refused(utterance: int, start: int, end: int) -> None:
    with pytest.raises(ValueError, match=r"utterance=|start="):
        pcm(utterance, start, end, 0)


def test_merge_missing_and_doubled_count_samples() -> None:
    heard = [SpeechRange(2, 0, 10), SpeechRange(1, 50, 100), SpeechRange(1, 0, 30), SpeechRange(1, 20, 40)]
    assert merge(heard) == (SpeechRange(1, 0, 40), SpeechRange(1, 50, 100), SpeechRange(2, 0, 10))
    assert missing({1: 80, 2: 10, 3: 7}, heard) == {1: 10, 2: 0, 3: 7}
    assert doubled(heard) == {1: 10, 2: 0}
