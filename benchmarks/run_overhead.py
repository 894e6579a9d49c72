"""What `harness run` costs beyond the waits that the scenario itself asks for, and how quickly `--help` answers.

    python benchmarks/run_overhead.py [--rounds 5] [--json FILE]

Wanted: one tunnel variant in no more than 2.0 s beyond its own waits, `harness --help` under 250 ms. The waits are read
from the journal: from the start of the first step to the end of the last, the probe's turn included. What is left is
ours: imports, certificates, proxy, server, the client's start, stopping, judging and drawing. The ratio is the whole
run's time over that of its waits.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness.journal.events import StepEnded, StepStarted
from harness.journal.reader import read_journal

VARIANT = "tunnel~dies"
MOST_BEYOND_S = 2.0
HELP_MOST_MS = 250.0
COMMAND = [sys.executable, "-c", "from harness.cli import main; main()"]


def run_once(folder: Path, seed: int) -> tuple[float, float]:
    """Whole time of one call, and the part of it that the scenario's own steps took, in seconds."""
    began_s = time.perf_counter()
    subprocess.run([*COMMAND, "run", VARIANT, "--seed", str(seed), "--out", str(folder), "-q"], check=True)
    whole_s = time.perf_counter() - began_s
    [path] = folder.rglob("journal.jsonl")
    entries = read_journal(path).entries
    started_s = [e.t for e in entries if isinstance(e.event, StepStarted) and e.event.step > 0]
    ended_s = [e.t for e in entries if isinstance(e.event, StepEnded) and e.event.step > 0]
    return whole_s, max(ended_s) - min(started_s)


def help_once() -> float:
    """Milliseconds that `harness --help` takes as a process."""
    began_s = time.perf_counter()
    subprocess.run([*COMMAND, "--help"], check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - began_s) * 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.2f}, Python {sys.version.split()[0]}")
    runs = []
    for seed in range(1, options.rounds + 1):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(run_once(Path(folder) / "out", seed))
    helps_ms = [help_once() for _ in range(options.rounds)]

    beyond_s = [whole - waits for whole, waits in runs]
    ratios = [whole / waits for whole, waits in runs]
    print(f"{VARIANT}: whole / waits s: {', '.join(f'{whole:.2f}/{waits:.2f}' for whole, waits in runs)}")
    print(
        f"  beyond the waits, median {statistics.median(beyond_s):.2f} s (wanted {MOST_BEYOND_S}); "
        f"ratio, median {statistics.median(ratios):.3f}"
    )
    print(f"harness --help: {', '.join(f'{ms:.0f}' for ms in helps_ms)} ms")
    print(f"  median {statistics.median(helps_ms):.0f} ms (wanted {HELP_MOST_MS:.0f})")
    if options.json:
        figures = {"cores": os.cpu_count(), "whole_and_waits_s": runs, "beyond_s": beyond_s, "help_ms": helps_ms}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
