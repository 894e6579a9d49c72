"""What a session hears and remembers: pieces of speech, and snapshots of the past."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_server.behaviour import Utterance
from fake_server.events import SpeechRange
from fake_server.hearing import NOTHING_HEARD, Detection, Ear, SpokenTurn, VoiceStarted
from fake_server.history import History, Memory, ToolCall, UserTurn

WORDS = "one two three four five six seven eight nine ten"
SPEECH = 16_000
UTTERANCES = {1: Utterance(1, WORDS, SPEECH, 40_000), 2: Utterance(2, "Alpha beta.", 8_000, 32_000)}


def ear() -> Ear:
    return Ear(UTTERANCES, Detection(0.8))


@given(st.lists(st.integers(1, SPEECH - 1), max_size=12, unique=True), st.randoms(use_true_random=False))
def test_all_pieces_in_any_order_and_twice_make_the_whole(cuts: list[int], random: object) -> None:
    edges = [0, *sorted(cuts), SPEECH]
    pieces = [SpeechRange(1, start, end) for start, end in itertools.pairwise(edges)]
    listener = ear()
    shuffled = [*pieces, *pieces[: len(pieces) // 2]]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert listener.hear_ranges(shuffled) == [VoiceStarted.YES]
    assert listener.pending.spans == ((1, ((0, SPEECH),)),)
    assert listener.take() == SpokenTurn(WORDS, (1,))
    assert listener.pending == NOTHING_HEARD


@pytest.mark.parametrize(
    ("heard", "text"),
    [
        ((0, 800), "one"),
        ((0, 799), ""),
        ((800, 16_000), WORDS),
        ((4_000, 5_500), "three"),
    ],
)
def test_a_word_is_understood_when_half_of_its_samples_came(heard: tuple[int, int], text: str) -> None:
    listener = ear()
    listener.hear_ranges([SpeechRange(1, *heard)])
    assert listener.take().text == text


def test_a_gap_between_understood_words_is_marked() -> None:
    listener = ear()
    listener.hear_ranges([SpeechRange(1, 0, 3_200), SpeechRange(1, 12_800, 16_000)])
    assert listener.take().text == "one two … nine ten"


def test_quiet_ends_the_turn_by_its_length_or_by_its_place() -> None:
    listener = ear()
    assert listener.hear_ranges([SpeechRange(1, 0, SPEECH + 12_799)]) == [VoiceStarted.YES]
    assert listener.hear_ranges([SpeechRange(1, SPEECH + 12_799, SPEECH + 12_800)]) == [SpokenTurn(WORDS, (1,))]
    listener.hear_ranges([SpeechRange(1, 0, SPEECH)])
    late = SpeechRange(1, SPEECH + 15_000, SPEECH + 15_100)  # all quiet before it was lost with the link
    assert listener.hear_ranges([late]) == [SpokenTurn(WORDS, (1,))]
    assert listener.hear_ranges([SpeechRange(1, SPEECH + 15_100, SPEECH + 16_000)]) == []


def test_two_utterances_in_one_chunk_are_two_turns() -> None:
    found = ear().hear_ranges([SpeechRange(1, 0, 40_000), SpeechRange(2, 0, 32_000)])
    assert found == [VoiceStarted.YES, SpokenTurn(WORDS, (1,)), VoiceStarted.YES, SpokenTurn("Alpha beta.", (2,))]


def test_sounds_without_code_are_a_voice_or_quiet_by_their_loudness() -> None:
    loud = (5_000).to_bytes(2, "little", signed=True) * 160
    listener = ear()
    assert listener.hear_unrecognised(bytes(32_000)) == []
    assert listener.hear_unrecognised(loud + b"\x01") == [VoiceStarted.YES]
    assert listener.hear_unrecognised(bytes(2 * 12_799)) == []
    assert listener.hear_unrecognised(bytes(2)) == [SpokenTurn("", ())]


def test_a_snapshot_restores_speech_and_facts_and_does_not_change() -> None:
    listener = ear()
    memory = Memory(listener)
    memory.add("My name is Ada.", {"name": "Ada"})
    memory.tool_calls = (ToolCall("1", "look_up"),)
    memory.unanswered = UserTurn(1, (), ("name",))
    listener.hear_ranges([SpeechRange(1, 0, 8_000)])
    past = memory.snapshot()
    memory.add("My city is Rome.", {"city": "Rome"})
    listener.hear_ranges([SpeechRange(1, 8_000, SPEECH)])
    assert (past.known, past.tool_calls, past.unanswered) == ({"name": "Ada"}, memory.tool_calls, memory.unanswered)
    again = Memory(ear(), past)
    assert again.snapshot() == past
    again.ear.hear_ranges([SpeechRange(1, 6_000, SPEECH)])
    assert again.ear.take().text == WORDS
    assert past.emptied() == History(audio_samples=past.audio_samples)
