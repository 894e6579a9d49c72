"""What a tour says of its steps: its lines, read out of the journal of its run. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.journal.events import ClientEvent, ClientExited, Entry, Journal, RunEnded

STEPS = (
    "mint_token",
    "dial_key",
    "refusal",
    "dial_token",
    "text_turn",
    "audio_turn",
    "transcriptions",
    "tool_call",
    "interruption",
    "resumption",
    "go_away",
    "hang_up",
)
STATUSES = ("done", "not_possible", "failed")


@dataclass(frozen=True, slots=True)
class Step:
    """What a tour says of one step."""

    name: str
    status: str
    saw: Mapping[str, Any]
    reason: str | None
    begin: int
    """Index of the journal's first entry that belongs to this step."""
    end: int
    """One past the last."""


def not_played(journal: Journal) -> str | None:
    """Why nothing can be said about the program; None: it was played."""
    ended = journal.entries[-1].event if journal.entries else None
    if isinstance(ended, RunEnded) and ended.outcome == "played":
        return None
    return f"the run was not played: {getattr(ended, 'message', '') or 'its journal is cut'}"


def bad_exits(journal: Journal) -> Iterator[str]:
    """What is wrong with the way in which the program left."""
    exits = [entry.event for entry in journal.entries if isinstance(entry.event, ClientExited)]
    if not exits:
        yield "the program never left"
    elif exits[-1].code != 0 or exits[-1].asked:
        yield f"the program did not leave by itself with exit code 0 (code {exits[-1].code}, signal {exits[-1].signal})"


def read_steps(entries: Sequence[Entry]) -> tuple[list[Step], list[str]]:
    """The steps that were told, and what is wrong with their lines."""
    complaints: list[str] = []
    steps: list[Step] = []
    begin = 0
    first = next((entry.event.event for entry in entries if isinstance(entry.event, ClientEvent)), None)
    if first != "hello":
        complaints.append("the first line is no hello")
    for index, entry in enumerate(entries):
        event = entry.event
        if not isinstance(event, ClientEvent):
            continue
        if event.event == "hello" and not (event.data.get("client") and event.data.get("version")):
            complaints.append("hello lacks the client or its version")
        if event.event != "step":
            continue
        name, status = str(event.data.get("step")), str(event.data.get("status"))
        saw, reason = event.data.get("saw"), event.data.get("reason")
        if status not in STATUSES:
            complaints.append(f"{name}: status {status!r} is none of {', '.join(STATUSES)}")
        if status != "done" and not reason:
            complaints.append(f"{name}: {status} without a reason")
        steps.append(
            Step(name, status, saw if isinstance(saw, dict) else {}, str(reason) if reason else None, begin, index)
        )
        begin = index + 1
    told = tuple(step.name for step in steps)
    if told != STEPS:
        complaints.append(f"the steps told are {', '.join(told) or 'none'}; these must be told: {', '.join(STEPS)}")
    return [step for step in steps if step.name in STEPS], complaints
