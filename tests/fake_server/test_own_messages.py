"""Messages that a scenario has sent in the service's name: all that protocol.md lists, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from fake_server import acts, wire
from fake_server.profiles import match_live_path
from fake_server.service import ActError
from fake_server.wire.schema import ENUMS, MEMBERS
from tests.fake_server.house import House

VERTEX = "/ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent"
HEARD = {"text": "Hallo.", "finished": True, "languageCode": "de-DE", "speakerLabel": "1", "startOffset": "0.160s"}
CONTENTS: dict[str, list[Any]] = {
    "modelTurn": [
        {"role": "model", "parts": [{"text": "Let me think.", "thought": True, "thoughtSignature": "AAAA"}]},
        {"parts": [{"executableCode": {"language": "PYTHON", "code": "1"}}, {"codeExecutionResult": {"output": "1"}}]},
        {"parts": [{"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": "AAAA"}}]},
    ],
    "generationComplete": [True],
    "turnComplete": [True],
    "interrupted": [True],
    "inputTranscription": [HEARD],
    "outputTranscription": [HEARD | {"words": [{"word": "Hallo."}], "endOffset": "1s"}],
    "interimInputTranscription": [{"text": "Hal"}],
    "groundingMetadata": [{"webSearchQueries": ["weather"]}],
    "urlContextMetadata": [{"urlMetadata": [{"retrievedUrl": "https://example.org"}]}],
    "waitingForInput": [True],
    "turnCompleteReason": sorted(ENUMS["TurnCompleteReason"]),
    "interactionStatus": sorted(ENUMS["InteractionStatus"]),
    "speechState": ["SPEECH", "NON_SPEECH"],
}
OTHERS: list[dict[str, Any]] = [
    {},
    {"serverContent": {}},
    {"serverContent": {}, "voiceActivity": {"type": "ACTIVITY_START", "audioOffset": "0.500s"}},
    {"voiceActivityDetectionSignal": {"vadSignalType": "VAD_SIGNAL_TYPE_SOS"}},
    {"usageMetadata": {"toolUsePromptTokenCount": 2, "cachedContentTokenCount": 9, "totalTokenCount": 2}},
    {"usageMetadata": {"trafficType": "ON_DEMAND"}},
    {"goAway": {"timeLeft": "50s"}},
    {"sessionResumptionUpdate": {}},
    {"toolCall": {"functionCalls": [{"id": "1", "name": "f", "args": {}}]}},
    {"toolCallCancellation": {"ids": ["1"]}},
]


def test_every_field_of_a_server_content_has_an_example_here() -> None:
    assert set(CONTENTS) == {member.name for member in MEMBERS["ServerContent"].values()}


@pytest.mark.parametrize(
    "message", [{"serverContent": {name: one}} for name, examples in CONTENTS.items() for one in examples] + OTHERS
)
def test_what_the_service_could_send_is_sent_as_it_stands(message: dict[str, Any]) -> None:
    assert wire.unsendable_reason(message) is None
    vertex = wire.unsendable_reason(message, "developer") is not None
    house = House()
    caller = house.dial(path=VERTEX if vertex else None).set_up()
    before = list(caller.sent)
    house.act(acts.SendMessage(message))
    house.advance(1.0)
    assert caller.sent == [*before, message]
    assert caller.session.live


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"setupComplete": {}}, "setupComplete comes once"),
        ({"futureMessage": {}}, "futureMessage: no such field"),
        ({"server_content": {}}, "server_content: no such field (canonical JSON spells it serverContent)"),
        ({"serverContent": {"turnComplete": False}}, "serverContent.turnComplete: true or absent"),
        ({"serverContent": {"speechState": "LOUD"}}, "serverContent.speechState: 'LOUD' is no value"),
        ({"serverContent": {"turnCompleteReason": "BORED"}}, "serverContent.turnCompleteReason: 'BORED'"),
        ({"serverContent": []}, "serverContent: an object is due"),
        ({"serverContent": {}, "toolCall": {"functionCalls": [{"id": "1", "name": "f"}]}}, "one message field a frame"),
        ({"serverContent": {"interrupted": True, "generationComplete": True}}, "serverContent: an interrupted turn"),
        (
            {"serverContent": {"modelTurn": {"role": "model", "parts": [
                {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": "!!!!"}}]}}},
            "serverContent.modelTurn.parts[0].inlineData.data: bytes are standard base64",
        ),
        ({"usageMetadata": {"totalTokenCount": 5}}, "usageMetadata.totalTokenCount: 0 in all"),
        ({"serverContent": {"groundingMetadata": {"x": float("nan")}}}, "it cannot be written as JSON"),
        ({"serverContent": {"groundingMetadata": {"x": 2**70}}}, "it cannot be written as JSON"),
        ({"serverContent": {"groundingMetadata": {"x": "\ud800"}}}, "it cannot be written as JSON"),
        ({"serverContent": {"groundingMetadata": {"x": "y" * 2**20}}}, "a frame of "),
    ],
)  # fmt: skip
def test_what_it_could_not_send_is_refused_with_the_reason(message: dict[str, Any], reason: str) -> None:
    found = wire.unsendable_reason(message)
    assert found is not None
    assert found.startswith(reason)
    house = House()
    caller = house.dial().set_up()
    before = list(caller.sent)
    with pytest.raises(ActError, match="SendMessage"):
        house.act(acts.SendMessage(message))
    assert caller.sent == before


def test_the_words_of_the_other_service_are_refused_where_they_would_go_out() -> None:
    assert match_live_path(VERTEX) is not None
    house = House()
    house.dial().set_up()
    act = acts.SendMessage({"usageMetadata": {"trafficType": "ON_DEMAND"}})
    with pytest.raises(ActError, match="not in the words of this service"):
        house.act(act)
    caller = house.dial(path=VERTEX).set_up()
    house.act(act)
    assert caller.sent[-1] == act.message


def test_before_a_session_is_live_there_is_nobody_to_send_it_to() -> None:
    house = House()
    house.dial()
    with pytest.raises(ActError, match="connection 1 has no live session"):
        house.act(acts.SendMessage({"serverContent": {}}, connection=1))
