"""Compares what came out of a folder of results with what must come out: run by run, exactly, both ways.

    harness list scenarios --json | compare.py RESULTS SCENARIO... [--fails FILE]

Every run of the scenarios that are named must be there, and must have failed the checks that FILE lists for it (or for
its scenario as a whole), and no other. A run for which nothing is listed must have passed; without FILE, all of them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="what `harness run --out` was given")
    parser.add_argument("scenarios", nargs="+", help="names of the scenarios that were played")
    parser.add_argument("--fails", type=Path, help='JSON: {"tunnel": ["AUTH-1"], "tunnel~stays": [], ...}')
    options = parser.parse_args()

    rows = [row for row in json.load(sys.stdin) if row["scenario"] in options.scenarios]
    fails = json.loads(options.fails.read_text()) if options.fails else {}
    expected = {row["id"]: set(fails.get(row["id"], fails.get(row["scenario"], []))) for row in rows}
    known = {name for row in rows for name in (row["id"], row["scenario"])}
    unknown = {*options.scenarios, *fails} - known
    problems = [f"there is no scenario {name}, and no such run of one" for name in sorted(unknown)]

    played = defaultdict(list)
    for path in sorted(options.results.rglob("verdict.json")):
        verdict = json.loads(path.read_text())
        played["~".join(filter(None, (verdict["scenario"], verdict["variant"])))].append(verdict)
    problems += [f"{run} was not played" for run in sorted(set(expected) - set(played))]
    problems += [f"{run} was played, and was not asked for" for run in sorted(set(played) - set(expected))]

    failed_at_all: set[str] = set()
    for run in sorted(set(played) & set(expected)):
        for verdict in played[run]:
            where = f"{run} (seed {verdict['seed']})"
            status = "fail" if expected[run] else "pass"
            if verdict["status"] != status:
                problems.append(f"{where}: is {verdict['status']!r}; {status!r} was expected")
            failed = {check["id"]: check["summary"] for check in verdict["checks"] if check["status"] == "fail"}
            failed_at_all |= set(failed)
            problems += [f"{where}: failed {check}: {failed[check]}" for check in sorted(set(failed) - expected[run])]
            problems += [f"{where}: should have failed {check}" for check in sorted(expected[run] - set(failed))]

    count = sum(map(len, played.values()))
    if not count:
        problems.append("nothing was played")
    for problem in problems:
        print(f"{options.results.name}: {problem}")
    print(f"{options.results.name}: {count} runs, failed checks: {', '.join(sorted(failed_at_all)) or 'none'}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
