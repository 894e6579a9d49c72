"""How sessions ended, and the gaps between one session of a conversation and the next.

The words are the catalogue's: *drop* is the first of FIN, RST or close delivered to the client, else the fault in
force; *known* is the moment from which the client can be held to know of it.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.checks.view_connections import Connection, Dial, dials_between, sessions_in_order
from harness.checks.view_facts import Fact, Facts, Moment
from harness.checks.view_faults import KILLING, SILENT, FaultWindow, link_there_s
from harness.journal.events import ClientCommand, ClientEvent, ClientExited, ClientStopping, StepStarted

ABNORMAL_CODES = frozenset({1001, 1006, 1011, 1012, 1013})
EXIT_S = 0.5
"""A process that ends takes its sockets along: they may be seen to end so long before its exit is."""
REORDERED_S = 0.25
"""A close and the dial after it travel on two links: the dial may be seen so much earlier."""
LEFT_SEEN_S = 3.0
"""What a client closed during a stall reaches the server at once when the stall is over, or so long after it."""
SPARED_S = 1.0
"""A link that is there so long after links were cut was dialled after the cut, and before its confirmation."""
_CUTTING = KILLING - SILENT
AFTERGLOW_S = 1.0
"""Bytes that a fault held may reach the server so long after the client left: they do not make a ghost live."""


class Cause(StrEnum):
    """Why a session ended."""

    NETWORK = "network fault"
    SERVER_CLOSE = "close by the server"
    SERVER_ABORT = "abort by the server"
    CLIENT = "close by the client"
    USER = "hang-up or quit"
    """The user hung up, or we told the client to leave, before it ended."""
    EXIT = "end of the program"
    OPEN = "still open"


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """How one session ended."""

    connection: Connection
    cause: Cause
    live_until_s: float
    """First close at either end; for a ghost, the fault that made it one. Infinity: never."""
    loss_s: float
    """From here on nothing that the server sent can have reached the client."""
    drop: Moment | None
    """None for a session that is still open."""
    known_s: float
    """Infinity: nothing ever told the client."""
    fault: FaultWindow | None = None
    code: int | None = None
    silent: bool = False
    """True: nothing was delivered to the client that would have told it."""

    @property
    def abnormal(self) -> bool:
        """True for an end that a client must come back from (RETRY-1): no close frame, RST, 1001, 1011, 1012, 1013."""
        if self.cause in (Cause.NETWORK, Cause.SERVER_ABORT):
            return True
        return self.cause is Cause.SERVER_CLOSE and self.code in ABNORMAL_CODES

    @property
    def started_s(self) -> float:
        """When the session became live."""
        return self.connection.started_s or 0.0


@dataclass(frozen=True, slots=True)
class Gap:
    """From the loss of one session to the next one that was accepted."""

    end: SessionEnd
    drop: Moment
    known_s: float
    there_s: float
    """When the link was there again, for good; infinity: never."""
    go_away: Moment | None
    """The goAway that announced the end; None: none did."""
    dials: tuple[Dial, ...]
    """Dials from the drop (or the goAway) on, the one that made the next session among them."""
    next: Connection | None
    """None: no session came any more."""

    @property
    def connection(self) -> Connection:
        """The one that was lost."""
        return self.end.connection

    @property
    def from_s(self) -> float:
        """The moment from which a dial belongs to this gap."""
        return _from_s(self.end, self.drop, self.go_away)

    @property
    def closed_s(self) -> float:
        """When the next session was live; infinity: never."""
        started = self.next.started_s if self.next is not None else None
        return started if started is not None else math.inf

    @property
    def ready_s(self) -> float:
        """The later of known and the link being there: where recovery begins to count."""
        return max(self.known_s, self.there_s)


class Leaving:
    """When the user hung up, when we told the client to leave, and when its processes ended.

    A client that is not `driven` gets no commands, so that nobody hangs up on it.
    """

    def __init__(self, facts: Facts, *, driven: bool = True) -> None:
        hang_ups = [fact.moment for fact in facts.of(StepStarted) if driven and fact.event.verb == "hang_up"]
        hang_ups += [fact.moment for fact in facts.of(ClientCommand) if fact.event.command.get("do") == "hang_up"]
        self.hung_up = min(hang_ups, key=lambda moment: (moment.t, moment.n), default=None)
        told = [fact.moment for fact in facts.of(ClientStopping) if fact.event.how == "asked"]
        told += [fact.moment for fact in facts.of(ClientCommand) if fact.event.command.get("do") == "quit"]
        self.told_to_leave = min(told, key=lambda moment: (moment.t, moment.n), default=None)
        self.exits: Sequence[Fact[ClientExited]] = facts.of(ClientExited)
        self.asked_s = min((m.t for m in (self.hung_up, self.told_to_leave) if m is not None), default=math.inf)
        """From here on an end of a session is what was asked for."""

    def exit_at(self, t: float) -> Fact[ClientExited] | None:
        """The end of the program that explains a socket's end at `t`; None: none."""
        return next((fact for fact in self.exits if t - EXIT_S <= fact.t <= t + EXIT_S), None)


def reconnecting_told_s(facts: Facts) -> list[float]:
    """When the client said that it was reconnecting, in order."""
    return sorted(
        fact.t
        for fact in facts.of(ClientEvent)
        if fact.event.event == "state" and fact.event.data.get("state") == "reconnecting"
    )


def read_ends(
    facts: Facts,
    connections: Mapping[int, Connection],
    dials: Sequence[Dial],
    faults: Sequence[FaultWindow],
    leaving: Leaving,
) -> tuple[SessionEnd, ...]:
    """How each session ended, by its start."""
    reader = _EndReader(dials, [f for f in faults if f.on_live and f.in_force], leaving, reconnecting_told_s(facts))
    return tuple(reader.read(connection) for connection in sessions_in_order(connections.values()))


class _EndReader:
    def __init__(
        self,
        dials: Sequence[Dial],
        network: Sequence[FaultWindow],
        leaving: Leaving,
        reconnecting: Sequence[float],
    ) -> None:
        self._dials = dials
        self._dial_times = [dial.t for dial in dials]
        self._network = network
        self._leaving = leaving
        self._reconnecting = reconnecting

    def read(self, connection: Connection) -> SessionEnd:
        start_s = connection.started_s or 0.0
        closes = [
            Moment(fact.n, fact.t)
            for fact in (connection.close_sent, connection.close_received, connection.ended, connection.client_closed)
            if fact is not None and fact.t >= start_s
        ]
        first = min(closes, key=lambda moment: (moment.t, moment.n), default=None)
        first_s = first.t if first is not None else math.inf
        for fault in self._network:
            if fault.start_s < start_s or fault.began_s > first_s:
                continue
            if fault.name in _CUTTING and fault.began_s <= start_s and first_s > fault.start_s + SPARED_S:
                continue  # the links were cut before it came, and the confirmation was late
            end = self._ended_by(fault, connection, first)
            if end is not None:
                return end
        return self._ended_by_a_side(connection, first)

    def _ended_by(self, fault: FaultWindow, connection: Connection, first: Moment | None) -> SessionEnd | None:
        assert fault.in_force is not None  # noqa: S101 - only confirmed faults are looked at
        if self._leaving.asked_s <= fault.began_s:
            return None
        if fault.name == "stall":
            return self._left_in_a_stall(fault, connection, first.t if first is not None else math.inf)
        if fault.name == "blackhole":
            left_s = self._left_s(fault, connection)
            delivered_s = fault.end_s
            if left_s < delivered_s:
                dead_s = fault.in_force.t if fault.direction in ("both", None) else left_s
                return SessionEnd(
                    connection, Cause.NETWORK, dead_s, fault.began_s, fault.in_force, left_s, fault, silent=True
                )
            drop = fault.lifted if fault.lifted is not None else fault.in_force
            dead_s = fault.in_force.t if fault.direction in ("both", None) else delivered_s
            return SessionEnd(
                connection,
                Cause.NETWORK,
                dead_s,
                fault.began_s,
                drop,
                delivered_s,
                fault,
                silent=fault.lifted is None,
            )
        if fault.name in ("cut", "reset", "refuse", "unavailable"):
            drop = fault.in_force
            if first is not None and first.t < drop.t:
                drop = first
            return SessionEnd(connection, Cause.NETWORK, drop.t, fault.began_s, drop, drop.t, fault)
        return None

    def _left_s(self, fault: FaultWindow, connection: Connection) -> float:
        """When the client showed that it had noticed a silent fault: own end closed, redial, or `reconnecting` said."""
        signs = []
        if connection.client_closed is not None and connection.client_closed.t >= fault.began_s:
            signs.append(connection.client_closed.t)
        place = bisect_left(self._dial_times, fault.start_s)
        if place < len(self._dials):
            signs.append(self._dials[place].t)
        told = bisect_left(self._reconnecting, fault.began_s)
        if told < len(self._reconnecting):
            signs.append(self._reconnecting[told])
        return min(signs, default=math.inf)

    def _left_in_a_stall(self, fault: FaultWindow, connection: Connection, first_s: float) -> SessionEnd | None:
        """A link lives through a stall; it is lost only where the client left it meanwhile."""
        until_s = fault.end_s
        left_s = self._left_s(fault, connection)
        if left_s > until_s:
            return None
        gone = connection.client_closed
        if gone is None or gone.t > until_s:
            later = connection.frames[-1].t if connection.frames else 0.0
            closes = [fact.t for fact in (connection.ended, connection.close_received) if fact is not None]
            if later > until_s + AFTERGLOW_S or min(closes, default=math.inf) > until_s + LEFT_SEEN_S:
                return None
        live_until_s = gone.t if gone is not None and gone.t <= until_s else left_s
        live_until_s = min(live_until_s, first_s)  # the server may have closed before, unheard
        if self._leaving.asked_s <= live_until_s:
            return None
        return SessionEnd(
            connection, Cause.NETWORK, live_until_s, fault.began_s, fault.in_force, left_s, fault, silent=True
        )

    def _ended_by_a_side(self, connection: Connection, first: Moment | None) -> SessionEnd:
        if first is None:
            return SessionEnd(connection, Cause.OPEN, math.inf, math.inf, None, math.inf)
        cause, code = Cause.CLIENT, None
        if connection.close_sent is not None and connection.close_sent.n == first.n:
            cause, code = Cause.SERVER_CLOSE, connection.close_sent.event.code
        elif connection.ended is not None and connection.ended.n == first.n and connection.ended.event.how == "aborted":
            cause = Cause.SERVER_ABORT
        if self._leaving.asked_s <= first.t:
            cause = Cause.USER
        elif cause is Cause.CLIENT and self._leaving.exit_at(first.t) is not None:
            cause = Cause.EXIT
        known_s = first.t
        held = next(
            (f for f in self._network if f.name in SILENT and f.hits_down and f.start_s <= first.t < f.end_s), None
        )
        if held is not None and cause in (Cause.SERVER_CLOSE, Cause.SERVER_ABORT):
            # What told the client was itself held back by a fault.
            known_s = min(held.end_s, self._left_s(held, connection))
        return SessionEnd(connection, cause, first.t, first.t, first, known_s, code=code)


def read_gaps(
    ends: Sequence[SessionEnd],
    dials: Sequence[Dial],
    outage_list: Sequence[tuple[float, float]],
    leaving: Leaving,
) -> tuple[Gap, ...]:
    """A gap for every session that ended although nobody had asked for its end."""
    gaps: list[Gap] = []
    for place, end in enumerate(ends):
        if end.cause in (Cause.USER, Cause.EXIT, Cause.OPEN) or end.drop is None:
            continue
        warned = [sent.moment for sent in end.connection.go_aways if sent.t <= end.drop.t]
        from_s = _from_s(end, end.drop, warned[0] if warned else None)
        following = next(
            (later.connection for later in ends[place + 1 :] if _dialled_s(later.connection) >= from_s), None
        )
        started_s = following.started_s if following is not None else None
        closed_s = started_s if started_s is not None else math.inf
        asked_s = leaving.asked_s
        gaps.append(
            Gap(
                end,
                end.drop,
                end.known_s,
                link_there_s(outage_list, end.drop.t, min(closed_s, asked_s)),
                warned[0] if warned else None,
                dials_between(dials, from_s, min(closed_s, asked_s)),
                following,
            )
        )
    return tuple(gaps)


def _from_s(end: SessionEnd, drop: Moment, go_away: Moment | None) -> float:
    """A fault bites before it is confirmed in force, and a client that leaves by itself may dial before we see it."""
    from_s = min(drop.t, end.loss_s)
    if end.cause is Cause.CLIENT:
        from_s = drop.t - REORDERED_S
    return min(from_s, go_away.t) if go_away is not None else from_s


def _dialled_s(connection: Connection) -> float:
    moment = connection.first_moment
    if moment is None:
        return connection.started_s or 0.0
    return max(moment.t, connection.upgrade.t if connection.upgrade is not None else moment.t)
