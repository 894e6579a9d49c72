"""What all parts of the scenario language are made of: strict frozen models, and choices by key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetJsonSchemaHandler, PlainSerializer, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core.core_schema import CoreSchema

from harness.durations import PATTERN, Seconds, format_duration, parse_duration_s

_RATE = re.compile(r"^(\d+(?:\.\d+)?)(B|kB|MB)/s$")
_RATE_UNITS = {"B": 1.0, "kB": 1e3, "MB": 1e6}


class Strict(BaseModel):
    """A part of a scenario: unknown keys are errors, values never change, and it is written back as it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)


def tag_by_class(tags: Mapping[type[BaseModel], str], given: object) -> str | None:
    """The tag of a model that is there already (pydantic asks for it when it writes one out)."""
    return tags.get(type(given)) if isinstance(given, BaseModel) else None


def is_duration(given: object) -> bool:
    """True for `2s` and the like."""
    return isinstance(given, str) and re.match(PATTERN, given) is not None


def _seconds_or(word: str) -> tuple[BeforeValidator, PlainSerializer, WithJsonSchema]:
    def read(given: object) -> float | None:
        if given == word:
            return None
        if isinstance(given, str) and not given[:1].isdigit():
            raise ValueError(f"{given!r} is neither a duration nor the word {word}; write 300ms, 2s, 10m or {word}")
        return parse_duration_s(given)

    def write(seconds: float | None) -> str:
        return word if seconds is None else format_duration(seconds)

    schema = {"anyOf": [{"type": "string", "pattern": PATTERN}, {"const": word}]}
    return BeforeValidator(read), PlainSerializer(write, return_type=str), WithJsonSchema(schema)


SecondsOrNever = Annotated[float | None, *_seconds_or("never")]
"""A duration field that `never` switches off (None)."""
SecondsOrNone = Annotated[float | None, *_seconds_or("none")]
"""A duration field that may be `none` (None)."""


def _rate(given: object) -> float:
    found = _RATE.match(given) if isinstance(given, str) else None
    if found is None or not float(found[1]):
        raise ValueError(f"{given!r} is no rate: it is a number over 0 with B/s, kB/s or MB/s; write 8kB/s")
    return float(found[1]) * _RATE_UNITS[found[2]]


def _write_rate(bytes_per_s: float) -> str:
    return f"{bytes_per_s:.3f}".rstrip("0").rstrip(".") + "B/s"


BytesPerSecond = Annotated[
    float,
    BeforeValidator(_rate),
    PlainSerializer(_write_rate, return_type=str),
    WithJsonSchema(
        {"type": "string", "pattern": _RATE.pattern, "description": "Bytes a second: 8kB/s (1 kB = 1000 B)"}
    ),
]
"""A rate field: written with its unit, held as bytes a second."""


def positive(seconds: float) -> float:
    """For durations that make no sense as 0."""
    if seconds <= 0:
        raise ValueError("a duration of nothing has no effect here; write more than 0s")
    return seconds


def as_list(given: Any) -> Any:
    """One thing stands for a list of it."""
    return [given] if isinstance(given, Mapping) else given


class OrOne:
    """Tells the JSON Schema that one thing may stand for a list of it."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Called by pydantic."""
        many = handler(schema)
        return {"anyOf": [many, many["items"]]}


__all__ = [
    "BytesPerSecond",
    "OrOne",
    "Seconds",
    "SecondsOrNever",
    "SecondsOrNone",
    "Strict",
    "as_list",
    "is_duration",
    "positive",
    "tag_by_class",
]
