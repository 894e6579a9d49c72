from __future__ import annotations

from typing import Any

import pytest

from fake_server.behaviour import DEFAULT_MODEL
from fake_server.profiles import MODELS, SERVICES, UNLISTED_MODEL, LivePath, match_live_path, profile_of
from fake_server.setup_rules import check_setup

GOOGLE = "google.ai.generativelanguage"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"/ws/{GOOGLE}.v1.GenerativeService.BidiGenerateContent", LivePath("developer", "v1", "plain")),
        (f"//ws/{GOOGLE}.v1beta.GenerativeService.BidiGenerateContent", LivePath("developer", "v1beta", "plain")),
        (
            f"/pre/fix//ws/{GOOGLE}.v1alpha.GenerativeService.BidiGenerateContentConstrained",
            LivePath("developer", "v1alpha", "constrained"),
        ),
        (
            "/ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent",
            LivePath("vertex", "v1beta1", "vertex"),
        ),
        (f"/ws/{GOOGLE}.v2.GenerativeService.BidiGenerateContent", None),
        (f"/ws/{GOOGLE}.v1.GenerativeService.BidiGenerateMusic", None),
        (f"/ws/{GOOGLE}.v1.GenerativeService.BidiGenerateContentX", None),
        ("/", None),
    ],
)
def test_paths(path: str, expected: LivePath | None) -> None:
    assert match_live_path(path) == expected


def test_each_service_finds_its_own_paths() -> None:
    for service in SERVICES.values():
        for path in (service.path, service.constrained_path):
            if path is not None:
                found = match_live_path(path.format(version="v1beta"))
                assert found is not None
                assert (found.service, found.version) == (service.name, "v1beta")


def test_profiles_are_found_by_any_name_of_a_model() -> None:
    resource = "projects/p/locations/l/publishers/google/models/gemini-3.8-live"
    for name in ("gemini-3.8-live", "models/gemini-3.8-live", "publishers/google/models/gemini-3.8-live", resource):
        assert profile_of(name) is MODELS["gemini-3.8-live"]
    assert profile_of("models/gemini-9") is UNLISTED_MODEL
    assert profile_of(DEFAULT_MODEL).name == DEFAULT_MODEL


def test_habits_that_were_measured() -> None:
    assert MODELS["gemini-3.8-live"].update_every_s is None
    assert MODELS["gemini-3.1-flash-live-preview"].idle_s == 150.0
    assert MODELS["gemini-3.5-live-translate-preview"].update_every_s == 2.0
    assert [profile.name for profile in MODELS.values() if profile.voice_activity] == [
        "gemini-3.8-live",
        "gemini-3.8-live-extended-thinking",
        "gemini-3.5-transcribe-live",
    ]


@pytest.mark.parametrize(
    ("setup", "options", "refusal"),
    [
        ({"model": "models/gemini-3.8-live"}, {}, None),
        ({"model": "models/gemini-3.8-live", "generationConfig": {"responseModalities": ["AUDIO"]}}, {}, None),
        (
            {"model": "models/gemini-3.8-live", "generationConfig": {"responseModalities": ["TEXT"]}},
            {},
            "modality_not_supported",
        ),
        (
            {"model": f"models/{DEFAULT_MODEL}", "generationConfig": {"responseModalities": ["TEXT"]}},
            {},
            "voices_without_audio",
        ),
        ({"model": "models/gemini-2.0-flash-live-001"}, {}, "model_not_found"),
        ({"model": "models/mine"}, {}, "model_not_found"),
        ({"model": "models/mine"}, {"served": ("mine",)}, None),
        ({}, {}, "invalid_argument"),
        ({}, {"by_token": True}, "token_project_scoped"),
        ({"model": "publishers/google/models/mine"}, {"service": "vertex"}, "publisher_model_not_found"),
    ],
)
def test_setups_that_a_model_has_or_has_not(
    setup: dict[str, Any], options: dict[str, Any], refusal: str | None
) -> None:
    refused = check_setup(setup, **options)
    assert (refused.refusal if refused else None) == refusal


def test_the_text_names_model_and_version() -> None:
    refused = check_setup({"model": "models/gemini-nope"}, version="v1alpha")
    assert refused is not None
    assert refused.reason.startswith("models/gemini-nope is not found for API version v1alpha, or is not supported")
    modality = check_setup({"model": "models/gemini-3.8-live", "generationConfig": {"responseModalities": ["TEXT"]}})
    assert modality is not None
    assert modality.reason.startswith(
        "The requested combination of response modalities (TEXT) is not supported by the model. models/gemini"
    )
