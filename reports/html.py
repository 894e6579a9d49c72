"""report.html: one run on one page that opens from disk, asks nobody for anything, and trusts no text in it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape as plain_escape
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from harness.journal.events import Entry, Journal
from harness.verdict import CheckStatus, Finding, Verdict
from reports.describe import LANE_TITLES, Lane, connection_of, describe, in_full, is_bulk, lane_of
from reports.explain import CheckText
from reports.model import FaultBand, build_timeline, worst_lag_ms
from reports.svg import LABELS_WIDTH, draw
from reports.text import plural, seconds, visible
from reports.words import (
    CHECK_WORDS,
    COUNT_WORDS,
    blame,
    broken,
    exit_word,
    fault_words,
    inside,
    plan_of,
    policy_choices,
    run_word,
    scenario_label,
    story,
)

MOST_EVENTS = 1500
"""Rows of the event table; what is beyond is counted and said."""
PAGE_BUDGET_BYTES = 1_400_000
"""What the page may weigh, its own style and script aside: the event table gets what the rest leaves."""
_ROW_BYTES = 330
"""A row's own markup, its links included."""
EVIDENCE_SHOWN = 12
"""Evidence lines listed for one check."""

EVIDENCE_CHARACTERS = 200
"""Characters of one of them; the event table has the whole line."""

_TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment() -> Environment:
    """The templates, everything escaped."""
    loaded = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    loaded.filters["visible"] = visible
    loaded.filters["seconds"] = seconds
    return loaded


@cache
def asset(name: str) -> Markup:
    """A style sheet or script of ours, as it stands in the page."""
    return Markup((_TEMPLATES / name).read_text(encoding="utf-8").strip())  # noqa: S704 - our own file


def content_security_policy(style: str, script: str) -> str:
    """Nothing may load; only this very style and this very script may run."""
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@dataclass(frozen=True, slots=True)
class EvidenceLine:
    """A journal entry that proves something."""

    n: int
    t: float | None
    """None: no such entry in the journal."""
    text: str
    shown: bool
    """True: the event table has its line."""


@dataclass(frozen=True, slots=True)
class CheckCard:
    """One check as the page shows it."""

    id: str
    level: str
    status: str
    """The class: `pass`, `fail`, …"""
    word: str
    summary: str
    title: str
    rule: str
    fix: str
    seen_in: tuple[str, ...]
    waived: str | None
    stale: bool
    evidence: tuple[EvidenceLine, ...]
    more_evidence: int


@dataclass(frozen=True, slots=True)
class EventRow:
    """One line of the event table, or a gap."""

    n: int
    t: float
    lane: str
    lane_title: str
    kind: str
    connection: int | None
    text: str
    full: Markup
    """All fields as JSON text; empty: left out for size."""
    proves: tuple[str, ...]
    gap: str = ""
    """Says what was left out here; empty for a real line."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure that the user of the client would feel."""

    label: str
    value: str
    bad: bool = False


def render_report(journal: Journal, verdict: Verdict, explain: Mapping[str, CheckText]) -> str:
    """The page of one run. `explain` has a text for each check id; a check without one shows its finding alone."""
    proofs = _proofs(verdict)
    evidence = frozenset(proofs)
    timeline = build_timeline(journal, evidence)
    picture = draw(timeline, evidence)
    by_n = {entry.n: entry for entry in journal.entries if entry.n in evidence}
    weight = len(picture.drawing.encode()) + sum(_cards_weight(found, by_n) for found in verdict.checks)
    rows = _rows(journal, proofs, PAGE_BUDGET_BYTES - weight)
    shown = frozenset(row.n for row in rows if not row.gap)
    cards = [_card(found, verdict, explain, by_n, shown) for found in verdict.checks]
    failing = {found.check for found in broken(verdict)}
    style, script = asset("report.css"), asset("report.js")
    left_out = sum(1 for entry in journal.entries if entry.n not in shown)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            csp=content_security_policy(style, script),
            style=style,
            script=script,
            verdict=verdict,
            word=run_word(verdict),
            scenario=scenario_label(verdict),
            title=visible(_text(plan_of(journal), "scenario", "title")),
            why=visible(_text(plan_of(journal), "scenario", "why"), 1000),
            story=story(journal, verdict),
            blame=blame(verdict),
            exit_word=exit_word(verdict.exit_code),
            lag_ms=worst_lag_ms(timeline),
            bands=[(band, fault_words(band.act), _how_long(band)) for band in timeline.bands],
            policy=policy_choices(journal),
            failed=[card for card in cards if card.id in failing or card.stale],
            doubtful=[
                card
                for card in cards
                if card.id not in failing and not card.stale and card.status in ("fail", "unknown", "warn")
            ],
            quiet=[card for card in cards if not card.stale and card.status in ("pass", "not_applicable")],
            counts=_counts(verdict),
            tiles=_tiles(verdict),
            metrics=[(str(name), _figure(value)) for name, value in verdict.metrics.items()],
            picture=picture,
            not_drawn=timeline.left_out,
            labels_width=LABELS_WIDTH,
            rows=rows,
            lanes=[(lane.value, LANE_TITLES[lane]) for lane in Lane],
            total=len(journal.entries),
            shown=len(shown),
            left_out=left_out,
            whole=journal.whole,
        )
    )


def _text(value: object, *path: str) -> str:
    found = inside(value, *path)
    return found if isinstance(found, str) else ""


def _proofs(verdict: Verdict) -> dict[int, tuple[str, ...]]:
    """Journal number → the checks that it speaks against or leaves open."""
    proofs: dict[int, tuple[str, ...]] = {}
    for found in verdict.checks:
        if found.status in (CheckStatus.FAIL, CheckStatus.WARN, CheckStatus.UNKNOWN):
            for n in found.evidence[:EVIDENCE_SHOWN]:
                proofs[n] = (*proofs.get(n, ()), found.check)
    return proofs


def _card(
    found: Finding,
    verdict: Verdict,
    explain: Mapping[str, CheckText],
    by_n: Mapping[int, Entry],
    shown: frozenset[int],
) -> CheckCard:
    text = explain.get(found.check) or CheckText("", "", "")
    lines = found.evidence[:EVIDENCE_SHOWN] if found.status is not CheckStatus.PASS else ()
    stale = found.check in verdict.stale
    return CheckCard(
        id=visible(found.check, 60),
        level=found.level.value,
        status="fail" if stale else found.status.value,
        word=_word(found, verdict, stale),
        summary=visible(found.summary, 600),
        title=text.title,
        rule=text.rule,
        fix=text.fix,
        seen_in=tuple(item.removeprefix("https://").removeprefix("http://") for item in text.seen_in),
        waived=visible(verdict.waived[found.check]) if found.check in verdict.waived else None,
        stale=stale,
        evidence=tuple(_line(n, by_n.get(n), n in shown) for n in lines),
        more_evidence=max(0, len(found.evidence) - EVIDENCE_SHOWN) if lines else 0,
    )


def _word(found: Finding, verdict: Verdict, stale: bool) -> str:
    if stale:
        return "holds, but is listed as failing"
    return "fails, waived" if found.check in verdict.waived else CHECK_WORDS[found.status]


def _line(n: int, entry: Entry | None, shown: bool) -> EvidenceLine:
    if entry is None:
        return EvidenceLine(n, None, "not in this journal", False)
    return EvidenceLine(n, entry.t, visible(describe(entry.event), EVIDENCE_CHARACTERS), shown)


def _cards_weight(found: Finding, by_n: Mapping[int, Entry]) -> int:
    """About what a check's card weighs in bytes."""
    lines = [by_n[n] for n in found.evidence[:EVIDENCE_SHOWN] if n in by_n]
    proof = sum(150 + _weight(visible(describe(entry.event), EVIDENCE_CHARACTERS)) for entry in lines)
    return 1500 + _weight(visible(found.summary, 600)) + proof


def _weight(line: str) -> int:
    """Bytes of a line in the page."""
    return len(escape(line).encode())


def _rows(journal: Journal, proofs: Mapping[int, tuple[str, ...]], budget_bytes: int) -> list[EventRow]:
    most, left = 2 * MOST_EVENTS, -1
    while left < 0 and most > 100:  # hostile text weighs five times its length: fewer rows then
        most //= 2
        chosen = choose_entries(journal.entries, frozenset(proofs), most)
        lines = {entry.n: describe(entry.event) for entry in journal.entries if entry.n in chosen}
        left = budget_bytes - sum(_ROW_BYTES + _weight(line) for line in lines.values())
    full = _payloads([entry for entry in journal.entries if entry.n in chosen], proofs, left)
    rows: list[EventRow] = []
    skipped: list[Entry] = []
    for entry in journal.entries:
        if entry.n not in chosen:
            skipped.append(entry)
            continue
        if skipped:
            rows.append(_gap(skipped))
            skipped = []
        lane = lane_of(entry.event)
        rows.append(
            EventRow(
                n=entry.n,
                t=entry.t,
                lane=lane.value,
                lane_title=LANE_TITLES[lane],
                kind=entry.event.kind,
                connection=connection_of(entry.event),
                text=lines[entry.n],
                full=full.get(entry.n, Markup()),
                proves=proofs.get(entry.n, ()),
            )
        )
    if skipped:
        rows.append(_gap(skipped))
    return rows


def choose_entries(entries: Sequence[Entry], evidence: frozenset[int], most: int = MOST_EVENTS) -> frozenset[int]:
    """The journal numbers that the table shows: all, or evidence, then what is no bulk, then the rest, `most` in all.

    Where there is too much of one sort, its first two thirds and its last third are kept.
    """
    if len(entries) <= most:
        return frozenset(entry.n for entry in entries)
    chosen: set[int] = set()
    telling = [entry.n for entry in entries if entry.n not in evidence and not is_bulk(entry.event)]
    bulk = [entry.n for entry in entries if entry.n not in evidence and is_bulk(entry.event)]
    for group in ([entry.n for entry in entries if entry.n in evidence], telling, bulk):
        room = most - len(chosen)
        if len(group) <= room:
            chosen.update(group)
        elif room > 0:
            tail = room // 3
            chosen.update(group[: room - tail])
            chosen.update(group[len(group) - tail :])
    return frozenset(chosen)


def _payloads(entries: Iterable[Entry], proofs: Mapping[int, tuple[str, ...]], budget_bytes: int) -> dict[int, Markup]:
    """Journal number → all its fields as text, evidence first, within what is left of the page's budget."""
    full: dict[int, Markup] = {}
    for entry in sorted(entries, key=lambda entry: (entry.n not in proofs, is_bulk(entry.event), entry.n)):
        # Quotes need no escape between tags, and JSON is full of them.
        text = plain_escape(in_full(entry.event), quote=False)
        budget_bytes -= len(text.encode()) + 50
        if budget_bytes < 0:
            break
        full[entry.n] = Markup(text)  # noqa: S704 - escaped above
    return full


def _gap(skipped: Sequence[Entry]) -> EventRow:
    kinds: dict[str, int] = {}
    for entry in skipped:
        kinds[entry.event.kind] = kinds.get(entry.event.kind, 0) + 1
    most = sorted(kinds.items(), key=lambda item: -item[1])[:4]
    told = ", ".join(f"{count:,} {kind}" for kind, count in most) + (", …" if len(kinds) > 4 else "")
    first, last = skipped[0], skipped[-1]
    text = f"{plural(len(skipped), 'event')} not shown here, {first.n:,} to {last.n:,}: {told}. journal.jsonl has them."
    return EventRow(first.n, first.t, "", "", "", None, "", Markup(), (), gap=text)


def _how_long(band: FaultBand) -> str:
    if band.start_s is None:
        return "never in force"
    return seconds(band.end_s - band.start_s) if band.end_s > band.start_s else "a moment"


def _counts(verdict: Verdict) -> list[tuple[str, int]]:
    found = [(COUNT_WORDS[status], sum(item.status is status for item in verdict.checks)) for status in CheckStatus]
    return [(word, count) for word, count in found if count]


def _tiles(verdict: Verdict) -> list[Tile]:
    """What the user of the client would have felt; a figure that was not measured is not shown."""
    tiles: list[Tile] = []
    recovery = verdict.metrics.get("recovery_s")
    if isinstance(recovery, Sequence) and not isinstance(recovery, str) and recovery:
        times = [seconds(float(value)) for value in recovery if isinstance(value, (int, float))]
        missing = len(recovery) - len(times)
        tiles.append(
            Tile("Back after", ", ".join([*times[:4], *(["never"] if missing else [])]) or "never", missing > 0)
        )
    for name, label in (("speech_lost_ms", "Speech lost"), ("speech_doubled_ms", "Speech doubled")):
        value = verdict.metrics.get(name)
        if isinstance(value, (int, float)):
            tiles.append(Tile(label, seconds(value / 1000) if value else "none", value > 0))
    for name, label in (("connections", "Connections"), ("dials", "Dials"), ("tokens_minted", "Tokens minted")):
        value = verdict.metrics.get(name)
        if isinstance(value, int):
            tiles.append(Tile(label, f"{value:,}"))
    refusals = verdict.metrics.get("refusals")
    if isinstance(refusals, int):
        tiles.append(Tile("Refusals", f"{refusals:,}", refusals > 0))
    return tiles


def _figure(value: object) -> str:
    if value is None:
        return "not measured"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    if isinstance(value, Mapping):
        return ", ".join(f"{visible(str(name), 60)} {_figure(member)}" for name, member in value.items()) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_figure(member) for member in value[:50]) or "none"
    return visible(str(value))
