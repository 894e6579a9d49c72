"""What the service says to a well-formed setup: rules of models and services (protocol, sections 4.1, 4.4, 9)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fake_server.profiles import SERVICES, UNLISTED_MODEL, ModelProfile, model_id, profile_of
from fake_server.refusals import find_refusal

VOICES = frozenset(
    "Zephyr Puck Charon Kore Fenrir Leda Orus Aoede Callirrhoe Autonoe Enceladus Iapetus Umbriel Algieba Despina "
    "Erinome Algenib Rasalgethi Laomedeia Achernar Alnilam Schedar Gacrux Pulcherrima Achird Zubenelgenubi "
    "Vindemiatrix Sadachbia Sadaltager Sulafat".lower().split()
)
"""The prebuilt voices that the service's pages list, in small letters."""

_TRIGGER_TOKENS = range(5_000, 128_001)
_TARGET_TOKENS = range(128_001)
"""What Vertex documents for contextWindowCompression."""


@dataclass(frozen=True, slots=True)
class SetupRefused:
    """The model or the service will not have this setup."""

    refusal: str
    """Name in the table of refusals."""
    reason: str
    """What to close with, cut at 123 bytes."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A setup, and what it is judged by."""

    setup: Mapping[str, Any]
    config: Mapping[str, Any]
    """Its generationConfig."""
    profile: ModelProfile
    service: Literal["developer", "vertex"]
    any_voice: bool


def check_setup(
    setup: Mapping[str, Any],
    *,
    service: Literal["developer", "vertex"] = "developer",
    version: str = "v1beta",
    served: Sequence[str] = (),
    by_token: bool = False,
    any_voice: bool = False,
) -> SetupRefused | None:
    """What the service says to a well-formed setup (canonical camelCase, token constraints applied); None: accepted.

    `served`: model ids that are served though the table does not have them (`Behaviour.model`).
    `by_token`: the credential is an ephemeral token (a missing model then gets its own text).
    `any_voice`: names of voices are not looked at.
    """
    model = setup.get("model") or ""
    if not model:
        return _refused("token_project_scoped" if by_token else "invalid_argument")
    profile = profile_of(model)
    if profile.retired or (profile is UNLISTED_MODEL and model_id(model) not in map(model_id, served)):
        return _refused(SERVICES[service].not_found, model=model, version=version)
    config = setup.get("generationConfig") or {}
    modalities = config.get("responseModalities") or [SERVICES[service].default_modality]
    if len(modalities) > 1:
        return _refused("invalid_argument")
    if modalities[0] not in profile.modalities:
        return _refused(profile.text_refusal, modalities=str(modalities[0]), model=model)
    asked = _Asked(setup, config, profile, service, any_voice)
    return next((_refused(name) for name, breaks in _RULES if breaks(asked)), None)


def voice_names(speech_config: Mapping[str, Any]) -> Iterator[str]:
    """Every prebuilt voice that a speechConfig names, also for several speakers."""
    several = speech_config.get("multiSpeakerVoiceConfig")
    speakers = _of(several, "speakerVoiceConfigs", "speaker_voice_configs") if isinstance(several, Mapping) else None
    for holder in (speech_config, *(speakers if isinstance(speakers, list) else ())):
        voice = _of(holder, "voiceConfig", "voice_config") if isinstance(holder, Mapping) else None
        prebuilt = _of(voice, "prebuiltVoiceConfig", "prebuilt_voice_config") if isinstance(voice, Mapping) else None
        name = _of(prebuilt, "voiceName", "voice_name") if isinstance(prebuilt, Mapping) else None
        if isinstance(name, str) and name:
            yield name


def _of(holder: Mapping[str, Any], *spellings: str) -> Any:
    """A member by either spelling: what stands inside multiSpeakerVoiceConfig is kept as the client wrote it."""
    return next((holder[spelling] for spelling in spellings if spelling in holder), None)


def _odd_voice(asked: _Asked) -> bool:
    speech = asked.config.get("speechConfig") or {}
    return not asked.any_voice and any(name.lower() not in VOICES for name in voice_names(speech))


def _odd_function_mode(asked: _Asked) -> bool:
    profile = asked.profile
    if profile.other_function_mode != "refused":
        return False
    usual = "BLOCKING" if profile.function_mode == "blocking" else "NON_BLOCKING"
    return any(
        declared.get("behavior") in ("BLOCKING", "NON_BLOCKING") and declared["behavior"] != usual
        for tool in asked.setup.get("tools") or ()
        for declared in tool.get("functionDeclarations") or ()
    )


def _thinking_without_thought(asked: _Asked) -> bool:
    return not asked.profile.thinks and bool(asked.config.get("thinkingConfig"))


def _switches_off_proactive_audio(asked: _Asked) -> bool:
    given = asked.setup.get("proactivity") or {}
    return asked.profile.proactive == "always" and given.get("proactiveAudio") is False


def _third_turn_coverage(asked: _Asked) -> bool:
    coverage = (asked.setup.get("realtimeInputConfig") or {}).get("turnCoverage")
    return asked.service == "vertex" and coverage == "TURN_INCLUDES_AUDIO_ACTIVITY_AND_ALL_VIDEO"


def _compression_out_of_range(asked: _Asked) -> bool:
    given = asked.setup.get("contextWindowCompression") or {}
    trigger = given.get("triggerTokens")
    target = (given.get("slidingWindow") or {}).get("targetTokens")
    return asked.service == "vertex" and (
        (trigger is not None and trigger not in _TRIGGER_TOKENS)
        or (target is not None and target not in _TARGET_TOKENS)
    )


_RULES: tuple[tuple[str, Callable[[_Asked], bool]], ...] = (
    ("voice_not_found", _odd_voice),
    ("invalid_argument", _odd_function_mode),
    ("invalid_argument", _thinking_without_thought),
    ("invalid_argument", _switches_off_proactive_audio),
    ("invalid_argument", _third_turn_coverage),
    ("invalid_argument", _compression_out_of_range),
)
"""Refusals, and what brings them; the first that applies is the one."""


def _refused(name: str, **values: str) -> SetupRefused:
    return SetupRefused(name, find_refusal(name).reason(**values))
