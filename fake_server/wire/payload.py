"""A frame's JSON as the journal keeps it: audio as length and digest, secrets as labels, own bytes where possible.

Keys are always in canonical camelCase, whichever spelling a client chose, so that readers need to know only one.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from fake_server.events import Payload
from fake_server.labels import Labels
from fake_server.wire.reading import ClientFrame
from fake_server.wire.schema import camel_case

_TOKEN = re.compile(r"auth_tokens/[\w.~%+=-]+")
_LONGEST_STRING = 65_536
"""Longer strings than any turn of text: kept as length and digest, so that one odd frame cannot swell a journal."""

_SHORTEST_SECRET = 8
"""A shorter (invented) handle is not made known as a secret: striking it out everywhere would strike out words."""


def journal_payload(frame: ClientFrame, labels: Labels) -> Payload:
    """What a `FrameReceived` carries; None when the frame was not JSON (or not an object)."""
    raw = frame.raw
    if (
        frame.canonical
        and len(raw) < _LONGEST_STRING
        and b"\n" not in raw
        and b"\r" not in raw
        and b"auth_tokens/" not in raw
    ):
        return orjson.Fragment(raw)
    if frame.message == "unparsable":
        return None
    if frame.message == "unknown":
        return _clean_object(frame.document, labels)
    body = _clean_object(frame.body, labels)
    resumption = frame.body.get("sessionResumption") if frame.message == "setup" else None
    if type(resumption) is dict and type(resumption.get("handle")) is str:
        body["sessionResumption"] = _clean_object(resumption, labels) | {
            "handle": handle_label(resumption["handle"], labels)
        }
    return {camel_case(frame.message): body}


def journal_payload_sent(message: Mapping[str, Any], rendered: bytes, pretty: bool, labels: Labels) -> Payload:
    """What a `FrameSent` carries. `message` must not be changed afterwards: it may itself be the payload."""
    content = message.get("serverContent")
    hides = "sessionResumptionUpdate" in message or (type(content) is dict and "modelTurn" in content)
    if not hides:
        return message if pretty else orjson.Fragment(rendered)
    cleaned: dict[str, object] = dict(message)
    if type(content) is dict and "modelTurn" in content:
        cleaned["serverContent"] = content | {"modelTurn": _clean(content["modelTurn"], labels)}
    update = message.get("sessionResumptionUpdate")
    if type(update) is dict and type(update.get("newHandle")) is str:
        cleaned["sessionResumptionUpdate"] = update | {"newHandle": labels.name("handle", update["newHandle"])}
    return cleaned


def digest(data: bytes) -> str:
    """blake2s of `data`, 16 hexadecimal digits."""
    return hashlib.blake2s(data, digest_size=8).hexdigest()


def handle_label(handle: str, labels: Labels) -> str:
    """`handle-2`; `unknown-handle-1` for one that was never issued here, `empty-handle` for `""`."""
    if not handle:
        return "empty-handle"
    if len(handle) < _SHORTEST_SECRET:
        return labels.name("unknown-handle", f"short handle {handle}")
    return labels.get(handle) or labels.name("unknown-handle", handle)


@lru_cache(maxsize=64)
def _weigh(data: str) -> tuple[int, str] | None:
    """Length and digest of what stands in base64 (the newest chunks kept: a fake model repeats itself)."""
    try:
        decoded = binascii.a2b_base64(data)
    except (binascii.Error, ValueError):
        return None
    return len(decoded), digest(decoded)


def _clean_object(value: Mapping[str, Any], labels: Labels) -> dict[str, object]:
    return {key: _clean(inner, labels) for key, inner in value.items()}


def _clean(value: Any, labels: Labels) -> Any:
    if type(value) is str:
        return _clean_text(value, labels)
    if type(value) is bytes:
        return {"bytes": len(value), "digest": digest(value)}
    if type(value) is list:
        return [_clean(inner, labels) for inner in value]
    if type(value) is not dict:
        return value
    data = value.get("data")
    mime_type = value.get("mimeType") or value.get("mime_type")
    if mime_type is not None and isinstance(data, bytes):
        return {"mimeType": mime_type, "bytes": len(data), "digest": digest(data)}
    if mime_type is not None and isinstance(data, str):
        weight = _weigh(data)
        if weight is not None:
            return {"mimeType": mime_type, "bytes": weight[0], "digest": weight[1]}
    return _clean_object(value, labels)


def _clean_text(text: str, labels: Labels) -> Any:
    label = labels.get(text)
    if label is not None:
        return label
    if "auth_tokens/" in text:
        text = _TOKEN.sub(lambda found: labels.get(found[0]) or labels.name("unknown-credential", found[0]), text)
    if len(text) > _LONGEST_STRING:
        encoded = text.encode("utf-8", "surrogatepass")
        return {"bytes": len(encoded), "digest": digest(encoded)}
    return text
