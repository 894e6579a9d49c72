"""Facts of a journal, sorted by their class once: what every other reading is made of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from harness.journal.events import Event, Journal

E = TypeVar("E", covariant=True)
K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Moment:
    """A point of a journal."""

    n: int
    """Sequence number: what evidence points at."""
    t: float
    """Seconds since the run began."""


@dataclass(frozen=True, slots=True)
class Fact(Generic[E]):
    """One journal entry whose class is known."""

    n: int
    t: float
    event: E

    @property
    def moment(self) -> Moment:
        """When, without what."""
        return Moment(self.n, self.t)


class Facts:
    """All entries of a journal, by class and by kind, in the journal's order."""

    def __init__(self, journal: Journal) -> None:
        by_class: dict[type[Event], list[Fact[Event]]] = {}
        for entry in journal.entries:
            by_class.setdefault(type(entry.event), []).append(Fact(entry.n, entry.t, entry.event))
        self._by_class = by_class
        self._kinds = {cls.kind for cls in by_class}
        self.end_s = max((entry.t for entry in journal.entries), default=0.0)
        """Time of the latest entry."""

    def of(self, cls: type[K]) -> Sequence[Fact[K]]:
        """Every fact of one class; empty when there is none."""
        return cast("Sequence[Fact[K]]", self._by_class.get(cast("type[Event]", cls), ()))

    def has(self, kind: str) -> bool:
        """True when an event of this kind occurs."""
        return kind in self._kinds


def at(value: object, *path: str) -> object:
    """The member at `path` of nested mappings; None where there is none, or where something else stands."""
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


_DURATION = re.compile(r"^([0-9]+(?:\.[0-9]*)?)s$")


def duration_s(told: object) -> float | None:
    """A duration as it stands on the wire (`"57s"`, `"1.5s"`), in seconds; None: it is none, or not one to come."""
    found = _DURATION.match(told) if isinstance(told, str) else None
    return float(found[1]) if found is not None else None
