"""The conversation as a state machine: every test steps its own clock and reads what is to be done."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from fake_server import acts, speech, wire
from fake_server.behaviour import (
    DEFAULT_MODEL,
    Limits,
    ResumptionRules,
    TokenRules,
)
from fake_server.effects import Abort, Close, EchoClose, Effect, HangUp, Pong, SendRaw, Tell
from fake_server.events import HandlePresented, SessionStarted, UpgradeAnswered
from fake_server.moves import PHASE_MOVES, TALK_MOVES, Cue, IllegalMoveError, Phase, Step, Talk, move
from fake_server.profiles import match_live_path
from fake_server.refusals import find_refusal
from fake_server.service import ActError
from tests.fake_server.house import CONSTRAINED, PLAIN, QUICK, SPOKEN, TOOLS, Caller, House

# ---- setup


def test_setup_complete_comes_alone_first_and_late_by_the_script() -> None:
    house = House(resumption=ResumptionRules(every_s=1.0, first_after_s=0.1))
    caller = house.dial()
    caller.send({"setup": {"model": f"models/{DEFAULT_MODEL}"}})
    assert caller.sent == []
    house.advance(0.05)
    assert caller.sent == [{"setupComplete": {}}]
    house.advance(0.1)
    assert caller.marks() == ["setup_complete", "session_resumption_update"]
    assert caller.of("session.started")[0].session == "session-1"


@pytest.mark.parametrize(
    ("frames", "refusal"),
    [
        ([{"clientContent": {"turnComplete": True}}], "setup_first_only"),
        ([{"setup": {"model": f"models/{DEFAULT_MODEL}"}}] * 2, "setup_first_only"),
        ([{"setup": {"model": "models/nobody"}}], "model_not_found"),
        ([{"setup": {"model": f"models/{DEFAULT_MODEL}", "generationConfig": {"responseModalities": ["TEXT"]}}}],
         "voices_without_audio"),
        ([{"setup": {"model": f"models/{DEFAULT_MODEL}", "sessionResumption": {"transparent": True}}}],
         "unknown_field"),
        ([{"setup": {"model": f"models/{DEFAULT_MODEL}", "sessionResumption": {"handle": "short"}}}],
         "invalid_handle"),
    ],
)  # fmt: skip
def test_what_the_service_refuses_in_setup(frames: list[Mapping[str, Any]], refusal: str) -> None:
    caller = House().dial()
    for frame in frames:
        caller.send(frame)
    assert caller.closes() == [(find_refusal(refusal).code, refusal)]
    assert caller.sent == []
    assert caller.of("frame.received")[-1].problems or refusal in ("model_not_found", "voices_without_audio",
                                                                   "invalid_handle")  # fmt: skip


def test_credentials_are_judged_after_the_upgrade() -> None:
    house = House()
    token = house.mint()
    assert house.dial(key="").closes() == [(1008, "unregistered_caller")]
    assert house.dial(token=token, path=PLAIN).closes() == [(1008, "unregistered_caller")]
    assert house.dial(key=house.secrets.api_key, path=CONSTRAINED).closes() == [(1008, "unregistered_caller")]
    assert house.dial(key="AIzaWrong").set_up().closes() == [(1007, "api_key_invalid")]
    assert house.dial(token=token).set_up().session.live
    spent = house.dial(token=token).set_up()
    assert spent.closes() == [(1011, "token_used_up")]
    assert house.dial(token="auth_tokens/unknown").set_up().closes() == [(1008, "unregistered_caller")]


def test_a_token_is_spent_with_setup_complete_and_given_back_without() -> None:
    house = House()
    token = house.mint()
    early = house.dial(token=token)
    early.send({"setup": {"model": f"models/{DEFAULT_MODEL}"}})
    early.drop()
    assert early.of("token.spent") == []
    later = house.dial(token=token).set_up()
    assert [event.uses_left for event in later.of("token.spent")] == [0]


def test_no_setup_in_time_and_content_before_setup_complete() -> None:
    house = House(limits=Limits(setup_within_s=3.0))
    silent = house.dial()
    house.advance(2.9)
    assert silent.closes() == []
    house.advance(0.2)
    assert silent.closes() == [(1008, "setup_timeout")]
    hasty = house.dial()
    hasty.send({"setup": {"model": f"models/{DEFAULT_MODEL}"}})
    hasty.say("My name is Ada.")
    assert hasty.of("turn.heard") == []
    house.advance(0.05)
    assert hasty.marks()[0] == "setup_complete"
    assert [turn.taught for turn in hasty.of("turn.heard")] == [("name",)]


# ---- turns


def test_a_turn_in_order_and_turn_complete_held_for_playback() -> None:
    house = House()
    caller = house.dial().set_up(outputAudioTranscription={})
    caller.say("My name is Ada Byron. What is my name?")
    house.advance(5.0)
    marks = caller.marks()[1:]
    assert marks[0] == "audio"
    assert marks[-2:] == ["generation_complete", "turn_complete"]
    assert "output_transcription" in marks
    assert caller.transcript() == "Your name is Ada Byron."
    times = {mark: at_s for (at_s, _), mark in zip(caller.timed, caller.marks(), strict=True)}
    first_audio_s = next(at_s for (at_s, _), mark in zip(caller.timed, caller.marks(), strict=True) if mark == "audio")
    assert first_audio_s == pytest.approx(0.05 + 0.3)
    assert times["generation_complete"] < first_audio_s + 0.3
    assert times["turn_complete"] == pytest.approx(first_audio_s + 1.0)
    sizes = [
        len(base64.b64decode(message["serverContent"]["modelTurn"]["parts"][0]["inlineData"]["data"]))
        for message, mark in zip(caller.sent, caller.marks(), strict=True)
        if mark == "audio"
    ]
    assert sum(sizes) == 48_000
    assert all(size % 960 == 0 for size in sizes)
    assert caller.sent[-1]["usageMetadata"]["totalTokenCount"] > 0
    assert [(event.outcome, event.turn) for event in caller.of("turn.ended")] == [("complete", 1)]
    assert all(wire.invalid_reason(message, first=not n) is None for n, message in enumerate(caller.sent))


def test_without_a_transcription_asked_for_no_text_is_sent() -> None:
    house = House()
    caller = house.dial().set_up()
    caller.say("What is my name?")
    house.advance(5.0)
    assert set(caller.marks()) == {"setup_complete", "audio", "generation_complete", "turn_complete"}
    assert caller.of("turn.answered")[0].missing == ("name",)


def test_a_text_model_answers_in_text() -> None:
    house = House(model="gemini-in-house", script=replace(QUICK, think_s=0.0, audio_pace=0.0))
    caller = house.dial()
    caller.send({"setup": {"model": "models/gemini-in-house", "generationConfig": {"responseModalities": ["TEXT"]}}})
    house.advance(0.05)
    caller.say("Good morning.")
    assert caller.marks() == ["setup_complete", "text", "generation_complete", "turn_complete"]


@pytest.mark.parametrize("at_s", [0.1, 0.35, 1.2])
def test_new_content_interrupts(at_s: float) -> None:
    """While it thinks, while it speaks, and while only the playback is not over."""
    house = House()
    caller = house.dial().set_up()
    caller.say("Tell me a story.")
    house.advance(at_s)
    before = len(caller.sent)
    caller.say("Stop.")
    assert caller.marks()[before:] == ["interrupted", "turn_complete"]
    assert ("generation_complete" in caller.marks()) is (at_s > 1.0)
    house.advance(5.0)
    assert [event.outcome for event in caller.of("turn.ended")] == ["interrupted", "complete"]


def test_history_content_is_remembered_without_an_answer() -> None:
    house = House()
    caller = house.dial().set_up(systemInstruction={"parts": [{"text": "The user's city is Rome."}]})
    assert caller.of("session.started")[0].facts == ("city",)
    caller.say("My name is Ada.", complete=False)
    caller.say("Noted.", role="model", complete=False)
    house.advance(3.0)
    assert caller.marks() == ["setup_complete"]
    caller.say("What is my name? What is my city?")
    assert caller.of("turn.heard")[0].asked == ("name", "city")
    assert caller.of("turn.heard")[0].text == "What is my name? What is my city?"
    house.advance(3.0)
    assert caller.of("turn.answered")[0].known == ("name", "city")


def test_initial_history_is_consumed_without_generating() -> None:
    house = House()
    caller = house.dial().set_up(historyConfig={"initialHistoryInClientContent": True})
    caller.say("My name is Ada.")
    house.advance(3.0)
    assert caller.of("turn.heard") == []
    caller.send({"realtimeInput": {"text": "What is my name?"}})
    house.advance(3.0)
    assert caller.of("turn.answered")[0].known == ("name",)


# ---- speech


def spoken(seconds_of_quiet: float = 1.5) -> bytes:
    return speech.pcm(SPOKEN.number, 0, SPOKEN.speech_samples + int(16_000 * seconds_of_quiet), SPOKEN.speech_samples)


def test_streamed_speech_is_heard_transcribed_and_answered() -> None:
    house = House(utterances={7: SPOKEN}, facts={"name": "Ada Byron"})
    caller = house.dial().set_up(inputAudioTranscription={})
    caller.stream(spoken())
    turn = caller.of("turn.heard")[0]
    assert (turn.how, turn.text, turn.utterances) == ("speech", SPOKEN.text, (7,))
    assert set(turn.taught) == {"name", "city"}
    house.advance(3.0)
    assert caller.sent[1] == {"serverContent": {"inputTranscription": {"text": SPOKEN.text}}}
    assert caller.marks()[2] == "audio"
    received = caller.of("frame.received")
    assert sum(run.end - run.start for event in received for run in event.speech) == pytest.approx(40_000, abs=31)


def test_the_turn_ends_after_the_scripts_quiet_or_by_audio_stream_end() -> None:
    house = House(utterances={7: SPOKEN})
    caller = house.dial().set_up()
    caller.stream(spoken(0.7))
    assert caller.of("turn.heard") == []
    caller.send({"realtimeInput": {"audioStreamEnd": True}})
    assert len(caller.of("turn.heard")) == 1


def test_silence_without_code_ends_the_turn_too() -> None:
    house = House(utterances={7: SPOKEN})
    caller = house.dial().set_up()
    caller.stream(spoken(0.0))
    caller.stream(bytes(2 * 16_000))
    assert [turn.text for turn in caller.of("turn.heard")] == [SPOKEN.text]


def test_lost_words_are_not_understood() -> None:
    house = House(utterances={7: SPOKEN})
    caller = house.dial().set_up()
    pcm = spoken()
    caller.stream(pcm[:14_400] + pcm[22_400:])  # 0.25 s of 1 s lost, in the middle
    assert caller.of("turn.heard")[0].text == "My name is Ada … city is Rome."
    assert caller.of("turn.heard")[0].taught == ()


def test_speech_interrupts_the_model() -> None:
    house = House(utterances={7: SPOKEN})
    caller = house.dial().set_up()
    caller.say("Tell me a story.")
    house.advance(0.4)
    caller.stream(spoken(0.0)[:6400])
    assert "interrupted" in caller.marks()
    quiet = House(utterances={7: SPOKEN}, script=replace(QUICK, speech_interrupts=False)).dial().set_up()
    quiet.say("Tell me a story.")
    quiet.house.advance(0.4)
    quiet.stream(spoken())
    quiet.house.advance(3.0)
    assert "interrupted" not in quiet.marks()
    assert [event.outcome for event in quiet.of("turn.ended")] == ["complete", "complete"]


def test_manual_activity_brackets_a_turn_and_is_refused_with_automatic_detection() -> None:
    house = House(utterances={7: SPOKEN})
    caller = house.dial().set_up(realtimeInputConfig={"automaticActivityDetection": {"disabled": True}})
    caller.send({"realtimeInput": {"activityStart": {}}})
    caller.stream(spoken())
    assert caller.of("turn.heard") == []
    caller.send({"realtimeInput": {"activityEnd": {}}})
    assert caller.of("turn.heard")[0].text == SPOKEN.text
    automatic = house.dial().set_up()
    automatic.send({"realtimeInput": {"activityStart": {}}})
    assert automatic.closes() == [(1007, "explicit_activity")]


def test_audio_far_ahead_of_real_time_is_refused() -> None:
    house = House(limits=Limits(input_ahead_s=2.0))
    caller = house.dial().set_up()
    caller.stream(bytes(32_000 * 3), chunk_bytes=32_000, step_s=0.2)
    assert caller.closes() == [(1011, "resource_exhausted")]
    paced = house.dial().set_up()
    paced.stream(bytes(32_000 * 6), chunk_bytes=32_000, step_s=1.0)
    assert paced.closes() == []


# ---- updates, goAway, limits


def test_updates_come_with_new_handles_and_the_facts_that_they_restore() -> None:
    house = House(resumption=ResumptionRules(every_s=1.0, first_after_s=0.2))
    caller = house.dial().set_up()
    house.advance(1.0)
    caller.say("My name is Ada.")
    house.advance(2.0)
    assert len(set(caller.handles())) == 3
    assert [event.facts for event in caller.of("handle.issued")] == [(), ("name",), ("name",)]
    assert all(len(handle) == 36 and house.secrets.marker in handle for handle in caller.handles())


def test_updates_pause_while_generating_and_when_ordered() -> None:
    house = House(resumption=ResumptionRules(every_s=0.5, first_after_s=0.1, pause_while_generating=True))
    caller = house.dial().set_up()
    house.advance(0.45)
    caller.say("Tell me a story.")
    house.advance(1.0)
    assert [event.resumable for event in caller.of("handle.issued")] == [True, False, False]
    house.advance(1.0)
    house.act(acts.SendUpdate(resumable=False, for_s=2.0))
    house.advance(1.9)
    assert not any(event.resumable for event in caller.of("handle.issued")[-4:])
    assert caller.sent[-1] == {"sessionResumptionUpdate": {}}
    house.advance(0.5)
    assert caller.of("handle.issued")[-1].resumable


def test_go_away_by_the_limits_and_the_close_when_it_is_ignored() -> None:
    house = House(limits=Limits(go_away_after_s=5.0, go_away_time_left_s=2.0))
    caller = house.dial().set_up()
    house.advance(5.0)
    assert caller.sent[-1] == {"goAway": {"timeLeft": "2s"}}
    assert caller.closes() == []
    house.advance(2.0)
    (close,) = (effect for effect in caller.effects if isinstance(effect, Close))
    assert (close.code, close.refusal) == (1008, "go_away_ignored")
    assert len(close.reason.encode()) == 123
    house.advance(2.0)
    assert isinstance(caller.effects[-1], HangUp)


def test_go_away_ordered_raw_and_the_usual_one_does_not_follow() -> None:
    house = House(limits=Limits(go_away_after_s=5.0, go_away_time_left_s=50.0))
    caller = house.dial().set_up()
    house.act(acts.GoAway(time_left_s=8.0, raw_time_left="8.5s", extra={"why": "maintenance"}))
    assert caller.sent[-1] == {"goAway": {"timeLeft": "8.5s", "why": "maintenance"}}
    house.advance(7.9)
    assert [mark for mark in caller.marks() if mark == "go_away"] == ["go_away"]
    house.advance(0.2)
    assert caller.closes() == [(1008, "go_away_ignored")]


def test_idle_dead_and_expired() -> None:
    limits = Limits(idle_s=10.0, dead_client_s=4.0)
    house = House(limits=limits, tokens=TokenRules(lifetime_s=6.0))
    silent = house.dial().set_up()
    house.advance(4.1)
    assert silent.closes() == [(1011, "dead_client")]
    pinging = house.dial().set_up()
    for _ in range(3):
        house.advance(3.0)
        pinging.take(pinging.session.pinged(b"x", house.clock.monotonic_s()))
    assert pinging.closes() == []
    house.advance(1.1)
    assert pinging.closes() == [(1008, "idle")]
    by_token = House(tokens=TokenRules(lifetime_s=6.0, new_session_window_s=5.0))
    caller = by_token.dial(token=by_token.mint()).set_up()
    by_token.advance(6.0)
    assert caller.closes() == [(1011, "token_expired_in_flight")]


# ---- resumption


def resumed(house: House, handle: str, **setup: Any) -> Caller:
    return house.dial().set_up(sessionResumption={"handle": handle}, **setup)


@pytest.mark.parametrize(("handles", "known"), [("snapshot", ()), ("session", ("name",))])
def test_what_a_handle_restores(handles: Any, known: tuple[str, ...]) -> None:
    house = House(resumption=ResumptionRules(every_s=100.0, first_after_s=0.1, handles=handles))
    caller = house.dial().set_up()
    house.advance(0.2)
    caller.say("My name is Ada.")
    house.advance(3.0)
    caller.drop()
    again = resumed(house, caller.handles()[0])
    (started,) = again.of("session.started")
    assert started == SessionStarted(2, "session-1", "handle-1", None, known)
    assert again.of("handle.presented") == [HandlePresented(2, "handle-1", None)]
    again.say("What is my name?")
    house.advance(1.0)
    assert again.of("turn.answered")[0].known == known


def test_the_embargo_lasts_until_the_client_closes_its_own_end() -> None:
    house = House(resumption=ResumptionRules(every_s=1.0, first_after_s=0.1))
    caller = house.dial().set_up()
    house.advance(0.2)
    handle = caller.handles()[0]
    refused = resumed(house, handle)
    assert refused.closes() == [(1011, "internal_error")]
    assert refused.of("handle.presented")[0].refusal == "internal_error"
    house.control.client_closed(1, house.clock.monotonic_s())
    again = resumed(house, handle)
    assert again.session.live
    assert caller.session.phase is Phase.DETACHED
    before = len(caller.effects)
    caller.say("Anybody there?")
    house.advance(5.0)
    assert [type(effect) for effect in caller.effects[before:]] == [Tell]
    caller.drop()
    assert caller.session.phase is Phase.ENDED
    assert resumed(house, handle).closes() == [(1011, "internal_error")]  # the second connection lives


def test_a_resume_at_once_after_an_idle_drop_waits_out_the_embargo() -> None:
    house = House(resumption=ResumptionRules(every_s=1.0, first_after_s=0.1, embargo_idle_drop_s=1.2))
    caller = house.dial().set_up()
    house.advance(0.2)
    caller.drop()
    assert resumed(house, caller.handles()[0]).closes() == [(1011, "internal_error")]
    house.advance(1.2)
    assert resumed(house, caller.handles()[0]).session.live


def test_an_answer_that_the_break_cut_short_is_said_again() -> None:
    house = House(resumption=ResumptionRules(every_s=0.5, first_after_s=0.1))
    caller = house.dial().set_up()
    caller.say("My name is Ada. What is my name?")
    house.advance(0.4)
    caller.drop()
    assert [event.outcome for event in caller.of("turn.ended")] == ["cut"]
    again = resumed(house, caller.handles()[-1], outputAudioTranscription={})
    house.advance(3.0)
    assert again.transcript() == "Your name is Ada."
    assert [event.turn for event in again.of("turn.answered")] == [1]
    again.drop()
    third = resumed(house, caller.handles()[-1])  # the same snapshot, but by now the turn was answered
    house.advance(1.0)
    assert "audio" not in third.marks()


@pytest.mark.parametrize("handles", ["snapshot", "session"])
def test_speech_heard_before_a_break_belongs_to_the_restored_state(handles: Any) -> None:
    house = House(utterances={7: SPOKEN}, resumption=ResumptionRules(every_s=0.25, first_after_s=0.1, handles=handles))
    caller = house.dial().set_up()
    pcm = spoken()
    caller.stream(pcm[:16_000])
    issued_bytes = 16_000 if handles == "session" else 11_200  # of the update at 0.4 s, 0.35 s were in
    caller.drop()
    again = resumed(house, caller.handles()[-1])
    again.stream(pcm[issued_bytes:])
    assert [turn.text for turn in again.of("turn.heard")] == [SPOKEN.text]


def test_forgotten_handles_and_forgotten_context() -> None:
    house = House(resumption=ResumptionRules(every_s=1.0, first_after_s=0.1))
    caller = house.dial().set_up()
    caller.say("My name is Ada.")
    house.advance(3.0)
    house.act(acts.ForgetContext())
    caller.hang_up()
    again = resumed(house, caller.handles()[-1])
    assert again.of("session.started")[0].facts == ()
    again.hang_up()
    house.act(acts.ForgetHandle())
    assert resumed(house, caller.handles()[-1]).closes() == [(1008, "session_not_found")]


# ---- acts


def test_ordered_refusals_hit_the_dials_they_name() -> None:
    house = House(resumption=ResumptionRules(every_s=1.0, first_after_s=0.1))
    caller = house.dial().set_up()
    house.advance(0.2)
    caller.hang_up()
    house.act(acts.Refuse("session_expired", only="resume", times=2))
    assert house.dial().set_up().session.live
    for _ in range(2):
        refused = resumed(house, caller.handles()[0])
        (close,) = (effect for effect in refused.effects if isinstance(effect, Close))
        assert (close.refusal, close.deliberate) == ("session_expired", True)
    assert resumed(house, caller.handles()[0]).session.live
    quota = acts.Refuse("quota", times=None, for_s=5.0)
    house.act(quota)
    poor = house.dial().set_up()
    assert poor.marks() == ["setup_complete"]
    house.advance(0.79)
    assert poor.closes() == []
    house.advance(0.01)
    assert poor.closes() == [(1011, "quota")]
    house.lift(quota)
    assert house.dial().set_up().session.live


@pytest.mark.parametrize("given", [[3], [1]])
def test_a_modality_given_by_its_number_is_judged_by_its_name(given: list[int]) -> None:
    by_number, by_name = House(), House()
    name = {3: "AUDIO", 1: "TEXT"}[given[0]]
    numbered = by_number.dial().set_up(generationConfig={"responseModalities": given})
    named = by_name.dial().set_up(generationConfig={"responseModalities": [name]})
    assert numbered.session.live is named.session.live is (name == "AUDIO")
    assert numbered.closes() == named.closes()


@pytest.mark.parametrize("retry_after_s", [None, 2.5])
def test_a_refusal_by_http_tells_of_its_retry_after(retry_after_s: float | None) -> None:
    house = House()
    path = match_live_path(PLAIN)
    assert path is not None

    def answer() -> UpgradeAnswered:
        _, answered, _ = house.control.upgrade(path, socket=1, listener="live", presented=(), now_s=0.0)
        return answered

    house.act(acts.Refuse("http_503", retry_after_s=retry_after_s))
    assert answer() == UpgradeAnswered(1, 503, "http_503", True, retry_after_s)
    assert answer() == UpgradeAnswered(2, 101, None, False, None)


def test_acts_with_nothing_to_act_on_say_so() -> None:
    house = House()
    with pytest.raises(ActError, match="no session is live"):
        house.act(acts.GoAway())
    house.dial().set_up()
    for act in (acts.Interrupt(), acts.CallTool(), acts.CancelTool(), acts.Close(connection=9)):
        with pytest.raises(ActError, match=type(act).__name__):
            house.act(act)
    with pytest.raises(ActError, match="did you mean 'quota'"):
        house.act(acts.Refuse("qota"))
    with pytest.raises(ActError, match="at the upgrade"):
        house.act(acts.Refuse("http_503", only="resume"))


def test_a_silence_holds_back_and_then_sends_in_order() -> None:
    house = House(resumption=ResumptionRules(every_s=0.5, first_after_s=0.1))
    caller = house.dial().set_up()
    house.act(acts.Silence(for_s=2.0, only="model_turn"))
    caller.say("Tell me a story.")
    house.advance(1.9)
    assert set(caller.marks()) == {"setup_complete", "session_resumption_update"}
    house.advance(0.2)
    contents = [mark for mark in caller.marks() if mark not in ("setup_complete", "session_resumption_update")]
    assert contents[0] == "audio"
    assert contents[-2:] == ["generation_complete", "turn_complete"]
    whole = acts.Silence()
    house.act(whole)
    before = len(caller.sent)
    house.advance(3.0)
    caller.take(caller.session.pinged(b"ping", house.clock.monotonic_s()))
    assert len(caller.sent) == before
    house.lift(whole)
    assert len(caller.sent) == before + 6
    assert isinstance(caller.effects[-1], Pong)


def test_pongs_come_late_when_ordered() -> None:
    house = House()
    caller = house.dial().set_up()
    house.act(acts.SlowPong(delay_s=8.0, for_s=5.0))
    caller.take(caller.session.pinged(b"one", house.clock.monotonic_s()))
    house.advance(7.9)
    assert not any(isinstance(effect, Pong) for effect in caller.effects)
    house.advance(0.2)
    assert caller.effects[-1] == Pong(b"one")
    caller.take(caller.session.pinged(b"two", house.clock.monotonic_s()))
    assert caller.effects[-1] == Pong(b"two")


def test_a_blocking_tool_call_waits_for_its_response() -> None:
    house = House()
    caller = house.dial().set_up(tools=TOOLS, outputAudioTranscription={})
    caller.say("My name is Ada. What is my name?")
    house.act(acts.CallTool())
    (call,) = caller.sent[-1]["toolCall"]["functionCalls"]
    assert (call["name"], call["args"]) == ("look_up", {"city": "example", "unit": "C", "days": 1})
    house.advance(5.0)
    assert caller.marks() == ["setup_complete", "tool_call"]
    caller.send({"toolResponse": {"functionResponses": [{"id": "stranger", "name": "look_up", "response": {}}]}})
    assert len(caller.of("turn.heard")) == 1
    response = {"id": call["id"], "name": "look_up", "response": {"sky": "clear"}}
    caller.send({"toolResponse": {"functionResponses": [response]}})
    house.advance(5.0)
    assert caller.of("turn.heard")[-1].how == "tool_response"
    assert caller.transcript() == "Your name is Ada."
    assert [event.turn for event in caller.of("turn.ended")] == [1, 2]


def test_tool_calls_are_cancelled_by_name() -> None:
    house = House()
    caller = house.dial().set_up(tools=TOOLS)
    house.act(acts.CallTool(name="look_up"))
    house.act(acts.CancelTool())
    call_id = caller.sent[-2]["toolCall"]["functionCalls"][0]["id"]
    assert caller.sent[-1] == {"toolCallCancellation": {"ids": [call_id]}}
    with pytest.raises(ActError):
        house.act(acts.CancelTool())


@pytest.mark.parametrize(
    ("act", "effect"),
    [
        (acts.Close(1011, "x" * 200), Close(1011, "x" * 123, None, True)),
        (acts.Abort(), Abort()),
        (acts.SendMalformed("empty_frame"), SendRaw(b"", "empty frame", None)),
    ],
)
def test_blunt_acts(act: acts.Act, effect: Effect) -> None:
    house = House()
    caller = house.dial().set_up()
    house.act(act)
    assert effect in caller.effects
    assert caller.session.live is isinstance(effect, SendRaw)


def test_expired_tokens_end_their_live_sessions_alone() -> None:
    house = House()
    by_token, by_key = house.dial(token=house.mint()).set_up(), house.dial().set_up()
    house.act(acts.ExpireTokens())
    assert by_token.closes() == [(1011, "token_expired_in_flight")]
    assert by_key.closes() == []


def test_a_close_frame_is_echoed_once() -> None:
    caller = House().dial().set_up()
    caller.hang_up()
    assert [type(effect) for effect in caller.effects[-2:]] == [EchoClose, HangUp]
    caller.drop()
    assert caller.session.next_deadline_s == float("inf")


# ---- the tables


def test_a_move_that_no_table_has_names_state_and_event() -> None:
    with pytest.raises(IllegalMoveError, match="'setup accepted' in the state 'live'"):
        move(PHASE_MOVES, Phase.LIVE, Step.SETUP_ACCEPTED)
    with pytest.raises(IllegalMoveError, match="'playback over' in the state 'listening'"):
        move(TALK_MOVES, Talk.LISTENING, Cue.PLAYBACK_OVER)
    ends = {state for (state, step) in PHASE_MOVES if step is Step.END}
    assert ends == set(Phase) - {Phase.ENDED}
