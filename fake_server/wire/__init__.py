"""The wire's vocabulary: reading client frames, building, rendering and judging server messages. No I/O.

Client JSON is read as proto3 JSON (protocol, section 3): snake_case and camelCase, even mixed in one message, both
base64 alphabets, padded or not, int64 as number or string. Server messages are plain dicts in canonical camelCase.
"""

from __future__ import annotations

from fake_server.refusals import truncate_reason
from fake_server.wire.building import (
    encode_audio,
    format_duration,
    go_away,
    interim_transcription,
    render,
    server_content,
    session_resumption_update,
    setup_complete,
    tool_call,
    tool_call_cancellation,
    transcription,
    usage_metadata,
    vad_signal,
    voice_activity,
)
from fake_server.wire.inspection import invalid_reason, what_is
from fake_server.wire.own import unsendable_reason
from fake_server.wire.payload import journal_payload, journal_payload_sent
from fake_server.wire.reading import (
    AudioChunk,
    ClientFrame,
    Problem,
    parse_client_frame,
    read_message,
)

__all__ = [
    "AudioChunk",
    "ClientFrame",
    "Problem",
    "encode_audio",
    "format_duration",
    "go_away",
    "interim_transcription",
    "invalid_reason",
    "journal_payload",
    "journal_payload_sent",
    "parse_client_frame",
    "read_message",
    "render",
    "server_content",
    "session_resumption_update",
    "setup_complete",
    "tool_call",
    "tool_call_cancellation",
    "transcription",
    "truncate_reason",
    "unsendable_reason",
    "usage_metadata",
    "vad_signal",
    "voice_activity",
    "what_is",
]
