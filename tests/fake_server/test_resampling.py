from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_server.resampling import Resampler, rate_hz


@pytest.mark.parametrize(
    ("mime_type", "rate"),
    [
        ("audio/pcm;rate=16000", 16_000),
        ("audio/pcm; rate = 24000", 24_000),
        ('AUDIO/PCM;channels=1;RATE="48000"', 48_000),
        ("audio/pcm", 16_000),
        ("audio/pcm;rate=0", 16_000),
        ("audio/pcm;bitrate=8000", 16_000),
        ("audio/pcm;rate=fast", 16_000),
        ("", 16_000),
    ],
)
def test_the_rate_that_a_type_names(mime_type: str, rate: int) -> None:
    assert rate_hz(mime_type) == rate


@given(st.sampled_from([8_000, 16_000, 24_000, 44_100, 48_000]), st.lists(st.integers(0, 999), max_size=12))
def test_no_cut_loses_or_doubles_anything(rate: int, sizes: list[int]) -> None:
    samples = array("h", [n % 30_000 for n in range(sum(sizes) // 2 + 1)])
    data = samples.tobytes()[: sum(sizes)]
    resampler, at = Resampler(), 0
    made = b""
    for size in sizes:
        made += resampler.feed(data[at : at + size], rate)
        at += size
    assert made == Resampler().feed(data, rate)
    assert abs(len(made) // 2 - len(data) // 2 * 16_000 / rate) <= 1


def test_another_rate_begins_another_stream() -> None:
    resampler = Resampler()
    resampler.feed(bytes(999), 24_000)
    assert len(resampler.feed(bytes(1600), 8_000)) == 3200
