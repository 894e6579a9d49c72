"""`harness selftest` around its comparing: what it plays, what it leaves in the folder, and how it tells."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from harness.cli import main
from harness.cli import selftest as module
from harness.cli.playing import Outcome, WantedRun
from harness.cli.selftest import client_of
from harness.client_config import load_client_config, reference_client
from harness.clients.catalogue import broken_client
from harness.engine.suite import FinishedRun, PlannedRun
from harness.selftest import DO_NOTHING, REFERENCE, Player
from harness.verdict import CheckStatus, ExitCode, Finding, Level, RunStatus, Verdict


def call(*args: str) -> Result:
    return CliRunner().invoke(main, ["selftest", *args])


class Playing:
    """Stands in for `play`: every run comes out as it should, but for those in `otherwise`."""

    def __init__(self) -> None:
        self.wanted: Sequence[WantedRun] = ()
        self.otherwise: dict[str, Verdict] = {}
        self.interrupted = False

    def __call__(self, wanted: Sequence[WantedRun], progress: Any, **_: Any) -> Outcome:
        self.wanted = wanted
        finished = []
        for one in wanted:
            verdict = self.otherwise.get(one.label) or verdict_of(one)
            one.folder.mkdir(parents=True)
            (one.folder / "journal.jsonl").write_text("")
            progress.run_started(one.label)
            progress.run_event(one.label, "a step")
            progress.run_finished(one.label, verdict, one.folder)
            planned = PlannedRun(one.label, None, one.client, one.folder, "r", shlex.join(one.again))  # type: ignore[arg-type]
            finished.append(FinishedRun(planned, verdict))
        return Outcome(finished, self.interrupted)


def verdict_of(one: WantedRun, status: RunStatus | None = None, **found: CheckStatus) -> Verdict:
    """As it should be for RESUME-2 and its broken client."""
    fails = one.client.name == "broken-resume-2"
    checks = found or {"RESUME_2": CheckStatus.FAIL if fails else CheckStatus.PASS}
    return Verdict(
        scenario=one.selected.loaded.name,
        variant=one.selected.variant,
        client=one.client.name,
        seed=one.seed,
        status=status or (RunStatus.FAIL if fails else RunStatus.PASS),
        exit_code=ExitCode.PASSED,
        duration_s=1.0,
        checks=tuple(Finding(name.replace("_", "-"), Level.MUST, state, "facts") for name, state in checks.items()),
        metrics={},
        reproduce="",
    )


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Playing:
    stand_in = Playing()
    monkeypatch.setattr(module, "play", stand_in)
    return stand_in


ONE = ("--only", "resume-2", "--seed", "5", "--out")


def test_all_as_it_should_be_is_exit_code_0(played: Playing, tmp_path: Path) -> None:
    result = call(*ONE, str(tmp_path))
    assert result.exit_code == 0, result.output
    assert [run.label for run in played.wanted] == ["reference/drop_idle", "broken-resume-2/drop_idle"]
    assert {run.seed for run in played.wanted} == {5}
    lines = result.stdout.splitlines()
    assert "OK    broken-resume-2/drop_idle  1 s" in lines
    assert "RESUME-2  MUST   broken-resume-2  drop_idle    holds in 1" in lines
    assert lines[-1] == "Exit code 0: all is as the catalogue says."
    assert "a step" not in result.stdout
    assert (tmp_path / "index.html").is_file()
    assert not (tmp_path / "junit.xml").exists()


def test_what_is_not_as_it_should_be_is_listed_with_report_and_command(played: Playing, tmp_path: Path) -> None:
    call(*ONE, str(tmp_path / "first"))
    reference, broken = played.wanted
    played.otherwise = {broken.label: verdict_of(broken, RunStatus.FAIL, RESUME_2=CheckStatus.PASS)}
    result = call(*ONE, str(tmp_path / "out"), "-v")
    assert result.exit_code == 1
    folder = tmp_path / "out" / "broken-resume-2"
    told = result.stdout[result.stdout.index("Not as it should be:") :].splitlines()
    assert told[1:5] == [
        "  broken-resume-2/drop_idle",
        "    RESUME-2 should fail and holds: facts",
        f"    report {folder / 'drop_idle' / 'report.html'}",
        f"    repeat harness run drop_idle --client-config {folder / 'client.yaml'} --seed 5",
    ]
    assert "NOT in drop_idle" in result.stdout
    assert "WRONG broken-resume-2/drop_idle" in result.stdout
    assert "      reference/drop_idle: a step" in result.stdout
    assert reference.label not in "\n".join(told)


def test_a_fault_of_the_harness_is_exit_code_3(played: Playing, tmp_path: Path) -> None:
    call(*ONE, str(tmp_path / "first"))
    played.otherwise = {played.wanted[0].label: verdict_of(played.wanted[0], RunStatus.ERROR)}
    result = call(*ONE, str(tmp_path / "out"))
    assert result.exit_code == 3
    assert "fault of the harness" in result.stdout


def test_for_programs(played: Playing, tmp_path: Path) -> None:
    result = call(*ONE, str(tmp_path / "first"), "--json")
    told = json.loads(result.stdout)
    assert (told["exit_code"], told["seed"], told["played"], told["mismatches"]) == (0, 5, 2, [])
    assert told["checks"][0]["tripped_in"] == ["drop_idle"]
    assert "PLAY  reference/drop_idle" in result.stderr
    played.otherwise = {one.label: verdict_of(one, RunStatus.FAIL) for one in played.wanted[:1]}
    (mismatch,) = json.loads(call(*ONE, str(tmp_path / "out"), "--json").stdout)["mismatches"]
    assert mismatch["run"] == "reference/drop_idle"
    assert mismatch["reproduce"].startswith("harness run drop_idle --client-config ")


def test_interrupted(played: Playing, tmp_path: Path) -> None:
    played.interrupted = True
    result = call(*ONE, str(tmp_path))
    assert result.exit_code == 130
    assert "Interrupted after 2 of 2 runs" in result.stdout
    assert "Not as it should be" not in result.stdout


def test_nothing_to_play(played: Playing, tmp_path: Path) -> None:
    result = call("--only", "SELF-1", "--out", str(tmp_path))
    assert (result.exit_code, "none: it is about the harness" in result.stdout) == (5, True)


def test_a_check_that_is_none(played: Playing) -> None:
    result = call("--only", "RESUM-2")
    assert (result.exit_code, 'did you mean "RESUME-2"?' in result.stderr) == (4, True)


def test_without_only_every_client_is_played_through_its_scenarios(played: Playing, tmp_path: Path) -> None:
    call("--out", str(tmp_path))
    names = {run.client.name for run in played.wanted}
    assert {"reference", "do-nothing", "broken-auth-1", "broken-life-3"} <= names
    per_client = [sum(run.client.name == name for run in played.wanted) for name in ("reference", "do-nothing")]
    assert per_client[0] == per_client[1] >= 13


@pytest.mark.parametrize("player", [REFERENCE, DO_NOTHING, Player.broken(broken_client("WIRE-1"))])
def test_the_file_that_is_left_for_each_client_starts_the_same_client(
    player: Player, played: Playing, tmp_path: Path
) -> None:
    call("--only", "WIRE-1", "--out", str(tmp_path))
    if player is DO_NOTHING:
        call("--out", str(tmp_path / "all"))
        tmp_path = tmp_path / "all"
    written = load_client_config(tmp_path / player.name / "client.yaml")
    client = client_of(player)
    assert (written.name, written.command, written.cwd) == (client.name, client.command, client.cwd)
    assert written.profile == client.profile


def test_broken_clients_promise_what_the_reference_client_does_and_the_idle_one_less() -> None:
    reference = reference_client().profile
    assert client_of(Player.broken(broken_client("WIRE-1"))).profile == reference
    assert client_of(DO_NOTHING).profile.can == {"text", "audio"}
    assert client_of(DO_NOTHING).command[1:] == ("-m", "harness.clients.do_nothing")
