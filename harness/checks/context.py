"""RESUME: what the service still knows after a drop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fake_server import events as server
from harness.checks.rule import Check, Numbered, Outcome, broken, holds, never_arose, unknown, waived
from harness.checks.view import View
from harness.checks.view_facts import Fact
from harness.checks.view_tokens import Handle
from harness.journal.events import FaultInForce, UserTurn
from harness.verdict import Level

_FORGETTING = frozenset({"server.forget_context", "server.forget_handle"})


def facts_survive(view: View) -> Outcome:
    """RESUME-7."""
    if not view.given.driven:
        return waived("the client talks by itself: nobody taught it facts")
    if view.given.policy.resumption == "none":
        return waived("by its policy the client keeps nothing over a drop (`resumption: none`)")
    asked = [owed for turn in view.facts.of(UserTurn) if (owed := _owed(view, turn)) is not None]
    right: list[Numbered | None] = []
    known: set[str] = set()
    unanswered: list[Fact[UserTurn]] = []
    for owed in asked:
        answer = owed.answer
        if answer is None:
            unanswered.append(owed.turn)
            continue
        missing = set(answer.event.missing)
        lost = sorted(owed.facts & missing)
        if lost:
            return broken(
                f"asked for {_names(lost)} after the drop, the service no longer knew it, although "
                f"{owed.handle.label} held it",
                owed.handle,
                owed.turn,
                answer,
            )
        if still := (owed.facts | owed.forgiven) - missing:
            known |= still
            right += [owed.handle, owed.turn, answer]
    if unanswered:
        return unknown("what was asked after the drop was never answered", *unanswered)
    if known:
        return holds(
            f"{_names(sorted(known))} {'was' if len(known) == 1 else 'were'} still known after the drop", *right
        )
    if asked:
        return never_arose("what was asked after the drop was lawfully forgotten: the service took its handle back")
    return never_arose("nothing was asked, after a drop or a fault, that the newest handle received held")


# --- what the rule reads ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Owed:
    """What a question may expect to be known."""

    turn: Fact[UserTurn]
    answer: Fact[server.TurnAnswered] | None
    """The last one; None: it was never answered."""
    facts: frozenset[str]
    """Facts asked for that the newest handle before some drop or fault held."""
    forgiven: frozenset[str]
    """More of them, that were lawfully forgotten meanwhile: a client that told them again knows them all the same."""
    handle: Handle


def _owed(view: View, turn: Fact[UserTurn]) -> _Owed | None:
    """What may be expected of the answer to `turn`; None: nothing."""
    asked = frozenset(turn.event.asks)
    owed: frozenset[str] = frozenset()
    forgiven: frozenset[str] = frozenset()
    newest: Handle | None = None
    answer = _last_answer(view, turn)
    forgotten_n = _forgotten_before(view, answer.n if answer is not None else turn.n)
    for broken_n in _breaks_before(view, turn.t):
        handle = next((one for one in reversed(view.handles) if one.certain and one.usable and one.n < broken_n), None)
        if handle is None or not handle.facts & asked:
            continue
        newest = handle
        if handle.n > forgotten_n:
            owed |= handle.facts & asked
        else:
            forgiven |= handle.facts & asked
    return _Owed(turn, answer, owed, forgiven - owed, newest) if newest is not None else None


def _breaks_before(view: View, t: float) -> Iterator[int]:
    """Where sessions were lost before `t`, and where faults came into force that a client may have ridden out."""
    yield from (gap.drop.n for gap in view.gaps if gap.drop.t <= t)
    yield from (fault.in_force.n for fault in view.faults if fault.in_force is not None and fault.in_force.t <= t)


def _forgotten_before(view: View, n: int) -> int:
    """The last entry before `n` with which all that had been known was lawfully gone; 0: none.

    A fresh session had to be started, or the service itself forgot what was behind its handles.
    """
    gone = [start for start in view.lawful_starts if start < n]
    gone += [
        fault.in_force.n
        for fault in view.faults
        if fault.act in _FORGETTING and fault.in_force is not None and fault.in_force.n < n
    ]
    return max(gone, default=0)


def _last_answer(view: View, turn: Fact[UserTurn]) -> Fact[server.TurnAnswered] | None:
    """The service's last answer to a turn of the user; None: it never answered."""
    event = turn.event
    heard = {
        fact.event.turn
        for fact in view.facts.of(server.TurnHeard)
        if fact.t >= turn.t
        and (event.utterance in fact.event.utterances if event.utterance is not None else event.text in fact.event.text)
    }
    answers = [fact for fact in view.facts.of(server.TurnAnswered) if fact.event.turn in heard]
    return answers[-1] if answers else None


def _names(facts: list[str]) -> str:
    return " and ".join(facts)


CHECKS = (
    Check(
        id="RESUME-7",
        level=Level.MUST,
        title="What was said before the drop is known after it",
        rule=(
            "Facts taught before the fault, and held by the newest handle received, are known after it: asked, the "
            "service answers right. Where the service took that handle back, nothing is owed."
        ),
        evidence="Facts in `handle.issued`, the questions of the story, and what the answers knew or lacked.",
        fix=(
            "Go on with the session that the handle restores; do not start a fresh one beside it or after it. Where "
            "nothing can be resumed, send the history once."
        ),
        seen_in=("google/adk-python#2179", "videosdk-live/agents#292", "googleapis/js-genai#1513"),
        needs=frozenset(
            {
                server.UpgradeReceived.kind,
                server.FrameReceived.kind,
                server.SessionStarted.kind,
                server.HandleIssued.kind,
                server.HandlePresented.kind,
                server.TurnHeard.kind,
                server.TurnAnswered.kind,
                UserTurn.kind,
                FaultInForce.kind,
            }
        ),
        judge=facts_survive,
    ),
)
