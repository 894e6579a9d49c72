from __future__ import annotations

from typing import Any

import pytest

from fake_server.behaviour import DEFAULT_MODEL
from fake_server.setup_rules import check_setup

LIVE_38 = "models/gemini-3.8-live"
THINKING = "models/gemini-3.8-live-extended-thinking"


def voice(name: str) -> dict[str, Any]:
    return {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": name}}}


def function(behavior: str) -> list[dict[str, Any]]:
    return [{"googleSearch": {}}, {"functionDeclarations": [{"name": "f"}, {"name": "g", "behavior": behavior}]}]


SPEAKERS = {"speaker_voice_configs": [{"speaker": "A", "voice_config": {"prebuilt_voice_config": {"voice_name": "X"}}}]}
SHORT, LONG = {"triggerTokens": 4_999}, {"slidingWindow": {"targetTokens": 128_001}}
ALL_VIDEO = {"turnCoverage": "TURN_INCLUDES_AUDIO_ACTIVITY_AND_ALL_VIDEO"}


@pytest.mark.parametrize(
    ("setup", "options", "refusal"),
    [
        ({"generationConfig": {"speechConfig": voice("Kore")}}, {}, None),
        ({"generationConfig": {"speechConfig": voice("puck")}}, {}, None),
        ({"generationConfig": {"speechConfig": voice("Nobody")}}, {}, "voice_not_found"),
        ({"generationConfig": {"speechConfig": voice("Nobody")}}, {"any_voice": True}, None),
        ({"generationConfig": {"speechConfig": {"multiSpeakerVoiceConfig": SPEAKERS}}}, {}, "voice_not_found"),
        ({"model": THINKING, "tools": function("BLOCKING")}, {}, "invalid_argument"),
        ({"model": THINKING, "tools": function("NON_BLOCKING")}, {}, None),
        ({"model": LIVE_38, "tools": function("BLOCKING")}, {}, None),
        ({"model": LIVE_38, "generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}, {}, "invalid_argument"),
        ({"model": THINKING, "generationConfig": {"thinkingConfig": {"thinkingLevel": "low"}}}, {}, None),
        ({"model": LIVE_38, "proactivity": {"proactiveAudio": False}}, {}, "invalid_argument"),
        ({"model": LIVE_38, "proactivity": {"proactiveAudio": True}}, {}, None),
        ({"proactivity": {"proactiveAudio": False}}, {}, None),
        ({"realtimeInputConfig": ALL_VIDEO}, {}, None),
        ({"realtimeInputConfig": ALL_VIDEO}, {"service": "vertex"}, "invalid_argument"),
        ({"contextWindowCompression": SHORT}, {}, None),
        ({"contextWindowCompression": SHORT}, {"service": "vertex"}, "invalid_argument"),
        ({"contextWindowCompression": LONG}, {"service": "vertex"}, "invalid_argument"),
        ({"contextWindowCompression": {"triggerTokens": 5_000}}, {"service": "vertex"}, None),
    ],
)
def test_what_models_and_services_will_not_have(
    setup: dict[str, Any], options: dict[str, Any], refusal: str | None
) -> None:
    refused = check_setup({"model": f"models/{DEFAULT_MODEL}", **setup}, **options)
    assert (refused.refusal if refused else None) == refusal


def test_no_reason_begins_with_a_blank() -> None:
    for setup in ({}, {"model": ""}, {"model": "models/nobody"}):
        refused = check_setup(setup)
        assert refused is not None
        assert refused.reason == refused.reason.lstrip() != ""
