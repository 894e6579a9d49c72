"""GOAWAY: the warning before the end of a connection."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fake_server import events as server
from harness.checks.rule import Check, Numbered, Outcome, broken, holds, never_arose, unknown, waived
from harness.checks.view import View
from harness.checks.view_connections import Connection
from harness.checks.view_facts import Fact, at, duration_s
from harness.checks.view_gaps import Cause, SessionEnd
from harness.checks.view_tokens import arrived, in_the_way
from harness.journal.events import FaultInForce, UserTurn
from harness.verdict import Level

DEADLINE_TOLERANCE_S = 0.25
"""`timeLeft` is counted from its arrival, and the deadline from its sending."""
FOLLOWS_WITHIN_S = 10.0
"""GOAWAY-2: a session that starts so long after the deadline, or later, is no consequence of the goAway."""
IGNORED = "go_away_ignored"
"""The refusal with which the service ends a connection whose time is over."""
BACK_WITHIN_S = 10.0
OLD_SOCKET_WATCHED_S = 1.0
"""GOAWAY-2: so long after the old socket's end a second session would have been dialled by a client that errs."""

_NEEDS = frozenset(
    {
        server.FrameSent.kind,
        server.SessionStarted.kind,
        server.UpgradeReceived.kind,
        server.CloseSent.kind,
        FaultInForce.kind,
    }
)


@dataclass(frozen=True, slots=True)
class _Warning:
    """The first goAway of a connection whose session was live."""

    sent: Fact[server.FrameSent]
    end: SessionEnd
    deadline_s: float | None
    """Of the last goAway that came on it; None: it named no time, or none that can be read."""
    received: bool
    """False: it may never have come to the client."""
    sessions: tuple[Connection, ...]
    """Sessions that were dialled for after it and could be its consequence, in order."""
    moved_to: Connection | None
    """The next session, also one whose dial was under way when the warning came; None: there was none."""


def moves_before_the_deadline(view: View) -> Outcome:
    """GOAWAY-1."""
    policy = view.given.policy
    if policy.go_away == "on_close":
        return waived("by its policy the client waits for the close (`go_away: on_close`)")
    if policy.redial != "eager":
        return waived(f"by its policy the client dials at the next input only (`redial: {policy.redial}`)")
    moved: list[Numbered | None] = []
    timeless: _Warning | None = None
    for warning in _warnings(view):
        if warning.deadline_s is None:
            timeless = warning
            continue
        limit_s = warning.deadline_s + DEADLINE_TOLERANCE_S
        new = warning.moved_to
        if new is not None and new.session is not None and new.session.t <= limit_s and not _waited_out(warning, new):
            moved += [warning.sent, new.session]
            continue
        if _lost_otherwise(warning) or _closed_otherwise(warning) or not warning.received:
            continue
        if policy.go_away == "after_turn" and _model_speaks(view, warning):
            continue
        if min(view.leaving.asked_s, view.watched_until_s) > limit_s:
            late = "" if new is None or new.session is None else ", but after the close that followed"
            return broken(
                f"was not on a new connection before the {warning.deadline_s - warning.sent.t:g} s of goAway were over"
                f"{late}",
                warning.sent,
                warning.end.drop,
                new.session if new is not None else None,
            )
    if moved:
        return holds("was on a new connection before the time of goAway was over", *moved)
    if timeless is not None:
        return never_arose("goAway named no time that could run out", timeless.sent)
    return never_arose("no goAway was sent whose time ran out in this run")


def moves_once(view: View) -> Outcome:
    """GOAWAY-2."""
    once: list[Numbered | None] = []
    open_question: Outcome | None = None
    for warning in _warnings(view):
        sessions = warning.sessions
        if len(sessions) > 1:
            return broken(
                f"one goAway led to {len(sessions)} new sessions, on connections "
                f"{', '.join(str(one.number) for one in sessions)}",
                warning.sent,
                *(one.session for one in sessions),
            )
        if _lost_otherwise(warning) or view.leaving.asked_s <= warning.sent.t:
            continue
        new = warning.moved_to
        if new is None:
            if view.given.policy.redial == "eager":
                open_question = unknown("no new session was accepted after goAway", warning.sent, warning.end.drop)
        elif view.watched_until_s < warning.end.live_until_s + OLD_SOCKET_WATCHED_S:
            open_question = unknown("the run ended before the old socket did", warning.sent, new.session)
        else:
            once += [warning.sent, new.session]
    if open_question is not None:
        return open_question
    if once:
        return holds("each goAway led to one new session", *once)
    return never_arose("no goAway was sent on a connection that was not lost to something else")


def comes_back_after_the_close(view: View) -> Outcome:
    """GOAWAY-4."""
    back: list[Numbered | None] = []
    doubtful: Outcome | None = None
    for gap in view.gaps:
        if gap.end.cause is not Cause.SERVER_CLOSE or gap.go_away is None or gap.closed_s <= gap.drop.t:
            continue
        from_s = max(gap.known_s, gap.there_s)
        if view.given.policy.redial != "eager":
            from_s = next((turn.t for turn in view.facts.of(UserTurn) if turn.t >= from_s), math.inf)
        limit_s = from_s + BACK_WITHIN_S
        watched_s = min(view.watched_until_s, view.leaving.asked_s)
        if gap.closed_s <= limit_s and gap.next is not None:
            back += [gap.go_away, gap.drop, gap.next.session]
        elif math.isinf(from_s) or view.leaving.asked_s <= from_s:
            continue
        elif view.leaving.hung_up is not None and view.leaving.hung_up.t < limit_s:
            continue  # nobody wants it back
        elif turned_away := [one for one in gap.dials if one.connection and one.failed and one.t <= limit_s]:
            doubtful = unknown(
                "dialled after the close that followed goAway, and was refused each time: the refusals say why",
                gap.go_away,
                gap.drop,
                *turned_away[:20],
            )
        elif watched_s >= limit_s or view.gave_up(gap.drop.t) or view.exited(gap.drop.t):
            return broken(
                f"not back within {BACK_WITHIN_S:g} s of the close that followed goAway",
                gap.go_away,
                gap.drop,
                gap.next.session if gap.next is not None else None,
            )
        else:
            doubtful = unknown(f"watched for {watched_s - from_s:.1f} s after the close only", gap.go_away, gap.drop)
    if doubtful is not None:
        return doubtful
    if back:
        return holds("was back in time after the close that followed goAway", *back)
    return never_arose("no connection was closed for a goAway that the client had ignored")


def _warnings(view: View) -> list[_Warning]:
    found = []
    hindering = in_the_way(view.faults)
    for end in view.ends:
        sent_live = [one for one in end.connection.go_aways if end.started_s <= one.t <= end.live_until_s]
        if not sent_live:
            continue
        sent, last = sent_live[0], sent_live[-1]
        time_left_s = duration_s(at(last.event.payload, "goAway", "timeLeft"))
        deadline_s = None if time_left_s is None else last.t + time_left_s
        old_end_s = end.live_until_s if math.isfinite(end.live_until_s) else sent.t
        until_s = max(old_end_s, deadline_s or sent.t) + FOLLOWS_WITHIN_S
        sessions = _consequences(view, sent.t, until_s)
        under_way = (one.connection for one in view.ends if sent.t <= one.started_s <= until_s)
        moved_to = next((one for one in under_way if one is not end.connection), None)
        heeded = end.cause is Cause.CLIENT and not any(fault.covers(sent.t, end.live_until_s) for fault in hindering)
        received = heeded or arrived(sent.t, end, hindering)
        found.append(_Warning(sent, end, deadline_s, received, sessions, moved_to))
    return found


def _consequences(view: View, from_s: float, until_s: float) -> tuple[Connection, ...]:
    """New sessions from the goAway on, up to the first that was lost for a reason of its own."""
    sessions: list[Connection] = []
    for end in view.ends:
        connection = end.connection
        dialled = connection.first_moment
        if dialled is None or dialled.t < from_s or end.started_s > until_s:
            continue
        sessions.append(connection)
        if end.cause not in (Cause.CLIENT, Cause.OPEN) or connection.go_aways:
            break
    return tuple(sessions)


def _waited_out(warning: _Warning, new: Connection) -> bool:
    """The service closed because its goAway had been ignored, and only then the new session was dialled."""
    closed, dialled = warning.end.connection.close_sent, new.first_moment
    return closed is not None and closed.event.refusal == IGNORED and dialled is not None and dialled.n > closed.n


def _model_speaks(view: View, warning: _Warning) -> bool:
    """A turn of the model was still running on that connection when its time was over."""
    deadline_s = warning.deadline_s if warning.deadline_s is not None else math.inf
    number = warning.end.connection.number
    over = {fact.event.turn: fact.t for fact in view.facts.of(server.TurnEnded) if fact.event.connection == number}
    return any(
        fact.event.connection == number
        and fact.t < deadline_s
        and over.get(fact.event.turn, math.inf) >= deadline_s - DEADLINE_TOLERANCE_S
        for fact in view.facts.of(server.TurnAnswered)
    )


def _lost_otherwise(warning: _Warning) -> bool:
    """The connection was lost to something else before its time was over."""
    end = warning.end
    limit_s = warning.deadline_s if warning.deadline_s is not None else math.inf
    lost = end.cause in (Cause.NETWORK, Cause.SERVER_ABORT, Cause.EXIT, Cause.USER)
    return lost and end.loss_s < limit_s - DEADLINE_TOLERANCE_S


def _closed_otherwise(warning: _Warning) -> bool:
    """The service closed before the time that it had named, and for another reason."""
    closed = warning.end.connection.close_sent if warning.end.cause is Cause.SERVER_CLOSE else None
    if closed is None or warning.deadline_s is None or closed.event.refusal == IGNORED:
        return False
    return warning.end.loss_s < warning.deadline_s - DEADLINE_TOLERANCE_S


CHECKS = (
    Check(
        id="GOAWAY-1",
        level=Level.SHOULD,
        title="The warning is heeded",
        rule=(
            "After goAway the client is on a new connection before `timeLeft` runs out; with `go_away: after_turn`, "
            "unless a turn of the model lasted until then."
        ),
        evidence="The `goAway` frame and its `timeLeft`, and the next session that started.",
        fix="On goAway let the running turn end if there is time, close the socket, and resume with the newest handle.",
        seen_in=(
            "firebase/firebase-android-sdk#7648",
            "sierra-research/tau2-bench#461",
            "pydantic/pydantic-ai#6643",
            "kizuna-ai-lab/sokuji#179",
        ),
        needs=_NEEDS,
        judge=moves_before_the_deadline,
    ),
    Check(
        id="GOAWAY-2",
        level=Level.MUST,
        title="One warning, one move",
        rule=(
            "One goAway leads to one new accepted session, not two: the close of the old socket must not start a "
            "second."
        ),
        evidence="The `goAway` frame, every session that started after it, and the end of the old socket.",
        fix="Make the reconnect belong to the connection that it replaces, and ignore events of sockets already left.",
        seen_in=("firebase/firebase-android-sdk#7649",),
        needs=_NEEDS - {server.CloseSent.kind},
        judge=moves_once,
    ),
    Check(
        id="GOAWAY-4",
        level=Level.MUST,
        title="The close after the warning is not the end",
        rule=(
            "When the server closes after goAway, also after silence, the client is back within 10 s of the close, or "
            "of the next user input (`redial: on_demand`)."
        ),
        evidence="The close that followed a `goAway`, and the next session that started.",
        fix="Treat the close 1008 or 1011 after a goAway as any other drop: dial again, with the newest handle.",
        seen_in=("firebase/firebase-android-sdk#7649", "kizuna-ai-lab/sokuji#179"),
        needs=_NEEDS,
        judge=comes_back_after_the_close,
    ),
)
