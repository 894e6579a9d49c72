"""From recognised samples to a user's turn: when speech starts, what of it was understood, when it is over."""

from __future__ import annotations

import enum
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from fake_server.behaviour import Utterance
from fake_server.events import SpeechRange

SAMPLE_RATE_HZ = 16_000
"""Of what the client streams."""
LOUD = 1_000
"""Peak (of 32,767) from which samples without a position code are taken for somebody's voice, unless told otherwise."""

Span: TypeAlias = tuple[int, int]


class VoiceStarted(enum.Enum):
    """Voice detection: somebody has begun to speak."""

    YES = "started"


@dataclass(frozen=True, slots=True)
class PendingSpeech:
    """What has been heard of a user turn that is not over: part of what a resumption handle restores."""

    spans: tuple[tuple[int, tuple[Span, ...]], ...] = ()
    """For each utterance, in order of first sound: the runs of its speech that arrived, merged, in order."""
    active: bool = False
    """Voice has been heard and has not ended."""
    quiet_samples: int = 0
    """Quiet since the last speech."""


NOTHING_HEARD = PendingSpeech()


@dataclass(frozen=True, slots=True)
class SpokenTurn:
    """A whole user turn, as it was understood."""

    text: str
    """The understood words; `…` where some are missing between them."""
    utterances: tuple[int, ...]


Sound: TypeAlias = VoiceStarted | SpokenTurn


@dataclass(frozen=True, slots=True)
class Detection:
    """Voice detection, as one setup wants it."""

    quiet_ends_turn_s: float
    voice_starts_turn_s: float = 0.0
    """So much voice is needed before a turn begins; what is shorter is no turn."""
    loud: int = LOUD
    """Peak (of 32,767) from which samples without a position code are taken for somebody's voice."""


def detection(settings: Mapping[str, Any], quiet_ends_turn_s: float) -> Detection:
    """Voice detection by the `automaticActivityDetection` of a setup (canonical camelCase).

    `quiet_ends_turn_s`: where the client names no silenceDurationMs; with END_SENSITIVITY_LOW half as much again.
    """
    quiet_s = quiet_ends_turn_s
    if settings.get("endOfSpeechSensitivity") == "END_SENSITIVITY_LOW":
        quiet_s *= 1.5
    if settings.get("silenceDurationMs"):
        quiet_s = max(0, settings["silenceDurationMs"]) / 1000
    start_s = max(0, settings.get("prefixPaddingMs") or 0) / 1000
    low = settings.get("startOfSpeechSensitivity") == "START_SENSITIVITY_LOW"
    return Detection(quiet_s, start_s, 4 * LOUD if low else LOUD)


class Ear:
    """Hears one session's speech. Words of an utterance are spread evenly over its speech samples; a word is
    understood when at least half of its samples arrived.
    """

    def __init__(self, utterances: Mapping[int, Utterance], detects: Detection) -> None:
        self._utterances = utterances
        self._quiet_limit = int(detects.quiet_ends_turn_s * SAMPLE_RATE_HZ)
        self._voice_needed = int(detects.voice_starts_turn_s * SAMPLE_RATE_HZ)
        self._loud = detects.loud
        self._spans: dict[int, list[Span]] = {}
        self._active = False
        self._quiet = 0
        self._voice_samples = 0

    @property
    def active(self) -> bool:
        """The user is speaking."""
        return self._active

    @property
    def pending(self) -> PendingSpeech:
        """What a snapshot keeps."""
        if not self._active and not self._spans:
            return NOTHING_HEARD
        spans = tuple((number, tuple(merged)) for number, merged in self._spans.items())
        return PendingSpeech(spans, self._active, self._quiet)

    @property
    def so_far(self) -> SpokenTurn:
        """What was understood of a turn that is not over."""
        parts = []
        for number, spans in self._spans.items():
            utterance = self._utterances.get(number)
            if utterance is not None:
                parts.append(_understood(utterance, spans))
        return SpokenTurn(" ".join(part for part in parts if part), tuple(self._spans))

    def restore(self, pending: PendingSpeech) -> None:
        """Take up where `pending` left off."""
        self._spans = {number: list(spans) for number, spans in pending.spans}
        self._active = pending.active
        self._quiet = pending.quiet_samples

    def hear_ranges(self, ranges: Iterable[SpeechRange], detect_end: bool = True) -> list[Sound]:
        """Take in recognised samples, in order of arrival; what voice detection says of them.

        With `detect_end` false no quiet ends the turn. Quiet counts by its own position in the utterance, so that
        a gap in the quiet delays nothing.
        """
        found: list[Sound] = []
        for run in ranges:
            utterance = self._utterances.get(run.utterance)
            speech_end = utterance.speech_samples if utterance is not None else run.end
            if run.start < speech_end:
                end = min(run.end, speech_end)
                self._add(run.utterance, run.start, end)
                self._voice(end - run.start, found)
            if run.end > speech_end:
                heard = run.end - max(run.start, speech_end)
                by_position = run.end - speech_end if run.utterance in self._spans else 0
                self._hush(max(self._quiet + heard, by_position), found, detect_end)
        return found

    def hear_unrecognised(self, pcm: bytes, detect_end: bool = True) -> list[Sound]:
        """Take in a chunk without any position code: loud samples are a voice without words, others are quiet."""
        samples = array("h", pcm[: len(pcm) // 2 * 2])
        found: list[Sound] = []
        if samples and max(max(samples), -min(samples)) >= self._loud:
            self._voice(len(samples), found)
        else:
            self._hush(self._quiet + len(samples), found, detect_end)
        return found

    def start(self) -> None:
        """The client says that the user's activity begins."""
        self._active = True
        self._quiet = 0

    def take(self) -> SpokenTurn:
        """End the turn: what was understood of it. Nothing stays pending."""
        turn = self.so_far
        self._spans = {}
        self._active = False
        self._quiet = 0
        self._voice_samples = 0
        return turn

    def _voice(self, samples: int, found: list[Sound]) -> None:
        self._quiet = 0
        if not self._active:
            self._voice_samples += samples
            if self._voice_samples >= self._voice_needed:
                self._active = True
                found.append(VoiceStarted.YES)

    def _hush(self, quiet_samples: int, found: list[Sound], detect_end: bool) -> None:
        if not self._active and not self._voice_samples:
            return
        self._quiet = quiet_samples
        if detect_end and quiet_samples >= self._quiet_limit:
            if self._active:
                found.append(self.take())
            else:
                self.take()  # too short to be a turn

    def _add(self, number: int, start: int, end: int) -> None:
        spans = self._spans.setdefault(number, [])
        if spans and spans[-1][0] <= start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], end))
            return
        spans.append((start, end))
        spans.sort()
        merged = [spans[0]]
        for span in spans[1:]:
            if span[0] <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], span[1]))
            else:
                merged.append(span)
        self._spans[number] = merged


def _understood(utterance: Utterance, spans: list[Span]) -> str:
    words = utterance.text.split()
    said: list[str] = []
    gap = False
    for index, word in enumerate(words):
        start = index * utterance.speech_samples // len(words)
        end = (index + 1) * utterance.speech_samples // len(words)
        heard = sum(max(0, min(end, span[1]) - max(start, span[0])) for span in spans)
        if 2 * heard < end - start:
            gap = True
            continue
        if gap and said:
            said.append("…")
        said.append(word)
        gap = False
    return " ".join(said)
