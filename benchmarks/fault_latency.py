"""How long it takes from asking for a fault until it is in force, with four runs at once.

    python benchmarks/fault_latency.py [--rounds 5] [--json FILE]

Wanted: p99 under 12 ms for one call of Toxiproxy, under 25 ms for a fault on two links in both directions, under 3 ms
for the built-in relay. Say so when the machine is not idle: the load average is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from fake_server.clock import SystemClock
from harness.proxy.choose import open_proxy
from harness.proxy.port import Direction, Fault, FaultKind, FaultProxy, Link, ProxyError

RUNS = 4
FAULTS_A_RUN = 60
PAUSE_S = (0.02, 0.06)
"""Between two faults of a run, drawn evenly: far more often than any scenario, so that runs meet each other."""

WANTED_P99_MS = {
    "toxiproxy, one call": 12.0,
    "toxiproxy, two links both ways": 25.0,
    "builtin, two links both ways": 3.0,
}

ONE_CALL = Fault(FaultKind.SLOW, Direction.UP, latency_ms=40)
BOTH_WAYS = Fault(FaultKind.STALL)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def talk(port: int) -> None:
    """A client in a call: 100 ms of speech every 100 ms, on one connection after the other."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            sink = asyncio.create_task(reader.read(-1))
            try:
                while True:
                    writer.write(b"a" * 4300)
                    await asyncio.sleep(0.1)
            finally:
                sink.cancel()
                writer.close()
        except OSError:
            await asyncio.sleep(0.05)


async def one_run(
    proxy: FaultProxy, upstream_port: int, fault: Fault, link_count: int, number: int, samples_ms: list[float]
) -> None:
    links: list[Link] = [
        await proxy.open_link(name, upstream_port, label=f"run{number}") for name in ("live", "backend")[:link_count]
    ]
    callers = [asyncio.create_task(talk(link.port)) for link in links]
    pause = random.Random(number)
    try:
        for _ in range(FAULTS_A_RUN):
            await asyncio.sleep(pause.uniform(*PAUSE_S))
            start = time.perf_counter()
            await asyncio.gather(*(link.apply(fault) for link in links))
            samples_ms.append((time.perf_counter() - start) * 1000)
            await asyncio.gather(*(link.lift(fault) for link in links))
    finally:
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        for link in links:
            await link.close()


async def measure(kind: str, fault: Fault, link_count: int) -> list[float]:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    upstream_port = server.sockets[0].getsockname()[1]
    proxy, _ = await open_proxy(kind, seed=1, clock=SystemClock())  # type: ignore[arg-type]
    samples_ms: list[float] = []
    try:
        await asyncio.gather(
            *(one_run(proxy, upstream_port, fault, link_count, number, samples_ms) for number in range(RUNS))
        )
    finally:
        await proxy.close()
        server.close()
    return samples_ms


def percentile(samples: list[float], share: float) -> float:
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


CASES: dict[str, Callable[[], Awaitable[list[float]]]] = {
    "toxiproxy, one call": lambda: measure("toxiproxy", ONE_CALL, 1),
    "toxiproxy, two links both ways": lambda: measure("toxiproxy", BOTH_WAYS, 2),
    "builtin, two links both ways": lambda: measure("builtin", BOTH_WAYS, 2),
}


async def main(rounds: int, out: Path | None) -> int:
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.2f}, Python {sys.version.split()[0]}")
    print(f"{RUNS} runs at once, {FAULTS_A_RUN} faults each, {rounds} rounds; milliseconds")
    raw: dict[str, list[list[float]]] = {case: [] for case in CASES}
    for number in range(rounds):
        for case, play in CASES.items():
            samples = await play()
            raw[case].append(samples)
            print(
                f"round {number + 1}  {case:32} n={len(samples)}  p50 {percentile(samples, 0.5):6.2f}  "
                f"p90 {percentile(samples, 0.9):6.2f}  p99 {percentile(samples, 0.99):6.2f}  worst {max(samples):6.2f}"
            )
    missed = 0
    for case, lists in raw.items():
        p50 = statistics.median(percentile(samples, 0.5) for samples in lists)
        p99 = statistics.median(percentile(samples, 0.99) for samples in lists)
        met = p99 < WANTED_P99_MS[case]
        missed += not met
        print(
            f"median of {rounds}  {case:32} p50 {p50:6.2f}  p99 {p99:6.2f}  wanted p99 < {WANTED_P99_MS[case]:g}: "
            f"{'met' if met else 'MISSED'}"
        )
    if out is not None:
        text = json.dumps({"cores": os.cpu_count(), "load": os.getloadavg(), "samples_ms": raw})
        await asyncio.to_thread(out.write_text, text)
    return 1 if missed else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=None, help="write every sample to this file")
    given = parser.parse_args()
    try:
        sys.exit(asyncio.run(main(given.rounds, given.json)))
    except ProxyError as error:
        sys.exit(f"error: {error}")
