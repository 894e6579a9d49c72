"""The command line's own work: exit codes, lazy subcommands, and the commands that run nothing."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import harness.cli
from harness.cli import main
from harness.errors import HarnessFault, UserMistake
from harness.scenario.library import builtin_folder
from harness.scenario.schema import scenario_schema


def call(*args: str) -> Result:
    return CliRunner().invoke(main, list(args))


GOOD = "scenario: s\ntitle: t\nvariants: {a: {x: 1s}, b: {x: 2s}}\nstory: [{wait: $x}]\n"


def test_a_valid_scenario(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(GOOD)
    result = call("validate", str(file))
    assert (result.exit_code, result.stdout) == (0, f"{file}: `s` is a valid scenario in 2 variants (a, b)\n")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (GOOD.replace("title", "titel").encode(), "2:1: unknown key `titel`"),
        (GOOD.replace("x: 1s", "x: 1").encode(), "3:19: story[0].wait: 1 has no unit"),
        (
            GOOD.replace("wait: $x", "do: {network: blakhole, for: $x}").encode(),
            '4:24: story[0].do.network: "blakhole"',
        ),
        (GOOD.replace("story: [", "story: ]").encode(), "4:8: not valid YAML"),
        (b"", "1:1: the file is empty"),
        (b"a" * 10_000_000, "1:1: the file has 10.0 MB"),
        (b"\x7fELF\x00\x01", "1:5: the byte 0x00"),
        (None, "1:1: no such file"),
        (GOOD.replace("title: t", "title: t\nchecks: [RETYR-1]").encode(), '3:10: "RETYR-1" is no check'),
    ],
)
def test_bad_input_is_exit_code_4_with_its_place(tmp_path: Path, content: bytes | None, expected: str) -> None:
    file = tmp_path / "s.yaml"
    if content is not None:
        file.write_bytes(content)
    result = call("validate", str(file))
    assert result.exit_code == 4
    assert f"{file}:{expected}" in result.stderr
    assert "Traceback" not in result.output


def test_every_file_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text("scenario: b\n")
    result = call("validate", "tunel", str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml"))
    assert result.exit_code == 4
    assert "a.yaml: `s` is a valid scenario" in result.stdout
    assert 'did you mean "tunnel"?' in result.stderr
    assert "b.yaml:1:1: the file lacks `title`" in result.stderr


def test_the_built_in_scenarios_are_valid_and_their_checks_are_in_the_catalogue() -> None:
    result = call("validate", str(builtin_folder()))
    assert (result.exit_code, result.stderr) == (0, "")


def test_list_scenarios_and_checks() -> None:
    text = call("list")
    assert text.exit_code == 0
    assert "tunnel~handover" in text.stdout
    rows = json.loads(call("list", "scenarios", "--json").stdout)
    assert {"scenario": "tunnel", "variant": "stays", "do_nothing": "pass"}.items() <= {row["id"]: row for row in rows}[
        "tunnel~stays"
    ].items()
    checks = json.loads(call("list", "checks", "--json").stdout)
    assert "RESUME-2" in [row["id"] for row in checks]
    assert call("list", "things").exit_code == 4


def test_schema_is_the_stored_one() -> None:
    assert json.loads(call("schema").stdout) == json.loads(json.dumps(scenario_schema()))


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom harness.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as left:\n    assert not left.code\n"
        "heavy = {'pydantic', 'aiohttp', 'ruamel', 'faker', 'jinja2', 'rich', 'orjson', 'asyncio', 'requests'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    for name in ("run", "list", "validate", "explain", "selftest", "serve", "report", "doctor", "schema"):
        assert f"\n  {name} " in done.stdout


def test_wrong_usage_is_exit_code_4_with_the_nearest_command() -> None:
    result = call("lsit")
    assert (result.exit_code, "did you mean 'list'?" in result.stderr) == (4, True)
    assert call("validate").exit_code == 4
    assert call("list", "--jsn").exit_code == 4
    assert call().exit_code == 4
    assert call("--version").stdout.startswith("harness ")


@pytest.mark.parametrize(
    ("raised", "code", "text"),
    [
        (UserMistake(["a:1:1: one", "a:2:1: two"]), 4, "a:1:1: one\na:2:1: two\n"),
        (HarnessFault("the proxy died"), 3, "The harness itself failed: the proxy died\n"),
        (OSError(28, "No space left on device"), 3, "The harness itself failed: [Errno 28] No space left on device\n"),
        (KeyError("a mistake of ours"), 3, "KeyError: 'a mistake of ours'\nThe harness itself failed: please report"),
        (KeyboardInterrupt(), 130, "Interrupted."),
        (click.UsageError("no"), 4, "Error: no\n"),
        (5, 5, ""),
        (None, 0, ""),
    ],
)
def test_every_way_of_ending_has_its_exit_code(
    raised: BaseException | int | None, code: int, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def broken() -> int | None:
        if isinstance(raised, BaseException):
            raise raised
        return raised

    monkeypatch.setattr(harness.cli.LazyGroup, "get_command", lambda *_: broken)
    result = call("list")
    assert result.exit_code == code
    assert text in result.stderr


def test_the_table_of_commands_leads_to_commands() -> None:
    for name in ("list", "validate", "schema"):
        target = harness.cli._SUBCOMMANDS[name].target
        module, _, attribute = target.partition(":")
        assert isinstance(getattr(importlib.import_module(module), attribute), click.Command)
