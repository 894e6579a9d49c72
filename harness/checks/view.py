"""One journal, read in every way that rules need: each reading is made once, when it is first asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from fake_server.events import SessionStarted
from harness.checks.view_connections import (
    Connection,
    Dial,
    Refused,
    read_connections,
    read_dials,
    read_refusals,
)
from harness.checks.view_evidence import Witnesses, contradictions, missing_kinds
from harness.checks.view_facts import Fact, Facts
from harness.checks.view_faults import FaultWindow, fault_windows, outages
from harness.checks.view_gaps import REORDERED_S, Cause, Gap, Leaving, SessionEnd, read_ends, read_gaps
from harness.checks.view_given import Given
from harness.checks.view_speech import SpeechLedger, read_speech
from harness.checks.view_tokens import Handle, Presented, Token, presented_in, read_handles, read_tokens
from harness.journal.events import ClientEvent, ClientExited, ClientStarted, Journal, RunEnded

IN_FLIGHT_S = 0.1
"""Bytes that were under way when a session ended may still be read so long afterwards."""
REACTION_S = 2.0
"""A client that leaves so soon after something was done to it leaves because of that."""
_TOLD_STATES = frozenset({"disconnected", "gave_up", "reconnecting"})


class View:
    """All readings of one journal. `given` is what its plan promises."""

    def __init__(self, journal: Journal, given: Given) -> None:
        self.journal = journal
        self.given = given
        self.facts = Facts(journal)

    # --- the parts of a run ------------------------------------------------------------------------------------------

    @cached_property
    def faults(self) -> Sequence[FaultWindow]:
        """Every fault, in order of its beginning."""
        return fault_windows(self.facts)

    @cached_property
    def outages(self) -> Sequence[tuple[float, float]]:
        """The times in which no new session could be had."""
        return outages(self.faults)

    @cached_property
    def connections(self) -> Mapping[int, Connection]:
        """Every upgrade, by number."""
        return read_connections(self.facts)

    @cached_property
    def dials(self) -> Sequence[Dial]:
        """Every attempt to reach the service, in order of time."""
        return read_dials(self.facts, self.connections)

    @cached_property
    def refusals(self) -> Sequence[Refused]:
        """Every refusal of an upgrade or a session, in order of time."""
        return read_refusals(self.facts)

    @cached_property
    def leaving(self) -> Leaving:
        """Hang-up, quit and exits."""
        return Leaving(self.facts, driven=self.given.driven)

    @cached_property
    def ends(self) -> Sequence[SessionEnd]:
        """How each session ended, by its start."""
        return read_ends(self.facts, self.connections, self.dials, self.faults, self.leaving)

    @cached_property
    def gaps(self) -> Sequence[Gap]:
        """A gap for every session that ended although nobody had asked for its end."""
        return read_gaps(self.ends, self.dials, self.outages, self.leaving)

    @cached_property
    def tokens(self) -> Mapping[str, Token]:
        """Every token that was minted or spent, by label."""
        return read_tokens(self.facts)

    @cached_property
    def handles(self) -> Sequence[Handle]:
        """Every sessionResumptionUpdate, in order of sending."""
        return read_handles(self.facts, self.ends, self.faults)

    @cached_property
    def speech(self) -> SpeechLedger:
        """Which samples of which utterance arrived, how often, and in what order."""
        return read_speech(self.facts, self.connections.values(), self.is_live, self.is_beside)

    @cached_property
    def missing(self) -> frozenset[str]:
        """Kinds of events of which there is none although there must have been one."""
        return missing_kinds(Witnesses(self.facts, self.given, self.connections, self.faults))

    @cached_property
    def contradictions(self) -> Sequence[tuple[str, int]]:
        """What no run can have written."""
        return contradictions(self.journal)

    # --- questions ---------------------------------------------------------------------------------------------------

    @cached_property
    def _end_of(self) -> Mapping[int, SessionEnd]:
        return {end.connection.number: end for end in self.ends}

    def is_live(self, connection: int, t: float) -> bool:
        """True when what a connection brings at `t` reaches a live session: not a ghost, not one that has ended."""
        end = self._end_of.get(connection)
        return end is not None and end.started_s <= t <= end.live_until_s + IN_FLIGHT_S

    def is_beside(self, connection: int, t: float) -> bool:
        """True when another session is live at `t`."""
        return any(
            end.connection.number != connection and end.started_s <= t < end.live_until_s - IN_FLIGHT_S
            for end in self.ends
        )

    @cached_property
    def drops(self) -> Sequence[Gap]:
        """The gaps that something brought about: a fault, the service, a goAway; not the client's own decision."""
        return tuple(gap for gap in self.gaps if not self._own_decision(gap))

    @cached_property
    def presented(self) -> Sequence[tuple[Gap, Sequence[Presented]]]:
        """For each drop, its dials whose setup was seen, and what each had to resume with.

        A dial that was made before the old session was lost belongs to the gap only where the client plans to overlap;
        otherwise it is a second session beside the first, which is RETRY-7's business.
        """
        keep_trying_s = self.given.policy.refused_handle.keep_trying
        fresh_starts = sorted(one.n for one in self._fresh_sessions)
        overlaps = self.given.policy.handover == "overlap"
        found = []
        for gap in self.drops:
            all_of_it = presented_in(gap, self.handles, self.refusals, self.connections, fresh_starts, keep_trying_s)
            from_s = gap.from_s if overlaps else gap.drop.t - REORDERED_S
            found.append((gap, tuple(one for one in all_of_it if one.dial_s >= from_s)))
        return tuple(found)

    @cached_property
    def _fresh_sessions(self) -> Sequence[Fact[SessionStarted]]:
        return tuple(fact for fact in self.facts.of(SessionStarted) if fact.event.resumed_with is None)

    @cached_property
    def lawful_starts(self) -> Sequence[int]:
        """Entries with which fresh sessions began that nobody can blame the client for, in order.

        What was known before is gone with them: the resume was refused for good, or the program was started again.
        """
        by_number = {fact.event.connection: fact.n for fact in self._fresh_sessions}
        lawful = {
            by_number[dial.connection.number]
            for _, dials in self.presented
            for dial in dials
            if dial.excused is not None and dial.connection.number in by_number
        }
        for started in self.facts.of(ClientStarted):
            first = next((fact for fact in self.facts.of(SessionStarted) if fact.n > started.n), None)
            if first is not None and first.event.resumed_with is None:
                lawful.add(first.n)
        return sorted(lawful)

    def _own_decision(self, gap: Gap) -> bool:
        if gap.end.cause is not Cause.CLIENT or gap.go_away is not None:
            return False
        left_s = gap.drop.t
        for fault in self.faults:
            reaction_s = 0.0 if fault.family == "network" else REACTION_S
            if fault.family != "tokens" and fault.covers(left_s - reaction_s, left_s):
                return False
        return True

    def told(self, from_s: float, to_s: float = math.inf) -> Sequence[Fact[ClientEvent]]:
        """What the client told its user between the two: errors, and states that say that something is wrong."""
        return tuple(
            fact
            for fact in self.facts.of(ClientEvent)
            if from_s <= fact.t <= to_s
            and (fact.event.event == "error" or fact.event.data.get("state") in _TOLD_STATES)
        )

    def gave_up(self, from_s: float) -> Fact[ClientEvent] | None:
        """The first `gave_up` from then on; None: it did not say so."""
        return next((fact for fact in self.told(from_s) if fact.event.data.get("state") == "gave_up"), None)

    def exited(self, from_s: float = 0.0) -> Fact[ClientExited] | None:
        """The first exit that nobody had asked for, from then on; None: there was none."""
        return next((fact for fact in self.leaving.exits if fact.t >= from_s and not fact.event.asked), None)

    @cached_property
    def watched_until_s(self) -> float:
        """Until when the client was free to do what it wanted: told to leave, gone, or the end of the journal."""
        moments = [self.facts.end_s]
        if self.leaving.told_to_leave is not None:
            moments.append(self.leaving.told_to_leave.t)
        last_start_s = max((fact.t for fact in self.facts.of(ClientStarted)), default=0.0)
        moments += [fact.t for fact in self.leaving.exits if fact.t >= last_start_s]
        return min(moments)

    @property
    def played(self) -> bool:
        """True when the run was played to its end."""
        return any(fact.event.outcome == "played" for fact in self.facts.of(RunEnded))

    def uncounted(self, from_s: float, to_s: float) -> FaultWindow | None:
        """A `refuse` fault on the live link between the two: dials leave no trace then; None: all were seen."""
        return next(
            (fault for fault in self.faults if fault.on_live and fault.name == "refuse" and fault.covers(from_s, to_s)),
            None,
        )

    @cached_property
    def first_setup(self) -> Connection | None:
        """The first connection whose setup was seen."""
        return _first(one for one in self.connections.values() if one.setup is not None)


def _first(found: Iterable[Connection]) -> Connection | None:
    return min(found, key=lambda one: one.setup.n if one.setup is not None else 0, default=None)
