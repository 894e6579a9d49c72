"""Durations as people write them: `2s`, `300ms`, `10m`. A bare number is an error, since it does not say its unit."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
PATTERN = r"^\d+(\.\d+)?(ms|s|m|h)$"


def parse_duration_s(given: object) -> float:
    """Seconds in `"2s"`, `"300ms"`, `"1.5m"` or `"2h"`.

    Raises `ValueError`, with the way out in its text, for a bare number, an unknown unit, or anything else.
    """
    if isinstance(given, str) and re.match(PATTERN, given):
        unit = given.lstrip("0123456789.")
        return float(given[: -len(unit)]) * _UNITS_S[unit]
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        raise ValueError(f"{given!r} has no unit: a duration is a number with ms, s, m or h; write {given!r}s")
    raise ValueError(f"{given!r} is no duration: write a number with its unit (ms, s, m or h), as in 300ms or 2s")


def format_duration(seconds: float) -> str:
    """The shortest way to write `seconds`: `300ms`, `2s`, `1.5s`."""
    if 0 < seconds < 1:
        return f"{round(seconds * 1000, 3):g}ms"
    return f"{round(seconds, 6):g}s"


def _accept(given: object) -> float:
    return parse_duration_s(given)


Seconds = Annotated[
    float,
    BeforeValidator(_accept),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": PATTERN, "description": "A number with its unit: 300ms, 2s, 10m"}),
]
"""A duration field: written with a unit, held as float seconds, written back with a unit."""
