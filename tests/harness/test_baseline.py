"""Baselines: what an entry covers, and what is refused, with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.baseline import NEVER_EXCUSED, Baseline, load_baseline
from harness.errors import UserMistake

CHECKS = ("AUTH-1", "RESUME-2", "RESUME-3", "GOAWAY-1", "LIFE-1", "LIFE-3", "SELF-1")


def load(folder: Path, text: str) -> Baseline:
    path = folder / "known.yaml"
    path.write_text(text)
    return load_baseline(path, CHECKS)


def refused(folder: Path, text: str) -> list[str]:
    """The messages, without the file's name."""
    with pytest.raises(UserMistake) as caught:
        load(folder, text)
    prefix = f"{folder / 'known.yaml'}:"
    assert all(message.startswith(prefix) for message in caught.value.messages)
    return [message.removeprefix(prefix) for message in caught.value.messages]


WHOLE = """
known:
  - check: RESUME-2
    scenario: "tunnel~*"
    because: "  handles are kept in memory only, issue 12 "
  - {check: GOAWAY-1, because: next release}
  - {check: RESUME-2, scenario: drop_idle, because: the same}
  - {check: AUTH-1, scenario: "token_reuse~re*", because: one token for life}
"""


@pytest.mark.parametrize(
    ("scenario", "variant", "expected"),
    [
        ("tunnel", "dies", {"RESUME-2", "GOAWAY-1"}),
        ("drop_idle", None, {"RESUME-2", "GOAWAY-1"}),
        ("drop_idle", "again", {"RESUME-2", "GOAWAY-1"}),
        ("token_reuse", "reported", {"AUTH-1", "GOAWAY-1"}),
        ("token_reuse", "measured", {"GOAWAY-1"}),
        ("tunnel2", "dies", {"GOAWAY-1"}),
        ("tunnel", None, {"GOAWAY-1"}),
    ],
)
def test_an_entry_covers_the_runs_that_its_glob_or_its_name_means(
    tmp_path: Path, scenario: str, variant: str | None, expected: set[str]
) -> None:
    assert set(load(tmp_path, WHOLE).reasons(scenario, variant)) == expected


def test_the_reason_is_that_of_the_first_entry_that_covers_the_run(tmp_path: Path) -> None:
    baseline = load(
        tmp_path,
        "known: [{check: RESUME-2, scenario: tunnel~dies, because: ' first '}, {check: RESUME-2, because: any}]",
    )
    assert baseline.reasons("tunnel", "dies") == {"RESUME-2": "first"}
    assert baseline.reasons("tunnel", "stays") == {"RESUME-2": "any"}


def test_a_list_that_has_shrunk_to_nothing_is_a_baseline(tmp_path: Path) -> None:
    assert load(tmp_path, "known: []\n") == Baseline()
    assert Baseline().reasons("tunnel", "dies") == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "known: [{check: RESUM-2, because: x}]",
            '1:17: known[0].check = "RESUM-2" is no check; did you mean "RESUME-2"?',
        ),
        ("known: [{check: resume-2, because: x}]", 'did you mean "RESUME-2"?'),
        ("known: [{check: RESUME-*, because: x}]", "is no check"),
        ("known: [{check: QQQQQQQ, because: x}]", "see `harness list checks`"),
        ("known: [{check: LIFE-1, because: x}]", "crashes and set-up errors are never excused by a baseline"),
        ("known: [{check: SELF-1, because: x}]", "it is about the harness itself"),
        ("known: [{check: AUTH-1}]", "lacks `because`"),
        ("known: [{check: AUTH-1, because: '  '}]", "it may not be empty; write why"),
        ("known: [{check: AUTH-1, because: 12}]", "it must be a text; put it in quotes"),
        ("known: [{check: AUTH-1, because: x, scenario: ''}]", "it may not be empty"),
        ("known: [{check: AUTH-1, because: x, client: mine}]", "unknown key `client`"),
        ("known:\n  - {check: AUTH-1, because: x}\n  - {check: AUTH-1, because: y}", "3:13: known[1]"),
        ("knwon: []", 'did you mean "known"?'),
        ("known: {check: AUTH-1}", "it must be a list"),
        ("[]", "1:1: the file"),
        ("", "1:1: the file is empty"),
    ],
)
def test_what_is_refused_is_named_with_its_place(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in "\n".join(refused(tmp_path, text))


@pytest.mark.parametrize(
    ("first", "second"), [("tunnel", "tunnel"), ("tunnel", "tunnel~*"), ("tunnel~*", "tunnel"), ("'*'", "'*'")]
)
def test_two_entries_that_mean_the_same_are_a_mistake(tmp_path: Path, first: str, second: str) -> None:
    text = "\n".join(["known:", *(f"  - {{check: AUTH-1, scenario: {one}, because: x}}" for one in (first, second))])
    assert refused(tmp_path, text) == [
        '3:13: known[1].check = "AUTH-1": the entry in line 2 excuses the same already; keep one of them'
    ]


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    text = "known: [{check: LIFE-1, because: x}, {check: X-1, because: x}, {check: AUTH-1, because: x}]"
    assert [message.split(":")[1] for message in refused(tmp_path, text)] == ["17", "46"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserMistake, match=r"gone.yaml:1:1: no such file"):
        load_baseline(tmp_path / "gone.yaml", CHECKS)


def test_what_is_never_excused_says_why() -> None:
    assert set(NEVER_EXCUSED) == {"LIFE-1", "SELF-1"}
    assert all(NEVER_EXCUSED.values())
