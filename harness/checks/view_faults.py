"""Faults as windows of time: when each was in force, whom it hit, and when the link was there again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.checks.view_facts import Facts, Moment
from harness.journal.events import FaultDue, FaultFailed, FaultInForce, FaultLifted

KILLING = frozenset({"cut", "reset", "blackhole", "refuse", "unavailable"})
"""Network faults that no live link survives."""
SILENT = frozenset({"stall", "blackhole"})
"""Network faults that close nothing when they come: the client has to notice."""
BLOCKING = frozenset({"stall", "blackhole", "refuse", "unavailable"})
"""Network faults under which a new dial comes to nothing."""
DELAYING = frozenset({"slow", "throttle", "slice"})
"""Network faults under which bytes arrive later than they were sent."""
_LASTING_ACTS = frozenset({"server.silence", "server.slow_pong", "tokens.fail", "tokens.slow", "client.suspend"})
"""Off the network, what goes on until it is lifted; all other acts happen once, unless they were lifted."""
_REFUSING_ACTS = frozenset({"server.refusal", "tokens.fail"})
_WAKING_ACTS = frozenset({"client.resume", "client.restart"})
JOIN_S = 0.05
"""Windows that follow one another within this are one outage: lifting and applying take a few milliseconds each."""


@dataclass(frozen=True, slots=True)
class FaultWindow:
    """One fault, from due to lifted."""

    fault: int
    act: str
    """`network.blackhole`, `server.go_away`, `tokens.fail`, `client.suspend`, …"""
    link: str | None
    direction: str | None
    scope: str | None
    due: Moment | None
    in_force: Moment | None
    """None: it was due and never confirmed in force."""
    lifted: Moment | None
    for_s: float | None
    after_s: float
    lag_ms: float | None
    lifted_lag_ms: float | None
    times: int | None = None
    """How often it was to strike, where its order said so; None: it did not, or the order was not seen."""

    @property
    def family(self) -> str:
        """`network`, `server`, `tokens` or `client`."""
        return self.act.partition(".")[0]

    @property
    def name(self) -> str:
        """What the fault is, without its family: `blackhole`."""
        return self.act.partition(".")[2]

    @property
    def began_s(self) -> float:
        """The earliest moment at which it may have bitten: confirming it takes the proxy some milliseconds."""
        return self.due.t if self.due is not None else self.start_s

    @property
    def start_s(self) -> float:
        """When it was confirmed in force; infinity when it never was."""
        return self.in_force.t if self.in_force is not None else math.inf

    @property
    def end_s(self) -> float:
        """When it was lifted: at once for what happens once, infinity when it never was."""
        if self.lifted is not None:
            return self.lifted.t
        lasts = self.name in BLOCKING | DELAYING if self.family == "network" else self.act in _LASTING_ACTS
        return math.inf if lasts else self.start_s

    @property
    def on_live(self) -> bool:
        """True for a network fault on the way to the Live API."""
        return self.family == "network" and self.link in ("live", "all", None)

    @property
    def hits_down(self) -> bool:
        """True when bytes from the server to the client are hit."""
        return self.direction in ("down", "both", None)

    @property
    def blocks_dials(self) -> bool:
        """True while no new session can be had, whatever the client does."""
        if self.family == "network":
            return self.name in BLOCKING and self.scope != "existing"
        if self.act == "client.suspend":
            return True
        if self.act not in _REFUSING_ACTS:
            return False
        for_ever = self.act == "tokens.fail" and self.due is not None and self.times is None and self.for_s is None
        return self.lifted is not None or for_ever

    def covers(self, from_s: float, to_s: float) -> bool:
        """True when it was in force at some moment between the two."""
        return self.began_s <= to_s and self.end_s >= from_s


def fault_windows(facts: Facts) -> tuple[FaultWindow, ...]:
    """Every fault of the run, in order of its beginning."""
    due = {fact.event.fault: fact for fact in facts.of(FaultDue)}
    in_force = {fact.event.fault: fact for fact in facts.of(FaultInForce)}
    lifted = {fact.event.fault: fact for fact in facts.of(FaultLifted)}
    woken = [fact for fact in facts.of(FaultInForce) if fact.event.act in _WAKING_ACTS]
    failed = {fact.event.fault for fact in facts.of(FaultFailed)}
    windows = []
    for number in {*due, *in_force, *lifted}:
        was_due, bites, ended = due.get(number), in_force.get(number), lifted.get(number)
        if bites is None and ended is None and number in failed:
            continue
        act = (bites or was_due or ended).event.act  # type: ignore[union-attr] # one of the three is there
        over = ended.moment if ended is not None else None
        if act == "client.suspend" and over is None and bites is not None:
            over = next((fact.moment for fact in woken if fact.n > bites.n), None)
        windows.append(
            FaultWindow(
                number,
                act,
                bites.event.link if bites is not None else _text(was_due and was_due.event.detail.get("link")),
                bites.event.direction
                if bites is not None
                else _text(was_due and was_due.event.detail.get("direction")),
                bites.event.scope if bites is not None else _text(was_due and was_due.event.detail.get("scope")),
                was_due.moment if was_due is not None else None,
                bites.moment if bites is not None else None,
                over,
                bites.event.for_s if bites is not None else None,
                was_due.event.after_s if was_due is not None else 0.0,
                bites.event.lag_ms if bites is not None else None,
                ended.event.lag_ms if ended is not None else None,
                _count(was_due and was_due.event.detail.get("times")),
            )
        )
    return tuple(sorted(windows, key=lambda window: (window.began_s, window.fault)))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None


def outages(windows: Iterable[FaultWindow]) -> tuple[tuple[float, float], ...]:
    """The times in which no new session could be had, joined, in order."""
    joined: list[tuple[float, float]] = []
    for window in sorted((w for w in windows if w.blocks_dials and w.in_force), key=lambda w: w.began_s):
        if joined and window.began_s <= joined[-1][1] + JOIN_S:
            joined[-1] = (joined[-1][0], max(joined[-1][1], window.end_s))
        else:
            joined.append((window.began_s, window.end_s))
    return tuple(joined)


def link_there_s(outage_list: Sequence[tuple[float, float]], from_s: float, until_s: float) -> float:
    """When the link was there for good, seen from `from_s`: after the last outage that began before `until_s`.

    Infinity when that outage never ended.
    """
    there_s = from_s
    for start_s, end_s in outage_list:
        if end_s <= there_s or start_s > max(there_s + JOIN_S, until_s):
            continue
        there_s = end_s
    return there_s
