"""How a client under test is started, and what it does by design: client.yaml (contract, section 4), or `--client`."""

from __future__ import annotations

import datetime
import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from harness.errors import UserMistake
from harness.policy import ClientProfile, Waiver
from harness.problems import nearest
from harness.yaml_source import load_source, validate

REFERENCE_FILE = Path(__file__).parent / "clients" / "reference.yaml"
PYTHON = "{python}"
"""In a command: the Python that runs the harness."""
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_Word = Annotated[str, StringConstraints(min_length=1)]


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """One client: how to start it, and its profile, which is all that plans and checks see of it."""

    name: str
    """Names its folder in the results; nothing judges by it."""
    command: tuple[str, ...]
    cwd: Path
    """Absolute."""
    env: Mapping[str, str] = field(default_factory=dict)
    profile: ClientProfile = field(default_factory=ClientProfile)
    waivers: tuple[Waiver, ...] = ()

    @property
    def resolved_command(self) -> tuple[str, ...]:
        """The command with its program as a path. Raises `UserMistake`; see `resolve_command`."""
        return resolve_command(self.command, self.cwd, self.env)


class ClientFile(ClientProfile):
    """The model of client.yaml."""

    name: str = Field(pattern=_NAME)
    command: _Word | list[_Word]
    cwd: str = "."
    env: dict[str, str] = Field(default_factory=dict)
    waive: list[Waiver] = Field(default_factory=list)

    @field_validator("command")
    @classmethod
    def _in_words(cls, command: str | list[str]) -> list[str]:
        words = command if isinstance(command, list) else _split(command)
        if not words:
            raise ValueError("it holds no program; write a command line, as in [node, app.js]")
        return words

    @field_validator("waive")
    @classmethod
    def _with_dates(cls, waive: list[Waiver]) -> list[Waiver]:
        for waiver in waive:
            try:
                datetime.date.fromisoformat(waiver.until)
            except ValueError:
                raise ValueError(f"until {waiver.until!r} is no day; write it as in 2027-03-01") from None
        return waive


def load_client_config(path: Path) -> ClientConfig:
    """Read client.yaml. Raises `UserMistake` with every error as `file:line:column: message`."""
    given = validate(ClientFile, load_source(path))
    profile_fields = ClientProfile.model_fields
    # Constructed, not validated again: durations are seconds by now. What was set outright stays known as such.
    profile = ClientProfile.model_construct(
        _fields_set=given.model_fields_set & set(profile_fields),
        **{name: getattr(given, name) for name in profile_fields},
    )
    return ClientConfig(
        name=given.name,
        command=tuple(given.command),
        cwd=(path.parent / given.cwd).resolve(),
        env=given.env,
        profile=profile,
        waivers=tuple(given.waive),
    )


def from_command_line(command: str) -> ClientConfig:
    """A client of `--client`: a shell-like command line, a default profile. Raises `UserMistake`."""
    try:
        words = _split(command)
    except ValueError as error:
        raise UserMistake(f"--client {command!r}: {error}") from None
    if not words:
        raise UserMistake("--client is empty: write the command that starts your client, as in --client 'node app.js'")
    return ClientConfig(name=_name_of(words), command=tuple(words), cwd=Path.cwd())


def reference_client() -> ClientConfig:
    """The built-in reference client."""
    return load_client_config(REFERENCE_FILE)


def resolve_command(command: tuple[str, ...], cwd: Path, env: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """`command` with `{python}` filled in and its program as an absolute path.

    A program without a slash is looked for on PATH, one with a slash from `cwd`. Raises `UserMistake` when the folder
    or the program is not there, or may not be executed.
    """
    if not cwd.is_dir():
        raise UserMistake(f"cwd {str(cwd)!r} is no folder: the client would start there; correct `cwd`")
    words = tuple(word.replace(PYTHON, sys.executable) for word in command)
    program = words[0]
    if os.sep in program:
        return (str(_program_file(program, cwd)), *words[1:])
    search = (env or {}).get("PATH", os.environ.get("PATH", os.defpath))
    found = shutil.which(program, path=search)
    if found is None:
        raise UserMistake(f"the client's program {program!r} is not on PATH; {_way_out(program, cwd, search)}")
    return (os.path.abspath(found), *words[1:])  # noqa: PTH100 - resolve() would follow a virtual environment's link


def _program_file(program: str, cwd: Path) -> Path:
    path = cwd / Path(program).expanduser()
    if not path.exists():
        raise UserMistake(f"the client's program {program!r} is not there (looked in {str(cwd)!r}); correct the path")
    if path.is_dir():
        raise UserMistake(f"the client's program {program!r} is a folder; name the program in it")
    if not os.access(path, os.X_OK):
        raise UserMistake(
            f"the client's program {program!r} may not be executed; run `chmod +x` on it, or start it by its "
            f"interpreter, as in `python {program}`"
        )
    return path


def _way_out(program: str, cwd: Path, search: str) -> str:
    if (cwd / program).is_file():
        return f"a file of that name is in its folder: write `./{program}`"
    near = nearest(program, _programs(search))
    if near is not None:
        return f"did you mean {near!r}?"
    return "install it, or write the path to it"


def _programs(search: str) -> list[str]:
    names: set[str] = set()
    for folder in search.split(os.pathsep):
        try:
            names.update(path.name for path in Path(folder or ".").iterdir())
        except OSError:
            continue
    return sorted(names)


def _split(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        raise ValueError("a quotation mark is never closed; close it, or write the command as a list") from None


def _name_of(words: list[str]) -> str:
    """`app` for `node app.js`, `my.client` for `python -m my.client`: the first word that names what is run."""
    rest = [word for word in words[1:] if not word.startswith("-")]
    word = rest[0] if rest else words[0]
    name = re.sub(r"\.(py|js|mjs|cjs|ts|sh|rb|jar)$", "", Path(word).name)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:64]
    return name or "client"
