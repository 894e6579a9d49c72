"""What pictures and tables share, derived from a journal: lanes, marks, spans, fault bands, arrows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from fake_server import events as server
from harness.journal import events as ours
from reports.describe import Lane, connection_of, describe, lane_of
from reports.speech import heard_spans, speech_lost_and_doubled
from reports.text import visible

MOST_ROWS = 24
"""Rows of the connections lane; further connections share them."""
MOST_MARKS = 200
"""Marks drawn in one lane; what is beyond is said."""
MOST_SPANS = 100
TOOLTIP = 160
"""Characters of a tooltip; the event table has the whole line."""
MOST_ARROWS = 100

_WHERE = {"all": "all links", "live": "link live", "backend": "link backend", "both": "both ways"}


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment."""

    lane: Lane
    row: int
    t: float
    """Seconds since the run began."""
    n: int
    """The journal entry behind it."""
    kind: str
    """Chooses shape and colour: `setup`, `live`, `update`, `go_away`, `close`, `refused`, `bad`, …"""
    label: str
    """What it is, in full: the tooltip."""
    short: str = ""
    """Written beside the mark where there is room; empty: nothing."""


@dataclass(frozen=True, slots=True)
class Span:
    """A time during which something was so."""

    lane: Lane
    row: int
    start_s: float
    end_s: float
    n: int
    kind: str
    label: str
    short: str = ""


@dataclass(frozen=True, slots=True)
class Arrow:
    """From the update that issued a handle to the setup that used it."""

    handle: str
    from_n: int
    to_n: int


@dataclass(frozen=True, slots=True)
class FaultBand:
    """One fault, from due to lifted."""

    fault: int
    act: str
    n: int
    due_s: float | None
    start_s: float | None
    """None: it never was in force."""
    end_s: float
    """When it was lifted; the end of the run when it never was; `start_s` for one that acts in a moment."""
    lag_ms: float | None
    where: str
    """Link, direction and scope; empty off the network."""
    failed: str | None = None
    """Why it could not be done; None when it could."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """A whole run, ready to be drawn."""

    duration_s: float
    rows: Mapping[Lane, int]
    """Rows of each lane that is drawn, in order."""
    marks: tuple[Mark, ...]
    spans: tuple[Span, ...]
    arrows: tuple[Arrow, ...]
    bands: tuple[FaultBand, ...]
    left_out: tuple[str, ...]
    """What was not drawn, in words."""


def worst_lag_ms(timeline: Timeline) -> float | None:
    """How late the latest of our triggers was in force; None when there was none."""
    return max((band.lag_ms for band in timeline.bands if band.lag_ms is not None), default=None)


def build_timeline(journal: ours.Journal, evidence: Iterable[int] = ()) -> Timeline:
    """Lanes, marks and spans of a journal; every entry in `evidence` gets a mark even where its kind has none."""
    builder = _Builder(journal.entries[-1].t if journal.entries else 0.0)
    for entry in journal.entries:
        builder.take(entry)
    return builder.finish(journal, frozenset(evidence))


@dataclass
class _Open:
    """A connection as far as it is known."""

    row: int
    start_s: float
    n: int
    label: str = ""
    end_s: float | None = None


@dataclass
class _Builder:
    duration_s: float
    marks: list[Mark] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    connections: dict[int, _Open] = field(default_factory=dict)
    row_free_at: list[float] = field(default_factory=list)
    sessions: dict[int, tuple[str, float, int, str]] = field(default_factory=dict)
    steps: dict[int, tuple[float, int, str, str]] = field(default_factory=dict)
    turns: dict[int, tuple[float, int, str]] = field(default_factory=dict)
    bands: dict[int, FaultBand] = field(default_factory=dict)
    issued: dict[str, int] = field(default_factory=dict)
    setups: dict[int, int] = field(default_factory=dict)
    waiting: list[tuple[int, str, int]] = field(default_factory=list)

    def mark(self, lane: Lane, entry: ours.Entry, kind: str, short: str = "", row: int = 0) -> None:
        self.marks.append(
            Mark(lane, row, entry.t, entry.n, kind, visible(describe(entry.event), TOOLTIP), visible(short, 40))
        )

    def take(self, entry: ours.Entry) -> None:
        event = entry.event
        if isinstance(event, server.ServerEvent):
            self.take_server(entry, event)
        elif isinstance(event, (ours.FaultDue, ours.FaultInForce, ours.FaultLifted, ours.FaultFailed)):
            self.take_fault(entry, event)
        else:
            self.take_ours(entry, event)

    def take_server(self, entry: ours.Entry, event: server.ServerEvent) -> None:
        match event:
            case server.UpgradeReceived():
                shown = ", ".join(item.label for item in event.credentials)
                self.connections[event.connection] = _Open(self.free_row(entry.t), entry.t, entry.n, shown)
                self.mark(Lane.CONNECTIONS, entry, "dial", row=self.row(event.connection))
            case server.UpgradeAnswered() if event.refusal or event.status != 101:
                self.mark(Lane.CONNECTIONS, entry, "refused", str(event.status), self.row(event.connection))
            case server.FrameReceived() if event.message == "setup":
                self.setups.setdefault(event.connection, entry.n)
                self.mark(Lane.CONNECTIONS, entry, "setup", row=self.row(event.connection))
            case server.FrameReceived() if event.problems or event.message in ("unknown", "unparsable"):
                self.mark(Lane.CONNECTIONS, entry, "refused", event.message, self.row(event.connection))
            case server.FrameSent() if event.message == "setup_complete":
                self.mark(Lane.CONNECTIONS, entry, "live", row=self.row(event.connection))
            case server.FrameSent() if event.message == "go_away":
                self.mark(Lane.CONNECTIONS, entry, "go_away", "goAway", self.row(event.connection))
            case server.FrameSent() if event.message in ("tool_call", "tool_call_cancellation", "malformed"):
                self.mark(Lane.CONNECTIONS, entry, "told", event.message, self.row(event.connection))
            case server.SessionStarted():
                label = describe(event)
                short = event.session + (f" ← {event.resumed_with}" if event.resumed_with else "")
                self.sessions[event.connection] = (short, entry.t, entry.n, label)
            case server.HandleIssued():
                if event.handle:
                    self.issued[event.handle] = entry.n
                self.mark(Lane.SESSIONS, entry, "update" if event.handle and event.resumable else "no_update", row=1)
            case server.HandlePresented():
                if event.handle in self.issued:
                    self.waiting.append((self.issued[event.handle], event.handle, event.connection))
                kind = "refused" if event.refusal else "resume"
                self.mark(Lane.SESSIONS, entry, kind, event.handle, 1)
            case server.TokenMinted():
                self.mark(Lane.TOKENS, entry, "minted", event.token)
            case server.TokenSpent():
                self.mark(Lane.TOKENS, entry, "spent", f"{event.token} spent", row=1)
            case server.TokenCallRefused():
                self.mark(Lane.TOKENS, entry, "refused", str(event.status or "no answer"))
            case server.TurnAnswered():
                self.turns[event.turn] = (entry.t, entry.n, describe(event))
            case server.TurnEnded():
                self.end_turn(entry, event)
            case server.CloseSent():
                kind = "refused" if event.refusal else "close"
                self.mark(Lane.CONNECTIONS, entry, kind, f"close {event.code}", self.row(event.connection))
            case server.CloseReceived():
                short = f"close {event.code}" if event.code else "close"
                self.mark(Lane.CONNECTIONS, entry, "close", short, self.row(event.connection))
            case server.ConnectionEnded():
                self.end_connection(entry, event.connection)

    def take_fault(
        self, entry: ours.Entry, event: ours.FaultDue | ours.FaultInForce | ours.FaultLifted | ours.FaultFailed
    ) -> None:
        known = self.bands.get(event.fault)
        band = known or FaultBand(event.fault, event.act, entry.n, None, None, entry.t, None, "")
        match event:
            case ours.FaultDue():
                band = replace(band, due_s=entry.t)
            case ours.FaultInForce():
                where = ", ".join(_WHERE.get(value, value) for value in (event.link, event.direction) if value)
                where += ", open links only" if event.scope == "existing" else ""
                lasting = event.for_s is not None or event.act.startswith("network.")
                moment = event.act in ("network.cut", "network.reset") and event.for_s is None
                end_s = self.duration_s if lasting and not moment else entry.t
                band = replace(
                    band, n=entry.n, start_s=entry.t, end_s=end_s, lag_ms=event.lag_ms, where=visible(where, 60)
                )
            case ours.FaultLifted():
                band = replace(band, end_s=entry.t)
            case ours.FaultFailed():
                band = replace(band, failed=visible(event.reason))
                self.mark(Lane.LINK, entry, "refused", "could not be done")
        self.bands[event.fault] = band

    def take_ours(self, entry: ours.Entry, event: ours.HarnessEvent) -> None:
        match event:
            case ours.StepStarted():
                self.steps[event.step] = (entry.t, entry.n, event.verb, describe(event))
            case ours.StepEnded():
                self.end_step(entry, event)
            case ours.ClientEvent() if event.event == "state":
                state = str(event.data.get("state", ""))
                kind = {"connected": "good", "gave_up": "bad", "disconnected": "bad"}.get(state, "told")
                self.mark(Lane.CLIENT, entry, kind, state, 1)
            case ours.ClientEvent() if event.event == "error":
                self.mark(Lane.CLIENT, entry, "bad", "error", 1)
            case ours.ClientEvent() if event.event in ("reply", "tool", "unsupported"):
                self.mark(Lane.CLIENT, entry, "told", event.event, 1)
            case ours.ClientExited():
                kind = "close" if event.asked else "bad"
                self.mark(Lane.CLIENT, entry, kind, "exit" if event.asked else "gone", 1)
            case ours.ClientStopping() if event.how in ("terminated", "killed"):
                self.mark(Lane.CLIENT, entry, "bad", event.how, 1)
            case ours.LinkClientClosed():
                self.mark(Lane.LINK, entry, "close", "client closed")
            case ours.LinkDial():
                self.mark(Lane.LINK, entry, "refused")
            case _:
                pass

    def row(self, connection: int) -> int:
        known = self.connections.get(connection)
        return known.row if known else 0

    def free_row(self, now: float) -> int:
        if len(self.row_free_at) < MOST_ROWS:
            self.row_free_at.append(float("inf"))
            return len(self.row_free_at) - 1
        row = min(range(MOST_ROWS), key=self.row_free_at.__getitem__)
        self.row_free_at[row] = max(now, self.row_free_at[row])
        return row

    def end_connection(self, entry: ours.Entry, number: int) -> None:
        known = self.connections.get(number)
        if known and known.end_s is None:
            known.end_s = entry.t
            self.row_free_at[known.row] = entry.t
        self.mark(Lane.CONNECTIONS, entry, "end", row=self.row(number))

    def end_turn(self, entry: ours.Entry, event: server.TurnEnded) -> None:
        start_s, n, label = self.turns.pop(event.turn, (entry.t, entry.n, describe(event)))
        kind = "turn" if event.outcome == "complete" else "turn_cut"
        self.span(Lane.TURNS, start_s, entry.t, n, kind, f"{label}; {event.outcome}", f"{event.turn}")

    def end_step(self, entry: ours.Entry, event: ours.StepEnded) -> None:
        start_s, n, verb, label = self.steps.pop(event.step, (entry.t, entry.n, "", describe(event)))
        kind = "step" if event.outcome == "done" else "step_bad"
        self.span(Lane.CLIENT, start_s, entry.t, n, kind, f"{label}: {event.outcome}", verb)

    def span(
        self, lane: Lane, start_s: float, end_s: float, n: int, kind: str, label: str, short: str, row: int = 0
    ) -> None:
        self.spans.append(Span(lane, row, start_s, end_s, n, kind, visible(label, TOOLTIP), visible(short, 60)))

    def close_what_is_open(self) -> None:
        for start_s, n, verb, label in self.steps.values():
            self.span(Lane.CLIENT, start_s, self.duration_s, n, "step_bad", f"{label}: never over", verb)
        for number, (start_s, n, label) in self.turns.items():
            self.span(Lane.TURNS, start_s, self.duration_s, n, "turn_cut", f"{label}; never over", str(number))
        for number, known in self.connections.items():
            end_s = self.duration_s if known.end_s is None else known.end_s
            kind = "connection" if number in self.sessions else "dial_only"
            label = f"connection {number}, {known.label or 'no credential'}"
            self.span(
                Lane.CONNECTIONS, known.start_s, end_s, known.n, kind, label, f"#{number} {known.label}", known.row
            )
            if number in self.sessions:
                short, start_s, n, told = self.sessions[number]
                self.span(Lane.SESSIONS, start_s, end_s, n, "session", told, short)

    def finish(self, journal: ours.Journal, evidence: frozenset[int]) -> Timeline:
        self.close_what_is_open()
        for from_n, handle, connection in self.waiting:
            to_n = self.setups.get(connection)
            if to_n is not None:
                self.arrows.append(Arrow(handle, from_n, to_n))
        for piece in heard_spans(journal):
            self.span(Lane.SPEECH, piece.start_s, piece.end_s, piece.n, piece.kind, piece.label, piece.short, piece.row)
        for piece in speech_lost_and_doubled(journal):
            self.span(Lane.SPEECH, piece.start_s, piece.end_s, piece.n, piece.kind, piece.label, piece.short, piece.row)
        self.mark_evidence(journal, evidence)
        marks, spans, left_out = self.thin(evidence)
        drawn = {mark.n for mark in marks}
        arrows = tuple(arrow for arrow in self.arrows if arrow.from_n in drawn and arrow.to_n in drawn)[:MOST_ARROWS]
        places = [(mark.lane, mark.row) for mark in marks] + [(span.lane, span.row) for span in spans]
        rows: dict[Lane, int] = {lane: 1 for lane in Lane if lane is not Lane.HARNESS}
        for lane, row in places:
            rows[lane] = max(rows[lane], row + 1)
        if not any(lane is Lane.SPEECH for lane, _ in places):
            del rows[Lane.SPEECH]
        bands = tuple(self.bands[number] for number in sorted(self.bands))
        return Timeline(self.duration_s, rows, marks, spans, arrows, bands, left_out)

    def mark_evidence(self, journal: ours.Journal, evidence: frozenset[int]) -> None:
        shown = {mark.n for mark in self.marks}
        for entry in journal.entries:
            lane = lane_of(entry.event)
            if entry.n in evidence and entry.n not in shown and lane is not Lane.HARNESS:
                number = connection_of(entry.event)
                row = self.row(number) if lane is Lane.CONNECTIONS and number else 0
                self.mark(lane, entry, "told", row=row)

    def thin(self, evidence: frozenset[int]) -> tuple[tuple[Mark, ...], tuple[Span, ...], tuple[str, ...]]:
        marks: list[Mark] = []
        spans: list[Span] = []
        seen: dict[tuple[str, Lane], int] = {}
        dropped: dict[Lane, int] = {}
        for mark in sorted(self.marks, key=lambda mark: mark.n not in evidence):
            key = ("mark", mark.lane)
            seen[key] = seen.get(key, 0) + 1
            if seen[key] <= MOST_MARKS:
                marks.append(mark)
            else:
                dropped[mark.lane] = dropped.get(mark.lane, 0) + 1
        for span in self.spans:
            key = ("span", span.lane)
            seen[key] = seen.get(key, 0) + 1
            if seen[key] <= MOST_SPANS:
                spans.append(span)
            else:
                dropped[span.lane] = dropped.get(span.lane, 0) + 1
        left_out = tuple(f"{count:,} in lane {lane.value}" for lane, count in dropped.items())
        return tuple(sorted(marks, key=lambda mark: mark.n)), tuple(spans), left_out
