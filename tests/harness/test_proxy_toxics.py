"""`harness.proxy.toxics`: faults as settings of toxics."""

from __future__ import annotations

import itertools

import pytest

from harness.proxy.port import INSTANT, Direction, Fault, FaultKind, Scope
from harness.proxy.toxics import HOLD_MS, NEUTRAL, TOXIPROXY_ABILITIES, Slot, toxic, wanted

UP, DOWN, BOTH = Direction.UP, Direction.DOWN, Direction.BOTH


def changed(*faults: Fault, direction: Direction = UP) -> dict[Slot, dict[str, int] | None]:
    return {slot: value for slot, value in wanted(faults, direction).items() if value != NEUTRAL[slot]}


@pytest.mark.parametrize(
    ("fault", "slots"),
    [
        (Fault(FaultKind.STALL), {Slot.GATE: {"latency": HOLD_MS, "jitter": 0}, Slot.END: {"delay": HOLD_MS}}),
        (Fault(FaultKind.BLACKHOLE), {Slot.BLACKHOLE: {"timeout": 0}, Slot.END: {"delay": HOLD_MS}}),
        (Fault(FaultKind.SLOW, latency_ms=99.6, jitter_ms=5), {Slot.SLOW: {"latency": 100, "jitter": 5}}),
        (Fault(FaultKind.THROTTLE, rate_bytes_per_s=8999), {Slot.THROTTLE: {"rate": 8}}),
        (
            Fault(FaultKind.SLICE, slice_bytes=40, slice_delay_ms=2.5),
            {Slot.SLICE: {"average_size": 40, "size_variation": 0, "delay": 2500}},
        ),
        (Fault(FaultKind.REFUSE), {}),
        (Fault(FaultKind.UNAVAILABLE), {}),
    ],
)
def test_what_each_fault_sets(fault: Fault, slots: dict[Slot, dict[str, int] | None]) -> None:
    assert changed(fault) == slots
    assert changed(fault, direction=DOWN) == slots


def test_without_faults_every_slot_does_nothing() -> None:
    assert wanted([], UP) == NEUTRAL
    assert changed(Fault(FaultKind.STALL, DOWN), Fault(FaultKind.SLOW, DOWN)) == {}


def test_overlapping_faults_add_up_or_the_strictest_wins() -> None:
    both = changed(
        Fault(FaultKind.SLOW, latency_ms=100, jitter_ms=1),
        Fault(FaultKind.SLOW, UP, latency_ms=50),
        Fault(FaultKind.THROTTLE, rate_bytes_per_s=5000),
        Fault(FaultKind.THROTTLE, rate_bytes_per_s=2000),
        Fault(FaultKind.STALL),
        Fault(FaultKind.STALL, UP),
    )
    assert both[Slot.SLOW] == {"latency": 150, "jitter": 1}
    assert both[Slot.THROTTLE] == {"rate": 2}
    assert both[Slot.GATE] == {"latency": HOLD_MS, "jitter": 0}


def test_names_are_unique_on_a_link() -> None:
    names = [toxic(slot, way, {}).name for slot, way in itertools.product(Slot, (UP, DOWN))]
    assert len(set(names)) == len(names)
    assert toxic(Slot.BLACKHOLE, DOWN, {"timeout": 0}).stream == "downstream"


def test_abilities_are_what_was_measured() -> None:
    can = TOXIPROXY_ABILITIES.can
    assert not any(can(Fault(FaultKind.RESET, way, scope)) for way, scope in itertools.product(Direction, Scope)), (
        "reset_peer ends an open link with FIN"
    )
    existing = {kind for kind in FaultKind if can(Fault(kind, scope=Scope.EXISTING))}
    assert existing == {FaultKind.CUT}
    assert {kind for kind in FaultKind if not can(Fault(kind, UP))} == INSTANT | {
        FaultKind.REFUSE,
        FaultKind.UNAVAILABLE,
    }


def test_a_rate_below_the_toxics_unit_cannot_be_had() -> None:
    assert TOXIPROXY_ABILITIES.can(Fault(FaultKind.THROTTLE, rate_bytes_per_s=1000))
    assert not TOXIPROXY_ABILITIES.can(Fault(FaultKind.THROTTLE, rate_bytes_per_s=999))
