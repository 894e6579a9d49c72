"""`harness.proxy.shaping`: what comes out of a lane, and when, on a stepping clock."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.proxy.port import Direction, Fault, FaultKind
from harness.proxy.shaping import HELD_LIMIT_BYTES, PASSING_LIMIT_BYTES, End, Lane, Wait, shape_of

UP, DOWN, BOTH = Direction.UP, Direction.DOWN, Direction.BOTH
STALL = Fault(FaultKind.STALL)
BLACKHOLE = Fault(FaultKind.BLACKHOLE)


def lane(*faults: Fault) -> Lane:
    made = Lane(UP, Random(1))
    made.set_faults(faults)
    return made


def drain(one: Lane, now_s: float, *, until_s: float | None = None) -> tuple[bytes, list[int], End | None, float]:
    """What comes out until nothing more would (or `until_s`): bytes, sizes of pieces, the end, the time then."""
    out, pieces = bytearray(), []
    while True:
        step = one.next(now_s)
        if isinstance(step, Wait):
            if step.seconds is None or (until_s is not None and now_s + step.seconds > until_s):
                return bytes(out), pieces, None, now_s
            now_s += step.seconds
        elif isinstance(step, End):
            return bytes(out), pieces, step, now_s
        else:
            out += step
            pieces.append(len(step))
            one.sent(len(step), now_s)


def test_without_faults_bytes_and_the_end_pass_at_once() -> None:
    one = lane()
    one.receive(b"ab", 1.0)
    one.receive(b"cd", 1.0)
    one.receive_end(End.FIN, 1.0)
    one.receive_end(End.RST, 1.0)
    assert drain(one, 1.0) == (b"abcd", [2, 2], End.FIN, 1.0)
    assert one.next(9.0) == Wait(None)


def test_a_partly_sent_piece_goes_on_where_it_stopped() -> None:
    one = lane()
    one.receive(b"abcdef", 0.0)
    one.sent(2, 0.0)
    assert one.queued_bytes == 4
    assert drain(one, 0.0)[0] == b"cdef"


def test_a_stall_holds_bytes_and_end_and_gives_them_in_order() -> None:
    one = lane()
    one.receive(b"before", 0.0)
    one.set_faults([STALL])
    one.receive(b"during", 1.0)
    one.receive_end(End.RST, 2.0)
    assert one.next(3.0) == Wait(None)
    one.set_faults([])
    assert drain(one, 4.0) == (b"beforeduring", [6, 6], End.RST, 4.0)


def test_a_stall_holds_only_so_much() -> None:
    one = lane(STALL)
    one.receive(b"x" * (HELD_LIMIT_BYTES - 1), 0.0)
    assert not one.full
    one.receive(b"x", 0.0)
    assert one.full
    passing = lane()
    passing.receive(b"x" * PASSING_LIMIT_BYTES, 0.0)
    assert passing.full


def test_a_black_hole_drops_what_is_queued_and_what_comes_and_reads_on() -> None:
    one = lane()
    one.receive(b"queued", 0.0)
    one.set_faults([BLACKHOLE])
    one.receive(b"x" * (2 * HELD_LIMIT_BYTES), 1.0)
    assert (one.queued_bytes, one.full, one.next(2.0)) == (0, False, Wait(None))
    one.receive_end(End.FIN, 2.0)
    assert one.next(2.0) == Wait(None), "the end is held too"
    one.set_faults([])
    assert drain(one, 3.0)[:3] == (b"", [], End.FIN)


def test_the_other_direction_is_spared() -> None:
    one = lane(Fault(FaultKind.STALL, DOWN), Fault(FaultKind.SLOW, DOWN), Fault(FaultKind.BLACKHOLE, DOWN))
    one.receive(b"a", 0.0)
    assert drain(one, 0.0) == (b"a", [1], None, 0.0)


def test_slow_delays_each_byte_by_as_much_and_the_end_too() -> None:
    one = lane(Fault(FaultKind.SLOW, latency_ms=200))
    one.receive(b"a", 0.0)
    one.receive(b"b", 0.1)
    one.receive_end(End.FIN, 0.15)
    assert one.next(0.0) == Wait(0.2)
    assert drain(one, 0.0, until_s=0.25) == (b"a", [1], None, 0.2)
    out, _, end, at_s = drain(one, 0.25)
    assert (out, end) == (b"b", End.FIN)
    assert at_s == pytest.approx(0.35)


def test_slow_lifted_lets_everything_go_and_a_second_one_does_not() -> None:
    first, second = Fault(FaultKind.SLOW, latency_ms=1000), Fault(FaultKind.SLOW, latency_ms=500)
    one = lane(first)
    one.receive(b"a", 0.0)
    one.set_faults([first, second])
    assert one.next(0.0) == Wait(1.0)
    one.receive(b"b", 0.0)
    assert drain(one, 0.0, until_s=1.4)[0] == b"a"
    assert drain(one, 1.4)[3] == pytest.approx(1.5)
    one.receive(b"c", 2.0)
    one.set_faults([])
    assert drain(one, 2.0) == (b"c", [1], None, 2.0)


def test_jitter_stays_within_its_bounds_keeps_order_and_repeats_with_the_seed() -> None:
    def times(seed: int) -> list[float]:
        one = Lane(UP, Random(seed))
        one.set_faults([Fault(FaultKind.SLOW, latency_ms=100, jitter_ms=80)])
        out = []
        for number in range(50):
            one.receive(b"x", float(number))
            out.append(drain(one, float(number))[3] - number)
        return out

    seen = times(4)
    assert all(0.02 <= delay_s <= 0.18 for delay_s in seen)
    assert max(seen) - min(seen) > 0.05
    assert seen == times(4) != times(5)


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=3000), max_size=12),
    rate=st.floats(min_value=100, max_value=100_000),
    slice_bytes=st.integers(min_value=1, max_value=500),
)
def test_throttle_and_slice_lose_nothing_and_keep_their_bounds(
    chunks: list[bytes], rate: float, slice_bytes: int
) -> None:
    one = lane(
        Fault(FaultKind.THROTTLE, rate_bytes_per_s=rate),
        Fault(FaultKind.SLICE, slice_bytes=slice_bytes, slice_delay_ms=2),
    )
    for chunk in chunks:
        one.receive(chunk, 0.0)
    whole = b"".join(chunks)
    out, pieces, _, at_s = drain(one, 0.0)
    assert out == whole
    assert all(size <= slice_bytes for size in pieces)
    if pieces:
        assert at_s >= (len(whole) - pieces[-1]) / rate - 1e-6
        assert at_s >= (len(pieces) - 1) * 0.002 - 1e-6


def test_a_lifted_throttle_leaves_no_debt() -> None:
    throttle = Fault(FaultKind.THROTTLE, rate_bytes_per_s=10)
    one = lane(throttle)
    one.receive(b"x" * 100, 0.0)
    assert drain(one, 0.0, until_s=1.0)[0] < b"x" * 12
    one.set_faults([])
    assert drain(one, 1.0)[3] == 1.0


def test_severed_forgets_bytes_reads_on_and_still_gives_the_end() -> None:
    one = lane(STALL)
    one.receive(b"x" * HELD_LIMIT_BYTES, 0.0)
    one.sever()
    one.receive(b"y" * HELD_LIMIT_BYTES, 0.0)
    one.receive_end(End.FIN, 0.0)
    one.set_faults([])
    assert not one.full
    assert drain(one, 0.0) == (b"", [], End.FIN, 0.0)


def test_the_strictest_of_overlapping_faults_wins() -> None:
    shape = shape_of(
        [
            Fault(FaultKind.THROTTLE, UP, rate_bytes_per_s=500),
            Fault(FaultKind.THROTTLE, BOTH, rate_bytes_per_s=300),
            Fault(FaultKind.THROTTLE, DOWN, rate_bytes_per_s=1),
            Fault(FaultKind.SLICE, UP, slice_bytes=9, slice_delay_ms=1),
            Fault(FaultKind.SLICE, UP, slice_bytes=90, slice_delay_ms=7),
        ],
        UP,
    )
    assert (shape.rate_bytes_per_s, shape.slice_bytes, shape.slice_delay_s) == (300, 9, 0.007)
    assert not shape.held
    assert not shape.dropped
