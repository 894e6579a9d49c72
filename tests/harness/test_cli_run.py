"""`harness run` up to the point where something is played, and after it: the playing itself is a stand-in here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from harness.cli import main, playing
from harness.cli import run as run_module
from harness.cli.judging import Rules, read_rules
from harness.cli.playing import Outcome, WantedRun, out_folder, prepare_out, refuse_collisions, refuse_unknown_checks
from harness.client_config import reference_client
from harness.engine.suite import FinishedRun, PlannedRun
from harness.errors import HarnessFault, UserMistake
from harness.policy import Waiver
from harness.proxy.port import Abilities, Direction, FaultKind, Scope
from harness.scenario.library import find_scenarios
from harness.verdict import CheckStatus, ExitCode, Finding, Level, RunStatus, Verdict

SCENARIO = "scenario: {name}\ntitle: t\nchecks: [{check}]\ndo_nothing: pass\nstory: [{{wait: 100ms}}]\n"


def call(*args: str) -> Result:
    return CliRunner().invoke(main, ["run", *args])


def write(path: Path, name: str = "x", check: str = "RETRY-6") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SCENARIO.format(name=name, check=check))
    return path


def want(folder: Path, *arguments: str) -> list[WantedRun]:
    client = reference_client()
    return [
        WantedRun(one, client, 1, one.label, folder / client.name / one.label, ("harness", "run", one.reference))
        for one in find_scenarios(*arguments)
    ]


class Playing:
    """Stands in for `play`: keeps what it was asked, and passes every run, or what it is told to."""

    def __init__(self) -> None:
        self.wanted: Sequence[WantedRun] = ()
        self.options: Mapping[str, Any] = {}
        self.interrupted = False
        self.code = ExitCode.PASSED

    def __call__(self, wanted: Sequence[WantedRun], _progress: object, **options: Any) -> Outcome:
        self.wanted, self.options = wanted, options
        refuse_unknown_checks([one.selected for one in wanted])
        refuse_collisions(wanted)
        prepare_out(options["out"], wanted)
        return Outcome([self._finished(one) for one in wanted], self.interrupted)

    def _finished(self, one: WantedRun) -> FinishedRun:
        one.folder.mkdir(parents=True)
        failed = self.code is ExitCode.FAILED
        status = CheckStatus.FAIL if failed else CheckStatus.PASS
        verdict = Verdict(
            scenario=one.selected.loaded.name,
            variant=one.selected.variant,
            client=one.client.name,
            seed=one.seed,
            status=RunStatus.FAIL if failed else RunStatus.PASS,
            exit_code=self.code,
            duration_s=1.0,
            checks=(Finding("RETRY-6", Level.MUST, status, "said so"),),
            metrics={},
            reproduce=" ".join(one.again),
        )
        planned = PlannedRun(one.label, None, one.client, one.folder, "r", verdict.reproduce)  # type: ignore[arg-type]
        return FinishedRun(planned, verdict)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Playing:
    stand_in = Playing()
    monkeypatch.setattr(run_module, "play", stand_in)
    return stand_in


# What is played ------------------------------------------------------------------------------------------------------


def test_every_variant_is_a_run_in_a_folder_of_its_own(played: Playing, tmp_path: Path) -> None:
    result = call("tunnel", "drop_idle", "--out", str(tmp_path / "out"), "--seed", "7")
    assert result.exit_code == 0, result.output
    reference = tmp_path / "out" / "reference"
    assert [run.folder for run in played.wanted] == [
        reference / "tunnel~dies",
        reference / "tunnel~stays",
        reference / "tunnel~handover",
        reference / "drop_idle",
    ]
    assert {run.seed for run in played.wanted} == {7}
    assert played.wanted[0].again == ("harness", "run", "tunnel~dies", "--seed", "7")
    assert "4 runs: 4 passed. Exit code 0" in result.stdout
    for name in ("summary.json", "index.html", "junit.xml", "allure-results"):
        assert (tmp_path / "out" / name).exists()


def test_repeat_plays_with_the_seeds_that_follow_and_names_them(played: Playing, tmp_path: Path) -> None:
    assert call("drop_idle", "--out", str(tmp_path), "--seed", "7", "--repeat", "3", "--jobs", "2").exit_code == 0
    assert [(run.seed, run.label) for run in played.wanted] == [
        (7, "drop_idle~7"),
        (8, "drop_idle~8"),
        (9, "drop_idle~9"),
    ]
    assert played.options["jobs"] == 2


def test_what_was_named_twice_is_played_once(played: Playing, tmp_path: Path) -> None:
    file = write(tmp_path / "a" / "x.yaml")
    assert call(str(file), str(tmp_path / "a"), str(file), "--out", str(tmp_path / "out")).exit_code == 0
    assert len(played.wanted) == 1


def test_a_seed_is_drawn_and_stands_in_the_name_of_the_folder(
    played: Playing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("drop_idle").exit_code == 0
    seed = played.wanted[0].seed
    assert 1 <= seed < 1_000_000
    (folder,) = (tmp_path / "harness-results").iterdir()
    assert folder.name.endswith(f"-{seed}")


def test_the_command_that_repeats_a_run_judges_as_this_one_did(played: Playing, tmp_path: Path) -> None:
    config = tmp_path / "client.yaml"
    config.write_text("name: mine\ncommand: ['{python}', app.py]\ntls: on\n")
    baseline = tmp_path / "known.yaml"
    baseline.write_text("known: [{check: RESUME-2, because: x}]\n")
    words = ["--client-config", str(config), "--tls", "off", "--baseline", str(baseline), "--select", "resume-*"]
    assert call("drop_idle", *words, "--strict", "--seed", "1", "--out", str(tmp_path / "out")).exit_code == 0
    (run,) = played.wanted
    expected = [*words, "--strict", "--seed", "1"]
    assert run.again == ("harness", "run", "drop_idle", *expected)
    assert (run.client.name, run.client.profile.tls) == ("mine", "off")
    rules = played.options["rules"]
    assert (rules.select, rules.strict, rules.baseline.reasons("drop_idle", None)) == (
        "RESUME-*",
        True,
        {"RESUME-2": "x"},
    )


# What it ends with ---------------------------------------------------------------------------------------------------


def test_a_failed_check_is_exit_code_1(played: Playing, tmp_path: Path) -> None:
    played.code = ExitCode.FAILED
    result = call("drop_idle", "--out", str(tmp_path), "--seed", "7")
    assert result.exit_code == 1
    assert "Exit code 1: a required check failed." in result.stdout


def test_json_is_the_summary_and_nothing_else(played: Playing, tmp_path: Path) -> None:
    result = call("drop_idle", "--out", str(tmp_path), "--json", "--seed", "3")
    assert result.stdout == (tmp_path / "summary.json").read_text()
    assert json.loads(result.stdout)["runs"][0]["reproduce"] == "harness run drop_idle --seed 3"


def test_after_ctrl_c_the_reports_tell_of_what_was_finished(played: Playing, tmp_path: Path) -> None:
    played.interrupted = True
    result = call("drop_idle", "--out", str(tmp_path), "--seed", "3")
    assert result.exit_code == 130
    assert "Exit code 130: interrupted." in result.stdout
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["exit_code"], len(summary["runs"])) == (130, 1)


# Wrong usage ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["drop_idel"], 'drop_idel: there is no such file, folder or built-in scenario; did you mean "drop_idle"?'),
        (["tunnel~dise"], 'did you mean "dies"?'),
        (["drop_idle", "--client", "a", "--client-config", "b"], "were both given"),
        (["drop_idle", "--client", "a", "--client-config", ""], "were both given"),
        (["drop_idle", "--client", ""], "--client is empty"),
        (["drop_idle", "--client", "{python} 'x"], "a quotation mark is never closed"),
        (["drop_idle", "--client", "no-such-program"], "'no-such-program' is not on PATH"),
        (["drop_idle", "--client-config", "gone.yaml"], "gone.yaml:1:1: no such file"),
        (["drop_idle", "--select", "RESUM-2"], '--select "RESUM-2" matches no check; did you mean "RESUME-2"?'),
        (["drop_idle", "--baseline", "gone.yaml"], "gone.yaml:1:1: no such file"),
        (["drop_idle", "--out", " "], "--out is empty"),
        (["drop_idle", "--seed", str(2**53)], "is not in the range"),
        (["drop_idle", "--seed", str(2**53 - 1), "--repeat", "2"], "the last seed would be over"),
        (["drop_idle", "--repeat", "0"], "is not in the range"),
        (["drop_idle", "--jobs", "0"], "is not in the range"),
        (["drop_idle", "--proxy", "both"], "'both' is not one of"),
        (["drop_idle", "--sed", "1"], "No such option '--sed'"),
        ([], "Missing argument"),
    ],
)
def test_wrong_usage_is_exit_code_4_and_says_what_to_do(
    played: Playing, words: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call(*words)
    assert result.exit_code == 4
    assert expected in result.stderr
    assert (result.stdout, "Traceback" in result.stderr, list(tmp_path.iterdir())) == ("", False, [])
    assert not played.wanted


def test_a_check_that_is_none_in_a_scenario(played: Playing, tmp_path: Path) -> None:
    file = write(tmp_path / "x.yaml", check="RETYR-6")
    result = call(str(file), "--out", str(tmp_path / "out"))
    assert (result.exit_code, (tmp_path / "out").exists()) == (4, False)
    assert result.stderr == f'{file}:3:10: "RETYR-6" is no check; did you mean "RETRY-6"?\n'


def test_two_scenarios_of_one_name_would_overwrite_each_other(played: Playing, tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.yaml"), write(tmp_path / "b.yaml")
    result = call(str(first), str(second), "--out", str(tmp_path / "out"))
    assert result.exit_code == 4
    assert result.stderr.startswith(f"{second}:1:11: `x` is also the name of the scenario at {first}:1:11, and")


def test_a_client_may_not_be_called_as_a_result_is(played: Playing, tmp_path: Path) -> None:
    config = tmp_path / "client.yaml"
    config.write_text("name: allure-results\ncommand: ['{python}']\n")
    result = call("drop_idle", "--client-config", str(config), "--out", str(tmp_path / "out"))
    assert (result.exit_code, "is that of a result of every call" in result.stderr) == (4, True)


def test_a_waiver_for_no_check_is_a_mistake(played: Playing, tmp_path: Path) -> None:
    config = tmp_path / "client.yaml"
    config.write_text("name: x\ncommand: ['{python}']\nwaive: [{check: RESUM-2, because: x, until: 2027-03-01}]\n")
    result = call("drop_idle", "--client-config", str(config), "--out", str(tmp_path / "out"))
    assert (result.exit_code, f'{config}: waive[0].check = "RESUM-2" is no check' in result.stderr) == (4, True)


# The results folder --------------------------------------------------------------------------------------------------


def test_out_that_is_a_file_or_below_one(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for out in (file, file / "below"):
        with pytest.raises(UserMistake, match=f"--out '{out}'"):
            prepare_out(out, [])
    assert file.read_text() == "mine"


def test_what_is_no_folder_of_a_run_is_not_overwritten(tmp_path: Path) -> None:
    wanted = want(tmp_path, "drop_idle")
    folder = wanted[0].folder
    folder.mkdir(parents=True)
    prepare_out(tmp_path, wanted)
    (folder / "thesis.tex").write_text("mine")
    with pytest.raises(UserMistake, match="is no folder of a run, and would be overwritten"):
        prepare_out(tmp_path, wanted)
    (folder / "journal.jsonl").write_text("")
    prepare_out(tmp_path, wanted)
    assert folder.is_dir()


def test_where_results_go() -> None:
    assert out_folder("here", "", 7) == Path("here")
    assert out_folder(None, "selftest-", 7).match("harness-results/selftest-*-7")


# Judging -------------------------------------------------------------------------------------------------------------


def test_rules_without_wishes_are_all_checks_and_nothing_excused() -> None:
    assert read_rules(baseline=None, select=None, strict=False) == Rules()


def test_waivers_that_hold_become_rules() -> None:
    waiver = Waiver(check="RESUME-2", because="x", until="2027-03-01")
    assert read_rules(baseline=None, select="auth-*", strict=True, waivers=[waiver]) == Rules(
        waivers=(waiver,), select="AUTH-*", strict=True
    )


# Playing, with a proxy that can little ------------------------------------------------------------------------------


class Proxy:
    """One that can cut links and nothing else."""

    kind = "toxiproxy"
    version = "2.12.0"
    closed = 0

    @property
    def abilities(self) -> Abilities:
        return Abilities(frozenset({(FaultKind.CUT, Direction.BOTH, Scope.ALL)}))

    async def close(self) -> None:
        self.closed += 1


class Silent:
    """Progress that nobody follows."""

    def run_started(self, label: str) -> None: ...
    def run_event(self, label: str, text: str) -> None: ...
    def run_finished(self, label: str, verdict: Verdict, folder: Path) -> None: ...


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Proxy:
    found = Proxy()

    async def open_proxy(*_: object, **__: object) -> tuple[Proxy, str]:
        return found, "found"

    monkeypatch.setattr(playing, "open_proxy", open_proxy)
    return found


def test_a_fault_that_the_proxy_cannot_do_is_a_mistake_with_its_place(proxy: Proxy, tmp_path: Path) -> None:
    file = tmp_path / "y.yaml"
    file.write_text("scenario: y\ntitle: t\nstory:\n  - do: {network: stall, for: 1s}\n  - do: {network: cut}\n")
    out = tmp_path / "out"
    with pytest.raises(UserMistake) as caught:
        playing.play(want(out, str(file)), Silent(), out=out, jobs=1)
    (message,) = caught.value.messages
    assert message.startswith(f"{file}:4:9: toxiproxy cannot produce `stall` with direction both and scope all; ")
    assert (proxy.closed, out.exists()) == (1, False)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (UserMistake("the client cannot be started"), UserMistake),
        (HarnessFault("broken"), HarnessFault),
        (KeyError("ours"), KeyError),
    ],
)
def test_what_goes_wrong_in_one_run_ends_the_call_as_itself(
    raised: Exception, expected: type[Exception], proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play_all(*_: object, **__: object) -> None:
        raise ExceptionGroup("a task group's", [ExceptionGroup("another", [raised])])

    monkeypatch.setattr(playing, "play_all", play_all)
    with pytest.raises(expected):
        playing.play(want(tmp_path, "article"), Silent(), out=tmp_path, jobs=1)
    assert proxy.closed == 1


def test_an_interruption_keeps_what_had_begun(proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play_all(runs: Sequence[PlannedRun], _: object, judge: Any, progress: Any, **__: object) -> None:
        done, stopped, not_begun = runs
        for run in (done, stopped):
            run.folder.mkdir(parents=True)
            (run.folder / "journal.jsonl").write_text("")
            progress.run_started(run.label)
        judge(done, None)
        not_begun.folder.mkdir()
        (not_begun.folder / "journal.jsonl").write_text("of an earlier call")
        raise KeyboardInterrupt

    def judge_and_write(folder: Path, *_: object, client_name: str, reproduce: str) -> Verdict:
        judged.append(folder.name)
        return Verdict("s", None, client_name, 1, RunStatus.PASS, ExitCode.PASSED, 1.0, (), {}, reproduce)

    judged: list[str] = []
    monkeypatch.setattr(playing, "play_all", play_all)
    monkeypatch.setattr(playing, "judge_and_write", judge_and_write)
    for name in ("one", "two", "three"):
        write(tmp_path / f"{name}.yaml", name)
    wanted = want(tmp_path / "out", *(str(tmp_path / f"{name}.yaml") for name in ("one", "two", "three")))
    outcome = playing.play(wanted, Silent(), out=tmp_path / "out", jobs=1)
    assert outcome.interrupted
    assert [one.planned.label for one in outcome.finished] == judged == ["one", "two"]
    assert outcome.finished[0].verdict.reproduce == f"harness run {tmp_path / 'one.yaml'}"
