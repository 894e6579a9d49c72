"""Function calls: blocking and not, by name, by script and by order; late, silent and cancelled answers."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from fake_server import acts, speech, wire
from fake_server.behaviour import ResumptionRules, ScriptedCall, Utterance
from fake_server.wire.order import FrameOrder
from tests.fake_server.house import QUICK, TOOLS, Caller, House

LIVE_38 = "models/gemini-3.8-live"
VERTEX = "/ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent"
TWO_TOOLS = [{"functionDeclarations": [{"name": "look_up"}, {"name": "book"}]}]


def calls(caller: Caller) -> list[dict[str, Any]]:
    return [call for message in caller.sent for call in message.get("toolCall", {}).get("functionCalls", ())]


def answer(caller: Caller, call: dict[str, Any], **more: Any) -> None:
    response = {"id": call.get("id"), "name": call["name"], "response": {"sky": "clear"}, **more}
    caller.send({"toolResponse": {"functionResponses": [response]}})


def assert_true_to_the_service(caller: Caller) -> None:
    order = FrameOrder()
    for number, message in enumerate(caller.sent):
        assert wire.invalid_reason(message, first=number == 0) is None
        assert order.judge(message) is None, (caller.marks(), message)


def test_a_turn_that_names_a_function_has_it_called_and_a_blocking_one_is_waited_for() -> None:
    house = House()
    caller = house.dial().set_up(tools=TOOLS, outputAudioTranscription={})
    caller.say("My name is Ada. Please look_up this: what is my name?")
    house.advance(20.0)
    assert caller.marks() == ["setup_complete", "tool_call"]
    answer(caller, calls(caller)[0])
    house.advance(5.0)
    assert caller.transcript() == "Your name is Ada."
    caller.say("I said look_up_all, not that.")
    house.advance(5.0)
    assert len(calls(caller)) == 1
    assert_true_to_the_service(caller)


def test_a_call_that_does_not_block_ends_the_turn_and_its_answer_begins_another() -> None:
    house = House()
    caller = house.dial().set_up(model=LIVE_38, tools=TOOLS, outputAudioTranscription={})
    caller.say("My city is Rome. look_up, and what is my city?")
    assert caller.marks() == ["setup_complete", "tool_call", "generation_complete", "turn_complete"]
    assert [event.outcome for event in caller.of("turn.ended")] == ["complete"]
    answer(caller, calls(caller)[0])
    house.advance(5.0)
    assert caller.transcript() == "Your city is Rome."
    assert [event.how for event in caller.of("turn.heard")] == ["text", "tool_response"]
    assert_true_to_the_service(caller)


def test_the_script_calls_turn_by_turn_and_names_may_be_left_alone() -> None:
    script = replace(QUICK, calls=(ScriptedCall(2, "book"), ScriptedCall(3), ScriptedCall(4, "nobody")))
    house = House(script=replace(script, calls_when_named=False))
    caller = house.dial().set_up(model=LIVE_38, tools=TWO_TOOLS)
    for _ in range(4):
        caller.say("Please look_up something.")
        house.advance(5.0)
    assert [call["name"] for call in calls(caller)] == ["book", "look_up"]


def test_calls_are_named_as_the_models_name_them() -> None:
    utterance = Utterance(7, "Please look_up it", 16_000, 40_000)
    house = House(utterances={7: utterance})
    modern = house.dial().set_up(model=LIVE_38, tools=TOOLS)
    modern.say("look_up")
    modern.stream(speech.pcm(7, 0, 40_000, 16_000))
    older = house.dial().set_up(tools=TOOLS)
    older.say("look_up")
    patterns = (r"fc_\d{19}", r"call_\d{6}", r"function-call-\d{20}")
    ids = [call["id"] for call in (*calls(modern), *calls(older))]
    assert all(re.fullmatch(pattern, call_id) for pattern, call_id in zip(patterns, ids, strict=True)), ids


def test_silent_answers_are_not_spoken_of_and_urgent_ones_interrupt() -> None:
    house = House()
    caller = house.dial().set_up(model=LIVE_38, tools=TOOLS)
    for scheduling, more in (("SILENT", {"scheduling": "SILENT"}), ("SILENT", {"response": {"scheduling": "SILENT"}})):
        house.act(acts.CallTool())
        heard = len(caller.of("turn.heard"))
        answer(caller, calls(caller)[-1], **more)
        house.advance(3.0)
        assert len(caller.of("turn.heard")) == heard, scheduling
    house.act(acts.CallTool())
    caller.say("Tell me a story.")
    house.advance(0.5)
    answer(caller, calls(caller)[-1], scheduling="INTERRUPT")
    assert caller.marks()[-2:] == ["interrupted", "turn_complete"]
    house.act(acts.CallTool())
    caller.say("Tell me a story.")
    house.advance(0.5)
    before = caller.marks().count("interrupted")
    answer(caller, calls(caller)[-1])  # when idle
    house.advance(10.0)
    assert caller.marks().count("interrupted") == before
    assert caller.of("turn.ended")[-1].outcome == "complete"
    assert_true_to_the_service(caller)


def test_a_blocking_call_cannot_be_answered_silently() -> None:
    house = House()
    caller = house.dial().set_up(tools=TOOLS)
    caller.say("look_up")
    answer(caller, calls(caller)[0], scheduling="SILENT", willContinue=True)
    house.advance(5.0)
    assert caller.marks()[-1] == "turn_complete"


def test_a_call_goes_on_while_answers_say_that_more_comes() -> None:
    house = House()
    caller = house.dial().set_up(model=LIVE_38, tools=TOOLS)
    house.act(acts.CallTool())
    for more in (True, True, False):
        answer(caller, calls(caller)[0], willContinue=more)
        house.advance(5.0)
    answer(caller, calls(caller)[0])  # late
    assert [event.how for event in caller.of("turn.heard")] == ["tool_response"] * 3
    assert caller.closes() == []


def test_whoever_speaks_into_a_blocking_call_is_answered_and_the_late_response_is_taken_in_silence() -> None:
    house = House()
    caller = house.dial().set_up(tools=TOOLS)
    caller.say("look_up")
    caller.send({"realtimeInput": {"text": "Never mind."}})
    assert caller.marks()[-2:] == ["interrupted", "turn_complete"]
    house.advance(5.0)
    before = len(caller.sent)
    answer(caller, calls(caller)[0])
    house.advance(5.0)
    assert len(caller.sent) == before
    assert caller.closes() == []
    assert_true_to_the_service(caller)


def test_input_while_a_call_is_pending_may_be_refused() -> None:
    house = House(script=replace(QUICK, pending_call_input="refuse"))
    caller = house.dial().set_up(tools=TOOLS)
    caller.say("look_up")
    caller.send({"realtimeInput": {"text": "Well?"}})
    assert caller.closes() == [(1008, "not_implemented")]


def test_a_pending_call_outlives_a_drop_and_is_not_made_again() -> None:
    house = House(resumption=ResumptionRules(first_after_s=0.1))
    caller = house.dial().set_up(model=LIVE_38, tools=TOOLS)
    house.advance(0.2)
    caller.say("My city is Rome. look_up, and what is my city?")
    caller.drop()
    house.advance(1.3)
    again = house.dial().set_up(
        model=LIVE_38, tools=TOOLS, sessionResumption={"handle": caller.handles()[0]}, outputAudioTranscription={}
    )
    house.advance(3.0)
    assert calls(again) == []
    answer(again, calls(caller)[0])
    house.advance(3.0)
    assert again.transcript() == "Your city is Rome."


def test_vertex_may_call_without_ids_and_then_goes_by_the_name() -> None:
    house = House(script=replace(QUICK, call_ids=False))
    caller = house.dial(path=VERTEX).set_up(tools=TOOLS)
    caller.say("look_up")
    assert "id" not in calls(caller)[0]
    answer(caller, calls(caller)[0])
    house.advance(3.0)
    assert [event.how for event in caller.of("turn.heard")] == ["text", "tool_response"]
    by_developer = house.dial().set_up(tools=TOOLS)
    by_developer.say("look_up")
    assert "id" in calls(by_developer)[0]


@pytest.mark.parametrize(("tools", "names"), [([{"functionDeclarations": [{"name": "book"}]}], ["book"]), ([], [])])
def test_a_context_update_replaces_the_tools(tools: list[Any], names: list[str]) -> None:
    house = House()
    caller = house.dial().set_up(model=LIVE_38, tools=TOOLS)
    caller.send({"contextUpdate": {"systemInstruction": {"parts": [{"text": "The user's city is Rome."}]}}})
    caller.say("look_up")
    caller.send({"contextUpdate": {"tools": {"tools": tools}}})
    caller.say("look_up and book, and what is my city?")
    assert [call["name"] for call in calls(caller)] == ["look_up", *names]
    house.advance(5.0)
    assert names or caller.of("turn.answered")[-1].known == ("city",)
