"""The baseline: checks that are known to fail. The list can only shrink.

A baseline is a YAML file with one list, `known`, an entry for each check that may fail for now:

    known:
      - check: RESUME-2              # one check by its id, no pattern
        scenario: "tunnel~*"         # where it may fail; left out: in every run
        because: "handles are kept in memory only, app issue 12"

`scenario` is a glob over the label of a run, `scenario~variant`; a plain name, such as `tunnel`, means all variants of
that scenario. `because` must be there: it is printed beside the verdict. A listed check that fails does not fail the
run; one that is listed and passes is stale and fails it. Crashes (LIFE-1) and the harness's own faults (SELF-1) cannot
be listed. `known: []` is what is left when all is mended.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from harness.errors import UserMistake
from harness.problems import Path as DataPath
from harness.problems import nearest
from harness.yaml_source import load_source, validate

EVERYWHERE = "*"
NEVER_EXCUSED: Mapping[str, str] = {
    "LIFE-1": "a client that crashes or hangs shows nothing else that could be believed",
    "SELF-1": "it is about the harness itself, not about a client",
}
"""Check id → why a baseline cannot list it. Crashes and set-up errors are never excused by it."""


class KnownFailure(BaseModel):
    """One entry: a check that may fail in some runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    check: str
    """Its id."""
    scenario: str = Field(default=EVERYWHERE, min_length=1)
    """Glob over `scenario~variant`, or the plain name of a scenario for all of its variants."""
    because: str
    """Why it fails, for people."""

    @field_validator("because")
    @classmethod
    def _says_something(cls, because: str) -> str:
        if not because.strip():
            raise ValueError("it may not be empty; write why the check fails for now, such as the number of an issue")
        return because.strip()

    def covers(self, scenario: str, variant: str | None) -> bool:
        """True when a run of `scenario` in `variant` (None: it has none) is meant."""
        label = scenario if variant is None else f"{scenario}~{variant}"
        return fnmatch.fnmatchcase(label, self.scenario) or fnmatch.fnmatchcase(scenario, self.scenario)

    @property
    def meaning(self) -> tuple[str, str]:
        """Equal for two entries that excuse the same: `tunnel` and `tunnel~*` do."""
        return self.check, self.scenario.removesuffix("~*")


class BaselineFile(BaseModel):
    """The model of the file."""

    model_config = ConfigDict(extra="forbid")

    known: list[KnownFailure]


@dataclass(frozen=True, slots=True)
class Baseline:
    """What may fail, as it was read."""

    known: tuple[KnownFailure, ...] = ()

    def reasons(self, scenario: str, variant: str | None) -> Mapping[str, str]:
        """Check id → why it may fail, for the checks that may fail in this run.

        `variant` None: the scenario has none. Where several entries cover a run, the first of them gives the reason.
        """
        found: dict[str, str] = {}
        for entry in self.known:
            if entry.covers(scenario, variant):
                found.setdefault(entry.check, entry.because)
        return found


def load_baseline(path: Path, known: Iterable[str]) -> Baseline:
    """Read a baseline; `known` are the ids of the catalogue.

    Raises `UserMistake`, with every error as `file:line:column: message`: what cannot be read, ids that are none or
    can never be excused, and entries that mean the same.
    """
    source = load_source(path)
    given = validate(BaselineFile, source)
    ids = tuple(known)
    mistakes: list[str] = []
    first_at: dict[tuple[str, str], int] = {}
    for index, entry in enumerate(given.known):
        at: DataPath = ("known", index, "check")
        where = f"{source.where(at)}: known[{index}].check = "
        if entry.check in NEVER_EXCUSED:
            mistakes.append(
                f'{where}"{entry.check}": crashes and set-up errors are never excused by a baseline, since '
                f"{NEVER_EXCUSED[entry.check]}; take the entry away"
            )
        elif entry.check not in ids:
            near = nearest(entry.check, ids)
            hint = f'did you mean "{near}"?' if near else "see `harness list checks`"
            mistakes.append(f'{where}"{entry.check}" is no check; {hint}')
        elif entry.meaning in first_at:
            line, _ = source.position(("known", first_at[entry.meaning]))
            mistakes.append(
                f'{where}"{entry.check}": the entry in line {line} excuses the same already; keep one of them'
            )
        else:
            first_at[entry.meaning] = index
    if mistakes:
        raise UserMistake(mistakes)
    return Baseline(tuple(given.known))
