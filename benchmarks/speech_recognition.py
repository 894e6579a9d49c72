"""How fast, and how exact, position-coded speech is read back.

    python -m benchmarks.speech_recognition [--samples 30000000] [--seed 1]

Speed: 100 ms chunks (1,600 samples), the median and worst of 5 rounds, with a bare copy of the same bytes beside it.
Exactness: slices of random utterances, lengths and positions, re-chunked at random; every sample that the ledger has
wrong is counted: lost that arrived, or placed where it is not from.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time

from fake_server.events import SpeechRange
from fake_server.speech import MAX_UTTERANCE, PLACED_SAMPLES, SpeechRecogniser, pcm

CHUNK_BYTES = 3_200
SPEECH_SAMPLES = 4_800_000
"""Five minutes of words, then quiet: slices are cut from ten minutes, so half of them are quiet."""


def speed() -> None:
    data = pcm(1, 0, 960_000, 480_000)
    chunks = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)]
    print(f"cores: {os.cpu_count()}")
    for name, stride in {"running on": 1, "every chunk a jump": 7}.items():
        rounds, worst_ms, copies = [], 0.0, []
        for _ in range(5):
            recogniser = SpeechRecogniser()
            taken = []
            for at in range(len(chunks)):
                chunk = chunks[at * stride % len(chunks)]
                begin = time.perf_counter()
                recogniser.feed(chunk)
                taken.append(1e3 * (time.perf_counter() - begin))
            begin = time.perf_counter()
            for chunk in chunks:
                bytearray(chunk)
            copies.append(1e3 * (time.perf_counter() - begin) / len(chunks))
            rounds.append(statistics.median(taken))
            worst_ms = max(worst_ms, *taken)
        samples = ", ".join(f"{one:.4f}" for one in rounds)
        ratio = statistics.median(rounds) / statistics.median(copies)
        print(f"{name}: {statistics.median(rounds):.4f} ms a chunk (median of 5: {samples})")
        print(f"    worst chunk {worst_ms:.2f} ms; {ratio:.0f} times a bare copy")


def exactness(samples: int, seed: int) -> None:
    draw = random.Random(seed)
    done = wrong = joins = off = 0
    begin = time.perf_counter()
    while done < samples:
        truth: list[SpeechRange] = []
        for _ in range(50):
            start = draw.randrange(2 * SPEECH_SAMPLES - 50_000)
            length = draw.choice(
                [draw.randint(PLACED_SAMPLES, 400), draw.randint(400, 50_000), 1_600 * draw.randint(1, 30)]
            )
            if truth and draw.random() < 0.5:  # the joins of real drops: the same utterance, a little further or back
                start = max(0, truth[-1].end + 160 * draw.randint(-20, 100))
            utterance = truth[-1].utterance if truth and draw.random() < 0.7 else draw.randint(1, MAX_UTTERANCE)
            truth.append(SpeechRange(utterance, start, start + length))
        data = b"".join(pcm(one.utterance, one.start, one.end, SPEECH_SAMPLES) for one in truth)
        recogniser = SpeechRecogniser()
        heard: list[SpeechRange] = []
        at = unrecognised = 0
        while at < len(data):
            size = draw.choice([1, draw.randint(2, 200), CHUNK_BYTES, draw.randint(200, 100_000)])
            result = recogniser.feed(data[at : at + size])
            heard += result.ranges
            unrecognised += result.unrecognised_samples
            at += size
        unrecognised += recogniser.flush().unrecognised_samples
        wrong_here = differing(truth, heard) + unrecognised
        done, joins, wrong, off = done + len(data) // 2, joins + len(truth) - 1, wrong + wrong_here, off + unrecognised
    taken_s = time.perf_counter() - begin
    print(f"exactness: {wrong} of {done} samples wrong ({off} of them unrecognised), {joins} joins, seed {seed}")
    print(f"           {done / 16_000 / taken_s:.0f} times real time, making the samples included")


def differing(truth: list[SpeechRange], heard: list[SpeechRange]) -> int:
    """Samples, in order of arrival, whose place is told otherwise than it is."""

    def runs(ranges: list[SpeechRange]) -> list[tuple[int, int, int]]:
        arrived, found = 0, []
        for one in ranges:
            found.append((arrived, arrived + one.end - one.start, one.utterance * 2**32 + one.start - arrived))
            arrived += one.end - one.start
        return found

    left, right, wrong = runs(truth), runs(heard), 0
    i = j = 0
    while i < len(left) and j < len(right):
        begin, end = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
        if left[i][2] != right[j][2]:
            wrong += max(0, end - begin)
        if left[i][1] <= right[j][1]:
            i += 1
        else:
            j += 1
    return wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=30_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    speed()
    exactness(arguments.samples, arguments.seed)
