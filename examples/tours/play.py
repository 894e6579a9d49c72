"""Sets up the tours, plays them, holds them against their journals, and writes what came out. Started by `run`."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from compare import Result, compare
from table import page
from told import STEPS

from fake_server.speech import wav
from harness.journal.reader import read_journal
from harness.plan import QUIET_SAMPLES, SAMPLE_RATE_HZ

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "reference" / "sdk-support.md"
SPEECH_S = 2
"""As `speak` in tour.yaml."""
SEED = 1
SETUP_WITHIN_S = 900
PLAYED_WITHIN_S = 240


@dataclass(frozen=True, slots=True)
class Tour:
    """One folder."""

    name: str
    folder: Path
    language: str
    package: str
    tls: tuple[str, ...]
    not_possible: tuple[str, ...]


def main(arguments: Sequence[str]) -> int:
    """Exit code 0: every step came out as it must, and (with `--check`) the table is as it was; 1 if not."""
    parser = argparse.ArgumentParser(prog="examples/tours/run", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="one tour, by its folder; may be repeated")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a result would change")
    parser.add_argument("--out", type=Path, default=ROOT / "harness-results" / "tours", help="for the runs' results")
    parser.add_argument("--jobs", type=int, default=2, help="how many are played at once (default 2)")
    parser.add_argument("--no-setup", action="store_true", help="their environments are there")
    options = parser.parse_args(arguments)

    tours = {tour.name: tour for tour in all_tours()}
    unknown = sorted(set(options.only or ()) - set(tours))
    if unknown:
        parser.error(f"there is no tour {', '.join(unknown)}; there are {', '.join(tours)}")
    chosen = [tours[name] for name in options.only or tours]
    complaints: list[str] = []
    if not options.no_setup:
        complaints = [complaint for tour in chosen for complaint in set_up(tour)]
    if not complaints:
        complaints = play_all(chosen, options.out.resolve(), options.jobs, check=options.check)
    for complaint in complaints:
        print(f"FAILED  {complaint}")
    print(f"{len(chosen)} tours, {len(complaints)} complaints; results in {options.out}")
    return 1 if complaints else 0


def all_tours() -> list[Tour]:
    """Every folder with a tour.json, by name."""
    tours = []
    for path in sorted(HERE.glob("*/tour.json")):
        given = json.loads(path.read_text(encoding="utf-8"))
        tours.append(
            Tour(
                name=path.parent.name,
                folder=path.parent,
                language=given["language"],
                package=given["package"],
                tls=tuple(given["tls"]),
                not_possible=tuple(given["not_possible"]),
            )
        )
    return tours


def set_up(tour: Tour) -> list[str]:
    """Make a tour's environment; what went wrong."""
    print(f"SET UP  {tour.name}", flush=True)
    try:
        done = subprocess.run(
            [tour.folder / "setup"], cwd=tour.folder, timeout=SETUP_WITHIN_S, capture_output=True, text=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [f"{tour.name}: its setup did not work: {error}"]
    if done.returncode != 0:
        last = "\n        ".join((done.stdout + done.stderr).strip().splitlines()[-20:])
        return [f"{tour.name}: its setup ended with exit code {done.returncode}:\n        {last}"]
    return []


def play_all(chosen: Sequence[Tour], out: Path, jobs: int, *, check: bool) -> list[str]:
    """Play and compare them, and write results and table; what went wrong."""
    with tempfile.TemporaryDirectory(prefix="tour-") as scratch, ThreadPoolExecutor(jobs) as pool:
        speech = Path(scratch) / "speech.wav"
        speech.write_bytes(wav(1, SPEECH_S * SAMPLE_RATE_HZ, QUIET_SAMPLES))
        runs = {(tour.name, tls): pool.submit(play, tour, tls, out, speech) for tour in chosen for tls in tour.tls}
        played = {key: run.result() for key, run in runs.items()}
    complaints: list[str] = []
    for tour in chosen:
        said = [f"{tour.name}, TLS {tls}: {one}" for tls in tour.tls for one in played[tour.name, tls][1]]
        results = [result for tls in tour.tls if (result := played[tour.name, tls][0]) is not None]
        if any(result != results[0] for result in results):
            said.append(f"{tour.name}: what came out with TLS {' and '.join(tour.tls)} is not the same")
        complaints += said
        if said:
            continue
        document = {"language": tour.language, "tls": list(tour.tls), **asdict(results[0])}
        complaints += keep(tour.folder / "result.json", json.dumps(document, indent=2) + "\n", check=check)
    if not complaints:
        complaints += keep(PAGE, page(stored_results()), check=check)
    return complaints


def stored_results() -> list[dict[str, Any]]:
    """What the last run of every tour has left."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(HERE.glob("*/result.json"))]


def play(tour: Tour, tls: str, out: Path, speech: Path) -> tuple[Result | None, list[str]]:
    """One run; its result and what speaks against it."""
    print(f"PLAY    {tour.name}, TLS {tls}", flush=True)
    folder = out / f"tls-{tls}"
    command = [
        *(Path(sys.executable).with_name("harness"), "run", HERE / "tour.yaml", "-q"),
        *("--client-config", tour.folder / "client.yaml", "--tls", tls, "--seed", str(SEED)),
        *("--out", folder / tour.name),
    ]
    environment = {**os.environ, "TOUR_SPEECH_WAV": str(speech)}  # the client inherits what the harness was given
    try:
        done = subprocess.run(
            [str(word) for word in command], env=environment, timeout=PLAYED_WITHIN_S, capture_output=True, text=True
        )
    except subprocess.TimeoutExpired:
        return None, [f"the harness was not done within {PLAYED_WITHIN_S} s"]
    journals = list((folder / tour.name).glob("*/*/journal.jsonl"))
    if len(journals) != 1:
        return None, [f"there is no run: {(done.stderr or done.stdout).strip()}"]
    compared = compare(read_journal(journals[0]), tour.not_possible)
    complaints = list(compared.complaints)
    if compared.result is None:
        return None, complaints
    if done.returncode != 0:
        complaints.append(f"the checks of the harness do not hold, exit code {done.returncode}: {done.stdout.strip()}")
    if compared.result.client != tour.package:
        complaints.append(f"it says that it is {compared.result.client!r}, and tour.json has {tour.package!r}")
    told = compared.result.steps
    reached = [name for name, step in told.items() if step["status"] == "done"]
    print(
        f"PLAYED  {tour.name}, TLS {tls}: {compared.result.version}, {len(reached)} steps of {len(STEPS)} done",
        flush=True,
    )
    for name, step in told.items():
        if step["reason"]:
            print(f"        {tour.name}: {name}: {step['status']}: {step['reason']}", flush=True)
    return compared.result, complaints


def keep(path: Path, text: str, *, check: bool) -> list[str]:
    """Write a file; with `check`, say where it would change."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    if old == text:
        return []
    if check:
        return [f"{path.relative_to(ROOT)} would change: run examples/tours/run without --check, and look at it"]
    path.write_text(text, encoding="utf-8")
    print(f"WROTE   {path.relative_to(ROOT)}")
    return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
