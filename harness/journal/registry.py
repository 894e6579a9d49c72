"""Kind of fact to its class, and every fact to a JSON line and back. Nothing here touches a file."""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, TypeAlias, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import orjson

from harness.journal.events import Entry, Event, UnknownEvent

_Convert: TypeAlias = Callable[[Any], Any]
"""JSON value to field value; raises `TypeError` for a value that the field cannot hold."""

_ENTRY_KEYS = frozenset({"n", "t", "kind"})
_LONGEST_REPR = 400


def _classes() -> tuple[type, ...]:
    return cast("tuple[type, ...]", get_args(Event))


KINDS: Mapping[str, type] = types.MappingProxyType({cls.kind: cls for cls in _classes()})  # type: ignore[attr-defined]
"""Every kind that a journal of this version can hold."""


# --- writing ---------------------------------------------------------------------------------------------------------


def encode_lines(entries: Iterable[Entry]) -> bytes:
    """Whole lines, one an entry, each with its line break: `{"n":7,"t":1.250000,"kind":"…",` and the event's fields.

    Never raises for a value that JSON cannot hold: that field is written as text that says so.
    """
    lines = []
    for entry in entries:
        event = entry.event
        try:
            body = orjson.dumps(event, _plain)
        except TypeError:
            body = _encode_slowly(event)
        lines.append(b'{"n":%d,"t":%.6f,%b%b' % (entry.n, entry.t, _KIND_PREFIX[type(event)], body[1:]))
    content = b"".join(lines)
    if b"\n" in content or b"\r" in content:
        # A raw line break in JSON is white space between tokens (pretty-printed frames are spliced in as they came).
        lines = [line.replace(b"\n", b" ").replace(b"\r", b" ") for line in lines]
    lines.append(b"")
    return b"\n".join(lines)


def _prefix(cls: type) -> bytes:
    has_fields = bool(fields(cls))
    return b'"kind":' + orjson.dumps(cls.kind) + (b"," if has_fields else b"")  # type: ignore[attr-defined]


_KIND_PREFIX = {cls: _prefix(cls) for cls in KINDS.values()}


def _plain(value: object) -> object:
    """What orjson does not know by itself."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (frozenset, set)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _encode_slowly(event: Event) -> bytes:
    """For what orjson refuses: very deep nesting, integers over 64 bits, lone surrogates, keys that are no strings."""
    parts = []
    for field in fields(event):
        value = getattr(event, field.name)
        try:
            text = orjson.dumps(value, _plain)
        except TypeError:
            try:
                text = json.dumps(value, default=_plain, allow_nan=False).encode()
                orjson.loads(text)
            except (TypeError, ValueError, RecursionError):
                text = orjson.dumps({"not_json": ascii(type(value).__name__), "value": _short_repr(value)})
        parts.append(orjson.dumps(field.name) + b":" + text)
    return b"{" + b",".join(parts) + b"}"


def _short_repr(value: object) -> str:
    try:
        return ascii(value)[:_LONGEST_REPR]
    except RecursionError:
        return "nested too deep"


# --- reading ---------------------------------------------------------------------------------------------------------


def decode_event(line: Mapping[str, Any]) -> Event:
    """The event in one line's object.

    A kind that this version does not know, a missing field without a default, and a field of the wrong type all
    give an `UnknownEvent` with everything that was there. Fields that this version does not know are left out.
    """
    kind = line.get("kind")
    decoder = _DECODERS.get(kind) if isinstance(kind, str) else None
    if decoder is not None:
        try:
            return cast(Event, decoder(line))
        except TypeError:
            pass
    rest = {key: value for key, value in line.items() if key not in _ENTRY_KEYS}
    return UnknownEvent(original_kind=kind if isinstance(kind, str) else "", data=rest)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    convert: _Convert
    default: Any
    """`MISSING` where there is none."""


def _dataclass_decoder(cls: type) -> _Convert:
    hints = get_type_hints(cls)
    known = tuple(_Field(f.name, _converter(hints[f.name]), _default(f)) for f in fields(cls))
    pairs = tuple((f.name, f.convert) for f in known)

    def decode(data: Any) -> Any:
        try:
            return cls(*[convert(data[name]) for name, convert in pairs])
        except KeyError:
            return with_defaults(data)

    def with_defaults(data: Any) -> Any:
        values = []
        for field in known:
            if field.name in data:
                values.append(field.convert(data[field.name]))
            elif field.default is not MISSING:
                values.append(field.default())
            else:
                raise TypeError(f"{cls.__name__}.{field.name} is missing")
        return cls(*values)

    return decode


def _default(field: Any) -> Any:
    if field.default is not MISSING:
        value = field.default
        return lambda: value
    return field.default_factory


def _converter(hint: Any) -> _Convert:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _union(get_args(hint))
    if origin is tuple:
        return _tuple_of(get_args(hint)[0])
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _object
    if is_dataclass(hint):
        return _dataclass_decoder(cast(type, hint))
    return _SCALARS[hint]


def _union(members: tuple[Any, ...]) -> _Convert:
    """`X | None`; an `orjson.Fragment` beside a mapping exists only while writing."""
    (member,) = (m for m in members if m not in (type(None), orjson.Fragment))
    convert = _converter(member)
    return lambda value: None if value is None else convert(value)


def _tuple_of(member: Any) -> _Convert:
    convert = _converter(member)

    def decode(value: Any) -> Any:
        if type(value) is not list:
            raise TypeError("a list was expected")
        return tuple([convert(item) for item in value]) if value else ()

    return decode


_T = TypeVar("_T")


def _exactly(wanted: type[_T]) -> Callable[[Any], _T]:
    def check(value: Any) -> _T:
        if type(value) is wanted:
            return value
        raise TypeError(f"{wanted.__name__} was expected")

    return check


def _float(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is int:
        return float(value)
    raise TypeError("a number was expected")


_object = _exactly(dict)
_SCALARS: dict[Any, _Convert] = {int: _exactly(int), str: _exactly(str), bool: _exactly(bool), float: _float}
_DECODERS: dict[str, _Convert] = {kind: _dataclass_decoder(cls) for kind, cls in KINDS.items()}
