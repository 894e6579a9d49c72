"""Compares the checks that failed in a folder of results with a list: exactly, both ways."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--failed", nargs="*", default=[], help="every check that must have failed, and no other")
    options = parser.parse_args()

    verdicts = sorted(options.results.rglob("verdict.json"))
    if not verdicts:
        print(f"{options.results}: no verdict.json below it; nothing was played")
        return 1
    failed: dict[str, list[str]] = {}
    for path in verdicts:
        verdict = json.loads(path.read_text())
        for check in verdict["checks"]:
            if check["status"] == "fail":
                failed.setdefault(check["id"], []).append(path.parent.name)
    for check in sorted(failed):
        print(f"{options.results.name}: {check} failed in {', '.join(failed[check])}")
    unexpected, missing = sorted(set(failed) - set(options.failed)), sorted(set(options.failed) - set(failed))
    if unexpected or missing:
        print(f"{options.results.name}: failed without being expected: {unexpected}; expected, and held: {missing}")
        return 1
    print(f"{options.results.name}: {len(verdicts)} runs, failed checks exactly {sorted(failed)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
