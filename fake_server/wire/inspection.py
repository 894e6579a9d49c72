"""Looks at server messages: what they are, and whether the real service could have sent them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from fake_server.wire.schema import ENUMS, MEMBERS, Kind, Member, snake_case

_MAIN = ("setupComplete", "serverContent", "toolCall", "toolCallCancellation", "goAway", "sessionResumptionUpdate")
"""Message fields of which a frame has one at most (section 3; voiceActivity and usageMetadata may ride beside it)."""
_BESIDE = ("voiceActivity", "voiceActivityDetectionSignal", "usageMetadata")
_NAMING = (*_MAIN, *_BESIDE)
"""A frame is called after the first of these that it has."""

_SNAKE = {
    member.name: member.snake
    for type_name in ("ServerMessage", "ServerContent", "SessionResumptionUpdate", "ToolCall", "ToolCallCancellation")
    for member in MEMBERS[type_name].values()
}


def what_is(message: Mapping[str, Any] | None) -> tuple[str, tuple[str, ...]]:
    """`(message, parts)` for a `FrameSent`; None (a frame that is no JSON object) is `("malformed", ())`.

    A frame that only holds what else rides beside a message is called after it (`voice_activity`, `usage_metadata`),
    and `{}`, which the service sends between audio chunks, is `empty`. A frame with no field that clients can know
    is `unknown`. Parts are the message's members and what rides beside it, a model turn as `audio`, `text`, ….
    """
    if message is None:
        return "malformed", ()
    for kind in _NAMING:
        if kind in message:
            break
    else:
        return "unknown" if message else "empty", ()
    parts: list[str] = []
    body = message[kind]
    if type(body) is dict:
        for key, value in body.items():
            if key == "modelTurn" and type(value) is dict:
                parts += _model_parts(value)
            elif value is not False:
                parts.append(_SNAKE.get(key) or snake_case(key))
    if len(message) > 1:
        for key in message:
            if key != kind:
                parts.append(_SNAKE.get(key) or snake_case(key))
    return _SNAKE[kind], tuple(parts)


def _model_parts(turn: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for part in turn.get("parts") or ():
        name = "part"
        if "inlineData" in part:
            name = "audio" if part["inlineData"].get("mimeType", "").startswith("audio/") else "inline_data"
        elif "text" in part:
            name = "thought" if part.get("thought") else "text"
        if name not in found:
            found.append(name)
    return found or ["model_turn"]


_FLAGS = frozenset({"generationComplete", "turnComplete", "interrupted", "waitingForInput"})
_TRANSCRIPTIONS = frozenset({"outputTranscription", "inputTranscription"})


def invalid_reason(
    message: Mapping[str, Any], *, first: bool = False, service: Literal["developer", "vertex"] = "developer"
) -> str | None:
    """Why the real service could not have sent this message; None: it could.

    `first` is True for the connection's first frame, which must be setupComplete and nothing else; later ones must
    not carry a setupComplete.
    """
    if first:
        if message.keys() != {"setupComplete"}:
            return f"the first frame must be setupComplete and nothing else, not {_listed(message)}"
    elif "setupComplete" in message:
        return "setupComplete comes once, as the first frame"
    content = message.get("serverContent")
    if type(content) is dict and _is_usual(content):
        if len(message) == 1:
            return None
        if len(message) == 2 and "usageMetadata" in message:
            usage = message["usageMetadata"]
            if _is_usual_usage(usage, service):
                return None
            return _message("UsageMetadata", usage, "usageMetadata", service) or _usage(usage, service)
    return _message("ServerMessage", message, "", service) or _combination(message, service)


def _is_usual(content: dict[str, Any]) -> bool:
    """The serverContents that come in thousands, checked by hand; False: let the table decide."""
    for key, value in content.items():
        if key in _FLAGS:
            if value is not True:
                return False
        elif key in _TRANSCRIPTIONS:
            if type(value) is not dict or len(value) != 1 or type(value.get("text")) is not str or not value["text"]:
                return False
        elif key == "modelTurn":
            if not _is_usual_turn(value):
                return False
        else:
            return False
    return not ("interrupted" in content and "generationComplete" in content)


def _is_usual_turn(turn: Any) -> bool:
    if type(turn) is not dict or turn.keys() != {"role", "parts"} or turn["role"] != "model":
        return False
    parts = turn["parts"]
    if type(parts) is not list or len(parts) != 1 or type(parts[0]) is not dict or len(parts[0]) != 1:
        return False
    blob = parts[0].get("inlineData")
    if blob is None:
        return type(parts[0].get("text")) is str
    if type(blob) is not dict or blob.keys() != {"mimeType", "data"} or blob["mimeType"] != "audio/pcm;rate=24000":
        return False
    data = blob["data"]
    return type(data) is str and len(data) % 4 == 0 and data != "" and data.isascii()


_PROMPT = ("promptTokenCount", "promptTokensDetails")
_USUAL_COUNTS = {
    "developer": (_PROMPT, ("responseTokenCount", "responseTokensDetails")),
    "vertex": (_PROMPT, ("candidatesTokenCount", "candidatesTokensDetails")),
}
_MEDIA = ENUMS["MediaModality"]


def _is_usual_usage(usage: Any, service: str) -> bool:
    """Prompt and answer, each with what it is made of, and their sum, all of it right; False: let the table decide."""
    if type(usage) is not dict:
        return False
    total = 0
    expected = 1
    for count_name, details_name in _USUAL_COUNTS[service]:
        count = usage.get(count_name)
        if count is None:
            continue
        details = usage.get(details_name)
        if type(count) is not int or type(details) is not list or not details:
            return False
        left = count
        for detail in details:
            if type(detail) is not dict or len(detail) != 2 or detail.get("modality") not in _MEDIA:
                return False
            tokens = detail.get("tokenCount")
            if type(tokens) is not int or not tokens:
                return False
            left -= tokens
        if left or not count:
            return False
        total += count
        expected += 2
    in_all = usage.get("totalTokenCount")
    return type(in_all) is int and in_all == total != 0 and len(usage) == expected


def _combination(message: Mapping[str, Any], service: str) -> str | None:
    """Rules about members together, for a message whose members are right one by one."""
    main = [key for key in _MAIN if key in message]
    if len(main) > 1:
        return f"one message field a frame, not {' and '.join(main)}"
    content = message.get("serverContent", {})
    if "interrupted" in content and "generationComplete" in content:
        return "serverContent: an interrupted turn has no generationComplete"
    update = message.get("sessionResumptionUpdate", {})
    if ("newHandle" in update) != ("resumable" in update):
        return "sessionResumptionUpdate: newHandle and resumable come together or not at all"
    handle = update.get("newHandle")
    if handle is not None and len(handle) != _HANDLE_LENGTH:
        return f"sessionResumptionUpdate.newHandle: {_HANDLE_LENGTH} characters, not {len(handle)}"
    for call in message.get("toolCall", {}).get("functionCalls", ()):
        if not call.get("name") or (service == "developer" and not call.get("id")):
            return "toolCall: a function call has a name, and an id (which Vertex may leave out)"
    for name in _TRANSCRIPTIONS & content.keys():
        if "text" not in content[name] and "finished" not in content[name]:
            return f"serverContent.{name}: a text, or that it is finished"
    if service == "vertex" and "setupComplete" in message and "sessionId" not in message["setupComplete"]:
        return "setupComplete.sessionId is always sent by Vertex"
    if service == "developer":
        if "sessionId" in message.get("setupComplete", {}):
            return "setupComplete.sessionId is sent by Vertex alone"
        if "lastConsumedClientMessageIndex" in update:
            return "sessionResumptionUpdate.lastConsumedClientMessageIndex is sent in transparent mode, by Vertex alone"
    usage = message.get("usageMetadata")
    return _audio_type(content) or (None if usage is None else _usage(usage, service))


def _audio_type(content: Mapping[str, Any]) -> str | None:
    for part in content.get("modelTurn", {}).get("parts", ()):
        blob = part.get("inlineData", {})
        if blob.get("mimeType", "").startswith("audio/") and blob["mimeType"] != "audio/pcm;rate=24000":
            return f"serverContent.modelTurn: audio goes out as audio/pcm;rate=24000, not {blob['mimeType']}"
    return None


_FOREIGN = {
    "developer": frozenset({"candidatesTokenCount", "candidatesTokensDetails", "trafficType"}),
    "vertex": frozenset({"responseTokenCount", "responseTokensDetails"}),
}
"""What the other service calls it."""
_ADDED = frozenset(
    {"promptTokenCount", "responseTokenCount", "candidatesTokenCount", "toolUsePromptTokenCount", "thoughtsTokenCount"}
)
"""Counts that add up to the total."""
_ADDS_UP_TO = {
    "promptTokensDetails": "promptTokenCount",
    "responseTokensDetails": "responseTokenCount",
    "candidatesTokensDetails": "candidatesTokenCount",
    "toolUsePromptTokensDetails": "toolUsePromptTokenCount",
    "cacheTokensDetails": "cachedContentTokenCount",
}


def _usage(usage: Mapping[str, Any], service: str) -> str | None:
    """Names that the other service has, and sums that are none."""
    foreign = _FOREIGN[service]
    total = 0
    for name, value in usage.items():
        if name in _ADDED:
            total += value
        elif name in _ADDS_UP_TO:
            listed = 0
            for one in value:
                listed += one.get("tokenCount", 0)
            if listed != usage.get(_ADDS_UP_TO[name], 0):
                return f"usageMetadata.{name}: does not add up to {_ADDS_UP_TO[name]}"
        if name in foreign:
            return f"usageMetadata.{name}: not in the words of this service"
    if usage.get("totalTokenCount", 0) != total:
        return f"usageMetadata.totalTokenCount: {total} in all, not {usage.get('totalTokenCount', 0)}"
    return None


_HANDLE_LENGTH = 36

_FORMS = {
    Kind.INT64: (re.compile(r"[1-9]\d*"), 'an int64 is a string of digits: "12"'),
    Kind.DURATION: (
        re.compile(r"\d+(\.(\d{3}|\d{6}|\d{9}))?s"),
        'a Duration is a string with 0, 3, 6 or 9 decimals: "50s"',
    ),
    Kind.BYTES: (
        re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"),
        "bytes are standard base64, padded",
    ),
}


def _message(type_name: str, value: Any, path: str, service: str) -> str | None:
    if not isinstance(value, Mapping):
        return f"{path}: an object is due, not {value!r:.60}"
    members = MEMBERS[type_name]
    for key, given in value.items():
        member = members.get(key)
        inner = f"{path}.{key}" if path else str(key)
        if member is None or member.name != key:
            return f"{inner}: no such field" + (f" (canonical JSON spells it {member.name})" if member else "")
        if member.repeated:
            if not isinstance(given, list) or not given:
                return f"{inner}: a list that is not empty is due"
            for n, item in enumerate(given):
                reason = _value(member, item, f"{inner}[{n}]", service)
                if reason is not None:
                    return reason
        else:
            reason = _value(member, given, inner, service)
            if reason is not None:
                return reason
    return None


def _value(member: Member, given: Any, path: str, service: str) -> str | None:
    kind = member.kind
    if kind is Kind.MESSAGE:
        return _message(member.type_name, given, path, service)
    if given is None:
        return f"{path}: null is never sent"
    if kind is Kind.JSON:
        return None
    if kind is Kind.BOOL:
        return None if given is True else f"{path}: true or absent, since proto3 leaves out false; not {given!r:.60}"
    if kind is Kind.INT32:
        right = type(given) is int and given != 0
        return None if right else f"{path}: a number other than 0 is due, since proto3 leaves out 0; not {given!r:.60}"
    if kind is Kind.FLOAT:
        return None if type(given) in (int, float) else f"{path}: a number is due, not {given!r:.60}"
    if type(given) is not str:
        return f"{path}: a string is due, not {given!r:.60}"
    if kind is Kind.ENUM and given not in ENUMS[member.type_name]:
        return f"{path}: {given!r:.60} is no value of {member.type_name}"
    if kind in _FORMS and not _FORMS[kind][0].fullmatch(given):
        return f"{path}: {_FORMS[kind][1]}; not {given!r:.60}"
    return None


def _listed(message: Mapping[str, Any]) -> str:
    return " and ".join(map(str, message)) or "an empty frame"
