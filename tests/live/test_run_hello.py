"""What a client says of itself in its hello: the run is planned for that."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.cli.playing import WantedRun, play
from harness.client_config import ClientConfig
from harness.engine.suite import FinishedRun
from harness.journal.events import Journal, RunPlanned
from harness.journal.reader import read_journal
from harness.policy import ClientProfile
from harness.scenario.library import find_scenarios
from harness.verdict import ExitCode, RunStatus, Verdict

pytestmark = pytest.mark.live

PROGRAMS = Path(__file__).parent / "programs"


class Heard:
    """Keeps what progress is told."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def run_started(self, label: str) -> None:
        pass

    def run_event(self, label: str, text: str) -> None:
        self.events.append(f"{label}: {text}")

    def run_finished(self, label: str, verdict: Verdict, folder: Path) -> None:
        pass


def plan_of(journal: Journal) -> Mapping[str, object]:
    first = journal.entries[0].event
    assert isinstance(first, RunPlanned)
    return first.plan


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, FinishedRun]:
    out = tmp_path_factory.mktemp("results")
    outright = ClientProfile.model_validate(
        {"can": ["text", "resume", "state"], "policy": {"gives_up": {"after": "9s"}}}
    )
    wishes = []
    for label, scenario, profile in (
        ("says so", "drop_idle", ClientProfile()),
        ("cannot speak", "tunnel~dies", ClientProfile()),
        ("as configured", "drop_idle", outright),
    ):
        [selected] = find_scenarios(scenario)
        client = ClientConfig(name="text-only", command=(sys.executable, "text_only.py"), cwd=PROGRAMS, profile=profile)
        wishes.append(WantedRun(selected, client, 5, label, out / label, ("harness", "run", scenario)))
    outcome = play(wishes, Heard(), out=out, jobs=3, proxy="builtin")
    return {one.planned.label: one for one in outcome.finished}


def test_a_run_is_planned_for_what_the_client_says(runs: Mapping[str, FinishedRun]) -> None:
    run = runs["says so"]
    client = plan_of(read_journal(run.planned.folder / "journal.jsonl"))["client"]
    assert isinstance(client, Mapping)
    assert client["can"] == ["resume", "state", "text"]
    assert client["policy"]["gives_up"] == {"after": "20s"}
    assert run.planned.plan.client.can == {"text", "resume", "state"}
    assert (run.verdict.status, run.verdict.exit_code) == (RunStatus.PASS, ExitCode.PASSED)


def test_what_it_cannot_do_is_skipped_and_no_failure(runs: Mapping[str, FinishedRun]) -> None:
    verdict = runs["cannot speak"].verdict
    assert (verdict.status, verdict.exit_code) == (RunStatus.SKIPPED, ExitCode.NOTHING_JUDGED)
    assert verdict.message == "the client does not say that it can audio"


def test_what_its_configuration_sets_outright_stays(runs: Mapping[str, FinishedRun]) -> None:
    run = runs["as configured"]
    client = plan_of(read_journal(run.planned.folder / "journal.jsonl"))["client"]
    assert isinstance(client, Mapping)
    assert client["policy"]["gives_up"] == {"after": "9s"}
    assert run.verdict.status is RunStatus.PASS
