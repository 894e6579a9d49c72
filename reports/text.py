"""Text that others wrote, made safe to look at: cut, and with every invisible character shown as an escape."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_INVISIBLE = (
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad"  # control characters, soft hyphen
    "\u034f\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"  # joiners, fillers, bidi marks
    "\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e0fff"  # lone surrogates, BOM, tags
)
_ONE_LINE = re.compile(f"[{_INVISIBLE}\t\n\r]")
_MANY_LINES = re.compile(f"[{_INVISIBLE}\r]")

LINE_LIMIT = 400
"""Characters of one line of somebody's text that a report shows."""


def visible(text: str, limit: int = LINE_LIMIT, *, keep_newlines: bool = False) -> str:
    r"""`text` with control, bidi and zero-width characters as `\x1b`, `\u202e`; cut after `limit` characters.

    What is left out is said. With `keep_newlines`, line feeds and tabs stay. The result is legal in XML and UTF-8.
    """
    kept = text if len(text) <= limit else text[:limit]
    shown = (_MANY_LINES if keep_newlines else _ONE_LINE).sub(_escape, kept)
    if len(kept) == len(text):
        return shown
    return f"{shown}… [cut: {limit:,} of {len(text):,} characters]"


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    named = {9: "\\t", 10: "\\n", 13: "\\r"}.get(code)
    if named is not None:
        return named
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def shorten(value: object, limit: int = 300, items: int = 200) -> object:
    """A JSON value with every string made `visible` and cut at `limit`, and every list cut at `items` members."""
    if isinstance(value, str):
        return visible(value, limit)
    if isinstance(value, Mapping):
        kept = {visible(str(key), limit): shorten(member, limit, items) for key, member in list(value.items())[:items]}
        if len(value) > items:
            kept["…"] = f"{len(value) - items:,} more members"
        return kept
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        shown = [shorten(member, limit, items) for member in value[:items]]
        if len(value) > items:
            shown.append(f"… {len(value) - items:,} more")
        return shown
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return visible(str(value), limit)


def seconds(value_s: float) -> str:
    """A moment or a length for people: `5.02 s`, `340 ms`, `2 min 5 s`."""
    if 0 < abs(value_s) < 0.9995:
        return f"{value_s * 1000:.0f} ms"
    if abs(value_s) < 99.95:
        return f"{value_s:.2f}".rstrip("0").rstrip(".") + " s"
    minutes, rest = divmod(round(value_s), 60)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 check`, `3 checks`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
