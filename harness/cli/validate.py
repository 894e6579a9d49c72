"""`harness validate`: loads scenarios without running anything."""

from __future__ import annotations

import click

from harness.errors import UserMistake
from harness.scenario.library import load_all
from harness.scenario.loader import LoadedScenario, unknown_checks


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
def validate(files: tuple[str, ...]) -> None:
    """Load scenarios without running them, and say what is wrong.

    FILE is a file, a folder, or the name of a built-in scenario. Every error of every file is printed, as
    `file:line:column: message`; the exit code is then 4.
    """
    mistakes: dict[str, None] = {}
    for given in files:
        try:
            for loaded in load_all(given):
                mistakes |= dict.fromkeys(_check_names(loaded))
                click.echo(f"{loaded.source.name}: {_describe(loaded)}")
        except UserMistake as mistake:
            mistakes |= dict.fromkeys(mistake.messages)
    if mistakes:
        raise UserMistake(mistakes)


def _describe(loaded: LoadedScenario) -> str:
    variants = f" in {len(loaded.variants)} variants ({', '.join(loaded.variants)})" if loaded.variants else ""
    return f"`{loaded.name}` is a valid scenario{variants}"


def _check_names(loaded: LoadedScenario) -> list[str]:
    from harness.checks import CATALOGUE  # all checks: not needed for a file that cannot be read

    return unknown_checks(loaded, CATALOGUE)
