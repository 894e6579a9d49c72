"""verdict.json: one run's verdict for other programs (contract, section 3)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path

from harness.verdict import Finding, Verdict

CONTRACT = 1
_DEEPEST = 24
"""Members of metrics that lie deeper are written as text."""
_INT64 = 2**63


def verdict_document(verdict: Verdict) -> dict[str, object]:
    """What verdict.json holds, as plain values that any JSON reader takes, whatever the metrics hold.

    Numbers that JSON lacks (NaN, infinities) become null, whole numbers beyond 64 bits hexadecimal text, and what is no
    JSON value at all the text that it shows itself as.
    """
    plain = _plain(
        {
            "contract": CONTRACT,
            "scenario": verdict.scenario,
            "variant": verdict.variant,
            "client": verdict.client,
            "seed": verdict.seed,
            "status": verdict.status,
            "exit_code": verdict.exit_code,
            "message": verdict.message,
            "duration_s": verdict.duration_s,
            "checks": [_check(finding) for finding in verdict.checks],
            "waived": verdict.waived,
            "stale": verdict.stale,
            "metrics": verdict.metrics,
            "reproduce": verdict.reproduce,
        }
    )
    assert isinstance(plain, dict)  # noqa: S101 - a mapping went in
    return plain


def write_verdict(path: Path, verdict: Verdict) -> None:
    """Write verdict.json, whole or not at all. Raises `OSError` when it cannot be written."""
    write_whole(path, json.dumps(verdict_document(verdict), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Put `text` into a file so that a reader, or a kill, never meets half of it. Raises `OSError`."""
    half = path.with_name(f"{path.name}.tmp")
    try:
        half.write_text(text, encoding="utf-8", newline="\n")
        half.replace(path)
    except BaseException:
        half.unlink(missing_ok=True)
        raise


def _check(finding: Finding) -> dict[str, object]:
    return {
        "id": finding.check,
        "level": finding.level,
        "status": finding.status,
        "summary": finding.summary,
        "evidence": finding.evidence,
    }


def _plain(value: object, depth: int = 0) -> object:
    match value:
        case None | bool():
            return value
        case Enum():
            return _plain(value.value, depth)
        case int():
            return int(value) if -_INT64 <= value < _INT64 else f"{value:#x}"
        case float():
            return float(value) if math.isfinite(value) else None
        case str():
            return value.encode("utf-8", "replace").decode()
        case Mapping() if depth < _DEEPEST:
            return {_text(key): _plain(member, depth + 1) for key, member in value.items()}
        case list() | tuple() | set() | frozenset() if depth < _DEEPEST:
            members: Iterable[object] = value
            return [_plain(member, depth + 1) for member in members]
        case _:
            return _text(value)


def _text(value: object) -> str:
    return str(value).encode("utf-8", "replace").decode()
