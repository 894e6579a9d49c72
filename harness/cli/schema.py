"""`harness schema`: the JSON Schema of the scenario language."""

from __future__ import annotations

import json

import click


@click.command()
def schema() -> None:
    """Print the JSON Schema of the scenario language, for editors.

    Put `# yaml-language-server: $schema=PATH` on the first line of a scenario, and an editor completes and checks it.
    """
    from harness.scenario.schema import scenario_schema

    click.echo(json.dumps(scenario_schema(), indent=2, ensure_ascii=False))
