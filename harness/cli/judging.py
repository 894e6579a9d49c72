"""Judging one run and writing what it came to: the same for a run just played and for a stored journal."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.baseline import Baseline
from harness.journal.events import Journal
from harness.policy import Waiver
from harness.verdict import Verdict

JOURNAL = "journal.jsonl"
VERDICT = "verdict.json"


@dataclass(frozen=True, slots=True)
class Rules:
    """What a user says about how to judge."""

    baseline: Baseline | None = None
    waivers: tuple[Waiver, ...] = ()
    """The client's own."""
    select: str | None = None
    """Glob over check ids; None: all."""
    strict: bool = False
    """True: a SHOULD counts as a MUST."""


def read_rules(
    *, baseline: str | None, select: str | None, strict: bool, waivers: Iterable[Waiver] = (), waivers_in: str = ""
) -> Rules:
    """The rules that a command line asks for: `baseline` is a file, `waivers` come from the client's config.

    Raises `UserMistake` for a baseline that cannot be used, and where a name fits no check.
    """
    chosen, listed = tuple(waivers), None
    if baseline is not None or select is not None or chosen:
        # Only names need the catalogue here.
        from harness.cli.check_names import check_glob, refuse_unknown_waivers

        if baseline is not None:
            from harness.baseline import load_baseline
            from harness.checks import CATALOGUE

            listed = load_baseline(Path(baseline), CATALOGUE)
        if select is not None:
            select = check_glob(select, "--select")
        refuse_unknown_waivers(chosen, waivers_in)
    return Rules(baseline=listed, waivers=chosen, select=select, strict=strict)


def judge_and_write(
    folder: Path, journal: Journal, rules: Rules, *, client_name: str, reproduce: str, keep_verdict: bool = True
) -> Verdict:
    """Judge a run, and write its report.html and, with `keep_verdict`, its verdict.json into `folder`.

    `reproduce` is the command that repeats the run. Raises `OSError` when a file cannot be written.
    """
    from harness.cli.texts import check_texts
    from harness.judge import judge_run
    from harness.verdict_json import write_verdict
    from reports.write import write_run

    verdict = judge_run(
        journal,
        client_name=client_name,
        reproduce=reproduce,
        baseline=rules.baseline,
        waivers=rules.waivers,
        strict=rules.strict,
        select=rules.select,
        today=datetime.datetime.now().astimezone().date(),
    )
    if keep_verdict:
        write_verdict(folder / VERDICT, verdict)
    write_run(folder, journal, verdict, check_texts())
    return verdict
