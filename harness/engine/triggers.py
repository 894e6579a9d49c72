"""When faults are due: conditions on the events of a run, counted and matched. Pure; the engine acts on what is due."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.journal.events import Event
from harness.scenario.events import connection_of, matches


@dataclass(frozen=True, slots=True)
class Condition:
    """Which event makes something due."""

    event: str
    """A name of the closed list in `harness.scenario.events`."""
    nth: int = 1
    """The how-manieth event that fits, from 1, counted from when the condition was set."""
    every: bool = False
    """True: each event that fits from the `nth` on."""
    connection: int | None = None
    """Only events of this connection; None: of any."""
    after_s: float = 0.0
    """Due so long after the event."""
    filter: Mapping[str, object] = field(default_factory=dict)
    edge: Literal["before", "after"] = "after"
    """`before`: the server holds the frame until whatever is due is in force."""

    def fits(self, event: Event) -> bool:
        """True when `event` is one that this condition counts."""
        if self.connection is not None and connection_of(event) != self.connection:
            return False
        return matches(self.event, self.filter, event)


@dataclass(slots=True)
class _Watch:
    condition: Condition
    fire: Callable[[Condition], object]
    seen: int = 0


class TriggerBoard:
    """Conditions that are waiting, each with what to call when it comes true."""

    def __init__(self) -> None:
        self._watches: dict[int, _Watch] = {}
        self._next = 1

    def add(self, condition: Condition, fire: Callable[[Condition], object]) -> int:
        """Wait for `condition`; returns a number for `remove`. What `fire` returns is handed back by `see`."""
        number = self._next
        self._next += 1
        self._watches[number] = _Watch(condition, fire)
        return number

    def remove(self, number: int) -> bool:
        """Stop waiting. True when the condition never came true."""
        watch = self._watches.pop(number, None)
        return watch is not None and watch.seen < watch.condition.nth

    def clear(self) -> list[Condition]:
        """Stop waiting for anything; returns the conditions that never came true."""
        never = [watch.condition for watch in self._watches.values() if watch.seen < watch.condition.nth]
        self._watches.clear()
        return never

    def see(self, event: Event, edge: Literal["before", "after"]) -> list[object]:
        """Count `event` and fire what it makes due; returns what the fired calls returned, in the order of `add`."""
        fired: list[object] = []
        for number, watch in list(self._watches.items()):
            condition = watch.condition
            if condition.edge != edge or not condition.fits(event):
                continue
            watch.seen += 1
            if watch.seen < condition.nth:
                continue
            if not condition.every:
                # Gone before it fires: what it does may record events that would fit again.
                del self._watches[number]
            fired.append(watch.fire(condition))
        return fired
