"""Speech as a picture: what was spoken, what was heard on which connection, what never came and what came twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from fake_server.events import FrameReceived
from harness.journal.events import Journal, UserTurn
from reports.text import seconds

SAMPLE_RATE = 16_000
_SMALLEST_S = 0.1
"""One chunk of a microphone: shorter holes are not drawn, since the last samples of a cut chunk cannot be placed."""
_JOIN_S = 0.5
"""Frames of one utterance closer than this are drawn as one bar."""


@dataclass(frozen=True, slots=True)
class SpeechPiece:
    """A bar in the speech lane."""

    row: int
    """0: as spoken; 1: as heard."""
    start_s: float
    end_s: float
    n: int
    kind: str
    """`spoken`, `heard`, `lost`, `doubled`."""
    label: str
    short: str = ""


@dataclass(slots=True)
class _Bar:
    utterance: int
    connection: int
    start_s: float
    end_s: float
    n: int
    samples: int


def heard_spans(journal: Journal) -> Iterator[SpeechPiece]:
    """Bars of the speech that arrived, one for each unbroken run of frames of one utterance on one connection."""
    bars: list[_Bar] = []
    for entry in journal.entries:
        event = entry.event
        if not isinstance(event, FrameReceived):
            continue
        for piece in event.speech:
            last = bars[-1] if bars else None
            same = last and last.utterance == piece.utterance and last.connection == event.connection
            if last and same and entry.t - last.end_s < _JOIN_S:
                last.end_s = entry.t
                last.samples += piece.end - piece.start
            else:
                bars.append(_Bar(piece.utterance, event.connection, entry.t, entry.t, entry.n, piece.end - piece.start))
    for bar in bars:
        label = f"heard: utterance {bar.utterance} on connection {bar.connection}, "
        label += f"{seconds(bar.samples / SAMPLE_RATE)} of audio"
        yield SpeechPiece(1, bar.start_s, bar.end_s, bar.n, "heard", label, f"heard on #{bar.connection}")


def speech_lost_and_doubled(journal: Journal) -> Iterator[SpeechPiece]:
    """The spoken bars, and on them what never arrived and what arrived more than once, at the time it was spoken."""
    spoken = [(entry.t, entry.n, entry.event) for entry in journal.entries if isinstance(entry.event, UserTurn)]
    arrived: dict[int, list[tuple[int, int]]] = {}
    for entry in journal.entries:
        if isinstance(entry.event, FrameReceived):
            for piece in entry.event.speech:
                arrived.setdefault(piece.utterance, []).append((piece.start, piece.end))
    for start_s, n, turn in spoken:
        if turn.utterance is None or turn.speech_samples == 0:
            continue
        end_s = start_s + turn.speech_samples / SAMPLE_RATE
        yield SpeechPiece(0, start_s, end_s, n, "spoken", f"spoken: utterance {turn.utterance}", "spoken")
        for kind, first, last in _holes_and_overlaps(arrived.get(turn.utterance, []), turn.speech_samples):
            if (last - first) / SAMPLE_RATE >= _SMALLEST_S:
                told = (
                    f"{'never arrived' if kind == 'lost' else 'arrived twice'}: {seconds((last - first) / SAMPLE_RATE)}"
                )
                yield SpeechPiece(
                    0, start_s + first / SAMPLE_RATE, start_s + last / SAMPLE_RATE, n, kind, f"{told} of speech", kind
                )


def _holes_and_overlaps(ranges: list[tuple[int, int]], samples: int) -> Iterator[tuple[str, int, int]]:
    """What of 0 to `samples` no range covers (`lost`), and what two or more do (`doubled`), as (kind, start, end)."""
    steps: dict[int, int] = {0: 0, samples: 0}
    for start, end in ranges:
        first, last = min(start, samples), min(end, samples)
        steps[first] = steps.get(first, 0) + 1
        steps[last] = steps.get(last, 0) - 1
    depth = 0
    found: list[tuple[str, int, int]] = []
    edges = sorted(steps)
    for edge, following in pairwise(edges):
        depth += steps[edge]
        kind = "lost" if depth == 0 else "doubled" if depth > 1 else ""
        if not kind:
            continue
        if found and found[-1][0] == kind and found[-1][2] == edge:
            found[-1] = (kind, found[-1][1], following)
        else:
            found.append((kind, edge, following))
    yield from found
