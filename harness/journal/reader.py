"""Reads a journal back, whatever became of it: cut, from another version, or damaged. It never fails on content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from harness.journal.events import Entry, Event, Journal, RunEnded, UnknownEvent
from harness.journal.registry import decode_event

UNREADABLE = "unreadable"
"""`original_kind` of a line in the middle of a journal that is no JSON object."""
_KEPT_CHARACTERS = 4096
"""So much of an unreadable line is kept."""


def read_journal(path: Path) -> Journal:
    """The journal at `path`. Raises `OSError` when the file is missing or cannot be read, and nothing else."""
    return parse_journal(path.read_bytes())


def parse_journal(content: bytes) -> Journal:
    """The journal in a file's `content`.

    A last line that was cut is left out, and the journal is then not `whole`. Any other line that is no JSON object
    becomes an `UnknownEvent` of the original kind `unreadable`, in its place.
    """
    lines = content.split(b"\n")
    last_is_cut = False
    if lines[-1] and _object(lines[-1]) is None:
        lines.pop()
        last_is_cut = True
    entries = tuple(_entries(lines))
    ended = bool(entries) and isinstance(entries[-1].event, RunEnded)
    return Journal(entries, whole=ended and not last_is_cut)


def _entries(lines: Iterable[bytes]) -> Iterable[Entry]:
    n, t = 0, 0.0
    for line in lines:
        if not line or line.isspace():
            continue
        data = _object(line)
        event: Event
        if data is None:
            event = UnknownEvent(UNREADABLE, {"text": line.decode("utf-8", "replace")[:_KEPT_CHARACTERS]})
            n += 1
        else:
            event = decode_event(data)
            n = _number(data, n)
            t = _time(data, t)
        yield Entry(n, t, event)


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        data = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return data if isinstance(data, dict) else None


def _number(data: Mapping[str, Any], previous: int) -> int:
    given = data.get("n")
    return given if type(given) is int and given > previous else previous + 1


def _time(data: Mapping[str, Any], previous: float) -> float:
    given = data.get("t")
    return float(given) if isinstance(given, (int, float)) else previous
