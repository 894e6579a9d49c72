"""The catalogue as a whole: ids, levels and words, and that nothing in it can know whom it judges."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.checks import CATALOGUE, Check
from harness.checks.view_evidence import MUST_HAVE_BEEN
from harness.clients.catalogue import BROKEN_CLIENTS
from harness.journal.registry import KINDS
from harness.scenario.model import CHECK_ID
from harness.verdict import Level

ROOT = Path(__file__).parents[3]
LEVELS = {
    "AUTH": {1: "MUST", 2: "MUST", 3: "MUST"},
    "RESUME": {1: "MUST", 2: "MUST", 3: "MUST", 4: "MUST", 5: "MUST", 7: "MUST"},
    "GOAWAY": {1: "SHOULD", 2: "MUST", 4: "MUST"},
    "RETRY": {1: "MUST", 2: "MUST", 6: "MUST", 7: "MUST"},
    "SPEECH": {1: "MUST", 2: "MUST", 3: "MUST"},
    "WIRE": {1: "MUST", 2: "MUST"},
    "LIFE": {1: "MUST", 3: "MUST"},
    "SELF": {1: "SELF"},
}
EXPECTED = {f"{family}-{number}": level for family, rules in LEVELS.items() for number, level in rules.items()}


def test_ids_and_levels_are_the_catalogue_s() -> None:
    # More may come; these stay for ever.
    assert {check: str(CATALOGUE[check].level) for check in EXPECTED} == EXPECTED


@pytest.mark.parametrize("check", CATALOGUE.values(), ids=lambda check: check.id)
def test_every_check_says_all_that_a_reader_needs(check: Check) -> None:
    assert re.match(CHECK_ID, check.id)
    assert CATALOGUE[check.id] is check
    for text in (check.title, check.rule, check.evidence, check.fix):
        assert text
        assert text == text.strip()
    assert not check.title.endswith(".")
    assert len(check.title) <= 60
    assert check.rule.endswith(".")
    assert all(re.match(r"^[\w.-]+/[\w.-]+#\d+$", report) for report in check.seen_in)
    assert check.level is Level.SELF or check.seen_in


@pytest.mark.parametrize("check", CATALOGUE.values(), ids=lambda check: check.id)
def test_what_a_check_needs_is_known_and_its_absence_can_be_proved(check: Check) -> None:
    assert check.needs
    assert check.needs <= set(KINDS)
    assert check.needs <= set(MUST_HAVE_BEEN)


def test_each_check_but_our_own_has_its_broken_client() -> None:
    assert set(EXPECTED) - {broken.check for broken in BROKEN_CLIENTS} == {"SELF-1"}


# No check, engine or fake may see a client's name ---------------------------------------------------------------------

JUDGING = [*(ROOT / "harness" / "checks").glob("*.py"), ROOT / "harness" / "metrics.py"]
PLAYING = [*(ROOT / "harness" / "engine").glob("*.py"), *(ROOT / "fake_server").rglob("*.py")]
CLIENT_WORDS = {"client", "config", "client_config", "_config", "_client"}
"""What a client's config is called where runs are played."""


def names_read(path: Path) -> Iterator[tuple[int, str]]:
    """Places that read a client's name: `client_name`, or `.name` of what is a client's config.

    One that goes straight into the verdict of a run that could not be judged is none.
    """
    text = path.read_text(encoding="utf-8")
    if not re.search(r"client_name|(client|config)\.name", text):
        return
    tree = ast.parse(text)
    passed_on = {
        given.value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Verdict"
        for given in call.keywords
        if given.arg == "client"
    }
    for node in ast.walk(tree):
        if node in passed_on:
            continue
        if isinstance(node, ast.Name | ast.arg):
            name = node.id if isinstance(node, ast.Name) else node.arg
            if name == "client_name":
                yield node.lineno, name
        elif isinstance(node, ast.Attribute) and node.attr == "client_name":
            yield node.lineno, node.attr
        elif isinstance(node, ast.Attribute) and node.attr == "name":
            owner = node.value
            last = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
            if last in CLIENT_WORDS:
                yield node.lineno, f"{last}.name"


def test_nothing_that_judges_plays_or_fakes_reads_a_client_s_name() -> None:
    found = {str(path.relative_to(ROOT)): list(names_read(path)) for path in [*JUDGING, *PLAYING]}
    assert len(found) > 60
    assert {path: names for path, names in found.items() if names} == {}


def test_the_search_for_names_finds_them(tmp_path: Path) -> None:
    told = tmp_path / "x.py"
    told.write_text(
        "def f(client_name, client):\n"
        "    Verdict(client=run.client.name)\n"
        "    return client.name, view.client.name, plan.client_name, fault.name\n"
    )
    assert [name for _, name in names_read(told)] == ["client_name", "client.name", "client.name", "client_name"]


@pytest.mark.parametrize("path", JUDGING, ids=lambda path: path.name)
def test_no_check_reads_what_a_client_says_of_its_name_or_writes_to_its_log(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.name != "view_evidence.py":  # it may only tell such a line from one that cannot come twice
        assert "ClientOutput" not in text
    assert "hello" not in text


@pytest.mark.parametrize("path", JUDGING, ids=lambda path: path.name)
def test_judging_reads_no_clock_no_file_and_no_chance(path: Path) -> None:
    imported = {
        alias.name.partition(".")[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in (node.names if isinstance(node, ast.Import) else [ast.alias(node.module or "")])
    }
    assert not imported & {"time", "datetime", "random", "os", "pathlib", "asyncio", "socket", "secrets"}
