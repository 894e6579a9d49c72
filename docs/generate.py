"""Writes the parts of these pages that are made from code, so that they cannot fall behind it.

    python docs/generate.py

A page marks where such a part stands: `<!-- generated: NAME -->`, the part, `<!-- end -->`. What stands between is
replaced; all else is written by hand.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import TypeVar

_State = TypeVar("_State", bound=Enum)
_Event = TypeVar("_Event", bound=Enum)

DOCS = Path(__file__).resolve().parent
COMMAND = "python docs/generate.py"
_MARKED = re.compile(r"(?P<begin><!-- generated: (?P<name>[a-z-]+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL)


def pages() -> list[Path]:
    """Every page that has a generated part."""
    return [page for page in sorted(DOCS.rglob("*.md")) if _MARKED.search(page.read_text(encoding="utf-8"))]


def renewed(text: str) -> str:
    """A page's text with its generated parts as the code has them now. Raises `KeyError` for an unknown name."""
    return _MARKED.sub(lambda found: f"{found['begin']}\n{PARTS[found['name']]()}\n\n{found['end']}", text)


def main() -> None:
    """Renew every page, and say which have changed."""
    for page in pages():
        old = page.read_text(encoding="utf-8")
        new = renewed(old)
        if new != old:
            page.write_text(new, encoding="utf-8")
            sys.stdout.write(f"renewed {page.relative_to(DOCS.parent)}\n")


# --- checks ----------------------------------------------------------------------------------------------------------


def checks() -> str:
    """Every check: a table of all, then each in full."""
    from harness.checks import CATALOGUE, Check

    families: dict[str, list[Check]] = {}
    for check in CATALOGUE.values():
        families.setdefault(check.judge.__module__, []).append(check)
    rows = [
        (f"[{one.id}](#{one.id.lower()})", str(one.level), one.title, _codes(_proof_of(one.id)) or "none")
        for one in CATALOGUE.values()
    ]
    lines = [_table(("check", "level", "in a few words", "its broken client fails it in"), rows)]
    for module, members in families.items():
        lines += ["", f"## {_first_line(sys.modules[module].__doc__).rstrip('.')}"]
        for one in members:
            lines += ["", f"### {one.id}", "", f"**{one.level}: {one.title}.** {one.rule}", ""]
            lines += [f"* Reads: {one.evidence}"]
            if one.needs:
                lines += [f"* Cannot pass without: {_codes(sorted(one.needs))}"]
            lines += [f"* To mend a client: {one.fix}"]
            lines += [f"* Seen in: {_codes(one.seen_in) or 'no public report; it is a rule of the protocol itself'}"]
            lines += _proved_by(one.id)
    return "\n".join(lines)


def _proof_of(check: str) -> tuple[str, ...]:
    from harness.clients.catalogue import broken_client

    try:
        return broken_client(check).scenarios
    except KeyError:
        return ()


def _proved_by(check: str) -> Iterator[str]:
    from harness.clients.catalogue import broken_client

    try:
        client = broken_client(check)
    except KeyError:
        yield "* Its broken client: none"
        return
    yield f"* Its broken client: `{client.module}`, in {_codes(client.scenarios)}"
    for other, why in client.may_also_fail.items():
        yield f"* That client may fail {other}, too: {why}"


# --- results ---------------------------------------------------------------------------------------------------------


def journal_events() -> str:
    """Every kind of line that a journal can hold."""
    from harness.journal.registry import KINDS

    return _table(
        ("kind", "says", "fields"),
        (
            (f"`{kind}`", _sentences(cls.__doc__), _codes(one.name for one in fields(cls)))
            for kind, cls in KINDS.items()
        ),
    )


# --- the fake server -------------------------------------------------------------------------------------------------


def refusals() -> str:
    """The table of refusals."""
    from fake_server.refusals import REFUSALS

    return _table(
        ("name", "code", "when", "is about", "heals", "reason"),
        (
            (f"`{row.name}`", str(row.code), row.phase, row.names, "yes" if row.heals else "no", _quoted(row.template))
            for row in REFUSALS.values()
        ),
    )


def phase_moves() -> str:
    """What can happen to a connection."""
    from fake_server.moves import PHASE_MOVES

    return _moves("connection", PHASE_MOVES)


def talk_moves() -> str:
    """What moves the model on."""
    from fake_server.moves import TALK_MOVES

    return _moves("model", TALK_MOVES)


def token_moves() -> str:
    """What happens to a token."""
    from fake_server.tokens import MOVES

    return _moves("token", MOVES)


def session_moves() -> str:
    """What happens to a session at the service."""
    from fake_server.resumption import MOVES

    return _moves("session", MOVES)


def _moves(what: str, table: Mapping[tuple[_State, _Event], _State]) -> str:
    """States down, events across; `·` where there is no such move. In the order in which the code declares both."""
    some_state, some_event = next(iter(table))
    states, events = list(type(some_state)), list(type(some_event))
    return _table(
        (f"{what} is", *(_words(event) for event in events)),
        (
            (
                f"**{_words(state)}**",
                *(_words(table[state, event]) if (state, event) in table else "·" for event in events),
            )
            for state in states
        ),
    )


def _words(one: Enum) -> str:
    return str(one.value).replace("_", " ")


# --- the house -------------------------------------------------------------------------------------------------------


def arrows() -> str:
    """The contracts of the import linter, as the project's own file has them."""
    with (DOCS.parent / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    return _table(
        ("contract", "these", "never import"),
        ((one["name"], _codes(one["source_modules"]), _codes(one["forbidden_modules"])) for one in contracts),
    )


def proxy_abilities() -> str:
    """Which proxy can really produce which network fault."""
    from harness.proxy.port import Abilities, Direction, FaultKind, Scope
    from harness.proxy.relay import BUILTIN_ABILITIES
    from harness.proxy.toxics import TOXIPROXY_ABILITIES

    def told(abilities: Abilities, kind: FaultKind, scope: Scope) -> str:
        ways = [way for way in Direction if (kind, way, scope) in abilities.faults]
        return "any direction" if len(ways) == len(Direction) else ", ".join(f"`{way}`" for way in ways) or "no"

    proxies = {"Toxiproxy": TOXIPROXY_ABILITIES, "built-in relay": BUILTIN_ABILITIES}
    columns = [(abilities, scope) for abilities in proxies.values() for scope in Scope]
    return _table(
        ("fault", *(f"{name}, `scope: {scope}`" for name in proxies for scope in Scope)),
        ((f"`{kind}`", *(told(abilities, kind, scope) for abilities, scope in columns)) for kind in FaultKind),
    )


# --- Markdown --------------------------------------------------------------------------------------------------------


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
        for row in (head, ["---"] * len(head), *rows)
    )


def _codes(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _quoted(text: str) -> str:
    """`text` as code, also where it holds backticks; nothing for an empty one."""
    return "" if not text else f"`` {text} ``" if "`" in text else f"`{text}`"


def _first_line(doc: str | None) -> str:
    return (doc or "").strip().split("\n")[0]


def _sentences(doc: str | None) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((doc or "").strip().split("\n\n")[0].split())


PARTS: Mapping[str, Callable[[], str]] = {
    "arrows": arrows,
    "checks": checks,
    "journal-events": journal_events,
    "phase-moves": phase_moves,
    "proxy-abilities": proxy_abilities,
    "refusals": refusals,
    "session-moves": session_moves,
    "talk-moves": talk_moves,
    "token-moves": token_moves,
}
"""What a page can name."""


if __name__ == "__main__":
    main()
