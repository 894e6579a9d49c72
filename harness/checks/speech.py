"""SPEECH: what was being said when the link went away, to the sample."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fake_server import events as server
from harness.checks.rule import Check, Numbered, Outcome, broken, holds, never_arose, unknown, waived
from harness.checks.view import View
from harness.checks.view_connections import USER_INPUT
from harness.checks.view_gaps import EXIT_S, Gap
from harness.checks.view_given import OverSpeech
from harness.checks.view_speech import (
    CHUNK_S,
    SAMPLE_RATE_HZ,
    Span,
    Spoken,
    Timing,
    length,
    milliseconds,
    timing,
    within,
    without,
)
from harness.checks.view_tokens import RECEIVED_S
from harness.journal.events import FaultInForce, UserTurn
from harness.policy import GapSpeechTail
from harness.verdict import Level

CHUNK_SAMPLES = round(CHUNK_S * SAMPLE_RATE_HZ)
UNPLACED_MOST = 0.02
"""So much of the audio that arrived may be without a position (a recogniser needs some samples at each seam)."""

_UNTOLD = "the client talks by itself: nobody gave it speech"
_NEEDS = frozenset({server.FrameReceived.kind, server.SessionStarted.kind, UserTurn.kind, FaultInForce.kind})


def gap_is_bridged(view: View) -> Outcome:
    """SPEECH-1."""
    if not view.given.driven:
        return waived(_UNTOLD)
    how = view.given.policy.gap_speech
    bridged: list[Numbered | None] = []
    spoken_ms = 0
    for spoken in view.speech.spoken:
        times = timing(spoken, view.gaps, _spoken_until_s(view, spoken))
        lost_spans = without(spoken.lost, _asleep(view, spoken))
        for gap, span in times.during:
            if gap.next is None:
                if view.leaving.hung_up is not None or length([span]) <= CHUNK_SAMPLES:
                    continue
                return unknown("speech was spoken in a gap that no session ended", spoken.turn, gap.drop)
            if wrong := _mishandled(view, spoken, gap, span, lost_spans):
                return wrong
            spoken_ms += milliseconds(length([span]))
            bridged += [spoken.turn, gap.drop, gap.next.session]
        if wrong := _unheard_afterwards(view, spoken, times, lost_spans):
            return wrong
    if not bridged:
        return never_arose("nothing was spoken between a known drop and the next session")
    if doubt := _doubt(view, 0):
        return doubt
    promised = "dropped and told" if how == "drop" else "replayed"
    return holds(f"{spoken_ms} ms spoken in gaps were {promised}, as the policy says", *bridged)


def speech_before_is_kept(view: View) -> Outcome:
    """SPEECH-2."""
    if not view.given.driven:
        return waived(_UNTOLD)
    given = view.given
    if given.lost_at_most is None and given.doubled_at_most is None:
        return never_arose("the scenario sets no bound on lost or doubled speech")
    if not view.speech.spoken:
        return never_arose("nothing was spoken")
    evidence: list[Numbered | None] = []
    lost = doubled = astray = 0
    for spoken in view.speech.spoken:
        before = timing(spoken, view.gaps, _spoken_until_s(view, spoken)).before
        unheard = without(within(spoken.lost, before), _asleep(view, spoken))
        lost += length(unheard)
        astray += length(unheard) - length(within(unheard, _unnoticed(spoken, view.gaps)))
        doubled += length(within(spoken.doubled, before))
        evidence += [spoken.turn, *_heard_twice(spoken, before), *spoken.arrivals[:1], *spoken.arrivals[-1:]]
    edges = CHUNK_SAMPLES * (1 + len(view.gaps))
    if told := _too_much_lost(view, lost, astray, edges):
        return _doubt(view, lost) or broken(told, *evidence)
    most = _bound_samples(view, given.doubled_at_most)
    if doubled > most:
        return broken(f"{_ms(doubled)} arrived more than once; {_ms(round(most))} are allowed", *evidence)
    return _doubt(view, 0) or holds(
        f"of the speech before a drop was known {_ms(lost)} were lost and {_ms(doubled)} doubled, as allowed", *evidence
    )


def speech_is_in_order(view: View) -> Outcome:
    """SPEECH-3."""
    if not view.given.driven:
        return waived(_UNTOLD)
    arrived: list[Numbered | None] = []
    for spoken in view.speech.spoken:
        if spoken.disordered:
            first = spoken.disordered[0]
            return broken(
                f"sample {first.start} of utterance {spoken.number} (at {first.start / SAMPLE_RATE_HZ:.2f} s of it) "
                f"arrived after later ones; {len(spoken.disordered)} frames came out of order",
                spoken.turn,
                *spoken.disordered[:20],
            )
        arrived += spoken.arrivals[:1]
    if doubt := _doubt(view, 0):
        return doubt
    if not arrived:
        return never_arose("no speech arrived")
    return holds("all speech arrived in the order in which it was spoken", *arrived)


# --- what the rules share --------------------------------------------------------------------------------------------


def _mishandled(view: View, spoken: Spoken, gap: Gap, span: Span, lost_spans: Sequence[Span]) -> Outcome | None:
    """What is wrong with how the speech of one gap was handled; None: nothing."""
    how = view.given.policy.gap_speech
    owed = span
    if isinstance(how, GapSpeechTail):
        # The last so many seconds before the next session: what is not words in them is quiet.
        owed = (max(span[0], spoken.sample_at(gap.closed_s - how.tail)), span[1])
    lost = length(within(lost_spans, [owed]))
    if lost <= CHUNK_SAMPLES:
        return None
    if how == "drop":
        if view.told(gap.end.loss_s, gap.closed_s + view.given.policy.announce_after):
            return None
        told = f"{_ms(lost)} spoken in the gap were dropped, and the user was not told"
        return _doubt(view, lost) or broken(told, spoken.turn, gap.drop)
    promised = f"its tail of {how.tail:g} s" if isinstance(how, GapSpeechTail) else "all of it"
    told = (
        f"{_ms(lost)} of the {_ms(length([span]))} spoken between the known drop and the next session never arrived; "
        f"by the client's policy {promised} is replayed"
    )
    return _doubt(view, lost) or broken(told, spoken.turn, gap.drop, gap.next.session if gap.next else None)


def _unheard_afterwards(view: View, spoken: Spoken, times: Timing, lost_spans: Sequence[Span]) -> Outcome | None:
    """What was said once the next session was there has to arrive under any policy; None: it did.

    A client that drops what is said in a gap may begin with the first word that it sends on the new session.
    """
    if not times.during or not times.after:
        return None
    gap = times.during[-1][0]
    after = times.after
    if view.given.policy.gap_speech != "replay" and gap.next is not None:
        first = next((f.t for f in gap.next.frames if f.t >= gap.closed_s and f.event.message in USER_INPUT), 0.0)
        after = without(after, [(0, spoken.sample_at(first - CHUNK_S))])
    lost = length(without(within(lost_spans, after), _unnoticed(spoken, view.gaps)))
    if lost <= CHUNK_SAMPLES:
        return None
    told = f"{_ms(lost)} that were spoken after the next session had begun never arrived"
    return _doubt(view, lost) or broken(told, spoken.turn, gap.drop, gap.next.session if gap.next else None)


def _spoken_until_s(view: View, spoken: Spoken) -> float:
    """When nobody listened any more, because of a hang-up, or because the program was gone."""
    gone = next((fact.t - EXIT_S for fact in view.leaving.exits if fact.t >= spoken.turn.t), math.inf)
    return min(view.leaving.asked_s, gone)


def _asleep(view: View, spoken: Spoken) -> list[Span]:
    """Samples spoken while the program was stopped, as a phone in a pocket: nobody can have heard them."""
    spans = [
        (spoken.sample_at(fault.began_s), spoken.sample_at(fault.end_s + CHUNK_S))
        for fault in view.faults
        if fault.act == "client.suspend" and fault.in_force is not None
    ]
    return [span for span in spans if span[0] < span[1]]


def _unnoticed(spoken: Spoken, gaps: Sequence[Gap]) -> list[Span]:
    """Samples spoken while a link was lost and the client did not know it yet; what was in flight counts, too."""
    spans: list[Span] = []
    for gap in sorted(gaps, key=lambda gap: gap.end.loss_s):
        start = spoken.sample_at(gap.end.loss_s - RECEIVED_S)
        end = spoken.sample_at(gap.known_s)
        if spans:
            start = max(start, spans[-1][1])
        if start < end:
            spans.append((start, end))
    return spans


def _heard_twice(spoken: Spoken, spans: Sequence[Span]) -> list[Numbered]:
    """The arrivals that brought the first sample that came more than once."""
    first = min((start for start, _ in within(spoken.doubled, spans)), default=None)
    if first is None:
        return []
    return [arrival for arrival in spoken.arrivals if arrival.start <= first < arrival.end]


def _too_much_lost(view: View, lost: int, astray: int, edges: int) -> str:
    """What is wrong with the loss; empty: nothing.

    `as_declared`: of what was sent into a lost link before the client noticed, as much as its policy gives it to
    notice (`liveness.within`); elsewhere nothing but a chunk at each edge. A client that declares to drop what is said
    in a gap may lose no more than that either.
    """
    bound = view.given.lost_at_most
    if bound is None:
        return ""
    if isinstance(bound, float) and lost > bound * SAMPLE_RATE_HZ:
        return f"{_ms(lost)} never arrived; {round(bound * 1000)} ms are allowed"
    if bound == "as_declared":
        if astray > edges:
            return f"{_ms(astray)} never arrived, although the link was not lost when they were spoken"
        notice_s = view.given.policy.liveness.within
        if lost - astray > notice_s * SAMPLE_RATE_HZ + edges:
            return f"{_ms(lost)} never arrived; by its policy the client notices a lost link within {notice_s:g} s"
    return ""


def _bound_samples(view: View, bound: OverSpeech) -> float:
    if bound is None:
        return math.inf
    seconds = view.given.policy.liveness.within if isinstance(bound, str) else bound
    return seconds * SAMPLE_RATE_HZ


def _doubt(view: View, lost: int) -> Outcome | None:
    """Audio without a position may be what is missing, or what came twice."""
    unplaced = view.speech.unrecognised_samples
    placed = sum(arrival.end - arrival.start for spoken in view.speech.spoken for arrival in spoken.arrivals)
    if unplaced <= max(CHUNK_SAMPLES, UNPLACED_MOST * (placed + unplaced)) or unplaced < lost / 2:
        return None
    return unknown(
        f"{_ms(unplaced)} of audio arrived that carry no position: is the speech resampled or changed on its way? Then "
        "say `speech_path: resampled` in the client's policy",
        *view.speech.audio_frames,
    )


def _ms(samples: int) -> str:
    return f"{milliseconds(samples)} ms"


CHECKS = (
    Check(
        id="SPEECH-1",
        level=Level.MUST,
        title="What is said in a gap is handled as promised",
        rule=(
            "Speech spoken after the drop was known is handled as the policy's `gap_speech` says: replayed (one chunk "
            "of 100 ms may be lost), its tail replayed, or dropped and told. What is spoken once the next session is "
            "there arrives in any case."
        ),
        evidence="Which samples of each utterance arrived on a live session, and when the drop was known.",
        fix="Keep recording while disconnected, and send what piled up once setupComplete is there, oldest first.",
        seen_in=("yagudaev/voiceclaw#53", "sysprog21/codetrial#3"),
        needs=_NEEDS,
        judge=gap_is_bridged,
    ),
    Check(
        id="SPEECH-2",
        level=Level.MUST,
        title="What was said before the drop stays within bounds",
        rule=(
            "Of the speech spoken before the drop was known, lost and doubled stay within the scenario's bounds, where "
            "it sets them."
        ),
        evidence="Samples that never arrived and samples that arrived more than once, against `expect: speech`.",
        fix="Note what has surely arrived (a pong after it is proof), and replay from there: not less, and not all.",
        seen_in=("yagudaev/voiceclaw#53", "sysprog21/codetrial#3"),
        needs=_NEEDS,
        judge=speech_before_is_kept,
    ),
    Check(
        id="SPEECH-3",
        level=Level.MUST,
        title="Speech arrives in order",
        rule="Speech arrives in the order in which it was spoken.",
        evidence="The positions of the samples in each audio frame, in order of arrival.",
        fix="Send a backlog through the same queue as live speech, before it.",
        seen_in=("yagudaev/voiceclaw#53",),
        needs=_NEEDS,
        judge=speech_is_in_order,
    ),
)
