"""Position-coded PCM: samples that tell where in which utterance they come from, and the ear that reads them.

16 kHz, 16-bit little-endian, mono. Samples come in blocks of 16. The low byte of each sample carries the code:

    bit 7       a phase mark: 16 marks spell one pattern, so that block boundaries are found anywhere in a stream
    bits 0-6    samples 0-4 hold utterance and block number, whitened with the bits of samples 5-9;
                samples 5-15 hold pseudo-random bits of that block: its check field

The high byte is pseudo-random with a speech-like envelope (words), or the sign of the low byte (coded quiet, at
-48 dBFS). All of it is a function of (utterance, position), so a run that continues is compared in full, sample for
sample, by comparing whole slices; after a mismatch the ear looks for one whole valid block and extends it backwards.

What holds, whatever the chunk size, odd bytes included:
- A slice of 31 consecutive samples (`PLACED_SAMPLES`) or more is always placed, since it holds a whole block; shorter
  ones are placed when they happen to hold one, and are counted as unrecognised when not.
- Where two slices meet, a sample that is what *both* would have there goes to the earlier one. Per join that is a
  chance of 1 in 128 at most in quiet (less than 1 in 1,000 in words) of being one sample off; nothing else is inexact.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import shake_128
from typing import Final

from fake_server.events import SpeechRange

SAMPLE_RATE_HZ: Final = 16_000
BLOCK_SAMPLES: Final = 16
PLACED_SAMPLES: Final = 2 * BLOCK_SAMPLES - 1
"""Any slice of so many consecutive samples is placed, wherever it begins."""
MAX_UTTERANCE: Final = 255
MAX_SAMPLES: Final = 2**20 * BLOCK_SAMPLES
"""Longest utterance: 17 minutes and 28 seconds."""

_BLOCK_BYTES = 2 * BLOCK_SAMPLES
_PAGE_BLOCKS = 1024
_PAGE_SAMPLES = _PAGE_BLOCKS * BLOCK_SAMPLES
_ID_SAMPLES = 5  # 35 bits: 8 of the utterance, 20 of the block, and 7 zeros that stop most false candidates early
_ENVELOPE_SAMPLES = 512  # 32 ms, about the length of a phone
_SEARCH_BYTES = 8192
_TAIL_BYTES = (_BLOCK_BYTES - 2) + (_BLOCK_BYTES - 1)
"""What an unfinished search keeps: a block but for its last byte, and the samples before it that belong to it."""

_MARKS = bytes(0x80 if bit == "1" else 0 for bit in "0000100110101111")  # no rotation of it equals another
_TO_MARK = bytes(byte & 0x80 for byte in range(256))
_TO_CODE = bytes(byte & 0x7F for byte in range(256))
_TO_SIGN = bytes(0xFF if byte & 0x80 else 0 for byte in range(256))
_LOUDNESS = tuple(
    bytes(((byte & (2**bits - 1)) - 2 ** (bits - 1)) & 0xFF for byte in range(256)) for bits in range(3, 7)
)
_BLOCK_COLUMNS = tuple(bytes(block >> shift & 0x7F for block in range(_PAGE_BLOCKS)) for shift in (0, 7))


@lru_cache(maxsize=256)
def _page(utterance: int, page: int) -> tuple[bytes, bytes]:
    """About one second of an utterance: (words, quiet), each 32 KiB."""
    noise = shake_128(b"position-coded speech %d %d" % (utterance, page)).digest(2 * _PAGE_SAMPLES + 32)
    low = bytearray(noise[: 2 * _PAGE_SAMPLES : 2].translate(_TO_CODE))
    first_block = page * _PAGE_BLOCKS
    for column in range(_ID_SAMPLES):
        constant = (utterance << 20 | first_block) >> 7 * column & 0x7F
        identity = int.from_bytes(bytes([constant]) * _PAGE_BLOCKS, "little")
        if column < len(_BLOCK_COLUMNS):
            identity |= int.from_bytes(_BLOCK_COLUMNS[column], "little")
        whitening = int.from_bytes(low[column + _ID_SAMPLES :: BLOCK_SAMPLES], "little")
        low[column::BLOCK_SAMPLES] = (identity ^ whitening).to_bytes(_PAGE_BLOCKS, "little")
    marks = int.from_bytes(_MARKS * _PAGE_BLOCKS, "little")
    low_bytes = (int.from_bytes(low, "little") | marks).to_bytes(_PAGE_SAMPLES, "little")
    high = noise[1 : 2 * _PAGE_SAMPLES : 2]
    words = bytearray(2 * _PAGE_SAMPLES)
    words[0::2] = low_bytes
    words[1::2] = b"".join(
        high[start : start + _ENVELOPE_SAMPLES].translate(_LOUDNESS[noise[2 * _PAGE_SAMPLES + number] & 3])
        for number, start in enumerate(range(0, _PAGE_SAMPLES, _ENVELOPE_SAMPLES))
    )
    quiet = bytearray(2 * _PAGE_SAMPLES)
    quiet[0::2] = low_bytes
    quiet[1::2] = low_bytes.translate(_TO_SIGN)
    return bytes(words), bytes(quiet)


def pcm(utterance: int, start: int, end: int, speech_samples: int) -> bytes:
    """Samples `start` to `end` (exclusive) of an utterance: words up to `speech_samples`, coded quiet after that.

    `utterance` is 1 to 255, positions are 0 to `MAX_SAMPLES`; raises `ValueError` for anything else.
    """
    if not 1 <= utterance <= MAX_UTTERANCE:
        raise ValueError(f"utterance={utterance}: utterances are numbered from 1 to {MAX_UTTERANCE}")
    if not 0 <= start <= end <= MAX_SAMPLES:
        raise ValueError(f"start={start}, end={end}: need 0 <= start <= end <= {MAX_SAMPLES} samples")
    pieces = []
    position = start
    while position < end:
        is_quiet = position >= speech_samples
        stop = min(end, (position // _PAGE_SAMPLES + 1) * _PAGE_SAMPLES)
        if not is_quiet:
            stop = min(stop, speech_samples)
        offset = 2 * (position % _PAGE_SAMPLES)
        page = _page(utterance, position // _PAGE_SAMPLES)[is_quiet]
        pieces.append(page[offset : offset + 2 * (stop - position)])
        position = stop
    return b"".join(pieces)


def wav(utterance: int, speech_samples: int, quiet_samples: int = 24_000) -> bytes:
    """An ordinary WAV file: `speech_samples` of words, then coded quiet (1.5 s), so that a turn's end is heard."""
    data = pcm(utterance, 0, speech_samples + quiet_samples, speech_samples)
    riff = struct.pack("<4sI4s", b"RIFF", 36 + len(data), b"WAVE")
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, SAMPLE_RATE_HZ, 2 * SAMPLE_RATE_HZ, 2, 16)
    return riff + form + struct.pack("<4sI", b"data", len(data)) + data


@dataclass(frozen=True, slots=True)
class Heard:
    """What one call could place."""

    ranges: tuple[SpeechRange, ...]
    """In order of arrival. The first may begin up to 30 samples before this call's audio: samples that an earlier
    call could not place yet."""
    unrecognised_samples: int
    """Samples that are now known to carry no code. The last 30 or so count only when it is sure."""


class SpeechRecogniser:
    """Reads one stream of PCM (one connection's audio), in chunks of any size."""

    def __init__(self) -> None:
        self._pending = b""
        self._run: tuple[int, int] | None = None
        """Utterance and position of the sample that is expected next; None while searching."""
        self._unrecognised_bytes = 0
        self._reported_samples = 0

    def feed(self, pcm: bytes) -> Heard:
        """Take in the next bytes of the stream."""
        data = self._pending + pcm if self._pending else pcm
        ranges: list[SpeechRange] = []
        at = 0
        while True:
            if self._run is not None:
                utterance, start = self._run
                samples = _matching_samples(data, at, utterance, start)
                if samples:
                    _add(ranges, SpeechRange(utterance, start, start + samples))
                    at += 2 * samples
                if len(data) - at < 2:
                    self._run = (utterance, start + samples)
                    break
                self._run = None
            found = _find_block(data, at)
            if found is None:
                keep_from = max(at, len(data) - _TAIL_BYTES)
                self._unrecognised_bytes += keep_from - at
                at = keep_from
                break
            block_at, utterance, position = found
            back = _matching_samples_before(data, at, block_at, utterance, position)
            begin = block_at - 2 * back
            self._unrecognised_bytes += begin - at
            at = begin
            self._run = (utterance, position - back)
        self._pending = data[at:]
        return self._heard(ranges)

    def flush(self) -> Heard:
        """The stream is over: what could not be placed by now never will be."""
        self._unrecognised_bytes += len(self._pending)
        self._pending = b""
        self._run = None
        return self._heard([])

    def _heard(self, ranges: list[SpeechRange]) -> Heard:
        fresh_samples = self._unrecognised_bytes // 2 - self._reported_samples
        self._reported_samples += fresh_samples
        return Heard(tuple(ranges), fresh_samples)


def _add(ranges: list[SpeechRange], new: SpeechRange) -> None:
    if ranges and ranges[-1].utterance == new.utterance and ranges[-1].end == new.start:
        ranges[-1] = SpeechRange(new.utterance, ranges[-1].start, new.end)
    else:
        ranges.append(new)


def _equal_samples(left: bytes, right: bytes) -> int:
    """Whole samples at the beginning of both that are the same; the two have the same even length."""
    if left == right:
        return len(left) // 2
    difference = int.from_bytes(left, "little") ^ int.from_bytes(right, "little")
    return ((difference & -difference).bit_length() - 1) // 16


def _matching_samples(data: bytes, at: int, utterance: int, position: int) -> int:
    """How many samples from byte `at` on are what the utterance has from `position` on, words or quiet."""
    begin = at
    quiet = False  # which of the two matched last
    missed = 0
    while missed < 2:
        size = min(len(data) - at & ~1, 2 * (_PAGE_SAMPLES - position % _PAGE_SAMPLES))
        if size == 0 or position >= MAX_SAMPLES:
            break
        offset = 2 * (position % _PAGE_SAMPLES)
        page = _page(utterance, position // _PAGE_SAMPLES)[quiet]
        same = _equal_samples(data[at : at + size], page[offset : offset + size])
        at += 2 * same
        position += same
        missed = 0 if same else missed + 1
        if 2 * same < size:
            quiet = not quiet
    return (at - begin) // 2


def _matching_samples_before(data: bytes, floor: int, at: int, utterance: int, position: int) -> int:
    """How many samples that end at byte `at`, not before byte `floor`, are the utterance's before `position`."""
    most = min((at - floor) // 2, position, BLOCK_SAMPLES - 1)
    for back in range(1, most + 1):
        if not _matching_samples(data[at - 2 * back : at - 2 * back + 2], 0, utterance, position - back):
            return back - 1
    return most


def _find_block(data: bytes, start: int) -> tuple[int, int, int] | None:
    """The first whole valid block from byte `start` on: (byte, utterance, position); odd bytes are tried too."""
    for window_at in range(start, len(data) - _BLOCK_BYTES + 1, _SEARCH_BYTES):
        window = data[window_at : window_at + _SEARCH_BYTES + _BLOCK_BYTES - 1]
        candidates = [window_at + byte for byte in (*_candidates(window, 0), *_candidates(window, 1))]
        for at in sorted(candidates):
            identity = 0
            for column in range(_ID_SAMPLES):
                identity |= ((data[at + 2 * column] ^ data[at + 2 * (column + _ID_SAMPLES)]) & 0x7F) << 7 * column
            utterance, position = identity >> 20, (identity & 0xFFFFF) * BLOCK_SAMPLES
            if (
                1 <= utterance <= MAX_UTTERANCE
                and _matching_samples(data[at : at + _BLOCK_BYTES], 0, utterance, position) == BLOCK_SAMPLES
            ):
                return at, utterance, position
    return None


def _candidates(window: bytes, parity: int) -> Iterable[int]:
    """Bytes of `window` at which the phase marks spell a block's beginning."""
    marks = window[parity::2].translate(_TO_MARK)
    at = marks.find(_MARKS)
    while at >= 0:
        yield 2 * at + parity
        at = marks.find(_MARKS, at + 1)


def merge(ranges: Iterable[SpeechRange]) -> tuple[SpeechRange, ...]:
    """The union: ordered by utterance and position, no two of them touching."""
    merged: list[SpeechRange] = []
    for one in sorted(ranges, key=lambda one: (one.utterance, one.start)):
        last = merged[-1] if merged else None
        if last is not None and last.utterance == one.utterance and one.start <= last.end:
            merged[-1] = SpeechRange(one.utterance, last.start, max(last.end, one.end))
        else:
            merged.append(one)
    return tuple(merged)


def missing(total: Mapping[int, int], ranges: Iterable[SpeechRange]) -> dict[int, int]:
    """For each utterance of `total` (number to samples, counted from 0): samples that are in none of the ranges."""
    lost = dict(total)
    for one in merge(ranges):
        if one.utterance in lost:
            lost[one.utterance] -= max(0, min(one.end, total[one.utterance]) - one.start)
    return lost


def doubled(ranges: Iterable[SpeechRange]) -> dict[int, int]:
    """For each utterance heard: samples that came again, each time counted."""
    given = tuple(ranges)
    counts: dict[int, int] = {}
    for one in given:
        counts[one.utterance] = counts.get(one.utterance, 0) + one.end - one.start
    for one in merge(given):
        counts[one.utterance] -= one.end - one.start
    return counts
