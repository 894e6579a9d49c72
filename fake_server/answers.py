"""What an answer is made of: its messages, each with its time, cut and mixed as the real service does it. Pure.

Protocol, sections 8.1 and 8.2: audio in chunks of the model's own sizes, outputTranscription in fragments of a few
words between them (on Vertex ahead of them), empty frames in between on some models.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from fake_server import wire
from fake_server.effects import Send

BYTES_PER_S = 48_000
"""24 kHz, 16-bit, mono."""
BYTES_PER_20_MS = 960

_FRAGMENT_WORDS = (3, 2, 4, 5)
_EMPTY_EVERY = 3
"""An empty frame comes after every third chunk, where a model sends them."""
_PERIOD = b"".join(  # 250 Hz, a triangle: 96 samples
    (200 * (48 - abs(48 - sample)) - 4800).to_bytes(2, "little", signed=True) for sample in range(96)
)
_EMPTY = (Send({}, constant=True), Send({"serverContent": {}}, constant=True))
"""Both were seen between audio chunks (protocol, section 3)."""

Piece: TypeAlias = tuple[float, Send]
"""Seconds from the beginning of the answer, and a message."""


@dataclass(frozen=True, slots=True)
class Sound:
    """How one connection's answers sound."""

    modality: Literal["AUDIO", "TEXT"]
    transcribe: bool
    """The client asked for outputAudioTranscription."""
    pace: float
    """Times real time; 0: at once."""
    chunk_bytes: tuple[int, ...]
    empty_frames: bool
    text_ahead: bool
    """The transcription runs ahead of the audio."""


@lru_cache(maxsize=64)
def tone(size_bytes: int) -> dict[str, Any]:
    """A serverContent message with so much of a steady tone: the very same object each time."""
    repeats = -(-size_bytes // len(_PERIOD))
    return wire.server_content(audio=(_PERIOD * repeats)[:size_bytes])


@lru_cache(maxsize=64)
def quiet(size_bytes: int) -> dict[str, Any]:
    """The same of silence."""
    return wire.server_content(audio=bytes(size_bytes))


@lru_cache(maxsize=64)
def thought(text: str) -> Send:
    """A part of the model's thoughts, for a client that asked to see them."""
    return Send(wire.server_content(text=text, thought=True), constant=True)


@lru_cache(maxsize=256)
def plan(text: str, sound: Sound, total_bytes: int, first_chunk: int) -> tuple[Piece, ...]:
    """An answer's pieces in order of time. A text is spread over the time that its sound would take to send."""
    fragments = split(text)
    pace = sound.pace
    if sound.modality == "TEXT":
        step_s = total_bytes / BYTES_PER_S / pace / len(fragments) if pace else 0.0
        return tuple(
            (step_s * n, Send(wire.server_content(text=part), constant=True)) for n, part in enumerate(fragments)
        )
    spoken = [Send(wire.server_content(output_transcription=part), constant=True) for part in fragments]
    spoken = spoken if sound.transcribe else []
    pieces: list[Piece] = []
    if sound.text_ahead:
        pieces = [(0.0, send) for send in spoken]
        spoken = []
    sent_bytes = chunks = 0
    while sent_bytes < total_bytes:
        offset_s = sent_bytes / BYTES_PER_S / pace if pace else 0.0
        size = min(sound.chunk_bytes[(first_chunk + chunks) % len(sound.chunk_bytes)], total_bytes - sent_bytes)
        pieces.append((offset_s, Send(tone(size), constant=True)))
        sent_bytes += size
        chunks += 1
        while spoken and len(spoken) > len(fragments) * (1 - sent_bytes / total_bytes):
            pieces.append((offset_s, spoken.pop(0)))
        if sound.empty_frames and chunks % _EMPTY_EVERY == 0:
            pieces.append((offset_s, _EMPTY[chunks // _EMPTY_EVERY % len(_EMPTY)]))
    end_s = pieces[-1][0] if pieces else 0.0
    return (*pieces, *((end_s, send) for send in spoken))


def split(text: str) -> tuple[str, ...]:
    """The text in pieces of 2 to 5 words, spaces kept, so that they join to the whole."""
    words = text.split(" ")
    pieces: list[str] = []
    at = 0
    while at < len(words):
        count = _FRAGMENT_WORDS[len(pieces) % len(_FRAGMENT_WORDS)]
        last = at + count >= len(words)
        pieces.append(" ".join(words[at : at + count]) + ("" if last else " "))
        at += count
    return tuple(pieces)
