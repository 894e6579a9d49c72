"""The one clock: everything that needs a time is handed one of these."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A monotonic clock with a wall clock that never jumps against it."""

    def monotonic_s(self) -> float:
        """Seconds since an arbitrary start; never goes back."""
        ...

    def wall_s(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        ...


class SystemClock:
    """The machine's clock. Wall time is read once, so that both readings always advance together."""

    def __init__(self) -> None:
        self._wall_offset_s = time.time() - time.monotonic()

    monotonic_s = staticmethod(time.monotonic)
    """See `Clock.monotonic_s`."""

    def wall_s(self) -> float:
        """See `Clock.wall_s`."""
        return self._wall_offset_s + time.monotonic()


class SteppingClock:
    """A clock that moves only when told to: for tests of the pure parts."""

    def __init__(self, start_s: float = 0.0, wall_start_s: float = 1_800_000_000.0) -> None:
        self._now_s = start_s
        self._wall_offset_s = wall_start_s - start_s

    def monotonic_s(self) -> float:
        """See `Clock.monotonic_s`."""
        return self._now_s

    def wall_s(self) -> float:
        """See `Clock.wall_s`."""
        return self._wall_offset_s + self._now_s

    def advance(self, seconds: float) -> None:
        """Move on by `seconds` (0 or more); raises `ValueError` for a negative step."""
        if seconds < 0:
            raise ValueError(f"seconds={seconds}: a clock never goes back; pass 0 or more")
        self._now_s += seconds
