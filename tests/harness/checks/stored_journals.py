"""Journals of real runs, as test data: `tests/harness/journals/CLIENT.SCENARIO.jsonl.gz`.

`reference` is the built-in client, which masters everything; `broken-CHECK` breaks one rule; `do-nothing` is as quick
starts are written. The others are right clients with other policies. They were played by `harness run` and
`harness selftest`; paths of the machine were cut out, and nothing else was changed.
"""

from __future__ import annotations

import functools
import gzip
from pathlib import Path
from typing import Any

import orjson

from harness.journal.events import Entry, Event, Journal
from harness.journal.reader import parse_journal
from harness.journal.registry import encode_lines

FOLDER = Path(__file__).parents[1] / "journals"
NAMES = sorted(path.name.removesuffix(".jsonl.gz") for path in FOLDER.glob("*.jsonl.gz"))
RIGHT = [name for name in NAMES if not name.startswith(("broken-", "do-nothing."))]
WRONG = [name for name in NAMES if name.startswith("broken-")]


@functools.cache
def content(name: str) -> bytes:
    """The file as it was written."""
    return gzip.decompress((FOLDER / f"{name}.jsonl.gz").read_bytes())


@functools.cache
def stored(name: str) -> Journal:
    """The journal as it is read."""
    return parse_journal(content(name))


def lines(name: str) -> list[bytes]:
    """Its lines, without their breaks."""
    return content(name).splitlines()


def renumbered(entries: list[Entry]) -> Journal:
    """A journal of these entries, with numbers that give nothing away."""
    return Journal(tuple(Entry(n, entry.t, entry.event) for n, entry in enumerate(entries, start=1)), whole=True)


def without(journal: Journal, kind: str) -> Journal:
    """All entries of one kind torn out, and the rest numbered anew."""
    return renumbered([entry for entry in journal.entries if entry.event.kind != kind])


def kinds(journal: Journal) -> list[str]:
    """The kinds of its entries, the plan's excepted."""
    return sorted({entry.event.kind for entry in journal.entries[1:]})


def as_object(event: Event) -> dict[str, Any]:
    """An event as it stands in a line."""
    found: dict[str, Any] = orjson.loads(encode_lines([Entry(1, 0.0, event)]))
    return found
