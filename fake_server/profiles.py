"""What differs from model to model and from service to service: two tables (protocol, sections 1.1, 5, 6 and 9)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

FunctionMode: TypeAlias = Literal["blocking", "non_blocking", "none"]
Method: TypeAlias = Literal["plain", "constrained", "vertex"]


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """One model's habits."""

    name: str
    """Model id without `models/`; `""` for the profile of a model that the table does not have."""
    modalities: frozenset[str] = frozenset({"AUDIO"})
    """What it can answer in."""
    first_update_after_s: float = 0.5
    """From setupComplete to the first resumption update of a fresh session."""
    first_update_after_resume_s: float = 0.5
    """The same on a resumed connection."""
    update_every_s: float | None = 1.2
    """Between resumption updates; None: exactly one a connection."""
    idle_s: float | None = None
    """Without input for so long: closed by 1008; None: never seen."""
    text_refusal: str = "modality_not_supported"
    """Refusal for a modality that it cannot answer in."""
    function_mode: FunctionMode = "blocking"
    """The default mode of a function without `behavior`; `none`: the model calls no functions."""
    other_function_mode: Literal["taken", "ignored", "refused"] = "ignored"
    """What becomes of a function that asks for the other mode."""
    call_id: Literal["counted", "long"] = "long"
    """How calls are named: `fc_…` and `call_…`, or `function-call-…`."""
    handles: Literal["snapshot", "session"] = "snapshot"
    """What a handle restores; unknown for most models: then the stricter reading."""
    idle_drop_embargo_s: float = 0.0
    """A resume so soon after an idle drop is refused."""
    embargo_refused_after_s: float = 0.0
    """From a setup under an embargo to its refusal."""
    thinks: bool = True
    """True: a setup may carry a thinkingConfig; False: it is refused."""
    proactive: Literal["chosen", "always"] = "chosen"
    """`always`: proactive audio cannot be switched off."""
    chunk_bytes: tuple[int, ...] = (4800, 15360, 15360, 1920, 19200, 15360, 13440, 26880)
    """Sizes of its audio chunks, again and again (measured on 3.8: all multiples of 20 ms)."""
    empty_frames: bool = False
    """True: empty frames come between its audio chunks."""
    speaks: bool = True
    """False: speech is transcribed, piece by piece and then as a whole, and nothing is said to it."""
    voice_activity: bool = False
    """True: voiceActivity messages come without being asked for."""
    idle_signal: Literal["turn_complete", "interaction_status", "generation_complete", "none"] = "turn_complete"
    """What tells a client that the model has ended; `none`: it never ends, audio goes out while audio comes in."""
    client_content: Literal["always", "history"] = "always"
    """`history`: taken only as initial history."""
    usage: bool = True
    """True: turnComplete carries usageMetadata."""
    retired: bool = False
    """True: shut down; a setup is answered by `model_not_found`."""


@dataclass(frozen=True, slots=True)
class ServiceProfile:
    """One service's wire."""

    name: Literal["developer", "vertex"]
    path: str
    """WebSocket path with `{version}`."""
    constrained_path: str | None
    """The same for ephemeral tokens; None: the service has no such method."""
    session_id: bool
    """True: setupComplete carries a sessionId."""
    transparent: bool
    """True: transparent resumption is known here."""
    response_usage: str
    """Prefix of the usage names: `response` (`responseTokenCount`) or `candidates`."""
    default_modality: str
    """When a setup names none."""
    not_found: str
    """Refusal for an unknown model."""


MODELS: Mapping[str, ModelProfile] = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            ModelProfile(
                "gemini-3.8-live",
                first_update_after_s=0.115,
                first_update_after_resume_s=0.002,
                update_every_s=None,
                function_mode="non_blocking",
                other_function_mode="taken",
                thinks=False,
                handles="session",
                idle_drop_embargo_s=1.2,
                embargo_refused_after_s=0.5,
                call_id="counted",
                proactive="always",
                empty_frames=True,
                voice_activity=True,
            ),
            ModelProfile(  # how it resumes, and when it sends updates, is unknown: taken to be as its sister
                "gemini-3.8-live-extended-thinking",
                first_update_after_s=0.115,
                first_update_after_resume_s=0.002,
                update_every_s=None,
                function_mode="non_blocking",
                other_function_mode="refused",
                handles="session",
                idle_drop_embargo_s=1.2,
                embargo_refused_after_s=0.5,
                call_id="counted",
                proactive="always",
                empty_frames=True,
                voice_activity=True,
                idle_signal="interaction_status",
            ),
            ModelProfile(
                "gemini-3.1-flash-live-preview",
                first_update_after_s=4.8,
                first_update_after_resume_s=4.8,
                idle_s=150.0,
                client_content="history",
                chunk_bytes=(2, 2400, 7680, 9600, 15360),
            ),
            ModelProfile(
                "gemini-2.5-flash-native-audio-preview-12-2025",
                text_refusal="voices_without_audio",
                other_function_mode="taken",
            ),
            ModelProfile(
                "gemini-3.5-live-translate-preview",
                first_update_after_s=4.8,
                first_update_after_resume_s=4.8,
                update_every_s=2.0,
                function_mode="none",
                idle_signal="none",
            ),
            ModelProfile(  # when it sends updates is unknown
                "gemini-3.5-transcribe-live",
                modalities=frozenset({"TEXT", "AUDIO"}),
                function_mode="none",
                speaks=False,
                voice_activity=True,
                idle_signal="generation_complete",
            ),
            ModelProfile("gemini-live-2.5-flash-preview", modalities=frozenset({"TEXT", "AUDIO"}), retired=True),
            ModelProfile("gemini-2.0-flash-live-001", modalities=frozenset({"TEXT", "AUDIO"}), retired=True),
        )
    }
)
"""The models, by id."""

UNLISTED_MODEL = ModelProfile("", modalities=frozenset({"TEXT", "AUDIO"}), other_function_mode="taken")
"""For a model that the table does not have, but that the behaviour names as the one to be served."""

SERVICES: Mapping[str, ServiceProfile] = MappingProxyType(
    {
        "developer": ServiceProfile(
            name="developer",
            path="/ws/google.ai.generativelanguage.{version}.GenerativeService.BidiGenerateContent",
            constrained_path="/ws/google.ai.generativelanguage.{version}.GenerativeService.BidiGenerateContentConstrained",
            session_id=False,
            transparent=False,
            response_usage="response",
            default_modality="AUDIO",
            not_found="model_not_found",
        ),
        "vertex": ServiceProfile(
            name="vertex",
            path="/ws/google.cloud.aiplatform.{version}.LlmBidiService/BidiGenerateContent",
            constrained_path=None,
            session_id=True,
            transparent=True,
            response_usage="candidates",
            default_modality="AUDIO",
            not_found="publisher_model_not_found",
        ),
    }
)
"""The services, by the name that `Behaviour.profile` uses."""


@dataclass(frozen=True, slots=True)
class LivePath:
    """A WebSocket path, understood."""

    service: Literal["developer", "vertex"]
    version: str
    """`v1`, `v1beta`, `v1alpha`; Vertex also has `v1beta1`."""
    method: Method


_LIVE_PATH = re.compile(
    r"/ws/google\.(?:"
    r"ai\.generativelanguage\.(?P<version>v1|v1beta|v1alpha)\.GenerativeService\.BidiGenerateContent(?P<constrained>Constrained)?"
    r"|cloud\.aiplatform\.(?P<vertex>v1|v1beta1|v1beta|v1alpha)\.LlmBidiService/BidiGenerateContent"
    r")/?$"
)


def match_live_path(path: str) -> LivePath | None:
    """What a path (without its query) asks for: after any prefix, repeated slashes as one; None: nothing of ours."""
    found = _LIVE_PATH.search(re.sub("/{2,}", "/", path))
    if found is None:
        return None
    if found["vertex"]:
        return LivePath("vertex", found["vertex"], "vertex")
    return LivePath("developer", found["version"], "constrained" if found["constrained"] else "plain")


def model_id(name: str) -> str:
    """The bare id in `models/x`, `publishers/google/models/x` or a full Vertex resource name."""
    return name.rpartition("/")[2]


def profile_of(name: str) -> ModelProfile:
    """The profile of a model, by bare or full name; `UNLISTED_MODEL` when the table does not have it."""
    return MODELS.get(model_id(name), UNLISTED_MODEL)
