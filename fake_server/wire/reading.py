"""Reads what clients send: one JSON document a frame, by the rules of proto3 JSON (protocol, sections 3 and 4)."""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import orjson

from fake_server.quick import made_quickly
from fake_server.refusals import find_refusal
from fake_server.wire import hot
from fake_server.wire.schema import (
    ENUM_NUMBERS,
    ENUMS,
    MEMBERS,
    UNSUPPORTED_GENERATION_CONFIG,
    Kind,
    Member,
    camel_case,
    known_to_refuse,
    snake_case,
)

Service: TypeAlias = Literal["developer", "vertex"]
UnknownFields: TypeAlias = Literal["warn", "refuse"]

MAX_DEPTH = 100
"""Nesting that protobuf's JSON readers accept."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a client's frame that the service would refuse (or, not fatal, may refuse)."""

    text: str
    """In the service's own words, whole; cut it with `truncate_reason` before closing with it."""
    fatal: bool
    """True: close with `close_code` and `text`. False: only a warning to write down."""
    refusal: str
    """Name of the row in the table of refusals."""
    path: str = ""
    """Where: `setup.session_resumption`; empty for the whole frame."""
    close_code: int = 1007


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """One piece of streamed audio, decoded."""

    mime_type: str
    """As sent: `audio/pcm;rate=16000`."""
    pcm: bytes


@made_quickly
@dataclass(frozen=True)
class ClientFrame:
    """A frame from a client, read."""

    message: str
    """`setup`, `client_content`, `realtime_input`, `tool_response`, `context_update`, `unknown`, `unparsable`."""
    parts: tuple[str, ...]
    """Members that are set, in snake_case, in the frame's order: `audio`, `text`, `turn_complete`, ….
    `false`, `null`, `""` and `[]` are not set; `{}` is. Blobs of `media_chunks` also count as `audio` or `video`."""
    body: Mapping[str, Any]
    """The value of the message's one field (what stands inside `setup`), keys in camelCase, int64 as int, blob `data`
    decoded to bytes; unknown fields kept as they came. Empty for `unknown` and `unparsable`."""
    audio: tuple[AudioChunk, ...]
    problems: tuple[Problem, ...]
    size_bytes: int
    raw: bytes
    """The frame's own bytes."""
    document: Any = None
    """The JSON document as it came, nothing normalised; None when it was not JSON."""
    canonical: bool = False
    """True: `raw` is in canonical camelCase and holds no blob and no handle: a journal can take it as it is."""

    @property
    def fatal(self) -> Problem | None:
        """The first problem that the service closes for; None: the frame is accepted."""
        for problem in self.problems:
            if problem.fatal:
                return problem
        return None


def parse_client_frame(
    data: bytes | str,
    *,
    service: Service = "developer",
    version: str = "v1beta",
    unknown_fields: UnknownFields = "warn",
) -> ClientFrame:
    """Read one frame; never raises: what is wrong stands in `problems`.

    `service` and `version` decide which fields the service is known to refuse. `unknown_fields`: `"warn"` accepts
    fields that only we do not know, with a problem that is not fatal; `"refuse"` makes it fatal.
    """
    raw = data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _unread("unparsable", raw, None, _problem("unparsable", detail="Unexpected token."))
    if type(document) is not dict:
        detail = "Root element must be a message."
        return _unread("unparsable", raw, document, _problem("unparsable", detail=detail))
    usual = hot.read(document)
    if usual is not None:
        message, parts, body, chunk, canonical = usual
        audio = () if chunk is None else (AudioChunk(*chunk),)
        return ClientFrame(message, parts, body, audio, (), len(raw), raw, document, canonical)
    if _deeper_than(document, MAX_DEPTH):
        return _unread("unparsable", raw, None, _problem("unparsable", detail="Message too deep."))
    return _read_frame(document, raw, _Reader(service, version, unknown_fields == "refuse"))


def read_message(
    type_name: str,
    value: Any,
    path: str,
    *,
    service: Service = "developer",
    version: str = "v1beta",
    unknown_fields: UnknownFields = "warn",
) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """Read `value` as the message `type_name` of the schema, for JSON that comes by another road (token calls)."""
    reader = _Reader(service, version, unknown_fields == "refuse")
    if _deeper_than(value, MAX_DEPTH):
        return {}, (_problem("unparsable", detail="Message too deep.", path=path),)
    body = reader.message(type_name, value, path)
    return body or {}, tuple(reader.problems)


def _read_frame(document: dict[str, Any], raw: bytes, reader: _Reader) -> ClientFrame:
    members = MEMBERS["ClientMessage"]
    known = [key for key in document if key in members and document[key] is not None]
    for key in document:
        if key not in members:
            reader.unknown(key, "")
    if not known:
        if not document:
            reader.add("invalid_argument", fatal=reader.strict)
        return _unread("unknown", raw, document, *reader.problems)
    if len(known) > 1:
        reader.add("several_messages", field=known[1])
    member = members[known[0]]
    body = reader.message(member.type_name, document[known[0]], member.snake) or {}
    parts = [snake_case(name) for name, value in body.items() if _is_set(value)]
    chunks: tuple[AudioChunk, ...] = ()
    if member.name == "realtimeInput":
        chunks = _streamed(body, parts)
    elif member.name == "setup":
        _check_setup(body, reader)
    return ClientFrame(member.snake, tuple(parts), body, chunks, tuple(reader.problems), len(raw), raw, document)


def _unread(message: str, raw: bytes, document: Any, *problems: Problem) -> ClientFrame:
    return ClientFrame(message, (), {}, (), problems, len(raw), raw, document)


def _is_set(value: Any) -> bool:
    return value is not False and value != "" and value != []


def _streamed(body: dict[str, Any], parts: list[str]) -> tuple[AudioChunk, ...]:
    """The audio of a realtimeInput; names in `parts` what the deprecated mediaChunks hold."""
    chunks = []
    blobs = [("audio", body["audio"])] if "audio" in body else []
    for blob in body.get("mediaChunks", ())[:1]:  # all but the first are ignored (section 4.3)
        stream = "audio" if blob.get("mimeType", "").startswith("audio/") else "video"
        if stream not in parts:
            parts.append(stream)
        blobs.append((stream, blob))
    for stream, blob in blobs:
        if stream == "audio" and isinstance(blob.get("data"), bytes):
            chunks.append(AudioChunk(blob.get("mimeType", ""), blob["data"]))
    return tuple(chunks)


def _check_setup(body: dict[str, Any], reader: _Reader) -> None:
    modalities = body.get("generationConfig", {}).get("responseModalities", ())
    if len(modalities) > 1:
        reader.add("invalid_argument", path="setup.generation_config.response_modalities")


def _problem(refusal: str, *, fatal: bool = True, path: str = "", **values: str) -> Problem:
    row = find_refusal(refusal)
    return Problem(row.fill(path=path, **values), fatal, refusal, path, row.code)


_TYPES = {
    Kind.STRING: "TYPE_STRING",
    Kind.BOOL: "TYPE_BOOL",
    Kind.INT32: "TYPE_INT32",
    Kind.INT64: "TYPE_INT64",
    Kind.FLOAT: "TYPE_FLOAT",
    Kind.BYTES: "TYPE_BYTES",
    Kind.DURATION: "type.googleapis.com/google.protobuf.Duration",
    Kind.TIMESTAMP: "type.googleapis.com/google.protobuf.Timestamp",
}
_BOUNDS = {Kind.INT32: 2**31, Kind.INT64: 2**63}
_BOOLS = {"true": True, "false": False}


class _InvalidValueError(Exception):
    """A value that its member's type does not take; the text is what the service adds to the path."""


class _Reader:
    """One walk over one document, by the table; what is wrong is gathered, not raised."""

    def __init__(self, service: Service, version: str, strict: bool) -> None:
        self.service = service
        self.version = version
        self.strict = strict
        self.problems: list[Problem] = []

    def add(self, refusal: str, *, fatal: bool = True, path: str = "", **values: str) -> None:
        self.problems.append(_problem(refusal, fatal=fatal, path=path, **values))

    def unknown(self, name: str, path: str, *, fatal: bool = False) -> None:
        row = find_refusal("unknown_field")
        text = row.fill(field=name, path=path)
        if not path:
            text = text.replace(" at ''", "")
        self.problems.append(Problem(text, fatal or self.strict, row.name, path, row.code))

    def invalid(self, path: str, type_text: str, value: Any) -> None:
        shown = value if isinstance(value, _InvalidValueError) else orjson.dumps(value, default=str).decode()[:200]
        self.add("invalid_value", path=path, type=type_text, value=str(shown))

    def message(self, type_name: str, value: Any, path: str) -> dict[str, Any] | None:
        """`value` read as a message; None where it cannot be one."""
        if type(value) is not dict:
            self.invalid(path, f"type.googleapis.com/google.ai.generativelanguage.{self.version}.{type_name}", value)
            return None
        members = MEMBERS[type_name]
        body: dict[str, Any] = {}
        for key, given in value.items():
            member = members.get(key)
            name = camel_case(key) if member is None else member.name
            if known_to_refuse(type_name, name, self.service, self.version):
                self.unknown(key, path, fatal=True)
                body[name] = given
            elif member is not None:
                if given is not None:
                    self.member(member, given, f"{path}.{member.snake}" if path else member.snake, body)
            elif type_name == "GenerationConfig" and name in UNSUPPORTED_GENERATION_CONFIG:
                self.add("invalid_argument", fatal=self.strict, path=f"{path}.{snake_case(name)}")
                body[name] = given
            else:
                self.unknown(key, path)
                body[key] = given
        return body

    def member(self, member: Member, given: Any, path: str, body: dict[str, Any]) -> None:
        if member.mapped:
            if type(given) is not dict:
                self.invalid(path, "map", given)
                return
            read = {key: self.one(member, value, f"{path}[{n}].value") for n, (key, value) in enumerate(given.items())}
            body[member.name] = {key: value for key, value in read.items() if value is not None}
        elif member.repeated:  # a single value stands for a list of one, as on the service's REST calls
            values = given if type(given) is list else [given]
            items = [self.one(member, value, f"{path}[{n}]") for n, value in enumerate(values)]
            body[member.name] = [item for item in items if item is not None]
        elif type(given) is list and member.kind is not Kind.JSON:
            parent, _, name = path.rpartition(".")
            text = f"Unknown name \"{name}\" at '{parent}': Proto field is not repeating, cannot start list."
            self.add("unparsable", path=path, detail=text)
        else:
            value = self.one(member, given, path)
            if value is not None:
                body[member.name] = value

    def one(self, member: Member, given: Any, path: str) -> Any:
        """One value of a member's type; None where it is null or wrong."""
        if member.kind is Kind.MESSAGE:
            return None if given is None else self.message(member.type_name, given, path)
        if member.kind is Kind.JSON:
            return given
        if member.kind is Kind.ENUM:
            return self.enum(member, given, path)
        try:
            return _scalar(member.kind, given)
        except _InvalidValueError as problem:
            self.invalid(path, _TYPES[member.kind], problem if problem.args else given)
            return None

    def enum(self, member: Member, given: Any, path: str) -> Any:
        """An enum's value by its name: a number is read as the name that it stands for, as proto3 JSON does.

        A name or a number that only we do not know is a warning, like an unknown field, and is kept as it came.
        """
        type_text = f"type.googleapis.com/google.ai.generativelanguage.{self.version}.{member.type_name}"
        if type(given) is int and -_BOUNDS[Kind.INT32] <= given < _BOUNDS[Kind.INT32]:
            names = ENUM_NUMBERS.get(member.type_name, ())
            if 0 <= given < len(names):
                return names[given]
        elif type(given) is not str:
            self.invalid(path, type_text, given)
            return None
        elif given in ENUMS[member.type_name]:
            return given
        shown = f'"{given}"' if type(given) is str else str(given)
        self.add("invalid_value", fatal=self.strict, path=path, type=type_text, value=shown)
        return given


def _scalar(kind: Kind, given: Any) -> Any:
    """`given` as a value of `kind`; raises `_InvalidValueError`. Numbers may come as strings, as proto3 JSON allows."""
    kept: Any = given
    if kind is Kind.BOOL:
        kept = _BOOLS.get(given) if type(given) is str else given
        if type(kept) is not bool:
            raise _InvalidValueError
    elif kind in _BOUNDS:
        kept = _integer(given)
        if not -_BOUNDS[kind] <= kept < _BOUNDS[kind]:
            raise _InvalidValueError
    elif kind is Kind.FLOAT:
        try:
            kept = float(given) if type(given) in (str, int, float) else None
        except ValueError:
            kept = None
        if kept is None:
            raise _InvalidValueError
    elif type(given) is not str:
        raise _InvalidValueError
    elif kind is Kind.BYTES:
        try:
            kept = hot.decode_base64(given)
        except (binascii.Error, ValueError):
            raise _InvalidValueError(f'Base64 decoding failed for "{given[:60]}"') from None
    return kept


def _integer(given: Any) -> int:
    if type(given) is int:
        return given
    if type(given) is float and given.is_integer():
        return int(given)
    if type(given) is str:
        try:
            return int(given)
        except ValueError:
            pass
    raise _InvalidValueError


def _deeper_than(value: Any, limit: int) -> bool:
    """True if `value` nests more than `limit` lists and objects."""
    level = [value]
    for _ in range(limit + 1):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer if type(outer) is list else ())
        ]
        if not level:
            return False
    return True
