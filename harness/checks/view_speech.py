"""The ledger of speech: of every utterance, which samples arrived, how often, and in what order."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from harness.checks.view_connections import Connection
from harness.checks.view_facts import Fact, Facts, Moment
from harness.checks.view_gaps import Gap
from harness.journal.events import UserTurn

SAMPLE_RATE_HZ = 16_000
CHUNK_S = 0.1
"""One chunk: so much may be lost at an edge (SPEECH-1)."""
DISORDER_SAMPLES = 160
"""10 ms: a recogniser may place the first samples of a chunk later than the rest of it."""
Span = tuple[int, int]
"""Samples, from the first to one past the last."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A run of samples that reached a live session."""

    n: int
    t: float
    connection: int
    start: int
    end: int
    beside: bool
    """True: another session was live beside this one, so that a second copy is no replay (RETRY-7 says that)."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """One utterance as it was spoken, and what became of it."""

    number: int
    turn: Fact[UserTurn]
    arrivals: tuple[Arrival, ...]
    lost: tuple[Span, ...]
    """Speech samples that never arrived."""
    doubled: tuple[Span, ...]
    """Speech samples that arrived more than once (a span for each further time)."""
    disordered: tuple[Arrival, ...]
    """Arrivals that brought samples which later ones had already overtaken."""

    @property
    def samples(self) -> int:
        """Samples that carry words."""
        return self.turn.event.speech_samples

    def spoken_s(self, sample: int) -> float:
        """When a sample left the microphone."""
        return self.turn.t + sample / SAMPLE_RATE_HZ

    @property
    def ends_s(self) -> float:
        """When the last word was spoken."""
        return self.spoken_s(self.samples)

    def sample_at(self, t: float) -> int:
        """The first sample spoken at `t` or later, within the words."""
        if t <= self.turn.t:
            return 0
        return self.samples if t >= self.ends_s else math.ceil((t - self.turn.t) * SAMPLE_RATE_HZ)


@dataclass(frozen=True, slots=True)
class SpeechLedger:
    """All utterances of a run, and how much audio nobody could place."""

    spoken: tuple[Spoken, ...]
    unrecognised_samples: int
    audio_frames: tuple[Moment, ...]
    """The first and the last frame with audio in it; empty: there was none."""


def length(spans: Iterable[Span]) -> int:
    """Samples in spans that do not overlap."""
    return sum(end - start for start, end in spans)


def within(spans: Iterable[Span], limits: Sequence[Span]) -> tuple[Span, ...]:
    """The parts of `spans` that lie within `limits` (in order, not overlapping)."""
    starts = [start for start, _ in limits]
    found: list[Span] = []
    for start, end in spans:
        place = max(0, bisect_right(starts, start) - 1)
        while place < len(limits) and limits[place][0] < end:
            low, high = max(start, limits[place][0]), min(end, limits[place][1])
            if low < high:
                found.append((low, high))
            place += 1
    return tuple(found)


def without(spans: Iterable[Span], holes: Sequence[Span]) -> tuple[Span, ...]:
    """The parts of `spans` that lie in none of `holes` (in order, not overlapping)."""
    found: list[Span] = []
    for start, end in spans:
        here = start
        for low, high in holes:
            if high <= here or low >= end:
                continue
            if low > here:
                found.append((here, low))
            here = max(here, high)
        if here < end:
            found.append((here, end))
    return tuple(found)


def milliseconds(samples: int) -> int:
    """Samples as whole milliseconds."""
    return round(samples * 1000 / SAMPLE_RATE_HZ)


def read_speech(
    facts: Facts,
    connections: Iterable[Connection],
    is_live: Callable[[int, float], bool],
    is_beside: Callable[[int, float], bool],
) -> SpeechLedger:
    """The ledger. `is_live(connection, t)` and `is_beside(connection, t)` tell what an arrival counts for."""
    turns = {
        fact.event.utterance: fact
        for fact in reversed(facts.of(UserTurn))
        if fact.event.utterance is not None and fact.event.speech_samples > 0
    }
    arrivals: dict[int, list[Arrival]] = {number: [] for number in turns}
    unrecognised = 0
    audio: list[Moment] = []
    for connection in connections:
        for frame in connection.frames:
            event = frame.event
            if not event.speech and not event.unrecognised_samples:
                continue
            if not is_live(connection.number, frame.t):
                continue
            unrecognised += max(0, event.unrecognised_samples)
            audio.append(frame.moment)
            beside = bool(event.speech) and is_beside(connection.number, frame.t)
            for part in event.speech:
                if part.utterance in arrivals and part.end > part.start:
                    arrivals[part.utterance].append(
                        Arrival(frame.n, frame.t, connection.number, part.start, part.end, beside)
                    )
    spoken = tuple(
        _account(number, turns[number], sorted(arrivals[number], key=lambda arrival: (arrival.t, arrival.n)))
        for number in sorted(turns)
    )
    audio.sort(key=lambda moment: moment.n)
    return SpeechLedger(spoken, unrecognised, (audio[0], audio[-1]) if audio else ())


def _account(number: int, turn: Fact[UserTurn], arrivals: Sequence[Arrival]) -> Spoken:
    samples = turn.event.speech_samples
    lost: list[Span] = []
    doubled: list[Span] = []
    for start, end, times, repeats in _depths(arrivals, samples):
        if times == 0:
            lost.append((start, end))
        doubled += [(start, end)] * max(0, repeats - 1)
    return Spoken(number, turn, tuple(arrivals), tuple(lost), tuple(doubled), _disordered(arrivals, samples))


def _depths(arrivals: Sequence[Arrival], samples: int) -> list[tuple[int, int, int, int]]:
    """Stretches of the words: start, end, how often they arrived, and how often not beside another session."""
    steps: dict[int, list[int]] = {0: [0, 0], samples: [0, 0]}
    for arrival in arrivals:
        start, end = max(0, arrival.start), min(samples, arrival.end)
        if start >= end:
            continue
        counted = 0 if arrival.beside else 1
        for place, sign in ((start, 1), (end, -1)):
            step = steps.setdefault(place, [0, 0])
            step[0] += sign
            step[1] += sign * counted
    places = sorted(steps)
    found: list[tuple[int, int, int, int]] = []
    times = repeats = 0
    for place, following in itertools.pairwise(places):
        times += steps[place][0]
        repeats += steps[place][1]
        if found and found[-1][2:] == (times, repeats):
            found[-1] = (found[-1][0], following, times, repeats)
        else:
            found.append((place, following, times, repeats))
    return found


def _disordered(arrivals: Sequence[Arrival], samples: int) -> tuple[Arrival, ...]:
    covered = _Covered()
    found: list[Arrival] = []
    for arrival in arrivals:
        start, end = max(0, arrival.start), min(samples, arrival.end)
        if start >= end:
            continue
        overtaken = min(end, covered.high)
        if start < overtaken and covered.missing(start, overtaken) > DISORDER_SAMPLES:
            found.append(arrival)
        covered.add(start, end)
    return tuple(found)


class _Covered:
    """Which samples have arrived so far: spans in order, joined."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.high = 0

    def missing(self, start: int, end: int) -> int:
        """How many samples between the two have not arrived yet."""
        place = bisect_right(self._ends, start)
        missing, here = 0, start
        while place < len(self._starts) and self._starts[place] < end:
            missing += max(0, self._starts[place] - here)
            here = max(here, self._ends[place])
            place += 1
        return missing + max(0, end - here)

    def add(self, start: int, end: int) -> None:
        """These have arrived."""
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]
        self.high = max(self.high, end)


@dataclass(frozen=True, slots=True)
class Timing:
    """Which samples of an utterance were spoken when, seen from the gaps of the run."""

    before: tuple[Span, ...]
    """Before a drop was known, or with no drop at all."""
    during: tuple[tuple[Gap, Span], ...]
    """After a drop was known and before the next session."""
    after: tuple[Span, ...]
    """On the session that came after the last gap within the utterance."""


def timing(spoken: Spoken, gaps: Sequence[Gap], until_s: float) -> Timing:
    """Divides the words of an utterance that were spoken before `until_s` (a hang-up, the end of the program)."""
    last = spoken.sample_at(until_s)
    during: list[tuple[Gap, Span]] = []
    before: list[Span] = []
    here = 0
    unnoticed_s = math.inf
    for gap in sorted(gaps, key=lambda gap: gap.known_s):
        if math.isinf(gap.known_s):
            unnoticed_s = min(unnoticed_s, gap.drop.t)
            continue
        start = max(here, min(last, spoken.sample_at(gap.known_s)))
        end = min(last, spoken.sample_at(gap.closed_s))
        if start >= end:
            continue
        before.append((here, start))
        during.append((gap, (start, end)))
        here = end
    if during:
        cut = max(here, min(last, spoken.sample_at(unnoticed_s)))
        return Timing(_filled([*before, (cut, last)]), tuple(during), _filled([(here, cut)]))
    return Timing(_filled([(0, last)]), (), ())


def _filled(spans: Iterable[Span]) -> tuple[Span, ...]:
    return tuple(span for span in spans if span[0] < span[1])
