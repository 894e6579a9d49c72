"""RETRY: coming back, at a pace that the service stands, and only while somebody wants it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fake_server import events as server
from harness.checks.rule import Check, Numbered, Outcome, broken, holds, never_arose, unknown, waived
from harness.checks.view import View
from harness.checks.view_connections import USER_INPUT, Dial
from harness.checks.view_faults import link_there_s
from harness.checks.view_gaps import Gap, SessionEnd
from harness.journal.events import ClientStarted, FaultInForce, LinkDial, StepStarted, UserTurn
from harness.policy import GivesUpAttempts
from harness.verdict import Level

NEW_DIAL_WITHIN_S = 30.0
FAILED_IN_A_SECOND = 5
FAILED_IN_HALF_A_MINUTE = 15
QUIET_S = 10.0
READS_THE_LINE_S = 0.25
"""RETRY-6: a dial that came so soon, and was given up, was under way while the hang-up was being read."""
SEEN_LATE_S = 0.1
"""What happens at the client is seen so much later: RETRY-7, the close of the old socket and the start of the new
session come on two links; RETRY-1, an outage may begin for the client before it is confirmed in force."""
OVERLAP_S = 10.0
"""RETRY-7: how long a planned move may hold two sockets (policy `handover: overlap`)."""

_DIALS = frozenset({server.UpgradeReceived.kind, server.SocketAccepted.kind, LinkDial.kind})


def abnormal_end_is_answered(view: View) -> Outcome:
    """RETRY-1."""
    back: list[Numbered | None] = []
    doubtful: Outcome | None = None
    gave_up = ""
    for gap in view.gaps:
        if not gap.end.abnormal or view.leaving.asked_s <= gap.drop.t:
            continue
        from_s = _may_dial_from_s(view, gap)
        if from_s is None or view.leaving.asked_s <= from_s:
            continue
        deadline_s = from_s + NEW_DIAL_WITHIN_S
        dial = _answer(gap)
        if dial is not None and dial.t <= deadline_s:
            back += [gap.drop, dial]
            continue
        if view.leaving.hung_up is not None and view.leaving.hung_up.t < deadline_s:
            continue  # nobody wants it back
        if _may_give_up(view, gap, deadline_s):
            gave_up = ": the client gave up in an outage that outlasted its own limit (`gives_up`)"
            continue
        watched_s = min(view.watched_until_s, view.leaving.asked_s)
        ended = view.gave_up(gap.end.loss_s) or view.exited(gap.end.loss_s)
        if dial is not None:
            return broken(f"dialled {dial.t - from_s:.0f} s after the link was there again", gap.drop, dial)
        if ended is not None or watched_s >= deadline_s:
            how = (
                ""
                if ended is None
                else ", and it had given up"
                if ended in view.told(gap.end.loss_s)
                else ", and exited"
            )
            return broken(
                f"did not dial again after {_how_it_ended(gap)}{how}; watched for {watched_s - gap.drop.t:.0f} s",
                gap.drop,
                ended,
            )
        if doubtful is None:
            doubtful = unknown(
                f"no dial in the {max(0.0, watched_s - from_s):.0f} s that were watched, of the "
                f"{NEW_DIAL_WITHIN_S:.0f} s that it has",
                gap.drop,
            )
    if doubtful is not None:
        return doubtful
    if back:
        return holds("every abnormal end was answered with a new dial in time", *back)
    return never_arose(f"no session ended abnormally that had to be replaced{gave_up}")


def service_is_not_hammered(view: View) -> Outcome:
    """RETRY-2."""
    seen: list[Numbered | None] = []
    by_number: dict[int, Dial] = {}
    for gap in view.gaps:
        failed = [dial for dial in gap.dials if dial.failed and dial.t >= gap.end.loss_s]
        by_number |= {dial.n: dial for dial in failed}
        seen += [gap.drop, *failed[:10]] if gap.dials else []
    all_failed = sorted(by_number.values(), key=lambda dial: (dial.t, dial.n))
    for most, window_s in ((FAILED_IN_A_SECOND, 1.0), (FAILED_IN_HALF_A_MINUTE, 30.0)):
        burst = _densest(all_failed, window_s)
        if len(burst) > most:
            drop = next((gap.drop for gap in reversed(view.gaps) if gap.end.loss_s <= burst[0].t), None)
            return broken(
                f"{len(burst)} failed dials within {window_s:g} s after a drop; {most} are allowed", drop, *burst[:20]
            )
    worst = len(_densest(all_failed, 1.0))
    for gap in view.gaps:
        until_s = min(gap.closed_s, view.watched_until_s)
        refused = view.uncounted(gap.drop.t, until_s)
        if refused is not None:
            return unknown("dials were refused, and refused dials leave no trace to count", refused.in_force)
    if not seen:
        return never_arose("no dial followed a drop")
    return holds(f"at most {worst} failed dials in any one second", *seen)


def hanging_up_is_the_end(view: View) -> Outcome:
    """RETRY-6."""
    if not view.given.driven:
        return waived("the client talks by itself: nobody told it to hang up")
    hung_up = view.leaving.hung_up
    if hung_up is None:
        return never_arose("the user did not hang up")
    after = [
        dial
        for dial in view.dials
        if dial.t > hung_up.t and not (dial.failed and dial.t <= hung_up.t + READS_THE_LINE_S)
    ]
    if after:
        return broken(
            f"dialled {after[0].t - hung_up.t:.1f} s after the user had hung up"
            + (f", {len(after)} times in all" if len(after) > 1 else ""),
            hung_up,
            *after[:20],
        )
    there_s = link_there_s(view.outages, hung_up.t, math.inf)
    wanted_s = max(QUIET_S, 2 * _last_pause_s(view, hung_up.t))
    exited = next((fact for fact in view.leaving.exits if fact.t >= hung_up.t), None)
    if exited is not None and not exited.event.asked:
        return holds("no dial followed the hang-up, and the program has left", hung_up, exited)
    watched_s = view.watched_until_s - max(hung_up.t, there_s)
    refused = view.uncounted(hung_up.t, view.watched_until_s)
    if refused is not None:
        return unknown("dials were refused after the hang-up, and refused dials leave no trace", refused.in_force)
    if watched_s < wanted_s - READS_THE_LINE_S:
        return unknown(
            f"no dial in the {max(0.0, watched_s):.1f} s that were watched with the link up; {wanted_s:.0f} s are "
            "needed",
            hung_up,
        )
    return holds(f"no dial in the {watched_s:.0f} s after the user had hung up", hung_up)


def one_session_at_a_time(view: View) -> Outcome:
    """RETRY-7."""
    if not view.ends:
        return never_arose("there was no session")
    planned: list[Numbered | None] = []
    for place, later in enumerate(view.ends):
        for earlier in view.ends[:place]:
            both_s = min(earlier.live_until_s, later.live_until_s, view.facts.end_s) - later.started_s
            if both_s <= SEEN_LATE_S:
                continue
            first, second = earlier.connection, later.connection
            evidence = (first.session, second.session, earlier.drop)
            spoken_to = _inputs(earlier, later)
            if view.given.policy.handover == "overlap" and _was_planned(earlier, later) and both_s <= OVERLAP_S:
                if spoken_to:
                    return broken("both sessions of a planned move were given the user's input", *evidence, *spoken_to)
                planned += evidence
                continue
            return broken(
                f"connections {first.number} and {second.number} were live beside one another for {both_s:.1f} s",
                *evidence,
                *spoken_to,
            )
    if planned:
        return holds("two sessions beside one another in planned moves only, and one of them spoken to", *planned)
    count = len(view.ends)
    return holds(
        "never more than one live session" if count > 1 else "there was one session",
        *(end.connection.session for end in view.ends),
    )


# --- what the rules share --------------------------------------------------------------------------------------------


def _may_dial_from_s(view: View, gap: Gap) -> float | None:
    """From when the time for a new dial counts; None: the policy asks for user input first, and none came."""
    noticed_by_s = min(gap.known_s, gap.drop.t + view.given.policy.liveness.within)
    from_s = max(gap.there_s, noticed_by_s)
    if math.isinf(from_s):
        return None
    if view.given.policy.redial == "eager":
        return from_s
    return next((turn.t for turn in view.facts.of(UserTurn) if turn.t >= from_s), None)


def _answer(gap: Gap) -> Dial | None:
    """The dial that a drop was answered with: one that reached the service, or that had the link there.

    Dials into an outage, and those that a goAway had brought before the drop, are no answer where nothing came of them.
    """
    return next(
        (
            one
            for one in gap.dials
            if one.t >= gap.there_s
            or (one.connection is not None and (one.connection is gap.next or one.t >= gap.drop.t))
        ),
        None,
    )


def _may_give_up(view: View, gap: Gap, deadline_s: float) -> bool:
    """The client said that it gives up, and had tried for as long, or as often, as its policy says."""
    told = view.gave_up(gap.end.loss_s)
    limit = view.given.policy.gives_up
    if told is None or told.t > deadline_s or isinstance(limit, str):
        return False
    if isinstance(limit, GivesUpAttempts):
        return sum(dial.failed and gap.end.loss_s <= dial.t <= told.t for dial in gap.dials) >= limit.attempts
    return told.t >= gap.known_s + limit.after - SEEN_LATE_S


def _last_pause_s(view: View, until_s: float) -> float:
    """How long the client had last waited before a dial; the time of a session in between is no waiting."""
    before = [dial.t for dial in view.dials if dial.t <= until_s]
    if len(before) < 2:
        return 0.0
    waited_from_s = max([before[-2], *(gap.drop.t for gap in view.gaps if gap.drop.t <= before[-1])])
    return before[-1] - waited_from_s


def _how_it_ended(gap: Gap) -> str:
    if gap.end.fault is not None:
        return f"a network fault ({gap.end.fault.name})"
    return f"a close {gap.end.code}" if gap.end.code is not None else "the link was dropped"


def _densest(dials: Sequence[Dial], window_s: float) -> Sequence[Dial]:
    """The most dials that lie within one window."""
    best: Sequence[Dial] = ()
    start = 0
    for place, dial in enumerate(dials):
        while dial.t - dials[start].t >= window_s:
            start += 1
        if place + 1 - start > len(best):
            best = dials[start : place + 1]
    return best


def _was_planned(earlier: SessionEnd, later: SessionEnd) -> bool:
    dialled = later.connection.first_moment
    return dialled is not None and any(sent.n < dialled.n for sent in earlier.connection.go_aways)


def _inputs(earlier: SessionEnd, later: SessionEnd) -> list[Numbered]:
    """The first input that each of two sessions got while both were live; empty unless both got some."""
    from_s = later.started_s + SEEN_LATE_S
    until_s = min(earlier.live_until_s, later.live_until_s)
    found: list[Numbered] = []
    for end in (earlier, later):
        said = next(
            (f for f in end.connection.frames if from_s <= f.t < until_s and f.event.message in USER_INPUT), None
        )
        if said is None:
            return []
        found.append(said)
    return found


CHECKS = (
    Check(
        id="RETRY-1",
        level=Level.MUST,
        title="A drop is not the end",
        rule=(
            "An abnormal end (no close frame, RST, 1001, 1011, 1012, 1013) leads to a new dial within 30 s of the link "
            "being there, and of the moment by which the client must have noticed; with `redial: on_demand` or "
            "`manual`, of the next user input. A client that gave up meanwhile, after as long or as many attempts as "
            "its policy says (`gives_up`), need not."
        ),
        evidence="How each session ended, when the link was there again, and the dials that followed.",
        fix="Run the session in a loop that treats every end but a hang-up as a reason to dial again.",
        seen_in=(
            "google/adk-python#4996",
            "livekit/agents-js#2366",
            "videosdk-live/agents#292",
            "googleapis/js-genai#691",
        ),
        needs=_DIALS | {server.SessionStarted.kind, FaultInForce.kind, ClientStarted.kind},
        judge=abnormal_end_is_answered,
    ),
    Check(
        id="RETRY-2",
        level=Level.MUST,
        title="Failing dials are paced",
        rule="After a drop there are at most 5 failed dials in any one second, and 15 in any 30 s.",
        evidence="Dials that led to no session, also those that the proxy turned away.",
        fix="Pause between attempts, longer each time, with jitter: 0.5 s, 1 s, 2 s, up to some seconds.",
        seen_in=("google/adk-go#1620", "livekit/agents#6144", "yagudaev/voiceclaw#397"),
        needs=_DIALS | {server.SessionStarted.kind},
        judge=service_is_not_hammered,
    ),
    Check(
        id="RETRY-6",
        level=Level.MUST,
        title="Hanging up is the end",
        rule=(
            "After the user hangs up no dial follows, also when a retry was pending: quiet for the longer of 10 s and "
            "twice the last gap between dials, with the link up."
        ),
        evidence="The hang-up, and every dial after it.",
        fix="Keep `hung up` as a state of the conversation: check it before each dial, and cancel a pending retry.",
        seen_in=("juspay/neurolink#1005", "Project-N-E-K-O/N.E.K.O#2602", "firebase/firebase-android-sdk#8251"),
        needs=_DIALS | {StepStarted.kind, server.SessionStarted.kind},
        judge=hanging_up_is_the_end,
    ),
    Check(
        id="RETRY-7",
        level=Level.MUST,
        title="One session at a time",
        rule=(
            "At most one session of a conversation is live at any time, bar a planned `handover: overlap` of 10 s; "
            "never two that both get the user's input."
        ),
        evidence="Start and end of every session, and the input that came on each.",
        fix="Close the old socket before dialling, and let only one connection at a time own the microphone.",
        seen_in=("aicc2025/sip-to-ai#14", "yagudaev/voiceclaw#53", "BasedHardware/omi#8473"),
        needs=frozenset(
            {server.SessionStarted.kind, server.UpgradeReceived.kind, server.FrameReceived.kind, FaultInForce.kind}
        ),
        judge=one_session_at_a_time,
    ),
)
