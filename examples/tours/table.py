"""Makes docs/reference/sdk-support.md from the results of the tours. Pure, and free of times, ports and places."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from told import STEPS

Toured: TypeAlias = Mapping[str, Any]
"""A `result.json`: `language`, `client`, `version`, `tls`, `steps`, `wire`."""

_MEANS = {
    "mint_token": "make an ephemeral token by the SDK's own call",
    "dial_key": "dial with an API key, the SDK's own API version",
    "refusal": "be refused (no such model), and see the code and the reason",
    "dial_token": "dial with the token",
    "text_turn": "a turn by text: every word and every byte of the answer",
    "audio_turn": "a turn by audio: every sample arrives once, none is lost",
    "transcriptions": "input and output transcription, word for word",
    "tool_call": "a tool call with its arguments, and its response",
    "interruption": "interrupt an answer, and hear the next one",
    "resumption": "resume with the newest handle; the model still knows",
    "go_away": "goAway: move in time, to a session that still knows",
    "hang_up": "hang up in good order",
}
_MARKS = {"done": "yes", "not_possible": "no"}


def page(results: Sequence[Toured]) -> str:
    """The whole page."""
    ordered = sorted(results, key=_order)
    remarks: list[str] = []
    rows = [["", *(f"{one['language']} {one['version']}" for one in ordered)]]
    for name in STEPS:
        rows.append([_MEANS[name], *(_cell(one["steps"][name], remarks) for one in ordered)])
    notes = [f"{number}. {remark}" for number, remark in enumerate(remarks, start=1)]
    wire = [["SDK", "API version by default", "the key goes by", "a token goes by", "played over", "closes with"]]
    wire += [_wire(one) for one in ordered]
    parts = [
        "# What Google's SDKs can do with the fake service",
        "*Written by `examples/tours/run` from what came out; nothing here is typed.*",
        "Each SDK is unmodified, and is used through its public API only, by a small program, its "
        "[tour](../../examples/tours/README.md). A **yes** stands only where the journal of the run confirms what the "
        "program says: that the service sent just these words, bytes, arguments, codes and handles, and took in each "
        "sample that was streamed.",
        _table(rows),
        *(["Remarks, in the program's words:", "\n".join(notes)] if notes else []),
        "## How they come",
        _table(wire),
    ]
    return "\n\n".join(parts) + "\n"


def _order(one: Toured) -> tuple[str, list[int]]:
    return one["language"], [-int(number) for number in re.findall(r"\d+", one["version"])]


def _cell(step: Mapping[str, str | None], remarks: list[str]) -> str:
    mark, reason = _MARKS[str(step["status"])], step["reason"]
    if not reason:
        return mark
    if reason not in remarks:
        remarks.append(reason)
    return f"{mark} ({remarks.index(reason) + 1})"


def _wire(one: Toured) -> list[str]:
    wire = one["wire"]
    over = " and ".join({"on": "TLS", "off": "plain text"}[tls] for tls in one["tls"])
    code = {None: "no code (1005)", "fin": "no close frame"}.get(wire["close"], str(wire["close"]))
    ways = [", ".join(f"`{where}`" for where in wire[kind]) or "none" for kind in ("key", "token")]
    return [f"`{one['client']}` {one['version']}", str(wire["api_version"]), *ways, over, code]


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])
