"""verdict.json: the contract's keys, JSON whatever the metrics hold, and never half a file."""

from __future__ import annotations

import dataclasses
import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.verdict import CheckStatus, ExitCode, Finding, Level, RunStatus, Verdict
from harness.verdict_json import verdict_document, write_verdict

VERDICT = Verdict(
    scenario="tunnel",
    variant="dies",
    client="my-app",
    seed=7,
    status=RunStatus.FAIL,
    exit_code=ExitCode.FAILED,
    duration_s=16.25,
    checks=(
        Finding("AUTH-1", Level.MUST, CheckStatus.FAIL, "presented token-1 again", (12, 40)),
        Finding("SELF-1", Level.SELF, CheckStatus.PASS, "every trigger was in time"),
    ),
    metrics={"dials": 3, "recovery_s": [1.5, None]},
    reproduce="harness run tunnel~dies --seed 7",
    message="",
    waived={"LIFE-2": "known"},
    stale=("RESUME-2",),
)


def test_the_document_is_the_contracts() -> None:
    assert verdict_document(VERDICT) == {
        "contract": 1,
        "scenario": "tunnel",
        "variant": "dies",
        "client": "my-app",
        "seed": 7,
        "status": "fail",
        "exit_code": 1,
        "message": "",
        "duration_s": 16.25,
        "checks": [
            {
                "id": "AUTH-1",
                "level": "MUST",
                "status": "fail",
                "summary": "presented token-1 again",
                "evidence": [12, 40],
            },
            {
                "id": "SELF-1",
                "level": "SELF",
                "status": "pass",
                "summary": "every trigger was in time",
                "evidence": [],
            },
        ],
        "waived": {"LIFE-2": "known"},
        "stale": ["RESUME-2"],
        "metrics": {"dials": 3, "recovery_s": [1.5, None]},
        "reproduce": "harness run tunnel~dies --seed 7",
    }


def test_values_are_plain_and_not_their_enums() -> None:
    document = verdict_document(VERDICT)
    assert type(document["exit_code"]) is int
    assert type(document["status"]) is str


@pytest.mark.parametrize(
    ("odd", "expected"),
    [
        (float("nan"), None),
        (float("inf"), None),
        (-float("inf"), None),
        (2**63 - 1, 2**63 - 1),
        (2**64, "0x10000000000000000"),
        ("\ud800", "?"),
        ({3: {1.5: True}}, {"3": {"1.5": True}}),
        ((1, (2,)), [1, [2]]),
        (frozenset({4}), [4]),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (Decimal("1.5"), "1.5"),
        (date(2027, 3, 1), "2027-03-01"),
        (b"\xff", "b'\\xff'"),
        (ExitCode.FAILED, 1),
        (Level.MUST, "MUST"),
    ],
)
def test_odd_metrics(odd: object, expected: object) -> None:
    document = verdict_document(dataclasses.replace(VERDICT, metrics={"odd": odd}))
    assert document["metrics"] == {"odd": expected}


def test_metrics_that_hold_themselves() -> None:
    knot: list[object] = []
    knot.append(knot)
    assert "[[...]]" in json.dumps(verdict_document(dataclasses.replace(VERDICT, metrics={"knot": knot})))


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.decimals() | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers() | st.floats(), inner, max_size=4)
    ),
    max_leaves=20,
)
_TEXT = st.text(st.characters(), max_size=40)


@given(st.dictionaries(st.text(), _ANYTHING, max_size=5), _TEXT, _TEXT)
def test_it_is_json_whatever_the_metrics_hold(metrics: dict[str, object], summary: str, message: str) -> None:
    verdict = dataclasses.replace(
        VERDICT,
        metrics=metrics,
        message=message,
        checks=(Finding("AUTH-1", Level.MUST, CheckStatus.FAIL, summary),),
    )
    document = verdict_document(verdict)
    written = json.dumps(document, ensure_ascii=False, allow_nan=False)
    assert json.loads(written) == document
    assert orjson.loads(written.encode()) == document


def test_the_file_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "verdict.json"
    path.write_text("old")
    write_verdict(path, VERDICT)
    assert json.loads(path.read_text(encoding="utf-8")) == verdict_document(VERDICT)
    assert [found.name for found in tmp_path.iterdir()] == ["verdict.json"]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "verdict.json"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_verdict(path, VERDICT)
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["verdict.json"]
