"""Tokens and handles as the client came by them: minted, presented, spent; issued, received, presented."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fake_server.events import HandleIssued, TokenMinted, TokenSpent
from harness.checks.view_connections import EMPTY_HANDLE, Connection, Refused
from harness.checks.view_facts import Fact, Facts
from harness.checks.view_faults import BLOCKING, DELAYING, FaultWindow
from harness.checks.view_gaps import Gap, SessionEnd

RECEIVED_S = 0.25
"""A message sent so long before the link's fault counts as received; a later one may or may not be."""
UNKNOWN_HANDLE = "unknown-handle"


@dataclass(frozen=True, slots=True)
class Token:
    """One ephemeral token that this run's service knows."""

    label: str
    minted: Fact[TokenMinted] | None
    """None: the journal does not say how it came about."""
    spent: tuple[Fact[TokenSpent], ...]

    @property
    def used_up(self) -> Fact[TokenSpent] | None:
        """What took its last use; None: it still has one, or has no limit."""
        return next((fact for fact in self.spent if fact.event.uses_left == 0), None)


def read_tokens(facts: Facts) -> Mapping[str, Token]:
    """Every token that was minted or spent, by label."""
    minted: dict[str, Fact[TokenMinted]] = {}
    for fact in facts.of(TokenMinted):
        minted.setdefault(fact.event.token, fact)
    spent: dict[str, list[Fact[TokenSpent]]] = {}
    for use in facts.of(TokenSpent):
        spent.setdefault(use.event.token, []).append(use)
    return {label: Token(label, minted.get(label), tuple(spent.get(label, ()))) for label in {**minted, **spent}}


@dataclass(frozen=True, slots=True)
class Handle:
    """One sessionResumptionUpdate, and whether the client can be held to know it."""

    n: int
    t: float
    connection: int
    session: str
    label: str | None
    """None: the update carried no handle."""
    resumable: bool
    facts: frozenset[str]
    certain: bool
    """True: received for sure; False: it may or may not have been."""

    @property
    def usable(self) -> bool:
        """True when it can be resumed with."""
        return self.resumable and self.label is not None and self.label != EMPTY_HANDLE


def read_handles(facts: Facts, ends: Sequence[SessionEnd], faults: Sequence[FaultWindow]) -> tuple[Handle, ...]:
    """Every update in order of sending."""
    end_of = {end.connection.number: end for end in ends}
    hindering = in_the_way(faults)
    found: list[Handle] = []
    for fact in facts.of(HandleIssued):
        end = end_of.get(fact.event.connection)
        found.append(
            Handle(
                fact.n,
                fact.t,
                fact.event.connection,
                fact.event.session,
                fact.event.handle,
                fact.event.resumable,
                frozenset(fact.event.facts),
                certain=end is not None and arrived(fact.t, end, hindering),
            )
        )
    return tuple(found)


def in_the_way(faults: Sequence[FaultWindow]) -> tuple[FaultWindow, ...]:
    """The faults that keep what the server sends from the client, or delay it."""
    return tuple(
        fault
        for fault in faults
        if (fault.on_live and fault.hits_down and fault.name in BLOCKING | DELAYING) or fault.act == "client.suspend"
    )


def arrived(sent_s: float, end: SessionEnd, hindering: Sequence[FaultWindow]) -> bool:
    """True when what was sent on a session then was received for sure: 250 ms before the loss, nothing in its way."""
    if sent_s > end.loss_s - RECEIVED_S:
        return False
    for fault in hindering:
        if fault.began_s >= sent_s + RECEIVED_S or fault.end_s < sent_s:
            continue
        waited_out = fault.name == "stall" and end.loss_s >= fault.end_s + RECEIVED_S
        if not waited_out:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Offer:
    """What the client had to resume with when it dialled."""

    newest: Handle | None
    """The newest usable handle that it received for sure; None: none."""
    perhaps: tuple[Handle, ...]
    """Newer usable ones that it may have received."""
    last_update: Handle | None
    """The newest update of any kind that it received for sure."""


@dataclass(frozen=True, slots=True)
class Presented:
    """A dial of a gap whose setup was seen, and what it had to resume with."""

    connection: Connection
    dial_s: float
    label: str | None
    """The handle that it carried; None: none, or an empty one, and `connection.handle_label` tells the two apart."""
    offer: Offer
    excused: str | None
    """Why a dial without a handle is right here; None: it is not."""

    @property
    def owed(self) -> Handle | None:
        """The handle that it should carry, or a newer one; None: it is right without."""
        return self.offer.newest if self.excused is None else None


def presented_in(
    gap: Gap,
    handles: Sequence[Handle],
    refusals: Sequence[Refused],
    connections: Mapping[int, Connection],
    fresh_starts: Sequence[int],
    keep_trying_s: float,
) -> tuple[Presented, ...]:
    """Every dial of a gap whose setup was seen, in order.

    `fresh_starts` has the numbers of the entries with which sessions began that continued none: what was issued
    before the last of them belongs to a session that the conversation has left.
    """
    found: list[Presented] = []
    refused_labels: set[str | None] = set()
    place = 0
    named_handle = False
    first_try_s: float | None = None
    issued_at = [handle.t for handle in handles]
    offers: dict[tuple[int, int, int], Offer] = {}
    for dial in gap.dials:
        connection = dial.connection
        if connection is None or connection.setup is None:
            continue
        dialled_s = connection.upgrade.t if connection.upgrade is not None else dial.t
        while place < len(refusals) and refusals[place].t <= dialled_s:
            refusal = refusals[place]
            place += 1
            tried = connections.get(refusal.connection)
            if tried is None or tried.handle_label is None:
                continue
            if refusal.names == "handle":
                refused_labels.add(tried.handle_label)
            if refusal.t < gap.from_s or refusal.names_token:
                continue
            named_handle = named_handle or refusal.names == "handle"
            if first_try_s is None and tried.session is None:  # a session that was had and ended is no refused resume
                first_try_s = tried.upgrade.t if tried.upgrade is not None else refusal.t
        excused = None
        if named_handle:
            excused = "a resume was refused as a handle before it"
        elif first_try_s is not None and dialled_s >= first_try_s + keep_trying_s:
            excused = f"resumes had been refused for {keep_trying_s:g} s"
        begun = bisect_left(fresh_starts, connection.setup.n)
        from_n = fresh_starts[begun - 1] if begun else 0
        key = (bisect_right(issued_at, dialled_s), len(refused_labels), from_n)
        offered = offers.get(key)
        if offered is None:
            offered = offers[key] = _offer(handles, key[0], refused_labels, from_n)
        label = None if connection.starts_anew else connection.handle_label
        found.append(Presented(connection, dialled_s, label, offered, excused))
    return tuple(found)


def _offer(handles: Sequence[Handle], issued: int, refused: set[str | None], from_n: int) -> Offer:
    """What there was to resume with of the first `issued` updates, none of them from before entry `from_n`.

    A handle that was refused as a handle ends the search: who keeps the newest has thrown its elders away.
    """
    newest: Handle | None = None
    last_update: Handle | None = None
    perhaps: list[Handle] = []
    for place in range(issued - 1, -1, -1):
        handle = handles[place]
        if handle.n < from_n or handle.label in refused:
            break
        if handle.certain and last_update is None:
            last_update = handle
        if not handle.usable:
            continue
        if handle.certain:
            newest = handle
            break
        perhaps.append(handle)
    return Offer(newest, tuple(perhaps), last_update)
