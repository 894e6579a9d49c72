"""The timeline as inline SVG: lanes, shaded faults, bars, marks that lead to their journal lines, arrows.

Drawn with classes only (the page's style sheet has the colours), so that it needs no inline style.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from reports.describe import LANE_TITLES, Lane
from reports.model import Arrow, FaultBand, Mark, Span, Timeline
from reports.text import plural, seconds

LABELS_WIDTH = 104
"""Width of the column of lane names, in pixels."""
_ROW = 22
_LANE_PAD = 7
_TOP = 44
"""Room above the first lane: the names of the faults and the time axis."""
_MARGIN = 12
_CHAR = 6.1
"""Width of a character at the size of the small labels, in pixels: measured on the default sans-serif fonts."""


@dataclass(frozen=True, slots=True)
class Picture:
    """The two pieces of a timeline: the lane names stay in place while the drawing scrolls."""

    labels: Markup
    drawing: Markup
    width: int
    height: int


def draw_width(duration_s: float) -> int:
    """Pixels for a run: 1,000 up to a minute, then 16 a second, at most 4,000."""
    return int(min(4000, max(1000, 16 * duration_s)))


def draw(timeline: Timeline, evidence: Collection[int] = ()) -> Picture:
    """The whole timeline; marks whose entry is in `evidence` are ringed."""
    scene = _Scene(timeline, frozenset(evidence))
    body = Markup("\n").join(scene.all())
    width, height = scene.width, scene.height
    told = f"Timeline of {seconds(timeline.duration_s)}: {plural(len(timeline.bands), 'fault')}, "
    told += plural(sum(span.kind in ("connection", "dial_only") for span in timeline.spans), "connection")
    drawing = Markup(
        '<svg class="drawing" role="img" width="{w}" height="{h}" viewBox="0 0 {w} {h}" aria-label="{told}">\n'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path class="tip" d="M0 0 L8 4 L0 8 z"/></marker></defs>\n{body}\n</svg>'
    ).format(w=width, h=height, told=told, body=body)
    names = Markup("\n").join(scene.names())
    labels = Markup(
        '<svg class="lanes" width="{w}" height="{h}" viewBox="0 0 {w} {h}" aria-hidden="true">\n{names}\n</svg>'
    ).format(w=LABELS_WIDTH, h=height, names=names)
    return Picture(labels, drawing, width, height)


class _Scene:
    def __init__(self, timeline: Timeline, evidence: frozenset[int]) -> None:
        self.timeline = timeline
        self.evidence = evidence
        self.width = draw_width(timeline.duration_s)
        self.tops: dict[Lane, int] = {}
        top = _TOP
        for lane, rows in timeline.rows.items():
            self.tops[lane] = top
            top += rows * _ROW + 2 * _LANE_PAD
        self.bottom = top
        self.height = top + 6
        self.scale = (self.width - 2 * _MARGIN) / max(timeline.duration_s, 0.001)
        self.text_ends: dict[tuple[Lane, int], float] = {}

    def x(self, t: float) -> float:
        return round(_MARGIN + max(0.0, min(t, self.timeline.duration_s)) * self.scale, 1)

    def y(self, lane: Lane, row: int) -> float:
        return self.tops[lane] + _LANE_PAD + row * _ROW + _ROW / 2

    def all(self) -> Iterator[Markup]:
        yield from self.backgrounds()
        yield from self.axis()
        for band in self.timeline.bands:
            yield from self.band(band)
        for span in self.timeline.spans:
            if span.lane in self.tops:
                yield from self.span(span)
        places = {mark.n: mark for mark in self.timeline.marks}
        for arrow in self.timeline.arrows:
            yield self.arrow(arrow, places)
        for mark in self.timeline.marks:
            if mark.lane in self.tops:
                yield from self.mark(mark)

    def names(self) -> Iterator[Markup]:
        for index, (lane, top) in enumerate(self.tops.items()):
            height = self.timeline.rows[lane] * _ROW + 2 * _LANE_PAD
            yield Markup('<rect class="lane lane{odd}" x="0" y="{y}" width="{w}" height="{h}"/>').format(
                odd=index % 2, y=top, w=LABELS_WIDTH, h=height
            )
            yield Markup('<text class="name" x="10" y="{y}">{name}</text>').format(
                y=top + _LANE_PAD + _ROW / 2 + 4, name=LANE_TITLES[lane]
            )

    def backgrounds(self) -> Iterator[Markup]:
        for index, (lane, top) in enumerate(self.tops.items()):
            height = self.timeline.rows[lane] * _ROW + 2 * _LANE_PAD
            yield Markup('<rect class="lane lane{odd}" x="0" y="{y}" width="{w}" height="{h}"/>').format(
                odd=index % 2, y=top, w=self.width, h=height
            )

    def axis(self) -> Iterator[Markup]:
        step = _nice_step(self.timeline.duration_s, self.width / 90)
        count = int(self.timeline.duration_s / step + 1e-9) + 1
        for index in range(count):
            x = self.x(index * step)
            yield Markup('<path class="grid" d="M{x} {top}V{bottom}"/>').format(x=x, top=_TOP - 4, bottom=self.bottom)
            yield Markup('<text class="time" x="{x}" y="{y}">{t}</text>').format(
                x=x, y=_TOP - 8, t=f"{index * step:g} s"
            )

    def band(self, band: FaultBand) -> Iterator[Markup]:
        start_s = band.start_s if band.start_s is not None else band.due_s
        if start_s is None or Lane.LINK not in self.tops:
            return
        x = self.x(start_s)
        width = max(self.x(band.end_s) - x, 0.0)
        lasting = width >= 2
        told = f"fault {band.fault}: {band.act}"
        if band.failed:
            told += f", could not be done: {band.failed}"
        elif band.start_s is not None:
            told += f", in force from {band.start_s:.3f} s"
            told += f" to {band.end_s:.3f} s" if lasting else ""
            told += f", {band.lag_ms:.1f} ms late" if band.lag_ms is not None else ""
        shape = (
            Markup('<rect class="fault" x="{x}" y="{y}" width="{w}" height="{h}"/>').format(
                x=x, y=_TOP, w=round(width, 1), h=self.bottom - _TOP
            )
            if lasting
            else Markup('<path class="fault-line" d="M{x} {y}V{b}"/>').format(x=x, y=_TOP, b=self.bottom)
        )
        yield self.link(band.n, told, shape)
        short = band.act.removeprefix("network.")
        room = self.room_for(Lane.LINK, 0, x + 5, short)
        if room is not None:
            yield Markup('<text class="fault-name" x="{x}" y="{y}">{t}</text>').format(
                x=room, y=self.y(Lane.LINK, 0) + 4, t=short
            )

    def span(self, span: Span) -> Iterator[Markup]:
        x = self.x(span.start_s)
        width = max(self.x(span.end_s) - x, 2.0)
        y = self.y(span.lane, span.row) - 7
        told = f"{span.label} ({span.start_s:.3f} s to {span.end_s:.3f} s)"
        bar = Markup('<rect class="bar {k}" x="{x}" y="{y}" width="{w}" height="14" rx="3"/>').format(
            k=span.kind, x=x, y=y, w=round(width, 1)
        )
        inner = bar
        lead = 20 if span.kind in ("connection", "dial_only") else 5  # the marks of the dial stand at its start
        fitting = int((width - lead - 5) / _CHAR)
        if span.short and fitting >= min(len(span.short), 3):
            text = span.short if len(span.short) <= fitting else span.short[: max(fitting - 1, 1)] + "…"
            inner += Markup('<text class="in-bar {k}-text" x="{x}" y="{y}">{t}</text>').format(
                k=span.kind, x=x + lead, y=y + 11, t=text
            )
        yield self.link(span.n, told, inner)

    def mark(self, mark: Mark) -> Iterator[Markup]:
        x, y = self.x(mark.t), self.y(mark.lane, mark.row)
        shape = Markup('<path class="mark {k}" d="{d}"/>').format(k=mark.kind, d=_shape(mark.kind, x, y))
        if mark.n in self.evidence:
            shape = Markup('<circle class="proof" cx="{x}" cy="{y}" r="9"/>').format(x=x, y=y) + shape
        yield self.link(mark.n, f"{mark.t:.3f} s: {mark.label}", shape)
        room = self.room_for(mark.lane, mark.row, x + 11, mark.short) if mark.short else None
        if room is not None:
            yield Markup('<text class="tag" x="{x}" y="{y}">{t}</text>').format(x=room, y=y + 4, t=mark.short)

    def room_for(self, lane: Lane, row: int, x: float, text: str) -> float | None:
        """Where to write `text`, or None where it would run into what is written already, or out of the picture."""
        end = x + len(text) * _CHAR
        if x < self.text_ends.get((lane, row), 0.0) or end > self.width:
            return None
        self.text_ends[(lane, row)] = end + 6
        return round(x, 1)

    def arrow(self, arrow: Arrow, places: Mapping[int, Mark]) -> Markup:
        start, end = places[arrow.from_n], places[arrow.to_n]
        x1, y1 = self.x(start.t), self.y(start.lane, start.row) - 6
        x2, y2 = self.x(end.t), self.y(end.lane, end.row) + 7
        path = Markup('<path class="arrow" d="M{x1} {y1}C{x1} {m} {x2} {m} {x2} {y2}" marker-end="url(#tip)"/>').format(
            x1=x1, y1=y1, x2=x2, y2=y2, m=round((y1 + y2) / 2, 1)
        )
        return self.link(arrow.to_n, f"{arrow.handle}: from the update that issued it to the setup that used it", path)

    def link(self, n: int, told: str, inner: Markup) -> Markup:
        return Markup('<a href="#n{n}" data-n="{n}">{inner}<title>{told}</title></a>').format(
            n=n, inner=inner, told=told
        )


def _nice_step(duration_s: float, most: float) -> float:
    """A round number of seconds of which at most `most` fit into the run."""
    for step in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0):
        if duration_s / step <= most:
            return step
    return 3600.0


def _shape(kind: str, x: float, y: float) -> str:
    """SVG path data of a mark: the shape says the kind to those who see no colours."""
    if kind in ("update", "no_update"):
        return f"M{x} {y - 6}l6 6l-6 6l-6 -6z"
    if kind == "setup":
        return f"M{x - 4} {y - 5}l9 5l-9 5z"
    if kind == "go_away":
        return f"M{x - 6} {y - 5}h12l-6 11z"
    if kind in ("refused", "bad"):
        return f"M{x - 5} {y - 5}l10 10M{x + 5} {y - 5}l-10 10"
    if kind in ("close", "end"):
        return f"M{x - 4} {y - 4}h8v8h-8z"
    if kind == "dial":
        return f"M{x} {y - 8}v16"
    if kind == "resume":
        return f"M{x - 5} {y + 5}l5 -10l5 10z"
    return f"M{x - 5} {y}a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z"
