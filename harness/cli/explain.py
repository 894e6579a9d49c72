"""`harness explain`: one check, for whoever has to mend a client that fails it."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import click

from harness.checks.rule import Check
from harness.verdict import Level

_WIDTH = 100
_INDENT = "  "

_LEVELS = {
    Level.MUST: "MUST: a client that breaks it fails the run",
    Level.SHOULD: "SHOULD: a client that breaks it is warned, and fails with --strict",
    Level.HARDENING: "HARDENING: never seen from the real service; warns, and never fails",
    Level.SELF: "ours: when it fails, the harness is at fault and the run does not count",
}


@dataclass(frozen=True, slots=True)
class Proof:
    """The broken client that is made to fail the check."""

    module: str
    """Run as `python -m MODULE`."""
    scenarios: tuple[str, ...]
    """Where it fails it: `tunnel~dies`."""
    may_also_fail: dict[str, str]
    """Other checks that it may fail there, each with the reason."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that is known of one check; `asdict` of it is what `--json` prints."""

    id: str
    level: str
    title: str
    rule: str
    evidence: str
    """What it reads of a journal."""
    needs: tuple[str, ...]
    """Kinds of journal events without which it never passes, sorted."""
    fix: str
    seen_in: tuple[str, ...]
    """Public bugs: `owner/repo#12`."""
    broken_client: Proof | None
    """None: no client is made for it."""
    scenarios: tuple[str, ...]
    """Built-in scenarios that are about it."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("check", metavar="CHECK")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(check: str, as_json: bool) -> None:
    """Explain one check: its rule, its evidence, the public bugs behind it, how to fix a client.

    CHECK is an id, such as RESUME-2; `harness list checks` prints them.
    """
    from harness.cli.check_names import check_named

    told = explanation(check_named(check))
    if as_json:
        click.echo(json.dumps(asdict(told), indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(lines(told)))


def explanation(check: Check) -> Explanation:
    """Gather what the catalogues of checks, clients and scenarios say about one check."""
    from harness.clients.catalogue import broken_client
    from harness.scenario.library import builtin_names, find_scenarios

    try:
        client = broken_client(check.id)
    except KeyError:
        proof = None
    else:
        proof = Proof(client.module, client.scenarios, dict(client.may_also_fail))
    return Explanation(
        id=check.id,
        level=str(check.level),
        title=check.title,
        rule=check.rule,
        evidence=check.evidence,
        needs=tuple(sorted(check.needs)),
        fix=check.fix,
        seen_in=check.seen_in,
        broken_client=proof,
        scenarios=tuple(one.label for one in find_scenarios(*builtin_names()) if check.id in one.scenario.checks),
    )


def lines(told: Explanation) -> Iterator[str]:
    """An explanation for people."""
    yield f"{told.id}  {told.title}"
    yield f"{_INDENT}{_LEVELS[Level(told.level)]}"
    yield from _part("The rule", [told.rule])
    read = [f"It cannot pass without: {', '.join(told.needs)}."] if told.needs else []
    yield from _part("What it reads", [told.evidence, *read])
    yield from _part("How to mend a client", [told.fix])
    yield from _part("Seen in", told.seen_in or ["no public report: it is a rule of the protocol itself"])
    yield from _part("The broken client that fails it", _proof(told))
    yield from _part("Built-in scenarios that are about it", [_listed(told.scenarios)] if told.scenarios else ["none"])
    where = told.broken_client.scenarios if told.broken_client is not None else told.scenarios
    if where:
        yield ""
        yield f"Try your client: harness run {where[0]} --client CMD --select {told.id}"


def _proof(told: Explanation) -> list[str]:
    proof = told.broken_client
    if proof is None:
        return ["none is made for it"]
    return [
        f"{proof.module}, in {_listed(proof.scenarios)}",
        *(f"it may also fail {check}: {why}" for check, why in proof.may_also_fail.items()),
        f"see it fail: harness selftest --only {told.id}",
    ]


def _part(title: str, paragraphs: Sequence[str]) -> Iterator[str]:
    yield ""
    yield title
    for paragraph in paragraphs:
        yield from textwrap.wrap(
            " ".join(paragraph.split()),
            width=_WIDTH,
            initial_indent=_INDENT,
            subsequent_indent=_INDENT,
            break_long_words=False,
            break_on_hyphens=False,
        )


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words)
