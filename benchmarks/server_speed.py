"""How fast the fake server answers, against a bare aiohttp handler that sends the same answers.

    python benchmarks/server_speed.py [--rounds 5] [--connections 100] [--seconds 3] [--case NAME] [--json FILE]

Text turns over 100 connections, each caller speaking again as soon as it is answered. The fake server plays its full
protocol with the journal on (`journalled_server.py`), and nothing is paced; the bare handler (`bare_server.py`) is
given the very messages that the fake server was heard to answer. Each is a process of its own, as is the load
(`text_turns.py`). The two are measured in turn, the first one changing with each round, and compared within the round.

Two ratios are printed, fake to bare: of turns a second, which need an idle machine and a load that is quicker than
the server (see `busy`: the share of the time in which the server's process ran), and of the CPU time that a turn costs
the server, which is robust and decides when the machine was not idle. Wanted: at least 0.5 in the headline case, the
answer as the service gives it by default.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
from text_turns import setup, turn
from websockets.sync.client import connect

from fake_server.behaviour import DEFAULT_MODEL
from fake_server.profiles import SERVICES

WANTED = 0.5
HEADLINE = "spoken"
SATURATED = 0.9
"""A server that was busy for less of the time was kept waiting, and its turns a second say nothing about it."""
HERE = Path(__file__).parent
PATH = SERVICES["developer"].path.format(version="v1beta")
RECORDED_TURNS = 24
"""The answers differ from turn to turn: by the size of the first chunk of sound (8) and by what is said (3)."""


@dataclass(frozen=True)
class Case:
    model: str
    modality: str
    audio_s: float
    what: str


CASES = {
    "spoken": Case(DEFAULT_MODEL, "AUDIO", 1.0, "as by default: 1 s of sound, then generationComplete, turnComplete"),
    "written": Case("any-model-that-writes", "TEXT", 1.0, "a model that answers in text: the same without sound"),
    "silent": Case(DEFAULT_MODEL, "AUDIO", 0.0, "no sound at all: generationComplete, turnComplete"),
}


@dataclass(frozen=True)
class Sample:
    """One round of one server."""

    turns_per_s: float
    cpu_us_per_turn: float
    """Of the server's process, system time included."""
    busy: float
    bytes_per_turn: float
    load_busy: float


class Server:
    """A server's process."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.greeting = self._line().split()
        self.port = int(self.greeting[0])

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a server ended by itself")
        return line

    def cpu_s(self) -> float:
        assert self.process.stdin is not None
        self.process.stdin.write("?\n")
        self.process.stdin.flush()
        return float(self._line())


@contextmanager
def running(script: str, *arguments: str) -> Iterator[Server]:
    server = Server([sys.executable, str(HERE / script), *arguments])
    try:
        yield server
    finally:
        assert server.process.stdin is not None
        server.process.stdin.close()
        server.process.wait(30)


def record_answers(port: int, path: str, case: Case) -> list[list[dict[str, object]]]:
    """What the fake server says to so many turns."""
    answers = []
    with connect(f"ws://127.0.0.1:{port}{path}", compression=None) as ws:
        ws.send(json.dumps(setup(case.model, case.modality)))
        ws.recv()
        for number in range(RECORDED_TURNS):
            ws.send(turn(9999, number))
            answer: list[dict[str, object]] = []
            while "turnComplete" not in answer[-1].get("serverContent", {}) if answer else True:  # type: ignore[operator]
                message = orjson.loads(ws.recv())
                if "sessionResumptionUpdate" not in message:
                    answer.append(message)
            answers.append(answer)
    return answers


def measure(server: Server, path: str, case: Case, connections: int, seconds: float) -> Sample:
    arguments = [str(server.port), path, case.model, case.modality, str(connections), str(seconds)]
    command = [sys.executable, str(HERE / "text_turns.py"), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdout is not None
        if load.stdout.readline() != "go\n":
            raise SystemExit("the load did not begin")
        before_s = server.cpu_s()
        said = load.stdout.readline()
        cpu_s = server.cpu_s() - before_s
        load.wait(30)
    result = json.loads(said)
    turns, wall_s = result["turns"], result["wall_s"]
    return Sample(
        turns / wall_s, cpu_s / turns * 1e6, cpu_s / wall_s, result["bytes"] / turns, result["load_cpu_s"] / wall_s
    )


def compare(name: str, case: Case, rounds: int, connections: int, seconds: float) -> list[dict[str, Sample]]:
    print(f"\n{name}: {case.what}")
    samples = []
    with tempfile.TemporaryDirectory(prefix="server-speed-") as folder, ExitStack() as servers:
        journal, recorded = Path(folder, "journal.jsonl"), Path(folder, "answers.json")
        fake = servers.enter_context(running("journalled_server.py", case.model, str(case.audio_s), str(journal)))
        path = f"{PATH}?key={fake.greeting[1]}"
        answers = record_answers(fake.port, path, case)
        recorded.write_bytes(orjson.dumps(answers))
        bare = servers.enter_context(running("bare_server.py", str(recorded)))
        print(f"  {statistics.mean(map(len, answers)):.1f} frames an answer")
        for number in range(rounds):
            both = {"fake": fake, "bare": bare}
            order = list(both) if number % 2 == 0 else list(both)[::-1]
            got = {which: measure(both[which], path, case, connections, seconds) for which in order}
            samples.append(got)
            for which in both:
                one = got[which]
                print(
                    f"  round {number + 1}  {which}  {one.turns_per_s:8.0f} turns/s  {one.cpu_us_per_turn:7.1f} us CPU "
                    f"a turn  {one.bytes_per_turn:8.0f} bytes a turn  busy {one.busy:.2f} (load {one.load_busy:.2f})"
                )
    return samples


def ratios(samples: list[dict[str, Sample]]) -> tuple[list[float], list[float]]:
    """By turns a second, and by CPU time a turn; above 1 the fake server is the quicker."""
    return (
        [one["fake"].turns_per_s / one["bare"].turns_per_s for one in samples],
        [one["bare"].cpu_us_per_turn / one["fake"].cpu_us_per_turn for one in samples],
    )


def main(names: list[str], rounds: int, connections: int, seconds: float, out: Path | None) -> int:
    load = os.getloadavg()
    print(f"{os.cpu_count()} cores, load average {load[0]:.2f}, Python {sys.version.split()[0]}")
    print(f"{connections} connections, {rounds} rounds of {seconds:g} s; the ratio is fake to bare, median of {rounds}")
    raw = {name: compare(name, CASES[name], rounds, connections, seconds) for name in names}
    print()
    missed = False
    for name, samples in raw.items():
        by_turns, by_cpu = ratios(samples)
        starved = sum(min(got["fake"].busy, got["bare"].busy) < SATURATED for got in samples)
        ratio = statistics.median(by_cpu if starved else by_turns)
        verdict = f"   {'MISSED' if ratio < WANTED else 'met'}"
        if name == HEADLINE:
            missed = ratio < WANTED
            verdict += f": the headline, wanted at least {WANTED:g}"
        for what, found in (("turns/s", by_turns), ("CPU a turn", by_cpu)):
            listed = " ".join(f"{one:.2f}" for one in found)
            print(f"{name:8} {what:10} {statistics.median(found):.2f} ({listed})", end="")
            print(verdict if found is (by_cpu if starved else by_turns) else "")
        if starved:
            print(
                f"{name:8} in {starved} of {rounds} rounds a server did not have its core to itself: CPU time decides"
            )
    print(f"load average {os.getloadavg()[0]:.2f}")
    if out is not None:
        plain = {name: [{who: asdict(one) for who, one in got.items()} for got in kept] for name, kept in raw.items()}
        out.write_text(json.dumps({"cores": os.cpu_count(), "load": load, "samples": plain}))
    return 1 if missed else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=3.0, help="measured in each round")
    parser.add_argument("--case", choices=list(CASES), action="append", help="one of the cases (default: all)")
    parser.add_argument("--json", type=Path, default=None, help="write every sample to this file")
    given = parser.parse_args()
    sys.exit(main(given.case or list(CASES), given.rounds, given.connections, given.seconds, given.json))
