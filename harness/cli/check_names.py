"""How checks are named on a command line and in a client's config: by id or glob, in capitals or not."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

from harness.checks import CATALOGUE
from harness.checks.rule import Check
from harness.errors import UserMistake
from harness.policy import Waiver
from harness.problems import nearest


def check_named(given: str) -> Check:
    """The check with this id, in capitals or not. Raises `UserMistake` with the nearest id."""
    found = CATALOGUE.get(given.strip().upper())
    if found is None:
        raise UserMistake(f'"{given}" is no check; {_hint(given)}')
    return found


def checks_matching(glob: str, option: str) -> list[Check]:
    """The checks whose ids match `glob`, in the catalogue's order; there is at least one.

    Raises `UserMistake`, which names `option`, when none does.
    """
    pattern = check_glob(glob, option)
    return [check for check in CATALOGUE.values() if fnmatch.fnmatchcase(check.id, pattern)]


def check_glob(glob: str, option: str) -> str:
    """`glob` in capitals, as ids are. Raises `UserMistake`, which names `option`, when it matches no check."""
    pattern = glob.strip().upper()
    if not any(fnmatch.fnmatchcase(check, pattern) for check in CATALOGUE):
        raise UserMistake(f'{option} "{glob}" matches no check; {_hint(glob)}')
    return pattern


def refuse_unknown_waivers(waivers: Iterable[Waiver], file: str) -> None:
    """Raises `UserMistake` for waivers of a client's config (`file`) that name no check: they would waive nothing."""
    mistakes = [
        f'{file}: waive[{index}].check = "{waiver.check}" is no check; {_hint(waiver.check)}'
        for index, waiver in enumerate(waivers)
        if waiver.check not in CATALOGUE
    ]
    if mistakes:
        raise UserMistake(mistakes)


def _hint(given: str) -> str:
    near = nearest(given, CATALOGUE)
    return f'did you mean "{near}"?' if near else "`harness list checks` prints them"
