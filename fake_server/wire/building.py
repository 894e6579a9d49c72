"""Builds server messages as plain dicts in canonical proto3 JSON, and renders them (protocol, sections 3 and 5).

What proto3 leaves out is left out here: `false`, empty and 0. A built message may be shared: nobody changes it.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import orjson

Message: TypeAlias = dict[str, Any]

OUTPUT_MIME_TYPE = "audio/pcm;rate=24000"

_PROMPT_NAMES = ("promptTokenCount", "promptTokensDetails")
_ANSWER_NAMES = {
    "developer": ("responseTokenCount", "responseTokensDetails"),
    "vertex": ("candidatesTokenCount", "candidatesTokensDetails"),
}
_PRETTY = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


def setup_complete(session_id: str | None = None) -> Message:
    """`{"setupComplete": {}}`; with `sessionId` on Vertex."""
    return {"setupComplete": {} if session_id is None else {"sessionId": session_id}}


def go_away(
    time_left_s: float | None = None, *, raw_time_left: str | None = None, extra: Mapping[str, object] | None = None
) -> Message:
    """A goAway with `timeLeft` as a Duration string; `raw_time_left` goes out as it is; both None: no timeLeft."""
    body: Message = {}
    if raw_time_left is not None:
        body["timeLeft"] = raw_time_left
    elif time_left_s is not None:
        body["timeLeft"] = format_duration(time_left_s)
    return {"goAway": body | dict(extra or {})}


def session_resumption_update(
    new_handle: str | None, *, resumable: bool = True, last_consumed_index: int | None = None
) -> Message:
    """An update; `(None, resumable=False)` is `{"sessionResumptionUpdate": {}}`, the not-resumable form.

    `last_consumed_index` counts client messages from 1, in transparent mode alone; None and 0 are left out.
    """
    body: Message = {}
    if new_handle:
        body["newHandle"] = new_handle
    if resumable:
        body["resumable"] = True
    if last_consumed_index:
        body["lastConsumedClientMessageIndex"] = str(last_consumed_index)
    return {"sessionResumptionUpdate": body}


def transcription(text: str = "", *, finished: bool = False) -> Message:
    """The value of an input or output transcription; `finished` may come alone (section 8.2)."""
    body: Message = {"text": text} if text else {}
    if finished:
        body["finished"] = True
    return body


def server_content(
    *,
    audio: bytes | None = None,
    text: str | None = None,
    thought: bool = False,
    output_transcription: str | None = None,
    input_transcription: str | None = None,
    output_finished: bool = False,
    input_finished: bool = False,
    generation_complete: bool = False,
    turn_complete: bool = False,
    interrupted: bool = False,
    interaction_status: Literal["IN_PROGRESS", "IDLE"] | None = None,
    usage: Mapping[str, Any] | None = None,
) -> Message:
    """A serverContent message. `audio` is PCM16 mono at 24 kHz; `usage` (from `usage_metadata`) rides beside it.

    `thought`: the text is of the model's thoughts, not of its answer.
    """
    content: Message = {}
    parts: list[Message] = []
    if text is not None:
        parts.append({"text": text, "thought": True} if thought else {"text": text})
    if audio is not None:
        parts.append({"inlineData": {"mimeType": OUTPUT_MIME_TYPE, "data": encode_audio(audio)}})
    if parts:
        content["modelTurn"] = {"role": "model", "parts": parts}
    if output_transcription is not None or output_finished:
        content["outputTranscription"] = transcription(output_transcription or "", finished=output_finished)
    if input_transcription is not None or input_finished:
        content["inputTranscription"] = transcription(input_transcription or "", finished=input_finished)
    if interrupted:
        content["interrupted"] = True
    if generation_complete:
        content["generationComplete"] = True
    if turn_complete:
        content["turnComplete"] = True
    if interaction_status is not None:
        content["interactionStatus"] = interaction_status
    message: Message = {"serverContent": content}
    if usage is not None:
        message["usageMetadata"] = usage
    return message


def interim_transcription(text: str) -> Message:
    """What was understood so far of a segment that is not over (3.5-transcribe)."""
    return {"serverContent": {"interimInputTranscription": transcription(text)}}


def tool_call(calls: Sequence[tuple[str | None, str, Mapping[str, Any]]]) -> Message:
    """A toolCall of `(id, name, args)`; id None: left out (Vertex may)."""
    return {
        "toolCall": {
            "functionCalls": [
                ({} if call_id is None else {"id": call_id}) | {"name": name, "args": dict(args)}
                for call_id, name, args in calls
            ]
        }
    }


def tool_call_cancellation(ids: Sequence[str]) -> Message:
    """A toolCallCancellation."""
    return {"toolCallCancellation": {"ids": list(ids)}}


def vad_signal(signal: Literal["VAD_SIGNAL_TYPE_SOS", "VAD_SIGNAL_TYPE_EOS"]) -> Message:
    """A voiceActivityDetectionSignal: sent where a setup asked for it (explicitVadSignal, Vertex)."""
    return {"voiceActivityDetectionSignal": {"vadSignalType": signal}}


def voice_activity(activity: Literal["ACTIVITY_START", "ACTIVITY_END"], audio_offset_s: float) -> Message:
    """A voiceActivity message; the offset counts audio received, not wall time."""
    return {"voiceActivity": {"type": activity, "audioOffset": format_duration(audio_offset_s)}}


def usage_metadata(
    prompt: Mapping[str, int],
    response: Mapping[str, int],
    *,
    thoughts: int = 0,
    service: Literal["developer", "vertex"] = "developer",
) -> dict[str, Any]:
    """The value of `usageMetadata`: token counts by modality (`{"AUDIO": 25}`), in the service's own names."""
    usage: dict[str, Any] = {}
    in_all = thoughts
    for (total_name, details_name), counts in ((_PROMPT_NAMES, prompt), (_ANSWER_NAMES[service], response)):
        total = 0
        details = []
        for modality, count in counts.items():
            if count:
                total += count
                details.append({"modality": modality, "tokenCount": count})
        if total:
            in_all += total
            usage[total_name] = total
            usage[details_name] = details
    if thoughts:
        usage["thoughtsTokenCount"] = thoughts
    if in_all:
        usage["totalTokenCount"] = in_all
    if service == "vertex":
        usage["trafficType"] = "ON_DEMAND"
    return usage


def format_duration(seconds: float) -> str:
    """A proto3 Duration: `50s`, `0.160s` (0, 3, 6 or 9 decimals, as needed)."""
    nanos = round(seconds * 1_000_000_000)
    sign, nanos = ("-", -nanos) if nanos < 0 else ("", nanos)
    whole, rest = divmod(nanos, 1_000_000_000)
    decimals = f"{rest:09d}"
    while decimals.endswith("000"):
        decimals = decimals[:-3]
    return f"{sign}{whole}.{decimals}s" if decimals else f"{sign}{whole}s"


@lru_cache(maxsize=64)
def encode_audio(pcm: bytes) -> str:
    """Standard base64, padded. The newest chunks are kept, since a fake model says the same ones again and again."""
    return binascii.b2a_base64(pcm, newline=False).decode("ascii")


def render(message: Mapping[str, Any], pretty: bool = True) -> bytes:
    """The frame's bytes: with `pretty` 2-space indented with a final newline, as the service sends it."""
    return orjson.dumps(message, option=_PRETTY) if pretty else orjson.dumps(message)
