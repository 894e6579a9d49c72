"""Every Markdown page of the repository: links lead somewhere, commands and YAML are real, generated parts are new."""

from __future__ import annotations

import fnmatch
import importlib.util
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import click
import pytest

from harness.baseline import load_baseline
from harness.checks import CATALOGUE
from harness.checks.view import View
from harness.checks.view_given import Given
from harness.cli import main
from harness.client_config import ClientFile, load_client_config
from harness.errors import UserMistake
from harness.journal.events import Journal
from harness.metrics import measure
from harness.policy import ClientProfile, Policy, Sees
from harness.scenario.library import builtin_names, find_scenarios
from harness.scenario.loader import parse_scenario, unknown_checks
from harness.scenario.model import Scenario
from harness.verdict import CheckStatus, ExitCode, Finding, Level, RunStatus, Verdict
from harness.verdict_json import verdict_document
from harness.yaml_source import parse_source

ROOT = Path(__file__).resolve().parents[2]
_NOT_PAGES = ("node_modules", "harness-results", "results", "tests")
"""Folders of others, of results, and of data that tests compare with."""


def _pages() -> Iterator[Path]:
    for folder, inner, files in os.walk(ROOT):
        inner[:] = [name for name in inner if name[0] not in "._" and name not in _NOT_PAGES]
        yield from (Path(folder) / name for name in files if name.endswith(".md"))


PAGES = sorted(_pages())


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


class Block(NamedTuple):
    """A piece of code on a page."""

    language: str
    """As after the three backticks; empty for indented blocks and for code within a line."""
    text: str
    line: int


@cache
def parts(page: Path) -> tuple[str, tuple[Block, ...]]:
    """The page's prose, code blocked out, and its code."""
    prose: list[str] = []
    blocks: list[Block] = []
    fence: re.Match[str] | None = None
    code: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").split("\n"), start=1):
        if fence is not None:
            if line.strip() == fence[1]:
                blocks.append(Block(fence[2], "\n".join(code), number - len(code)))
                fence = None
            else:
                code.append(line[len(fence[0]) - len(fence[0].lstrip()) :])
        elif (fence := re.match(r"\s*(```+)(\w*)", line)) is not None:
            code = []
        elif line.startswith("    "):
            blocks.append(Block("", line.strip(), number))
        else:
            prose.append(line)
            blocks += [Block("", found, number) for found in re.findall(r"`([^`]+)`", line)]
    assert fence is None, f"{named(page)}: a block of code is never closed"
    return "\n".join(prose), tuple(blocks)


# Generated parts -----------------------------------------------------------------------------------------------------


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = generator()


@pytest.mark.parametrize("page", GENERATOR.pages(), ids=named)
def test_generated_parts_are_as_the_code_has_them(page: Path) -> None:
    written = page.read_text(encoding="utf-8")
    assert GENERATOR.renewed(written) == written, f"{named(page)} is out of date; renew it: {GENERATOR.COMMAND}"


def test_every_part_that_can_be_generated_stands_on_one_page() -> None:
    found = [name for page in PAGES for name in re.findall(r"<!-- generated: (\S+) -->", page.read_text("utf-8"))]
    assert sorted(found) == sorted(GENERATOR.PARTS)


# Links ---------------------------------------------------------------------------------------------------------------

_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")


@cache
def anchors(page: Path) -> frozenset[str]:
    """What headings can be linked to, as code hosts name them."""
    found: dict[str, int] = {}
    for heading in re.findall(r"^#{1,6} (.+?)\s*#*$", parts(page)[0], re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
        if found[slug]:
            found[f"{slug}-{found[slug]}"] = 0
    return frozenset(found)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_to_what_exists(page: Path) -> None:
    dead = []
    for found in _LINK.finditer(parts(page)[0]):
        target = found[1] or found[2]
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and (file.suffix != ".md" or anchor not in anchors(file))):
            dead.append(target)
    assert not dead


def test_files_and_names_in_code_are_there() -> None:
    """`fake_server/moves.py`, and `harness/translate.py:server_act` for a name in it."""
    gone = set()
    for page in PAGES:
        for text in {block.text for block in parts(page)[1] if not block.language}:
            found = re.fullmatch(
                r"((?:fake_server|harness|reports|scenarios|docs|tests)/[\w/.]+\.\w+)(?::(\w+))?", text
            )
            if found is None:
                continue
            file = ROOT / found[1]
            if not file.exists() or (found[2] and not re.search(rf"\b{found[2]}\b", file.read_text(encoding="utf-8"))):
                gone.add(f"{named(page)}: {text}")
    assert not gone


# Commands ------------------------------------------------------------------------------------------------------------

_COMMAND = re.compile(r"(?:^|[\s/])harness ((?:[a-z]+)(?:[ \t][^\n]*)?)$", re.MULTILINE)
_STAND_INS = re.compile(r"\$\{\{.*?\}\}|\$\(.*?\)|\$\{?\w+\}?")
"""What a shell or a CI service would fill in."""


def commands(page: Path) -> Iterator[tuple[int, list[str]]]:
    """The words of every `harness …` command on a page, with the line of its block."""
    for block in parts(page)[1]:
        for found in _COMMAND.finditer(re.sub(r"\s*\\\n\s*", " ", block.text)):
            line = re.split(r"\s{2,}|\s#\s", _STAND_INS.sub("1", found[1]))[0]
            lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            words = []
            for word in lexer:
                if set(word) <= set("();<>|&"):
                    break
                words.append(word)
            yield block.line, words


@cache
def built_in() -> frozenset[str]:
    """What selects a built-in scenario on a command line."""
    return frozenset({*builtin_names(), *(one.label for one in find_scenarios(*builtin_names()))})


def mistake_in(words: list[str]) -> str | None:
    """What the command line would say to these words, without running anything; None: nothing."""
    command = main.get_command(click.Context(main), words[0])
    if command is None:
        return f"there is no command {words[0]}"
    try:
        params = command.make_context(words[0], words[1:]).params
    except click.exceptions.Exit:
        return None  # --help
    except click.MissingParameter:
        return None  # in passing, a command is named without what it needs
    except click.UsageError as error:
        return error.format_message()
    for name in params.get("scenarios", ()):
        if re.fullmatch(r"[a-z_]+(~[a-z]+)?", name) and name not in built_in() and not (ROOT / name).exists():
            return f"{name} is no built-in scenario"
    for pattern in (params.get("check"), params.get("select"), params.get("only")):
        if pattern and re.search(r"[\d*]", pattern) and not fnmatch.filter(CATALOGUE, pattern):
            return f"{pattern} is no check"
    return None


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_have_real_options(page: Path) -> None:
    found = [(line, " ".join(words), mistake_in(words)) for line, words in commands(page) if words]
    assert [one for one in found if one[2] is not None] == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("run tunnel --sead 7", "No such option"),
        ("run tunel", "no built-in scenario"),
        ("run tunnel~dead", "no built-in scenario"),
        ("rum tunnel", "no command"),
        ("explain RESUME-99", "no check"),
        ("run tunnel --select RESMUE-*", "no check"),
        ("run tunnel --jobs many", "not a valid integer"),
        ("list cheques", "is not"),
    ],
)
def test_wrong_commands_are_found(words: str, expected: str) -> None:
    assert expected in (mistake_in(words.split()) or "")


def test_commands_are_found_in_every_kind_of_code() -> None:
    found = {" ".join(words) for _, words in commands(ROOT / "docs" / "guides" / "ci.md")}
    assert "doctor --install-toxiproxy" in found  # in a block
    assert "doctor" in found  # in a sentence
    assert any(one.startswith("run live-api-harness/scenarios") and one.endswith("harness-results/ci") for one in found)
    assert sum(1 for one in PAGES for _ in commands(one)) > 40


# YAML ----------------------------------------------------------------------------------------------------------------

_OF_SCENARIO = frozenset(Scenario.model_fields)
_OF_CLIENT = frozenset(ClientFile.model_fields)
_LEAST_SCENARIO = "scenario: s\ntitle: t\n"
_LEAST_STORY = "story: [{wait: 1s}]\n"


def check_yaml(text: str, name: str, folder: Path) -> str:
    """What kind of file a block belongs to; raises `UserMistake` for what that file may not hold."""
    data: Any = parse_source(text, name).data
    if isinstance(data, list):
        fault_first = "  - do: {network: cut}\n" if "recovered" in text else ""
        story = "".join(f"  {line}\n" for line in text.split("\n"))
        return check_scenario(f"{_LEAST_SCENARIO}story:\n{fault_first}{story}", name)
    assert isinstance(data, Mapping), f"{name}: neither a list nor a mapping"
    keys = set(data)
    if keys == {"known"}:
        (folder / "known.yaml").write_text(text)
        load_baseline(folder / "known.yaml", CATALOGUE)
        return "baseline"
    if keys <= _OF_SCENARIO:
        head = "" if "scenario" in keys else _LEAST_SCENARIO
        return check_scenario(f"{head}{text}\n{'' if keys & {'story', 'timeline'} else _LEAST_STORY}", name)
    if keys <= _OF_CLIENT:
        missing = {"name": "name: client\n", "command": "command: client\n"}
        head = "".join(line for key, line in missing.items() if key not in keys)
        (folder / "client.yaml").write_text(f"{head}{text}\n")
        config = load_client_config(folder / "client.yaml")
        assert all(waiver.check in CATALOGUE for waiver in config.waivers)
        return "client"
    return "other"


def check_scenario(text: str, name: str) -> str:
    loaded = parse_scenario(text, name)
    if problems := unknown_checks(loaded, CATALOGUE):
        raise UserMistake(problems)
    return "scenario"


YAML_BLOCKS = [
    pytest.param(block.text, f"{named(page)}:{block.line}", id=f"{named(page)}:{block.line}")
    for page in PAGES
    for block in parts(page)[1]
    if block.language in ("yaml", "yml")
]


@pytest.mark.parametrize(("text", "name"), YAML_BLOCKS)
def test_yaml_blocks_are_valid(text: str, name: str, tmp_path: Path) -> None:
    assert check_yaml(text, name, tmp_path) in ("scenario", "client", "baseline", "other")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("scenario: s\ntitle: t\nstory: [{wait: 1}]\n", "has no unit"),
        ("session: {limits: {go_away: 5s}}\n", "go_away"),
        ("- speak: 2s\n  meanwhile: {at: {speech: 1s}, do: {network: blackhole}}\n", "lacks `for`"),
        ("name: x\ncommand: y\npolicy: {liveness: {by: hope}}\n", "hope"),
        ("known: [{check: RESUME-2}]\n", "because"),
    ],
)
def test_wrong_yaml_is_found(text: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(UserMistake) as caught:
        check_yaml(text, "page.md", tmp_path)
    assert expected in str(caught.value)


# What the reference pages must speak of ------------------------------------------------------------------------------


def codes(page: str) -> set[str]:
    """The words in code on a page of docs/."""
    return {block.text for block in parts(ROOT / "docs" / page)[1]}


def test_results_md_speaks_of_every_field_of_a_verdict() -> None:
    finding = Finding("RESUME-2", Level.MUST, CheckStatus.PASS, "said", (1,))
    verdict = Verdict("s", None, "c", 1, RunStatus.PASS, ExitCode.PASSED, 1.0, (finding,), {}, "again")
    document = verdict_document(verdict)
    (check,) = document["checks"]  # type: ignore[misc]
    assert {*document, *check} <= codes("reference/results.md")  # type: ignore[has-type]


def test_results_md_speaks_of_every_metric_and_exit_code() -> None:
    given = Given(Scenario.model_validate({"scenario": "s", "title": "t"}), ClientProfile(), None, 1)
    assert set(measure(View(Journal((), whole=False), given))) <= codes("reference/results.md")
    assert {str(int(code)) for code in ExitCode} <= codes("reference/results.md")


def test_your_client_md_speaks_of_every_choice() -> None:
    told = codes("guides/your-client.md")
    yaml = [block.text for block in parts(ROOT / "docs" / "guides" / "your-client.md")[1] if block.language == "yaml"]
    for name in (*ClientFile.model_fields, *Policy.model_fields, *Sees.model_fields):
        assert name in told or any(re.search(rf"\b{name}:", block) for block in yaml), name
