"""SELF: ours, not the client's. A run in which we slipped says nothing about anybody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fake_server import events as server
from harness.checks.rule import Check, Numbered, Outcome, broken, holds
from harness.checks.view import View
from harness.checks.view_facts import Facts
from harness.checks.view_faults import FaultWindow, fault_windows
from harness.journal.events import FaultFailed, FaultInForce, Journal, RunEnded
from harness.verdict import Level

LATE_MS = 50.0
LATE_SHARE = 0.2
"""Of a trigger's own `after`, and of a fault's own `for`."""


def we_did_our_part(view: View) -> Outcome:
    """SELF-1."""
    failed = view.facts.of(FaultFailed)
    if failed:
        return broken(f"{failed[0].event.act} could not be done: {failed[0].event.reason}", *failed)
    invalid = [
        sent for sent in view.facts.of(server.FrameSent) if sent.event.invalid is not None and not sent.event.deliberate
    ]
    if invalid:
        return broken(f"the fake server sent what the service could not: {invalid[0].event.invalid}", *invalid[:20])
    for fault, late_ms, bound_ms in late_moves(view.faults):
        return broken(
            f"{fault.act} came {late_ms:.0f} ms late, and {bound_ms:.0f} ms are allowed: this machine is too busy",
            fault.due,
            fault.in_force,
            fault.lifted,
        )
    moves: list[Numbered | None] = [fault.in_force for fault in view.faults]
    return holds("every frame was valid, and every fault in force in time", *moves)


def late_moves(faults: Iterable[FaultWindow]) -> Iterator[tuple[FaultWindow, float, float]]:
    """Faults that came into force, or were lifted, too late: by how much, and what is allowed, in milliseconds."""
    for fault in faults:
        if fault.in_force is None:
            continue  # how long it was to last is not known either
        for lag_ms, own_s in ((fault.lag_ms, fault.after_s), (fault.lifted_lag_ms, fault.for_s or 0.0)):
            bound_ms = max(LATE_MS, LATE_SHARE * own_s * 1000)
            if lag_ms is not None and lag_ms > bound_ms:
                yield fault, lag_ms, bound_ms


def slipped(journal: Journal) -> bool:
    """True when one of our own moves was too late, so that the run should be played again."""
    return any(True for _ in late_moves(fault_windows(Facts(journal))))


CHECKS = (
    Check(
        id="SELF-1",
        level=Level.SELF,
        title="The harness did its part",
        rule=(
            "Every frame that the fake sent was valid or deliberately not, and every trigger was in force within the "
            "larger of 50 ms and 20 % of its `after` or `for`."
        ),
        evidence="`invalid` of every frame sent, and the lag of every fault.",
        fix="Nothing in the client: close other programs, use fewer `--jobs`, or report the fault to us.",
        seen_in=(),
        needs=frozenset({RunEnded.kind, server.FrameSent.kind, FaultInForce.kind}),
        judge=we_did_our_part,
    ),
)
