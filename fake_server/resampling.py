"""Streamed audio at other rates than 16 kHz: brought to it, as the service does (protocol, section 8.1). Pure.

A position code does not outlive this: what was resampled is heard as a voice or as quiet, of the right length.
"""

from __future__ import annotations

import re
from array import array
from functools import lru_cache

RATE_HZ = 16_000
"""What the service hears at, and what audio is whose type names no rate."""

_RATE = re.compile(r"(?:^|;)\s*rate\s*=\s*\"?(\d{1,6})\"?\s*(?:;|$)", re.IGNORECASE)
_RATES_HZ = range(1_000, 192_001)
"""Outside of this, a rate is no rate, and the audio is taken for 16 kHz."""


@lru_cache(maxsize=64)
def rate_hz(mime_type: str) -> int:
    """The rate in `audio/pcm;rate=24000`; 16,000 where there is none, or none that audio can have."""
    found = _RATE.search(mime_type.partition(";")[2])
    rate = int(found[1]) if found else RATE_HZ
    return rate if rate in _RATES_HZ else RATE_HZ


class Resampler:
    """Brings one stream to 16 kHz, chunk by chunk: nothing is lost or doubled where two chunks meet."""

    def __init__(self) -> None:
        self._rate_hz = RATE_HZ
        self._odd_byte = b""
        self._taken = 0
        """Samples of the stream, at its own rate, that went before."""

    def feed(self, pcm: bytes, rate: int) -> bytes:
        """PCM16 at `rate` Hz; gives back the same sound at 16 kHz. A new rate begins a new stream."""
        if rate != self._rate_hz:
            self._rate_hz, self._odd_byte, self._taken = rate, b"", 0
        data = self._odd_byte + pcm
        whole = len(data) & ~1
        self._odd_byte = data[whole:]
        samples = array("h", data[:whole])
        first, last = self._taken, self._taken + len(samples)
        self._taken = last
        made = range(-(-first * RATE_HZ // rate), -(-last * RATE_HZ // rate))
        return array("h", [samples[at * rate // RATE_HZ - first] for at in made]).tobytes()
