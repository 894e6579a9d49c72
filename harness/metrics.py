"""The figures of a run: what its user would have felt, and how well we ourselves kept time. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from harness.checks.view import View
from harness.checks.view_connections import CONTENT
from harness.checks.view_gaps import Gap
from harness.checks.view_speech import length, milliseconds, within
from harness.journal.events import UserTurn


def measure(view: View) -> Mapping[str, object]:
    """The metrics of the contract, section 3, in its order. None stands for what was not measured.

    `connections`, `dials`, `tokens_minted`, `tokens_spent` and `refusals` are counts; `recovery_s` and `detection_s`
    are lists of seconds, with None for what never happened; `speech_lost_ms` and `speech_doubled_ms` are whole
    milliseconds (None: nothing was spoken); `harness_lag_ms` has `p50`, `p99` and `worst` (None: no fault came).
    """
    turns_s = [turn.t for turn in view.facts.of(UserTurn)]
    spoken = view.speech.spoken
    lost = sum(length(within(one.lost, [(0, one.sample_at(view.leaving.asked_s))])) for one in spoken)
    return {
        "connections": len(view.connections),
        "dials": len(view.dials),
        "tokens_minted": sum(token.minted is not None for token in view.tokens.values()),
        "tokens_spent": sum(bool(token.spent) for token in view.tokens.values()),
        "refusals": len(view.refusals),
        "recovery_s": [recovery_s(gap, turns_s) for gap in view.drops],
        "speech_lost_ms": milliseconds(lost) if spoken else None,
        "speech_doubled_ms": milliseconds(sum(length(one.doubled) for one in spoken)) if spoken else None,
        "detection_s": [_detection_s(gap, view.leaving.asked_s) for gap in view.gaps if gap.end.silent],
        "harness_lag_ms": _lag_ms(
            [lag for fault in view.faults for lag in (fault.lag_ms, fault.lifted_lag_ms) if lag is not None]
        ),
    }


def recovery_s(gap: Gap, turns_s: Sequence[float]) -> float | None:
    """From the later of *known* and the link being there again, to the first content on the next connection.

    `turns_s`: when the user's turns began. Where the user had nothing to say until the next session was there, to its
    start: the silence before a later turn is no one's fault. None: there was no next session.
    """
    if gap.next is None or math.isinf(gap.ready_s):
        return None
    content_s = next((f.t for f in gap.next.frames if f.event.message in CONTENT and f.t >= gap.closed_s), gap.closed_s)
    if any(gap.closed_s <= t <= content_s for t in turns_s):
        content_s = gap.closed_s
    return round(max(0.0, content_s - gap.ready_s), 3)


def _detection_s(gap: Gap, asked_s: float) -> float | None:
    """From the silent fault to the client's leaving the link; None: it had not noticed when it was told to leave."""
    return None if gap.known_s >= asked_s or math.isinf(gap.known_s) else round(gap.known_s - gap.end.loss_s, 3)


def _lag_ms(lags: Sequence[float]) -> Mapping[str, float] | None:
    if not lags:
        return None
    ordered = sorted(lags)
    return {
        "p50": _percentile(ordered, 0.5),
        "p99": _percentile(ordered, 0.99),
        "worst": round(ordered[-1], 3),
    }


def _percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all are no larger than."""
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 3)
