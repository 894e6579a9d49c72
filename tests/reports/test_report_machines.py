"""junit.xml, Allure, summary.json, summary.md: read back by others' parsers, never greener than the exit code."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from harness.verdict import CheckStatus, ExitCode, Finding, Level, RunStatus, Verdict
from reports.allure import allure_result
from reports.junit import render_junit
from reports.markdown import render_markdown
from reports.summary import RunRecord, render_summary
from reports.text import visible
from reports.words import story
from reports.write import write_call, write_run

CODES = {
    RunStatus.PASS: [ExitCode.PASSED],
    RunStatus.FAIL: [ExitCode.FAILED],
    RunStatus.INCONCLUSIVE: [ExitCode.INCONCLUSIVE],
    RunStatus.ERROR: [ExitCode.HARNESS_FAULT, ExitCode.BAD_USAGE, ExitCode.INTERRUPTED],
    RunStatus.SKIPPED: [ExitCode.NOTHING_JUDGED],
}

findings = st.builds(
    Finding,
    check=st.sampled_from(["AUTH-1", "RETRY-3", "WIRE-9", "SELF-1"]),
    level=st.sampled_from(Level),
    status=st.sampled_from(CheckStatus),
    summary=st.text(max_size=30),
    evidence=st.lists(st.integers(1, 9), max_size=3).map(tuple),
)


@st.composite
def verdicts(draw: st.DrawFn) -> Verdict:
    status = draw(st.sampled_from(RunStatus))
    return Verdict(
        scenario=draw(st.text(min_size=1, max_size=8)),
        variant=draw(st.none() | st.text(min_size=1, max_size=5)),
        client=draw(st.text(min_size=1, max_size=8)),
        seed=draw(st.integers(0, 99)),
        status=status,
        exit_code=draw(st.sampled_from(CODES[status])),
        duration_s=draw(st.floats(0, 100)),
        checks=tuple(draw(st.lists(findings, max_size=5, unique_by=lambda found: found.check))),
        metrics={},
        reproduce=draw(st.text(max_size=10)),
        message=draw(st.text(max_size=20)),
        waived=draw(st.just({}) | st.just({"AUTH-1": "known"})),
        stale=draw(st.just(()) | st.just(("WIRE-9",))),
    )


@given(st.lists(verdicts(), max_size=3), st.sampled_from(ExitCode))
def test_junit_is_never_greener_than_the_exit_code(given_verdicts: list[Verdict], exit_code: ExitCode) -> None:
    runs = [RunRecord(verdict, f"client/run-{number}") for number, verdict in enumerate(given_verdicts)]
    root = ET.fromstring(render_junit(runs, exit_code).encode())  # noqa: S314 - our own output
    bad = len(root.findall(".//failure")) + len(root.findall(".//error"))
    assert bad > 0 or exit_code is ExitCode.PASSED
    for verdict, suite in zip(given_verdicts, root.findall("testsuite"), strict=False):
        broken = suite.findall(".//failure") + suite.findall(".//error")
        if verdict.status not in (RunStatus.PASS, RunStatus.SKIPPED):
            assert broken, verdict
        if verdict.status in (RunStatus.INCONCLUSIVE, RunStatus.ERROR):
            assert suite.findall(".//error"), "inconclusive and harness faults are errors"
        for tag in ("failure", "error", "skipped"):
            counted = suite.get("failures" if tag == "failure" else "errors" if tag == "error" else tag)
            assert counted == str(len(suite.findall(f"testcase/{tag}")))
        assert suite.get("tests") == str(len(suite.findall("testcase")))
        for case in suite.findall("testcase"):
            assert len([child for child in case if child.tag in ("failure", "error", "skipped")]) <= 1
    assert root.get("tests") == str(len(root.findall(".//testcase")))


@given(st.text())
def test_visible_text_can_be_put_into_any_file(text: str) -> None:
    shown = visible(text)
    assert shown.encode("utf-8").decode() == shown
    assert ET.fromstring(ET.tostring(_element(shown))).text == (shown or None)  # noqa: S314 - our own output
    assert re.search("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", shown) is None


def _element(text: str) -> ET.Element:
    element = ET.Element("a")
    element.text = text
    return element


def _runs(sample: ModuleType) -> list[RunRecord]:
    journal, verdict = sample.tunnel()
    _, good = sample.passed()
    unknown = Finding("SPEECH-2", Level.MUST, CheckStatus.UNKNOWN, "samples were not recognised", (3,))
    vague = sample.make_verdict(RunStatus.INCONCLUSIVE, ExitCode.INCONCLUSIVE, unknown, scenario="speech")
    dead = sample.make_verdict(RunStatus.ERROR, ExitCode.HARNESS_FAULT, message=sample.HOSTILE, scenario="proxy|dies")
    skipped = sample.make_verdict(RunStatus.SKIPPED, ExitCode.NOTHING_JUDGED, message="needs audio", scenario="audio")
    return [
        RunRecord(verdict, "naive/tunnel~dies", story(journal, verdict), 1_800_000_000.0),
        RunRecord(good, "reference/hang_up"),
        RunRecord(vague, "reference/speech"),
        RunRecord(dead, "reference/proxy"),
        RunRecord(skipped, "reference/audio"),
    ]


def test_junit_of_some_runs(sample: ModuleType, golden: Callable[[str, str], None]) -> None:
    text = render_junit(_runs(sample), ExitCode.HARNESS_FAULT)
    golden("junit.xml", text)
    root = ET.fromstring(text.encode())  # noqa: S314 - our own output
    tunnel = root.find("testsuite[@name='naive/tunnel~dies']")
    assert tunnel is not None
    told = {
        case.get("name"): [child.tag for child in case if child.tag != "system-out"]
        for case in tunnel.findall("testcase")
    }
    assert told == {
        "run": [],
        "AUTH-1": ["failure"],
        "RESUME-2": ["failure"],
        "RETRY-1": [],
        "AUTH-4": [],
        "LIFE-2": ["skipped"],
        "SPEECH-2": ["error"],
        "GOAWAY-2": ["skipped"],
        "SELF-1": [],
    }


def test_summary_json(sample: ModuleType, golden: Callable[[str, str], None]) -> None:
    text = render_summary(_runs(sample), ExitCode.HARNESS_FAULT, "harness run scenarios")
    golden("summary.json", text)
    data = json.loads(text)
    assert (data["contract"], data["exit_code"], data["command"]) == (1, 3, "harness run scenarios")
    first = data["runs"][0]
    assert (first["scenario"], first["variant"], first["client"], first["seed"]) == ("tunnel", "dies", "naive", 7)
    assert (first["status"], first["exit_code"], first["folder"]) == ("fail", 1, "naive/tunnel~dies")
    assert [failed["check"] for failed in first["failed"]] == ["AUTH-1", "RESUME-2"]
    assert first["reproduce"].startswith("harness run ")


def test_markdown(sample: ModuleType, golden: Callable[[str, str], None]) -> None:
    text = render_markdown(_runs(sample), ExitCode.HARNESS_FAULT, "harness run scenarios", sample.EXPLAIN)
    golden("summary.md", text)
    assert "<script>" not in text
    assert "proxy\\|dies" in text
    assert "  - Mend it: Ask your backend" in text
    outside_code = re.sub(r"```.*?```", "", text, flags=re.S)
    assert "://" not in outside_code


def test_markdown_of_many_failures_stays_small(sample: ModuleType) -> None:
    runs = _runs(sample)[:1] * 2_000
    text = render_markdown(runs, ExitCode.FAILED, "harness run scenarios")
    assert len(text.encode()) < 900_000
    assert "more that did not pass" in text


def test_allure_statuses(sample: ModuleType) -> None:
    results = [allure_result(run) for run in _runs(sample)]
    assert [result.status for result in results] == ["failed", "passed", "broken", "broken", "skipped"]
    steps = {step.name.split(" ")[0]: step.status for step in results[0].steps}
    assert steps == {
        "AUTH-1": "failed",
        "RESUME-2": "failed",
        "RETRY-1": "passed",
        "AUTH-4": "passed",
        "LIFE-2": "skipped",
        "SPEECH-2": "broken",
        "GOAWAY-2": "skipped",
        "SELF-1": "passed",
    }
    assert (results[0].start, results[0].stop) == (1_800_000_000_000, 1_800_000_016_700)
    assert len({result.historyId for result in results}) == 5


def test_a_call_on_disk(sample: ModuleType, tmp_path: Path) -> None:
    journal, verdict = sample.tunnel()
    folder = tmp_path / "naive" / "tunnel~dies"
    folder.mkdir(parents=True)
    (folder / "client.stderr").write_text("boom\n")
    (folder / "client.stdout").write_text("")
    (folder / "journal.jsonl").write_text(
        '{"n":1,"t":0.0,"kind":"run.planned","plan":{}}\n'
        '{"n":2,"t":5.004,"kind":"fault.in_force","fault":1,"act":"network.blackhole","link":"all","direction":"both",'
        '"scope":"all","for_s":8.0,"lag_ms":4.2}\n{"n":3,"t":6.0,"ki'
    )
    write_run(folder, journal, verdict, sample.EXPLAIN)
    missing = tmp_path / "naive" / "gone"
    summary = ""
    for _ in range(2):  # rendering again leaves nothing double
        summary = write_call(tmp_path, [(folder, verdict), (missing, verdict)], ExitCode.FAILED, "harness run tunnel")
    assert (tmp_path / "summary.json").read_text() == summary
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "allure-results",
        "index.html",
        "junit.xml",
        "naive",
        "summary.json",
        "summary.md",
    ]
    assert "The link went dark at 5 s for 8 s; dialled again" in (tmp_path / "index.html").read_text()
    results = [json.loads(path.read_text()) for path in (tmp_path / "allure-results").glob("*-result.json")]
    assert len(results) == 2
    (full,) = [result for result in results if result.get("attachments")]
    assert full["name"] == "tunnel~dies (naive)"
    assert full["status"] == "failed"
    assert {item["name"] for item in full["attachments"]} == {"Report", "Journal", "Client, standard error"}
    for item in full["attachments"]:
        assert (tmp_path / "allure-results" / item["source"]).stat().st_size > 0
