"""Whole runs, judged: that nobody judges by a name, and what a client gets that takes no commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from fake_server.events import TurnHeard
from harness.cli.playing import WantedRun, play
from harness.client_config import ClientConfig
from harness.engine.suite import FinishedRun
from harness.journal.reader import read_journal
from harness.policy import ClientProfile
from harness.scenario.library import find_scenarios
from harness.verdict import CheckStatus, ExitCode, RunStatus, Verdict

pytestmark = pytest.mark.live

PROGRAMS = Path(__file__).parent / "programs"
MODULES = {"forgets-its-handle": "harness.clients.broken.resume_2", "keeps-its-token": "harness.clients.broken.auth_1"}
SCENARIO = "token_reuse~reported"
AUTONOMOUS = "talks-by-itself"


class Silence:
    """Progress that nobody is told of."""

    def run_started(self, label: str) -> None:
        pass

    def run_event(self, label: str, text: str) -> None:
        pass

    def run_finished(self, label: str, verdict: Verdict, folder: Path) -> None:
        pass


def wanted(out: Path, label: str, name: str, scenario: str, *words: str, driven: bool = True) -> WantedRun:
    [selected] = find_scenarios(scenario)
    command = (sys.executable, *words)
    client = ClientConfig(name=name, command=command, cwd=PROGRAMS, profile=ClientProfile(driven=driven))
    return WantedRun(selected, client, 11, label, out / label / name, ("harness", "run", scenario))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, FinishedRun]:
    """Two broken clients under their own and under one another's names, and an autonomous one; by label."""
    out = tmp_path_factory.mktemp("results")
    wishes = [wanted(out, AUTONOMOUS, AUTONOMOUS, "drop_idle", "talks_by_itself.py", driven=False)]
    names = list(MODULES)
    for name, other in zip(names, reversed(names), strict=True):
        wishes.append(wanted(out, f"{name} itself", name, SCENARIO, "by_another_name.py", MODULES[name], name))
        wishes.append(wanted(out, f"{name} disguised", other, SCENARIO, "by_another_name.py", MODULES[name], other))
    outcome = play(wishes, Silence(), out=out, jobs=5, proxy="builtin")
    assert not outcome.interrupted
    return {one.planned.label: one for one in outcome.finished}


@pytest.mark.parametrize(("name", "broken"), [("keeps-its-token", {"AUTH-1"}), ("forgets-its-handle", {"RESUME-2"})])
def test_a_name_changes_no_verdict(runs: Mapping[str, FinishedRun], name: str, broken: set[str]) -> None:
    itself, disguised = runs[f"{name} itself"].verdict, runs[f"{name} disguised"].verdict
    assert itself.client == name
    assert disguised.client != name
    assert [(one.check, one.status) for one in itself.checks] == [(one.check, one.status) for one in disguised.checks]
    assert {one.check for one in itself.checks if one.status is CheckStatus.FAIL} == broken


def test_a_client_that_takes_no_commands_is_judged_by_the_wire(runs: Mapping[str, FinishedRun]) -> None:
    run = runs[AUTONOMOUS]
    heard = [e for e in read_journal(run.planned.folder / "journal.jsonl").entries if isinstance(e.event, TurnHeard)]
    assert heard, "it talked"
    status = {one.check: one.status for one in run.verdict.checks}
    assert status["RETRY-1"] is CheckStatus.PASS
    assert status["RESUME-2"] is CheckStatus.PASS
    for needs_commands in ("RESUME-7", "RETRY-6", "SPEECH-1", "SPEECH-2", "SPEECH-3"):
        assert status[needs_commands] is CheckStatus.NOT_APPLICABLE
    assert (run.verdict.status, run.verdict.exit_code) == (RunStatus.PASS, ExitCode.PASSED)


def test_what_stands_on_disk_is_the_verdict(runs: Mapping[str, FinishedRun]) -> None:
    for run in runs.values():
        told = json.loads((run.planned.folder / "verdict.json").read_text())
        assert told["contract"] == 1
        assert told["status"] == run.verdict.status
        assert told["exit_code"] == run.verdict.exit_code
        assert [one["id"] for one in told["checks"]] == [one.check for one in run.verdict.checks]
        assert (run.planned.folder / "report.html").stat().st_size > 1_000
