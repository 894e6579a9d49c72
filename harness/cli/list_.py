"""`harness list`: the scenarios and checks that there are, a line each."""

from __future__ import annotations

import json

import click


@click.command(name="list")
@click.argument("what", type=click.Choice(["scenarios", "checks"]), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(what: str | None, as_json: bool) -> None:
    """Show what scenarios or checks there are (scenarios, if nothing is said)."""
    rows = _checks() if what == "checks" else _scenarios()
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    width = max((len(str(row["id"])) for row in rows), default=0)
    for row in rows:
        middle = f"{row['level']:<9}  " if "level" in row else ""
        click.echo(f"{row['id']:<{width}}  {middle}{row['title']}")


def _scenarios() -> list[dict[str, object]]:
    """A row for each run: a scenario in one variant, named so that `harness run` takes it."""
    from harness.scenario.library import builtin_names, find_scenarios

    return [
        {
            "id": one.label,
            "scenario": one.loaded.name,
            "variant": one.variant,
            "title": one.scenario.title,
            "checks": list(one.scenario.checks),
            "do_nothing": one.scenario.do_nothing,
        }
        for one in find_scenarios(*builtin_names())
    ]


def _checks() -> list[dict[str, object]]:
    from harness.checks import CATALOGUE

    return [{"id": check.id, "level": str(check.level), "title": check.title} for check in CATALOGUE.values()]
