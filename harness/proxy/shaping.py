"""What faults do to the bytes of one direction of one link: pure; the relay's shell only moves bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from random import Random

from harness.proxy.port import Direction, Fault, FaultKind

HELD_LIMIT_BYTES = 4 * 1024 * 1024
"""Bytes kept while a fault holds or delays them; then reading stops, and the sender meets a full pipe."""

PASSING_LIMIT_BYTES = 64 * 1024
"""Bytes kept otherwise: little, so that a slow reader is felt by the sender as on a direct link."""

THROTTLE_STEP_S = 0.02
"""A throttled stream leaves in steps of what may pass in this time: small enough to look even."""


class End(Enum):
    """How a byte stream ends."""

    FIN = "fin"
    RST = "rst"


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to send now. `seconds` None: until something changes."""

    seconds: float | None


@dataclass(frozen=True, slots=True)
class Shape:
    """The faults of one direction taken together."""

    held: bool = False
    dropped: bool = False
    slow: tuple[Fault, ...] = ()
    rate_bytes_per_s: float | None = None
    slice_bytes: int | None = None
    slice_delay_s: float = 0.0


def shape_of(faults: Iterable[Fault], direction: Direction) -> Shape:
    """Overlapping faults: delays add up, the lowest rate and the smallest slice win."""
    mine = [fault for fault in faults if fault.direction in (direction, Direction.BOTH)]
    slices = [fault for fault in mine if fault.kind is FaultKind.SLICE]
    rates = [fault.rate_bytes_per_s for fault in mine if fault.kind is FaultKind.THROTTLE]
    return Shape(
        held=any(fault.kind is FaultKind.STALL for fault in mine),
        dropped=any(fault.kind is FaultKind.BLACKHOLE for fault in mine),
        slow=tuple(fault for fault in mine if fault.kind is FaultKind.SLOW),
        rate_bytes_per_s=min(rates, default=None),
        slice_bytes=min((fault.slice_bytes for fault in slices), default=None),
        slice_delay_s=max((fault.slice_delay_ms for fault in slices), default=0.0) / 1000,
    )


class Lane:
    """The bytes of one direction, from `receive` to `next`, in order.

    The caller sends what `next` gives and tells `sent` how much of it went out. All times are seconds of one
    monotonic clock.
    """

    def __init__(self, direction: Direction, rng: Random) -> None:
        self.direction = direction
        self._rng = rng
        self._shape = Shape()
        self._queue: deque[tuple[memoryview | End, float]] = deque()
        self._queued_bytes = 0
        self._last_due_s = 0.0
        self._not_before_s = 0.0
        self.severed = False
        self._ended = False

    @property
    def full(self) -> bool:
        """True while nothing more should be read from the sender."""
        if self.severed or self._shape.dropped:
            return False  # read on and forget: the sender's end must still be noticed
        roomy = self._shape.held or bool(self._shape.slow)
        return self._queued_bytes >= (HELD_LIMIT_BYTES if roomy else PASSING_LIMIT_BYTES)

    @property
    def queued_bytes(self) -> int:
        """Bytes received and not yet sent."""
        return self._queued_bytes

    def set_faults(self, faults: Iterable[Fault]) -> None:
        """The faults now in force on this link. What a lifted fault held back may pass at once."""
        shape = shape_of(faults, self.direction)
        if len(shape.slow) < len(self._shape.slow):
            self._last_due_s = 0.0
            self._queue = deque((item, 0.0) for item, _ in self._queue)
        self._not_before_s = 0.0
        self._shape = shape
        if shape.dropped:
            self._forget_bytes()

    def receive(self, data: bytes, now_s: float) -> None:
        """Bytes from the sender; dropped in a black hole and after `sever`."""
        if self.severed or self._shape.dropped or not data:
            return
        self._queue.append((memoryview(data), self._due_s(now_s)))
        self._queued_bytes += len(data)

    def receive_end(self, end: End, now_s: float) -> None:
        """The sender ended its stream: passed on in its turn, and held as bytes are. Later ends are ignored."""
        if not self._ended:
            self._ended = True
            self._queue.append((end, self._due_s(now_s)))

    def sever(self) -> None:
        """Nothing passes any more; what is queued is forgotten."""
        self.severed = True
        self._forget_bytes()

    def next(self, now_s: float) -> memoryview | End | Wait:
        """What to send now. An `End` is given once; after it, `Wait(None)`."""
        if self._shape.held or self._shape.dropped or not self._queue:
            return Wait(None)
        item, due_s = self._queue[0]
        ready_s = max(due_s, self._not_before_s if isinstance(item, memoryview) else 0.0)
        if ready_s > now_s:
            return Wait(ready_s - now_s)
        if isinstance(item, End):
            self._queue.popleft()
            return item
        size = len(item)
        if self._shape.slice_bytes is not None:
            size = min(size, max(1, self._shape.slice_bytes))
        if self._shape.rate_bytes_per_s is not None:
            size = min(size, max(1, int(self._shape.rate_bytes_per_s * THROTTLE_STEP_S)))
        return item[:size]

    def sent(self, count: int, now_s: float) -> None:
        """`count` bytes of what `next` gave have left."""
        if not self._queue or count <= 0:
            return
        item, due_s = self._queue[0]
        if not isinstance(item, memoryview):
            return
        self._queued_bytes -= count
        if count == len(item):
            self._queue.popleft()
        else:
            self._queue[0] = (item[count:], due_s)
        if self._shape.rate_bytes_per_s is not None:
            self._not_before_s = max(self._not_before_s, now_s) + count / self._shape.rate_bytes_per_s
        if self._shape.slice_bytes is not None:
            self._not_before_s = max(self._not_before_s, now_s + self._shape.slice_delay_s)

    def _due_s(self, now_s: float) -> float:
        if not self._shape.slow:
            return self._last_due_s  # not before what came earlier
        delay_ms = sum(
            max(0.0, fault.latency_ms + self._rng.uniform(-fault.jitter_ms, fault.jitter_ms))
            for fault in self._shape.slow
        )
        self._last_due_s = max(self._last_due_s, now_s + delay_ms / 1000)
        return self._last_due_s

    def _forget_bytes(self) -> None:
        self._queue = deque(entry for entry in self._queue if isinstance(entry[0], End))
        self._queued_bytes = 0
