"""`harness report`: finds stored runs, judges them again, draws them. The judge is a stand-in here."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from harness.cli.report import find_runs, report, stored_run
from harness.errors import UserMistake
from harness.journal.reader import read_journal

PLAN = '{"n":1,"t":0.0,"kind":"run.planned","plan":{"scenario":{"scenario":"tunnel"},"variant":"dies","seed":9}}\n'


@pytest.fixture
def asked(sample: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Puts the judge's stand-in in place; gives what it was asked."""
    _, verdict = sample.tunnel()
    calls: list[dict[str, Any]] = []

    def judge_run(journal: object, **given: Any) -> object:
        calls.append(given)
        return verdict

    def write_verdict(path: Path, _: object) -> None:
        path.write_text(json.dumps({"client": "naive", "reproduce": "harness run again"}))

    stand_ins = {
        "harness.judge": {"judge_run": judge_run},
        "harness.verdict_json": {"write_verdict": write_verdict},
        "harness.cli.texts": {"check_texts": lambda: sample.EXPLAIN},
    }
    for name, members in stand_ins.items():
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(**members))  # type: ignore[arg-type]
    return calls


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for name in ("tunnel~dies", "tunnel~stays"):
        folder = tmp_path / "results" / "naive" / name
        folder.mkdir(parents=True)
        (folder / "journal.jsonl").write_text(PLAN)
    (tmp_path / "results" / "summary.json").write_text(json.dumps({"command": "harness run tunnel --seed 9"}))
    return tmp_path / "results"


def test_a_call_s_folder_is_judged_and_drawn_again(asked: list[dict[str, Any]], results: Path) -> None:
    outcome = CliRunner().invoke(report, [str(results), "--strict", "--json"], standalone_mode=False)
    assert outcome.exception is None
    assert outcome.return_value == 1
    assert [(call["client_name"], call["reproduce"], call["strict"]) for call in asked] == [
        ("naive", "harness run 'tunnel~dies' --seed 9", True),
    ] * 2
    summary = json.loads(outcome.stdout)
    assert summary["command"] == "harness run tunnel --seed 9", "the command that played it, not the one that drew it"
    assert [run["folder"] for run in summary["runs"]] == ["naive/tunnel~dies", "naive/tunnel~stays"]
    for run in summary["runs"]:
        assert (results / run["folder"] / "report.html").is_file()
        assert (results / run["folder"] / "verdict.json").is_file()
    assert (results / "index.html").is_file()


def test_the_folder_of_one_run(asked: list[dict[str, Any]], results: Path) -> None:
    folder = results / "naive" / "tunnel~dies"
    outcome = CliRunner().invoke(report, [str(folder)], standalone_mode=False)
    assert outcome.exception is None
    assert len(asked) == 1
    assert sorted(path.name for path in folder.iterdir()) == ["journal.jsonl", "report.html", "verdict.json"]
    assert "FAILED  tunnel~dies" in outcome.stdout
    journal = read_journal(folder / "journal.jsonl")
    assert stored_run(folder, journal).reproduce == "harness run again", "verdict.json knows better than the plan"


def test_a_folder_without_journals_is_the_user_s_mistake(tmp_path: Path) -> None:
    outcome = CliRunner().invoke(report, [str(tmp_path)], standalone_mode=False)
    assert isinstance(outcome.exception, UserMistake)
    assert "no journal.jsonl" in str(outcome.exception)
    with pytest.raises(UserMistake, match="no such folder"):
        find_runs(tmp_path / "gone")
