"""Our faults as Toxiproxy 2.12 toxics: pure, from what the toxics were measured to do to open links.

Each direction of a link has a chain of slots. `gate` and `end` are there from the start, in this order, and doing
nothing; the others come when first needed. Slots are updated, never removed (but for `blackhole`): the server flushes a
removed toxic under a lock, and stands still for 5 s a piece when the client has gone meanwhile. And nothing ever stands
directly behind `gate` but `end`: a toxic that gets a new neighbour lets go of a piece that it holds.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from harness.proxy.port import Abilities, Direction, Fault, FaultKind, Scope

HOLD_MS = 3_600_000
"""How long a held byte or end would stay if nobody let it go: longer than any run."""

THROTTLE_UNIT_BYTES_PER_S = 1000
"""The `bandwidth` toxic counts whole kilobytes a second."""

_UNBOUND_RATE = 1_000_000_000
_WHOLE = 1 << 30

STREAM = {Direction.UP: "upstream", Direction.DOWN: "downstream"}


class Slot(StrEnum):
    """The places of a chain, each for one effect."""

    GATE = "gate"
    END = "end"
    SLOW = "slow"
    THROTTLE = "throttle"
    SLICE = "slice"
    BLACKHOLE = "blackhole"


TOXIC_OF = {
    Slot.GATE: "latency",
    Slot.END: "slow_close",
    Slot.SLOW: "latency",
    Slot.THROTTLE: "bandwidth",
    Slot.SLICE: "slicer",
    Slot.BLACKHOLE: "timeout",
}

Attributes = dict[str, int]

NEUTRAL: dict[Slot, Attributes | None] = {
    Slot.GATE: {"latency": 0, "jitter": 0},
    Slot.END: {"delay": 0},
    Slot.SLOW: {"latency": 0, "jitter": 0},
    Slot.THROTTLE: {"rate": _UNBOUND_RATE},
    Slot.SLICE: {"average_size": _WHOLE, "size_variation": 0, "delay": 0},
    Slot.BLACKHOLE: None,
}
"""What a slot does when it does nothing; None: there is no such setting, so the toxic must not be there."""


@dataclass(frozen=True, slots=True)
class Toxic:
    """One toxic as the server's API takes it. `attributes` are whole numbers in the toxic's own units."""

    name: str
    type: str
    stream: str
    attributes: Attributes


def toxic(slot: Slot, direction: Direction, attributes: Attributes) -> Toxic:
    """The toxic that fills a slot; one of its kind on a link and direction, so its name is unique there."""
    return Toxic(f"{slot.value}-{STREAM[direction]}", TOXIC_OF[slot], STREAM[direction], attributes)


def wanted(faults: Collection[Fault], direction: Direction) -> dict[Slot, Attributes | None]:
    """What each slot of a direction should be set to while these faults are in force.

    Overlapping faults: delays add up, the lowest rate and the smallest slices win. A stall and a black hole also hold
    the closing of either end: the bare toxics let a FIN pass when no byte is in its way.
    """
    mine = [fault for fault in faults if fault.direction in (direction, Direction.BOTH)]
    of = {kind: [fault for fault in mine if fault.kind is kind] for kind in FaultKind}
    slots = dict(NEUTRAL)
    if of[FaultKind.STALL]:
        slots[Slot.GATE] = {"latency": HOLD_MS, "jitter": 0}
    if of[FaultKind.STALL] or of[FaultKind.BLACKHOLE]:
        slots[Slot.END] = {"delay": HOLD_MS}
    if of[FaultKind.BLACKHOLE]:
        slots[Slot.BLACKHOLE] = {"timeout": 0}
    if slow := of[FaultKind.SLOW]:
        slots[Slot.SLOW] = {
            "latency": round(sum(fault.latency_ms for fault in slow)),
            "jitter": round(sum(fault.jitter_ms for fault in slow)),
        }
    if throttle := of[FaultKind.THROTTLE]:
        lowest = min(fault.rate_bytes_per_s for fault in throttle)
        slots[Slot.THROTTLE] = {"rate": max(1, int(lowest // THROTTLE_UNIT_BYTES_PER_S))}
    if slices := of[FaultKind.SLICE]:
        # No variation: the server's own random numbers ignore its `-seed`, and a run must be repeatable.
        slots[Slot.SLICE] = {
            "average_size": max(1, min(fault.slice_bytes for fault in slices)),
            "size_variation": 0,
            "delay": round(max(fault.slice_delay_ms for fault in slices) * 1000),
        }
    return slots


class ToxiproxyAbilities(Abilities):
    """Also knows which numbers the toxics can express."""

    __slots__ = ()

    def can(self, fault: Fault) -> bool:
        """True when the toxics can really produce it."""
        if fault.kind is FaultKind.THROTTLE and fault.rate_bytes_per_s < THROTTLE_UNIT_BYTES_PER_S:
            return False
        return Abilities.can(self, fault)


def _abilities() -> ToxiproxyAbilities:
    shaped = (FaultKind.STALL, FaultKind.BLACKHOLE, FaultKind.SLOW, FaultKind.THROTTLE, FaultKind.SLICE)
    faults = {(kind, direction, Scope.ALL) for kind in shaped for direction in Direction}
    # A cut has nothing to spare: links dialled later are not hit by it, so both scopes mean the same.
    faults |= {(FaultKind.CUT, Direction.BOTH, scope) for scope in Scope}
    faults |= {(kind, Direction.BOTH, Scope.ALL) for kind in (FaultKind.REFUSE, FaultKind.UNAVAILABLE)}
    return ToxiproxyAbilities(frozenset(faults))


TOXIPROXY_ABILITIES = _abilities()
"""No `reset`: `reset_peer` ends an open link with FIN. No scope `existing`: a toxic hits every link of its proxy."""
