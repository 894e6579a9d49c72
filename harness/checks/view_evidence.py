"""Is the evidence whole? What a journal must hold if it is to clear anybody: a missing fact is never a pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from fake_server import events as server
from harness.checks.view_connections import Connection
from harness.checks.view_facts import Facts, at, duration_s
from harness.checks.view_faults import FaultWindow
from harness.checks.view_given import Given
from harness.journal import events as ours
from harness.journal.events import Event, Journal
from harness.scenario.model import Until

CLOSE_EARLY_S = 0.05
"""The service counts from its decision to send goAway, which comes a little before the sending."""
_CODES_OF_THE_SERVICE = frozenset({1007, 1008, 1011})
BACKWARDS_S = 0.001
"""Times are rounded when written: a step back of less than this is none."""


@dataclass(frozen=True, slots=True)
class Witnesses:
    """What can tell that an event must have happened."""

    facts: Facts
    given: Given | None
    connections: Mapping[int, Connection]
    faults: Sequence[FaultWindow]

    @property
    def played(self) -> bool:
        """True when the run was played to its end."""
        return any(fact.event.outcome == "played" for fact in self.facts.of(ours.RunEnded))

    @property
    def driven(self) -> bool:
        """True when the client takes commands."""
        return self.given is not None and self.given.driven

    def any_connection(self, fits: Callable[[Connection], bool]) -> bool:
        """True when some connection fits."""
        return any(fits(connection) for connection in self.connections.values())


def _server_facts(w: Witnesses) -> bool:
    return bool(w.facts.of(server.SessionStarted)) or bool(w.facts.of(server.FrameReceived))


def _session_seen(w: Witnesses) -> bool:
    return (
        w.any_connection(lambda c: c.setup_complete is not None)
        or bool(w.facts.of(server.TurnHeard))
        or bool(w.facts.of(server.HandleIssued))
        or bool(w.facts.of(server.TurnAnswered))
    )


def _upgrade_seen(w: Witnesses) -> bool:
    return _server_facts(w) or bool(w.facts.of(server.UpgradeAnswered)) or bool(w.facts.of(server.ConnectionEnded))


def _token_shown(w: Witnesses) -> bool:
    shown = w.any_connection(lambda c: c.token is not None and c.token.startswith("token-"))
    return shown or bool(w.facts.of(server.TokenSpent))


def _limited_token_used(w: Witnesses) -> bool:
    limited = {fact.event.token for fact in w.facts.of(server.TokenMinted) if fact.event.uses > 0}
    return any(
        fact.event.token is not None
        and fact.event.resumed_with is None
        and (fact.event.token in limited or not limited)
        for fact in w.facts.of(server.SessionStarted)
    )


def _handle_sent(w: Witnesses) -> bool:
    updates = any(fact.event.message == "session_resumption_update" for fact in w.facts.of(server.FrameSent))
    return updates or w.any_connection(lambda c: c.handle is not None and c.handle.event.handle.startswith("handle-"))


def _handle_shown(w: Witnesses) -> bool:
    resumed = any(fact.event.resumed_with is not None for fact in w.facts.of(server.SessionStarted))
    return resumed or w.any_connection(lambda c: c.handle_label is not None)


def _turn_given(w: Witnesses) -> bool:
    if any(fact.event.verb in ("teach", "say", "speak", "ask", "probe") for fact in w.facts.of(ours.StepStarted)):
        return True
    said = any(fact.event.command.get("do") in ("say", "speak") for fact in w.facts.of(ours.ClientCommand))
    return said or (w.driven and bool(w.facts.of(server.TurnHeard)))


def _command_given(w: Witnesses) -> bool:
    return w.driven and (bool(w.facts.of(ours.UserTurn)) or bool(w.facts.of(server.SessionStarted)))


def _turn_heard(w: Witnesses) -> bool:
    return bool(w.facts.of(server.TurnAnswered)) or bool(w.facts.of(server.TurnEnded))


def _turn_answered(w: Witnesses) -> bool:
    return any(fact.event.outcome == "complete" for fact in w.facts.of(server.TurnEnded))


def _fault_due(w: Witnesses) -> bool:
    return bool(w.faults) or (w.given is not None and w.given.has_faults and w.played)


def _fault_in_force(w: Witnesses) -> bool:
    return bool(w.faults) or (w.given is not None and w.given.has_faults and w.played)


def _fault_lifted(w: Witnesses) -> bool:
    return w.played and any(fault.in_force is not None and fault.for_s is not None for fault in w.faults)


def _link_dials(w: Witnesses) -> bool:
    """A step that waited for one was done: the dials that a proxy turns away leave no other trace."""
    story = w.given.scenario.story if w.given is not None else ()
    waited = {
        number
        for number, step in enumerate(story, start=1)
        if isinstance(step, Until) and step.event is not None and step.event.event == "link_dial"
    }
    return any(fact.event.step in waited and fact.event.outcome == "done" for fact in w.facts.of(ours.StepEnded))


def _closed(w: Witnesses) -> bool:
    return w.any_connection(lambda c: c.close_sent is not None or c.close_received is not None)


def _closed_by_server(w: Witnesses) -> bool:
    in_force = [fault for fault in w.faults if fault.in_force is not None]
    if any(fault.act == "server.close" for fault in in_force):
        return True
    expired_s = [fault.start_s for fault in in_force if fault.act == "tokens.expire"]
    return w.any_connection(
        lambda c: _refused_setup(c) or _outlived_its_go_away(w, c) or any(_lived_on_a_token(c, t) for t in expired_s)
    )


def _refused_setup(connection: Connection) -> bool:
    """Its setup came to nothing, and the client's close frame echoes a code that only the service says first."""
    if connection.handle is not None and connection.handle.event.refusal is not None:
        return True
    if connection.setup is None or connection.session is not None or connection.ended is None:
        return False
    echo = connection.close_received
    if echo is None:
        return connection.ended.event.how == "closed"
    return echo.event.code in _CODES_OF_THE_SERVICE


def _lived_on_a_token(connection: Connection, t: float) -> bool:
    """It had a session on an ephemeral token at `t`: when its tokens expire, the service ends it."""
    session = connection.session
    if session is None or session.event.token is None or session.t > t:
        return False
    left = [fact.t for fact in (connection.close_received, connection.ended) if fact is not None]
    return min(left, default=math.inf) > t


def _outlived_its_go_away(w: Witnesses, connection: Connection) -> bool:
    """Its link ended after the time of its last goAway: the service closes first, unless the session has moved on."""
    warned = connection.go_aways[-1] if connection.go_aways else None
    time_left_s = duration_s(at(warned.event.payload, "goAway", "timeLeft")) if warned is not None else None
    if warned is None or time_left_s is None or connection.ended is None or connection.session is None:
        return False
    over_s = warned.t + time_left_s - CLOSE_EARLY_S
    session = connection.session
    moved = any(
        fact.event.session == session.event.session and fact.n > session.n and fact.t <= over_s
        for fact in w.facts.of(server.SessionStarted)
    )
    left = connection.close_received is not None and connection.close_received.t <= over_s
    return connection.ended.t > over_s and not moved and not left


def _go_away_due(w: Witnesses) -> bool:
    return any(fault.act == "server.go_away" and fault.in_force is not None for fault in w.faults)


def _client_ran(w: Witnesses) -> bool:
    return w.played


def _client_left(w: Witnesses) -> bool:
    return w.played and bool(w.facts.of(ours.ClientStarted))


def _client_told_to_leave(w: Witnesses) -> bool:
    return any(fact.event.asked for fact in w.facts.of(ours.ClientExited))


def _steps_played(w: Witnesses) -> bool:
    planned = w.given is not None and bool(w.given.scenario.story)
    return w.played and (planned or bool(w.facts.of(ours.StepEnded)))


def _steps_ended(w: Witnesses) -> bool:
    return w.played and bool(w.facts.of(ours.StepStarted))


MUST_HAVE_BEEN: Mapping[str, Callable[[Witnesses], bool]] = MappingProxyType(
    {
        server.SocketAccepted.kind: lambda w: bool(w.facts.of(server.UpgradeReceived)),
        server.UpgradeReceived.kind: _upgrade_seen,
        server.UpgradeAnswered.kind: _server_facts,
        server.FrameReceived.kind: lambda w: bool(w.facts.of(server.SessionStarted)) or _session_seen(w),
        server.FrameSent.kind: lambda w: bool(w.facts.of(server.SessionStarted)) or _session_seen(w) or _go_away_due(w),
        server.SessionStarted.kind: _session_seen,
        server.TokenMinted.kind: _token_shown,
        server.TokenSpent.kind: _limited_token_used,
        server.HandleIssued.kind: _handle_sent,
        server.HandlePresented.kind: _handle_shown,
        server.TurnHeard.kind: _turn_heard,
        server.TurnAnswered.kind: _turn_answered,
        server.CloseSent.kind: _closed_by_server,
        server.ConnectionEnded.kind: _closed,
        ours.RunEnded.kind: lambda w: True,
        ours.StepStarted.kind: _steps_played,
        ours.StepEnded.kind: _steps_ended,
        ours.UserTurn.kind: _turn_given,
        ours.ClientStarted.kind: _client_ran,
        ours.ClientExited.kind: _client_left,
        ours.ClientStopping.kind: _client_told_to_leave,
        ours.ClientCommand.kind: _command_given,
        ours.FaultDue.kind: _fault_due,
        ours.FaultInForce.kind: _fault_in_force,
        ours.FaultLifted.kind: _fault_lifted,
        ours.LinkDial.kind: _link_dials,
    }
)
"""Kind of event → does the rest of the journal say that there must have been one? Kinds that are not here (a close of
the client's own, a told line, what the proxy sees) leave no other trace: no check may need them to pass."""


_REPEATABLE = (ours.ClientOutput, ours.ClientEvent, ours.Note, ours.UnknownEvent)
"""A program may say the same thing twice in one microsecond; no two other facts are alike in kind, content and time."""


def missing_kinds(witnesses: Witnesses) -> frozenset[str]:
    """The kinds of which there is no event although there must have been one."""
    return frozenset(
        kind
        for kind, must_have_been in MUST_HAVE_BEEN.items()
        if not witnesses.facts.has(kind) and must_have_been(witnesses)
    )


def contradictions(journal: Journal) -> tuple[tuple[str, int], ...]:
    """What no run can have written, with the entry: lines that are gone, out of order, or say what cannot be."""
    found: list[tuple[str, int]] = []
    entries = journal.entries
    if not entries:
        return (("the journal is empty", 0),)
    if not isinstance(entries[0].event, ours.RunPlanned):
        found.append(("the journal does not begin with the plan", entries[0].n))
    previous_n, previous_t = 0, float("-inf")
    previous_event: Event | None = None
    once: set[tuple[str, int]] = set()
    for entry in entries:
        if entry.n != previous_n + 1:
            found.append((f"entries are missing or out of order: {entry.n} follows {previous_n}", entry.n))
        if entry.t < previous_t - BACKWARDS_S:
            found.append((f"time goes back from {previous_t:.3f} s to {entry.t:.3f} s", entry.n))
        event = entry.event
        if entry.t == previous_t and event == previous_event and not isinstance(event, _REPEATABLE):
            found.append((f"`{event.kind}` is there twice at {entry.t:.6f} s", entry.n))
        previous_n, previous_t, previous_event = entry.n, max(previous_t, entry.t), event
        if isinstance(event, (server.UpgradeReceived, server.UpgradeAnswered, server.SessionStarted)):
            if isinstance(event, server.SessionStarted) and (server.UpgradeReceived.kind, event.connection) not in once:
                found.append((f"connection {event.connection} has a session and no upgrade before it", entry.n))
            if (event.kind, event.connection) in once:
                found.append((f"connection {event.connection} has a second `{event.kind}`", entry.n))
            once.add((event.kind, event.connection))
        elif isinstance(event, ours.RunPlanned) and entry is not entries[0]:
            found.append(("there is a second plan", entry.n))
        elif isinstance(event, ours.UnknownEvent) and event.original_kind == "unreadable":
            found.append(("a line cannot be read", entry.n))
    return tuple(found)
