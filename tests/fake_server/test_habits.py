"""What differs from model to model and from service to service, and the switches for it."""

from __future__ import annotations

import base64
from array import array
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fake_server import speech, wire
from fake_server.behaviour import Limits, ResumptionRules
from fake_server.effects import Close
from fake_server.wire.order import FrameOrder
from tests.fake_server.house import QUICK, SPOKEN, Caller, House

LIVE_38 = "models/gemini-3.8-live"
THINKING = "models/gemini-3.8-live-extended-thinking"
LIVE_31 = "models/gemini-3.1-flash-live-preview"
TRANSLATE = "models/gemini-3.5-live-translate-preview"
VERTEX = "/ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent"
WHOLE = speech.pcm(7, 0, 40_000, 16_000)
LOUD = array("h", [9_000, -9_000] * 8_000).tobytes()


def assert_true_to_the_service(caller: Caller) -> None:
    order = FrameOrder()
    order.says_turn_complete = caller.session.says_turn_complete
    service = caller.session.caller.service
    for number, message in enumerate(caller.sent):
        assert wire.invalid_reason(message, first=number == 0, service=service) is None
        assert order.judge(message) is None, (caller.marks(), message)


def blob(pcm: bytes, mime_type: str = "audio/pcm;rate=16000") -> dict[str, str]:
    return {"mimeType": mime_type, "data": base64.b64encode(pcm).decode()}


# ---- resumption


@pytest.mark.parametrize(
    ("model", "rules", "known"),
    [
        (LIVE_38, ResumptionRules(), ("name",)),
        (THINKING, ResumptionRules(), ("name",)),
        (LIVE_38, ResumptionRules(handles="snapshot"), ()),
        (TRANSLATE, ResumptionRules(first_after_s=0.1), ()),
        (TRANSLATE, ResumptionRules(first_after_s=0.1, handles="session"), ("name",)),
    ],
)
def test_what_a_handle_means_is_the_models_own_unless_told(model: str, rules: ResumptionRules, known: Any) -> None:
    house = House(resumption=rules)
    caller = house.dial().set_up(model=model)
    house.advance(0.2)
    handle = caller.handles()[0]
    caller.say("My name is Ada.")
    house.advance(5.0)
    caller.hang_up()
    again = house.dial().set_up(model=model, sessionResumption={"handle": handle})
    assert again.of("session.started")[0].facts == known


def test_after_an_idle_drop_38_refuses_late_and_takes_the_next_one() -> None:
    house = House(resumption=ResumptionRules())
    caller = house.dial().set_up(model=LIVE_38)
    house.advance(1.0)
    caller.drop()
    dropped_s = house.clock.monotonic_s()
    refused = house.dial().set_up(model=LIVE_38, sessionResumption={"handle": caller.handles()[0]})
    refused.send({"setup": {"model": LIVE_38}})
    assert refused.closes() == []
    house.advance(0.44)
    assert refused.closes() == []
    house.advance(0.02)
    assert refused.closes() == [(1011, "internal_error")]
    house.advance(dropped_s + 1.2 - house.clock.monotonic_s())
    again = house.dial().set_up(model=LIVE_38, sessionResumption={"handle": caller.handles()[0]})
    assert again.session.live
    assert again.of("session.started")[0].session == "session-1"


def test_the_embargo_is_not_for_a_speaking_model_and_can_be_switched() -> None:
    for rules, say in ((ResumptionRules(), True), (ResumptionRules(embargo_idle_drop_s=0.0), False)):
        house = House(resumption=rules)
        caller = house.dial().set_up(model=LIVE_38)
        if say:
            caller.say("Tell me a story.")
        house.advance(0.5)
        caller.drop()
        assert house.dial().set_up(model=LIVE_38, sessionResumption={"handle": caller.handles()[0]}).session.live
    house = House(resumption=ResumptionRules(first_after_s=0.1, embargo_idle_drop_s=2.0, embargo_refused_after_s=0.0))
    caller = house.dial().set_up(model=LIVE_38)
    house.advance(0.2)
    caller.drop()
    again = house.dial().set_up(model=LIVE_38, sessionResumption={"handle": caller.handles()[0]})
    assert again.closes() == [(1011, "internal_error")]


def test_updates_come_as_often_as_the_model_sends_them() -> None:
    counts = {LIVE_38: 1, LIVE_31: 1 + int((99.9 - 4.8) / 1.2), TRANSLATE: 1 + int((99.9 - 4.8) / 2.0)}
    for model, count in counts.items():
        house = House(resumption=ResumptionRules(), limits=Limits(idle_s=None))
        caller = house.dial().set_up(model=model)
        house.advance(99.9)
        assert len(caller.handles()) == count, model


@pytest.mark.parametrize(("counts_setup", "first"), [(True, 1), (False, 0)])
def test_transparent_mode_says_to_the_message_what_a_handle_holds(counts_setup: bool, first: int) -> None:
    rules = ResumptionRules(every_s=0.5, first_after_s=0.2, handles="session", counts_setup=counts_setup)
    house = House(utterances={7: SPOKEN}, resumption=rules)
    caller = house.dial(path=VERTEX).set_up(sessionResumption={"transparent": True}, inputAudioTranscription={})
    chunks = [WHOLE[at : at + 3200] for at in range(0, len(WHOLE), 3200)]
    caller.stream(b"".join(chunks[:9]))
    updates = [message["sessionResumptionUpdate"] for message in caller.sent if "sessionResumptionUpdate" in message]
    consumed = int(updates[-1]["lastConsumedClientMessageIndex"]) - first
    assert all(type(update["lastConsumedClientMessageIndex"]) is str for update in updates if len(update) == 3)
    assert 0 < consumed < 9
    caller.drop()
    again = house.dial(path=VERTEX).set_up(
        sessionResumption={"transparent": True, "handle": updates[-1]["newHandle"]}, inputAudioTranscription={}
    )
    again.stream(b"".join(chunks[consumed:]))
    (turn,) = again.of("turn.heard")
    assert turn.text == SPOKEN.text
    indices = [
        int(message["sessionResumptionUpdate"]["lastConsumedClientMessageIndex"])
        for message in again.sent
        if "lastConsumedClientMessageIndex" in message.get("sessionResumptionUpdate", {})
    ]
    assert indices[0] <= 4  # it counts from 1 on each connection
    assert_true_to_the_service(again)


# ---- limits


def test_the_idle_limit_is_the_models_own_a_value_or_none() -> None:
    for idle_s, closes in (("model", [(1008, "idle")]), (None, []), (3.0, [(1008, "idle")])):
        house = House(limits=Limits(idle_s=idle_s, dead_client_s=None))  # type: ignore[arg-type]
        caller = house.dial().set_up(model=LIVE_31)
        house.advance(2.9)
        assert caller.closes() == []
        house.advance(147.5)
        assert caller.closes() == closes


def test_one_session_too_many_lives_for_a_moment() -> None:
    house = House(limits=Limits(sessions=3))
    callers = [house.dial().set_up() for _ in range(4)]
    assert all(caller.session.live for caller in callers)
    house.advance(0.8)
    assert [caller.closes() for caller in callers] == [[], [], [], [(1011, "quota")]]
    (close,) = (effect for effect in callers[3].effects if isinstance(effect, Close))
    assert not close.deliberate
    assert len(close.reason) == 123
    callers[0].hang_up()
    fifth = house.dial().set_up()
    house.advance(2.0)
    assert fifth.closes() == []


# ---- turns


def test_extended_thinking_says_in_progress_before_it_is_idle() -> None:
    house = House(script=replace(QUICK, interim_turns=2))
    caller = house.dial().set_up(model=THINKING, outputAudioTranscription={})
    caller.say("My name is Ada. What is my name?")
    house.advance(20.0)
    contents = [message.get("serverContent", {}) for message in caller.sent]
    assert [content.get("interactionStatus") for content in contents if "turnComplete" in content] == [
        "IN_PROGRESS",
        "IN_PROGRESS",
        "IDLE",
    ]
    assert caller.transcript().endswith("Your name is Ada.")
    assert [(event.turn, event.outcome) for event in caller.of("turn.ended")] == [(1, "complete")]
    assert len(caller.of("turn.answered")) == 1
    caller.say("Tell me a story.")
    house.advance(0.4)
    caller.say("Stop.")
    statuses = [
        content["serverContent"] for content in caller.sent if "turnComplete" in content.get("serverContent", {})
    ]
    assert statuses[-1]["interactionStatus"] == "IDLE"
    assert_true_to_the_service(caller)


def test_thoughts_are_shown_to_whoever_asks() -> None:
    house = House()
    setups = ({"thinkingConfig": {"includeThoughts": True}}, {"thinkingConfig": {"thinkingBudget": 10}})
    curious, plain = (house.dial().set_up(generationConfig=config) for config in setups)
    for caller in (curious, plain):
        caller.say("Good morning.")
    house.advance(5.0)
    assert curious.sent[1]["serverContent"]["modelTurn"]["parts"][0]["thought"] is True
    assert curious.sent[-1]["usageMetadata"]["thoughtsTokenCount"] > 0
    assert plain.marks()[1] == "audio"
    assert_true_to_the_service(curious)


def test_empty_frames_come_between_the_chunks_of_38_or_when_told() -> None:
    def empties(model: str, **script: Any) -> int:
        house = House(script=replace(QUICK, reply_audio_s=4.0, **script))
        caller = house.dial().set_up(model=model)
        caller.say("Good morning.")
        house.advance(10.0)
        assert_true_to_the_service(caller)
        first, last = caller.marks().index("audio"), len(caller.marks()) - caller.marks()[::-1].index("audio")
        found = [n for n, message in enumerate(caller.sent) if message in ({}, {"serverContent": {}})]
        assert all(first < n <= last for n in found)
        return len(found)

    assert empties(LIVE_38) >= 2
    assert empties(TRANSLATE) == 0
    assert empties(TRANSLATE, empty_frames=True) >= 2
    assert empties(LIVE_38, empty_frames=False) == 0


def test_31_cuts_its_audio_otherwise_and_may_leave_turn_complete_out() -> None:
    house = House(script=replace(QUICK, turn_complete=False))
    caller = house.dial().set_up(model=LIVE_31, historyConfig={"initialHistoryInClientContent": True})
    caller.send({"realtimeInput": {"text": "Good morning."}})
    house.advance(5.0)
    sizes = [
        len(base64.b64decode(part["inlineData"]["data"]))
        for message in caller.sent
        for part in message.get("serverContent", {}).get("modelTurn", {}).get("parts", ())
    ]
    assert sum(sizes) == 48_000
    assert {2, 2400, 15360} <= set(sizes)
    assert caller.marks()[-1] == "generation_complete"
    assert [event.outcome for event in caller.of("turn.ended")] == ["complete"]
    caller.send({"realtimeInput": {"text": "And again."}})
    house.advance(5.0)
    assert_true_to_the_service(caller)


def test_31_takes_client_content_as_history_alone() -> None:
    house = House()
    caller = house.dial().set_up(model=LIVE_31, historyConfig={"initialHistoryInClientContent": True})
    caller.say("My name is Ada.")
    assert caller.closes() == []
    caller.say("What is my name?")
    assert caller.closes() == [(1007, "invalid_argument")]


def test_vertex_speaks_its_own_words() -> None:
    house = House()
    caller = house.dial(path=VERTEX).set_up(outputAudioTranscription={})
    assert caller.sent[0] == {"setupComplete": {"sessionId": "session-1"}}
    caller.say("My name is Ada Byron Lovelace of London. What is my name?")
    house.advance(5.0)
    assert "audio" not in caller.marks()[1 : 1 + caller.marks().count("output_transcription")]
    usage = caller.sent[-1]["usageMetadata"]
    assert {"candidatesTokenCount", "trafficType"} <= usage.keys()
    assert_true_to_the_service(caller)


def test_scripted_replies_are_said_in_turn() -> None:
    house = House(script=replace(QUICK, replies=("First.", "Second.")))
    caller = house.dial().set_up(outputAudioTranscription={})
    for _ in range(3):
        caller.say("Go on.")
        house.advance(5.0)
    assert caller.transcript() == "First.Second.First."


# ---- speech


def test_the_end_of_speech_brings_the_transcription_first() -> None:
    house = House(utterances={7: SPOKEN})
    caller = house.dial().set_up(model=LIVE_38, inputAudioTranscription={})
    caller.stream(WHOLE)
    house.advance(1.0)
    assert [mark for mark in caller.marks() if mark in ("type", "voice_activity", "input_transcription")] == [
        "voice_activity",
        "input_transcription",
        "voice_activity",
    ]
    assert_true_to_the_service(caller)


def test_vad_signals_come_on_vertex_where_they_were_asked_for() -> None:
    house = House(utterances={7: SPOKEN})
    for path, setup, count in ((VERTEX, {"explicitVadSignal": True}, 2), (VERTEX, {}, 0)):
        caller = house.dial(path=path).set_up(**setup)
        caller.stream(WHOLE)
        signals = [message for message in caller.sent if "voiceActivityDetectionSignal" in message]
        assert len(signals) == count
        assert_true_to_the_service(caller)


@pytest.mark.parametrize(
    ("detection", "quiet_s"),
    [
        ({}, 0.8),
        ({"silenceDurationMs": 300}, 0.3),
        ({"endOfSpeechSensitivity": "END_SENSITIVITY_LOW"}, 1.2),
        ({"silenceDurationMs": 500, "endOfSpeechSensitivity": "END_SENSITIVITY_LOW"}, 0.5),
    ],
)
def test_how_long_quiet_lasts_is_the_clients_to_say(detection: dict[str, Any], quiet_s: float) -> None:
    house = House(utterances={7: SPOKEN})
    caller = house.dial().set_up(realtimeInputConfig={"automaticActivityDetection": detection})
    caller.stream(WHOLE[: 32_000 + int(32_000 * (quiet_s - 0.1))])
    assert caller.of("turn.heard") == []
    caller.stream(WHOLE[32_000 + int(32_000 * (quiet_s - 0.1)) :])
    assert [turn.text for turn in caller.of("turn.heard")] == [SPOKEN.text]


def test_a_short_noise_is_no_speech_where_padding_was_asked_for_nor_a_low_one_where_sensitivity_is() -> None:
    def turns(pcm: bytes, **detection: Any) -> int:
        caller = House().dial().set_up(model=LIVE_38, realtimeInputConfig={"automaticActivityDetection": detection})
        caller.stream(pcm + bytes(48_000))
        return len(caller.of("turn.heard"))

    assert turns(LOUD[:3200]) == 1
    assert turns(LOUD[:3200], prefixPaddingMs=300) == 0
    assert turns(LOUD[:16_000], prefixPaddingMs=300) == 1
    low = array("h", [2_000, -2_000] * 4_000).tobytes()
    assert turns(low) == 1
    assert turns(low, startOfSpeechSensitivity="START_SENSITIVITY_LOW") == 0


@pytest.mark.parametrize("rate", [8_000, 24_000, 48_000])
def test_audio_at_another_rate_is_heard_for_as_long_as_it_is(rate: int) -> None:
    house = House(limits=Limits(input_ahead_s=2.5))
    caller = house.dial().set_up(model=LIVE_38)
    samples = array("h", [9_000, -9_000] * (rate // 2)) + array("h", [0] * rate)
    pcm = samples.tobytes()
    for at in range(0, len(pcm), rate // 5):
        caller.send({"realtimeInput": {"audio": blob(pcm[at : at + rate // 5], f"audio/pcm;rate={rate}")}})
        house.advance(0.1)
    (turn,) = caller.of("turn.heard")
    assert (turn.how, turn.text) == ("speech", "")
    offsets = [message["voiceActivity"]["audioOffset"] for message in caller.sent if "voiceActivity" in message]
    assert offsets == ["0.100s", "1.800s"]
    assert sum(event.unrecognised_samples for event in caller.of("frame.received")) == 32_000
    assert caller.closes() == []


def test_of_media_chunks_the_first_alone_is_heard() -> None:
    house = House(utterances={7: SPOKEN})
    caller = house.dial().set_up()
    for at in range(0, len(WHOLE), 3200):
        caller.send({"realtimeInput": {"mediaChunks": [blob(WHOLE[at : at + 3200]), blob(LOUD)]}})
        house.advance(0.1)
    assert [turn.text for turn in caller.of("turn.heard")] == [SPOKEN.text]


MANUAL = {"automaticActivityDetection": {"disabled": True}}


@pytest.mark.parametrize(
    ("config", "interrupts"),
    [({}, True), ({"activityHandling": "NO_INTERRUPTION"}, False), (MANUAL, True)],
)
@pytest.mark.parametrize("by", ["text", "speech"])
def test_activity_interrupts_unless_it_must_not(config: dict[str, Any], interrupts: bool, by: str) -> None:
    house = House(utterances={7: SPOKEN})
    caller = house.dial().set_up(model=LIVE_38, realtimeInputConfig=config)
    caller.say("Tell me a story.")
    house.advance(0.5)
    speak: dict[str, Callable[[], None]] = {
        "text": lambda: caller.send({"realtimeInput": {"text": "Stop."}}),
        "speech": lambda: caller.stream(WHOLE[:3200]),
    }
    if config is MANUAL and by == "speech":
        caller.send({"realtimeInput": {"activityStart": {}}})
    speak[by]()
    assert ("interrupted" in caller.marks()) is interrupts
    if config is MANUAL:
        assert "voice_activity" not in caller.marks()
    house.advance(5.0)
    assert_true_to_the_service(caller)


def test_the_transcribing_model_writes_down_what_it_hears_and_says_nothing() -> None:
    house = House(utterances={7: SPOKEN})
    caller = house.dial().set_up(model="models/gemini-3.5-transcribe-live")
    caller.stream(WHOLE)
    caller.stream(WHOLE)
    house.advance(5.0)
    once = ["voice_activity", "interim_input_transcription", "interim_input_transcription"]
    finish = ["input_transcription", "generation_complete", "voice_activity"]
    marks = [mark for mark in caller.marks() if mark != "setup_complete"]
    assert [mark for mark in marks if not mark.startswith("interim")] == [once[0], *finish] * 2
    texts = [
        message["serverContent"]["interimInputTranscription"]["text"]
        for message in caller.sent
        if "interimInputTranscription" in message.get("serverContent", {})
    ]
    assert len(texts) >= 4
    assert all(SPOKEN.text.startswith(text) for text in texts)
    assert caller.sent[-1]["serverContent"] == {}
    assert [event.outcome for event in caller.of("turn.ended")] == ["complete", "complete"]
    assert caller.of("turn.answered") == []
    assert_true_to_the_service(caller)
