"""The messages of the protocol as one table: names, types, and what the service is known to refuse.

Sources: protocol, sections 2.1, 4 and 5. A member is written in camelCase; the proto's own snake_case spelling is
derived from it. `json` stands for free JSON whose inside is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class Kind(Enum):
    """The proto3 type of a member."""

    STRING = "string"
    BOOL = "bool"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT = "float"
    BYTES = "bytes"
    DURATION = "duration"
    TIMESTAMP = "timestamp"
    ENUM = "enum"
    JSON = "json"
    MESSAGE = "message"


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a message type."""

    name: str
    """camelCase."""
    snake: str
    kind: Kind
    repeated: bool
    mapped: bool
    """True: a map from strings to this type."""
    type_name: str
    """Of a message or an enum; empty otherwise."""


def snake_case(name: str) -> str:
    """`turnComplete` as the proto spells it: `turn_complete`."""
    return re.sub(r"(?<!^)([A-Z])", lambda found: "_" + found[1].lower(), name)


def camel_case(name: str) -> str:
    """`turn_complete` as canonical JSON spells it: `turnComplete`."""
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), name)


_SENT_BY_CLIENTS: dict[str, tuple[str, ...]] = {
    "Modality": ("MODALITY_UNSPECIFIED", "TEXT", "IMAGE", "AUDIO", "VIDEO"),
    "Behavior": ("UNSPECIFIED", "BLOCKING", "NON_BLOCKING"),
    "Scheduling": ("SCHEDULING_UNSPECIFIED", "SILENT", "WHEN_IDLE", "INTERRUPT"),
    "StartSensitivity": ("START_SENSITIVITY_UNSPECIFIED", "START_SENSITIVITY_HIGH", "START_SENSITIVITY_LOW"),
    "EndSensitivity": ("END_SENSITIVITY_UNSPECIFIED", "END_SENSITIVITY_HIGH", "END_SENSITIVITY_LOW"),
    "ActivityHandling": ("ACTIVITY_HANDLING_UNSPECIFIED", "START_OF_ACTIVITY_INTERRUPTS", "NO_INTERRUPTION"),
    "TurnCoverage": (
        "TURN_COVERAGE_UNSPECIFIED",
        "TURN_INCLUDES_ONLY_ACTIVITY",
        "TURN_INCLUDES_ALL_INPUT",
        "TURN_INCLUDES_AUDIO_ACTIVITY_AND_ALL_VIDEO",
    ),
}
_SENT_BY_SERVERS: dict[str, tuple[str, ...]] = {
    "ActivityType": ("ACTIVITY_START", "ACTIVITY_END"),
    "VadSignalType": ("VAD_SIGNAL_TYPE_SOS", "VAD_SIGNAL_TYPE_EOS"),
    "InteractionStatus": ("IN_PROGRESS", "IDLE", "REQUIRES_ACTION"),
    "SpeechState": ("SPEECH", "NON_SPEECH"),
    "MediaModality": ("TEXT", "AUDIO", "IMAGE", "VIDEO", "DOCUMENT"),
    "TurnCompleteReason": (
        "MALFORMED_FUNCTION_CALL",
        "RESPONSE_REJECTED",
        "NEED_MORE_INPUT",
        "PROHIBITED_INPUT_CONTENT",
        "IMAGE_PROHIBITED_INPUT_CONTENT",
        "INPUT_TEXT_CONTAIN_PROMINENT_PERSON_PROHIBITED",
        "INPUT_IMAGE_CELEBRITY",
        "INPUT_IMAGE_PHOTO_REALISTIC_CHILD_PROHIBITED",
        "INPUT_TEXT_NCII_PROHIBITED",
        "INPUT_OTHER",
        "INPUT_IP_PROHIBITED",
        "BLOCKLIST",
        "UNSAFE_PROMPT_FOR_IMAGE_GENERATION",
        "GENERATED_IMAGE_SAFETY",
        "GENERATED_CONTENT_SAFETY",
        "GENERATED_AUDIO_SAFETY",
        "GENERATED_VIDEO_SAFETY",
        "GENERATED_CONTENT_PROHIBITED",
        "GENERATED_CONTENT_BLOCKLIST",
        "GENERATED_IMAGE_PROHIBITED",
        "GENERATED_IMAGE_CELEBRITY",
        "GENERATED_IMAGE_PROMINENT_PEOPLE_DETECTED_BY_REWRITER",
        "GENERATED_IMAGE_IDENTIFIABLE_PEOPLE",
        "GENERATED_IMAGE_MINORS",
        "OUTPUT_IMAGE_IP_PROHIBITED",
        "GENERATED_OTHER",
        "MAX_REGENERATION_REACHED",
    ),
}

ENUM_NUMBERS: Mapping[str, tuple[str, ...]] = MappingProxyType(dict(_SENT_BY_CLIENTS))
"""Names of the enums that clients send, each at the place of its number in the proto: 0 first."""
ENUMS: Mapping[str, frozenset[str]] = MappingProxyType(
    {name: frozenset(values) for name, values in (_SENT_BY_CLIENTS | _SENT_BY_SERVERS).items()}
)
"""Values of the enums that are looked at."""

_SHARED: dict[str, dict[str, str]] = {
    "Content": {"role": "string", "parts": "Part[]"},
    "Part": {
        "text": "string",
        "inlineData": "Blob",
        "fileData": "json",
        "thought": "bool",
        "thoughtSignature": "bytes",
        "functionCall": "FunctionCall",
        "functionResponse": "FunctionResponse",
        "executableCode": "json",
        "codeExecutionResult": "json",
        "videoMetadata": "json",
        "mediaResolution": "json",
        "partMetadata": "json",
        "toolCall": "json",
        "toolResponse": "json",
    },
    "Blob": {"mimeType": "string", "data": "bytes", "displayName": "string"},
    "FunctionCall": {
        "id": "string",
        "name": "string",
        "args": "json",
        "partialArgs": "json[]",
        "willContinue": "bool",
    },
    "FunctionResponse": {
        "id": "string",
        "name": "string",
        "response": "json",
        "scheduling": "enum Scheduling",
        "willContinue": "bool",
        "parts": "json[]",
    },
}

_CLIENT: dict[str, dict[str, str]] = {
    "ClientMessage": {
        "setup": "Setup",
        "clientContent": "ClientContent",
        "realtimeInput": "RealtimeInput",
        "toolResponse": "ToolResponse",
        "contextUpdate": "ContextUpdate",
    },
    "Setup": {
        "model": "string",
        "generationConfig": "GenerationConfig",
        "systemInstruction": "Content",
        "tools": "Tool[]",
        "realtimeInputConfig": "RealtimeInputConfig",
        "sessionResumption": "SessionResumptionConfig",
        "contextWindowCompression": "ContextWindowCompressionConfig",
        "inputAudioTranscription": "AudioTranscriptionConfig",
        "outputAudioTranscription": "AudioTranscriptionConfig",
        "proactivity": "ProactivityConfig",
        "historyConfig": "HistoryConfig",
        "explicitVadSignal": "bool",
        "avatarConfig": "json",
        "safetySettings": "json[]",
        "labels": "json",
    },
    "GenerationConfig": {
        "responseModalities": "enum[] Modality",
        "temperature": "float",
        "topP": "float",
        "topK": "float",
        "maxOutputTokens": "int32",
        "seed": "int32",
        "mediaResolution": "string",
        "candidateCount": "int32",
        "presencePenalty": "float",
        "frequencyPenalty": "float",
        "speechConfig": "SpeechConfig",
        "thinkingConfig": "ThinkingConfig",
        "enableAffectiveDialog": "bool",
        "translationConfig": "TranslationConfig",
    },
    "SpeechConfig": {"voiceConfig": "VoiceConfig", "languageCode": "string", "multiSpeakerVoiceConfig": "json"},
    "VoiceConfig": {"prebuiltVoiceConfig": "PrebuiltVoiceConfig", "replicatedVoiceConfig": "json", "voice": "string"},
    "PrebuiltVoiceConfig": {"voiceName": "string"},
    "ThinkingConfig": {"thinkingBudget": "int32", "thinkingLevel": "string", "includeThoughts": "bool"},
    "TranslationConfig": {"targetLanguageCode": "string", "echoTargetLanguage": "bool"},
    "Tool": {
        "functionDeclarations": "FunctionDeclaration[]",
        "googleSearch": "json",
        "googleSearchRetrieval": "json",
        "googleMaps": "json",
        "urlContext": "json",
        "codeExecution": "json",
        "retrieval": "json",
        "enterpriseWebSearch": "json",
        "computerUse": "json",
        "fileSearch": "json",
        "mcpServers": "json[]",
    },
    "FunctionDeclaration": {
        "name": "string",
        "description": "string",
        "parameters": "Schema",
        "parametersJsonSchema": "json",
        "response": "Schema",
        "responseJsonSchema": "json",
        "behavior": "enum Behavior",
    },
    "Schema": {
        "type": "string",
        "format": "string",
        "title": "string",
        "description": "string",
        "nullable": "bool",
        "enum": "string[]",
        "items": "Schema",
        "maxItems": "int64",
        "minItems": "int64",
        "properties": "map Schema",
        "required": "string[]",
        "minProperties": "int64",
        "maxProperties": "int64",
        "minLength": "int64",
        "maxLength": "int64",
        "minimum": "float",
        "maximum": "float",
        "pattern": "string",
        "example": "json",
        "default": "json",
        "anyOf": "Schema[]",
        "propertyOrdering": "string[]",
    },
    "RealtimeInputConfig": {
        "automaticActivityDetection": "AutomaticActivityDetection",
        "activityHandling": "enum ActivityHandling",
        "turnCoverage": "enum TurnCoverage",
        "interimTranscriptTimestampEnabled": "bool",
    },
    "AutomaticActivityDetection": {
        "disabled": "bool",
        "startOfSpeechSensitivity": "enum StartSensitivity",
        "endOfSpeechSensitivity": "enum EndSensitivity",
        "prefixPaddingMs": "int32",
        "silenceDurationMs": "int32",
    },
    "SessionResumptionConfig": {"handle": "string", "transparent": "bool"},
    "ContextWindowCompressionConfig": {"triggerTokens": "int64", "slidingWindow": "SlidingWindow"},
    "SlidingWindow": {"targetTokens": "int64"},
    "AudioTranscriptionConfig": {
        "languageCodes": "string[]",
        "customVocabulary": "json[]",
        "wordTimestamp": "json",
        "diarization": "json",
        "mode": "string",
        "sourceText": "json",
        "languageAuto": "json",
        "languageHints": "json",
        "adaptationPhrases": "json[]",
    },
    "ProactivityConfig": {"proactiveAudio": "bool", "proactiveVideo": "bool"},
    "HistoryConfig": {"initialHistoryInClientContent": "bool"},
    "ClientContent": {"turns": "Content[]", "turnComplete": "bool"},
    "RealtimeInput": {
        "audio": "Blob",
        "video": "Blob",
        "text": "string",
        "audioStreamEnd": "bool",
        "activityStart": "Empty",
        "activityEnd": "Empty",
        "mediaChunks": "Blob[]",
    },
    "Empty": {},
    "ToolResponse": {"functionResponses": "FunctionResponse[]"},
    "ContextUpdate": {"systemInstruction": "Content", "tools": "ToolList"},
    "ToolList": {"tools": "Tool[]"},
    "AuthToken": {
        "name": "string",
        "uses": "int32",
        "expireTime": "timestamp",
        "newSessionExpireTime": "timestamp",
        "bidiGenerateContentSetup": "Setup",
        "fieldMask": "string",
    },
}

_SERVER: dict[str, dict[str, str]] = {
    "ServerMessage": {
        "setupComplete": "SetupComplete",
        "serverContent": "ServerContent",
        "toolCall": "ToolCall",
        "toolCallCancellation": "ToolCallCancellation",
        "goAway": "GoAway",
        "sessionResumptionUpdate": "SessionResumptionUpdate",
        "usageMetadata": "UsageMetadata",
        "voiceActivity": "VoiceActivity",
        "voiceActivityDetectionSignal": "VoiceActivityDetectionSignal",
    },
    "SetupComplete": {"sessionId": "string", "voiceConsentSignature": "json"},
    "ServerContent": {
        "modelTurn": "Content",
        "generationComplete": "bool",
        "turnComplete": "bool",
        "interrupted": "bool",
        "inputTranscription": "Transcription",
        "outputTranscription": "Transcription",
        "interimInputTranscription": "Transcription",
        "groundingMetadata": "json",
        "urlContextMetadata": "json",
        "waitingForInput": "bool",
        "turnCompleteReason": "enum TurnCompleteReason",
        "interactionStatus": "enum InteractionStatus",
        "speechState": "enum SpeechState",
    },
    "Transcription": {
        "text": "string",
        "finished": "bool",
        "languageCode": "string",
        "speakerLabel": "string",
        "words": "json[]",
        "startOffset": "duration",
        "endOffset": "duration",
    },
    "ToolCall": {"functionCalls": "FunctionCall[]"},
    "ToolCallCancellation": {"ids": "string[]"},
    "GoAway": {"timeLeft": "duration"},
    "SessionResumptionUpdate": {
        "newHandle": "string",
        "resumable": "bool",
        "lastConsumedClientMessageIndex": "int64",
    },
    "UsageMetadata": {
        "promptTokenCount": "int32",
        "cachedContentTokenCount": "int32",
        "responseTokenCount": "int32",
        "candidatesTokenCount": "int32",
        "toolUsePromptTokenCount": "int32",
        "thoughtsTokenCount": "int32",
        "totalTokenCount": "int32",
        "promptTokensDetails": "ModalityTokenCount[]",
        "cacheTokensDetails": "ModalityTokenCount[]",
        "responseTokensDetails": "ModalityTokenCount[]",
        "candidatesTokensDetails": "ModalityTokenCount[]",
        "toolUsePromptTokensDetails": "ModalityTokenCount[]",
        "trafficType": "string",
    },
    "ModalityTokenCount": {"modality": "enum MediaModality", "tokenCount": "int32"},
    "VoiceActivity": {"type": "enum ActivityType", "audioOffset": "duration"},
    "VoiceActivityDetectionSignal": {"vadSignalType": "enum VadSignalType"},
}


def _member(name: str, written: str) -> Member:
    base, _, target = written.partition(" ")
    repeated = base.endswith("[]")
    base = base.removesuffix("[]")
    mapped = base == "map"
    kind = Kind(base) if base in Kind._value2member_map_ else Kind.MESSAGE
    type_name = target or (base if kind is Kind.MESSAGE else "")
    return Member(name, snake_case(name), kind, repeated, mapped, type_name)


MEMBERS: Mapping[str, Mapping[str, Member]] = MappingProxyType(
    {
        type_name: {spelling: member for member in members for spelling in (member.name, member.snake)}
        for type_name, members in (
            (type_name, [_member(name, written) for name, written in names.items()])
            for table in (_SHARED, _CLIENT, _SERVER)
            for type_name, names in table.items()
        )
    }
)
"""Members by message type and by either spelling."""

UNSUPPORTED_GENERATION_CONFIG = frozenset(
    {
        "responseLogprobs",
        "responseMimeType",
        "logprobs",
        "responseSchema",
        "responseJsonSchema",
        "stopSequences",
        "routingConfig",
        "audioTimestamp",
    }
)
"""Known to GenerationConfig, documented as unsupported by Live: accepted with a warning, as nobody saw the refusal."""


def known_to_refuse(type_name: str, name: str, service: str, version: str) -> bool:
    """True where the service was seen to refuse this member, which another service or version knows (section 4.1)."""
    if type_name == "GenerationConfig":
        return name in ("inputAudioTranscription", "outputAudioTranscription")
    if service != "developer":
        return False
    if type_name == "Setup":
        return name == "safetySettings" or (name == "proactivity" and version == "v1beta")
    return type_name == "SessionResumptionConfig" and name == "transparent"
