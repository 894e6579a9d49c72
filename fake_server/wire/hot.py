"""The short way for the frames that come in thousands: text turns and streamed audio, checked by hand, not by table.

`read` gives exactly what the walk over the table would give (the tests compare the two), or None, and then the
table decides. Nothing is copied when the frame is already in canonical camelCase.
"""

from __future__ import annotations

import binascii
from typing import Any, TypeAlias

Usual: TypeAlias = tuple[str, tuple[str, ...], dict[str, Any], tuple[str, bytes] | None, bool]
"""Message, parts, body, audio (MIME type and PCM), and whether the frame's bytes are canonical as they came."""

_URL_SAFE_TO_STANDARD = bytes.maketrans(b"-_", b"+/")


def decode_base64(text: str) -> bytes:
    """Bytes from either alphabet, padded or not; raises `ValueError` (or its kind) for anything else."""
    encoded = text.encode("ascii").translate(_URL_SAFE_TO_STANDARD).rstrip(b"=")
    return binascii.a2b_base64(encoded + b"=" * (-len(encoded) % 4), strict_mode=True)


def read(document: dict[str, Any]) -> Usual | None:
    """The frame, when it is one of the usual ones and nothing is wrong with it; else None."""
    if len(document) != 1:
        return None
    for key, value in document.items():
        if type(value) is not dict:
            return None
        if key == "realtimeInput" or key == "realtime_input":
            return _realtime_input(value, key == "realtimeInput")
        if key == "clientContent" or key == "client_content":
            return _client_content(value, key == "clientContent")
    return None


def _realtime_input(value: dict[str, Any], canonical: bool) -> Usual | None:
    if len(value) != 1:
        return None
    audio = value.get("audio")
    if type(audio) is dict and len(audio) == 2:
        mime_type = audio.get("mimeType") or audio.get("mime_type")
        data = audio.get("data")
        if type(mime_type) is not str or type(data) is not str:
            return None
        try:
            pcm = decode_base64(data)
        except ValueError:
            return None
        body = {"audio": {"mimeType": mime_type, "data": pcm}}
        return "realtime_input", ("audio",), body, (mime_type, pcm), False
    text = value.get("text")
    if type(text) is str and text:
        return "realtime_input", ("text",), value, None, canonical
    return None


def _client_content(value: dict[str, Any], canonical: bool) -> Usual | None:
    parts = []
    body = value
    for key, given in value.items():
        if key == "turns":
            if type(given) is not list or not all(map(_is_text_turn, given)):
                return None
            if given:
                parts.append("turns")
        elif type(given) is not bool:
            return None
        elif key == "turnComplete":
            if given:
                parts.append("turn_complete")
        elif key == "turn_complete":
            canonical = False
            body = {"turnComplete" if name == key else name: inner for name, inner in value.items()}
            if len(body) != len(value):  # both spellings at once
                return None
            if given:
                parts.append("turn_complete")
        else:
            return None
    return "client_content", tuple(parts), body, None, canonical


def _is_text_turn(turn: Any) -> bool:
    if type(turn) is not dict:
        return False
    for key, value in turn.items():
        if key == "parts":
            if type(value) is not list:
                return False
            for part in value:
                if type(part) is not dict or len(part) != 1 or type(part.get("text")) is not str:
                    return False
        elif key != "role" or type(value) is not str:
            return False
    return True
