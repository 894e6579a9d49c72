"""The translating model: audio goes out while audio comes in, and nothing says that a turn has ended."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from fake_server import acts, speech
from fake_server.behaviour import ResumptionRules
from fake_server.service import ActError
from fake_server.translating import Interpreter
from tests.fake_server.house import SPOKEN, Caller, House
from tests.fake_server.test_habits import assert_true_to_the_service

TRANSLATE = "models/gemini-3.5-live-translate-preview"
WHOLE = speech.pcm(7, 0, 40_000, 16_000)
SILENCE = bytes(32_000)


def audio_of(message: Mapping[str, Any]) -> bytes:
    parts = message.get("serverContent", {}).get("modelTurn", {}).get("parts", ())
    return b"".join(base64.b64decode(part["inlineData"]["data"]) for part in parts)


def said(caller: Caller) -> bytes:
    return b"".join(audio_of(message) for message in caller.sent)


def interpreter(**setup: Any) -> tuple[House, Caller]:
    house = House(utterances={7: SPOKEN}, resumption=ResumptionRules())
    return house, house.dial().set_up(model=TRANSLATE, **setup)


@pytest.mark.parametrize("chunk_bytes", [640, 3200, 3202, 6400])
def test_a_second_of_silence_brings_a_second_of_silence(chunk_bytes: int) -> None:
    _, caller = interpreter()
    caller.stream(SILENCE * 3, chunk_bytes, chunk_bytes / 32_000)
    assert said(caller) == bytes(3 * 48_000)
    assert caller.marks() == ["setup_complete"] + ["audio"] * 30
    assert caller.of("turn.heard") == []
    assert_true_to_the_service(caller)


def test_without_input_nothing_goes_out_but_updates_every_two_seconds() -> None:
    house, caller = interpreter()
    house.advance(20.0)
    assert said(caller) == b""
    updates = [at_s for at_s, message in caller.timed if "sessionResumptionUpdate" in message]
    assert [round(later - sooner, 6) for sooner, later in itertools.pairwise(updates)] == [2.0] * 7


def test_sound_goes_out_while_it_comes_in_and_a_voice_is_heard_in_it() -> None:
    house, caller = interpreter()
    caller.stream(WHOLE)
    caller.stream(SILENCE)
    out = [(at_s, audio_of(message)) for at_s, message in caller.timed if audio_of(message)]
    assert sum(len(pcm) for _, pcm in out) == 48_000 * 7 // 2
    gaps = [later - sooner for (sooner, _), (later, _) in itertools.pairwise(out)]
    assert max(gaps) < 0.11
    assert any(out[3][1])
    assert not any(out[-1][1])
    house.advance(30.0)
    assert out[-1] == [(at_s, audio_of(message)) for at_s, message in caller.timed if audio_of(message)][-1]


@pytest.mark.parametrize("asked", ["inputAudioTranscription", "outputAudioTranscription"])
def test_speech_is_transcribed_as_it_was_asked_for_and_no_turn_is_said_to_end(asked: str) -> None:
    _, caller = interpreter(**{asked: {}})
    caller.stream(WHOLE + SILENCE)
    caller.stream(WHOLE + SILENCE)  # speaking again interrupts nothing
    key = asked.replace("Audio", "")
    texts = [
        message["serverContent"][key]["text"] for message in caller.sent if key in message.get("serverContent", {})
    ]
    assert texts == [SPOKEN.text] * 2
    snake = key.replace("T", "_t")
    assert set(caller.marks()) == {"setup_complete", "audio", "session_resumption_update", snake}
    assert [event.text for event in caller.of("turn.heard")] == [SPOKEN.text] * 2
    assert [event.outcome for event in caller.of("turn.ended")] == ["complete"] * 2
    assert_true_to_the_service(caller)


def test_a_turn_ends_also_where_no_transcription_was_asked_for() -> None:
    _, caller = interpreter()
    caller.stream(WHOLE + SILENCE)
    assert [event.outcome for event in caller.of("turn.ended")] == ["complete"]
    assert "audio" in caller.marks()


def test_text_is_answered_in_turn_with_no_word_that_it_is_over() -> None:
    house, caller = interpreter(outputAudioTranscription={})
    caller.say("My name is Ada.")
    caller.send({"realtimeInput": {"text": "What is my name?"}})
    house.advance(10.0)
    assert caller.transcript() == "Thank you, I will remember that.Your name is Ada."
    assert not {"generation_complete", "turn_complete", "interrupted"} & set(caller.marks())
    assert [event.outcome for event in caller.of("turn.ended")] == ["complete"] * 2
    assert_true_to_the_service(caller)


def test_there_is_no_turn_to_interrupt() -> None:
    house, caller = interpreter()
    caller.say("Hello.")
    house.advance(0.5)
    with pytest.raises(ActError, match="the model is not at a turn"):
        house.act(acts.Interrupt())


def test_what_does_not_fill_a_chunk_waits_for_the_rest() -> None:
    model = Interpreter()
    assert model.listen(1_599, voice=False) == []
    assert len(model.listen(1, voice=True)) == 1
    assert len(model.listen(8_000, voice=False)) == 5
