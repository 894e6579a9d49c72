"""Keeps secrets out of everything that is written: they become their labels, in whatever form they come.

Every secret that one fake server makes up contains that server's *marker*, eight hexadecimal digits. Text without
the marker, plain or in one of its three base64 alignments, is clean and costs next to nothing. Around a marker the
whole run of token characters is looked at: known secrets in it become their labels, also where URL or JSON escapes
stand inside them; base64 text that holds one is replaced as a whole; and a marker that is left belongs to a piece of
a secret, so its run becomes `[redacted]`.

Secrets that are not ours (a key that the client brought along) have no marker. They are found by a piece of their own,
whole only, and only if they look like a secret: 12 characters or more with a digit among them.
"""

from __future__ import annotations

import base64
import bisect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

REDACTED = "[redacted]"
SHORTEST_FOREIGN = 12
"""A foreign secret of fewer characters is not looked for: it could be any word."""
_MOST_FOREIGN = 256
"""So many foreign secrets are learnt; a client that invents more of them is guessing."""
_HELD_BYTES = 4096
"""More than any form of any secret takes up: so much of an endless run of token characters is held back."""
_LONGEST_RUN_BYTES = 16 * 1024
"""A run of token characters is judged as a whole up to here."""

_TOKEN_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+/=.~%\\"
_RUN = re.compile(rb"[A-Za-z0-9_\-+/=.~%\\]{8,}")
_TOKEN = re.compile(r"[A-Za-z0-9_\-+/=.~]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_ALPHANUMERIC = re.compile(r"[A-Za-z0-9]{6,}")
_UNIT = re.compile(
    rb"%(?:25)*([0-9A-Fa-f]{2})"  # URL-escaped, also several times over
    rb"|\\+u00([0-9A-Fa-f]{2})"  # JSON-escaped, also several times over
    rb"|\\+(/)"
    rb"|\\+u[0-9A-Fa-f]{4}|\\+[bfnrt]?"  # an escape that is no part of any secret: it ends a token, and stays as it is
    rb"|(.)",
    re.DOTALL,
)
_BREAK = "\0"


@dataclass(frozen=True, slots=True)
class _Secret:
    text: str
    label: str
    foreign: bool

    def found_in(self, text: str) -> Iterator[tuple[int, int]]:
        start = text.find(self.text)
        while start >= 0:
            end = start + len(self.text)
            # A foreign secret may be a piece of an ordinary longer word; one of ours cannot.
            if not self.foreign or not (_in_a_word(text, start - 1) or _in_a_word(text, end)):
                yield start, end
            start = text.find(self.text, end)


def _in_a_word(text: str, at: int) -> bool:
    return 0 <= at < len(text) and text[at].isascii() and (text[at].isalnum() or text[at] == "_")


@dataclass(frozen=True, slots=True)
class _Needle:
    """What is looked for first: a marker, or a piece of a foreign secret."""

    text: str
    base64_offset: int | None
    """Its place in a group of four base64 characters; None: this is the plain form."""
    foreign: bool


class Redactor:
    """Knows the secrets of one run. `learn` may be given to `fake_server.labels.Labels` as its `on_new`.

    `markers` are the markers of the run's fake servers (8 hexadecimal digits each).
    """

    def __init__(self, *markers: str) -> None:
        self._markers = tuple(markers)
        self._learnt: dict[str, str] = {}
        self._begin()

    def mark(self, marker: str) -> None:
        """From now on every text with `marker` in it is redacted."""
        self._markers = (*self._markers, marker)
        self._begin()

    def learn(self, secret: str, label: str) -> None:
        """From now on `secret` becomes `label`. Without a marker in it, see the module's own words."""
        if secret not in self._learnt:
            self._learnt[secret] = label
            self._take(secret, label)

    def _begin(self) -> None:
        """All over: what was learnt before its marker was known is no foreign secret."""
        self._secrets: list[_Secret] = []
        """Longest first, so that a secret inside another never wins."""
        self._foreign_count = 0
        self._needles = [needle for marker in self._markers for needle in _needles(marker, foreign=False)]
        self._own_patterns = self._patterns = _patterns(self._needles)
        for secret, label in self._learnt.items():
            self._take(secret, label)

    def _take(self, secret: str, label: str) -> None:
        parts = _TOKEN.findall(secret)
        ours = [part for part in parts if self._has_marker(part)]
        for part in ours:
            self._add(part, label, foreign=False)
            bare = part.rpartition("/")[2]
            if bare != part and self._has_marker(bare):
                self._add(bare, label, foreign=False)  # `auth_tokens/…` shown without its prefix
        if ours:
            return
        for part in parts:
            if len(part) < SHORTEST_FOREIGN or not any(c.isdigit() for c in part):
                continue
            if self._foreign_count >= _MOST_FOREIGN:
                return
            self._foreign_count += 1
            self._add(part, label, foreign=True)
            cores = sorted(_ALPHANUMERIC.findall(part), key=len)
            self._needles += _needles(cores[-1][-16:] if cores else part, foreign=True)
            self._patterns = _patterns(self._needles)

    def redact(self, data: bytes) -> bytes:
        """`data` with every secret replaced. The same object when there is none. JSON stays JSON, lines stay lines."""
        if not self.suspects(data):
            return data
        return _RUN.sub(self._clean_run, data)

    def redact_text(self, text: str) -> str:
        """As `redact`, for text."""
        data = text.encode("utf-8", "surrogatepass")
        clean = self.redact(data)
        return text if clean is data else clean.decode("utf-8", "surrogatepass")

    def suspects(self, data: bytes) -> bool:
        """True when there may be a secret in `data`: the quick look."""
        for pattern in self._patterns:  # noqa: SIM110 - a plain loop: this is on the way of every line
            if pattern in data:
                return True
        return False

    def _has_marker(self, text: str) -> bool:
        return any(marker in text for marker in self._markers)

    def _add(self, text: str, label: str, *, foreign: bool) -> None:
        bisect.insort(self._secrets, _Secret(text, label, foreign), key=lambda secret: -len(secret.text))

    def _clean_run(self, match: re.Match[bytes]) -> bytes:
        run = match[0]
        if not self.suspects(run):
            return run
        text, starts = _unescape(run)
        out = bytearray()
        done = 0
        for start, end, replacement in sorted(self._spans(text)):
            out += run[done : starts[start]]
            out += replacement.encode()
            done = starts[end]
        out += run[done:]
        if any(pattern in out for pattern in self._own_patterns):
            # What looked like an escape was a part of the secret (a path, `100%…`): give up the whole run. Its last
            # backslashes stay, since the character after them may depend on them.
            return REDACTED.encode() + run[len(run.rstrip(b"\\")) :]
        return bytes(out)

    def _spans(self, text: str) -> list[tuple[int, int, str]]:
        """What to replace in `text`: known secrets first, then base64 text, then what still has a marker."""
        spans: list[tuple[int, int, str]] = []
        for find in (self._known, self._encoded, self._rest):
            for start, end in _gaps(spans, len(text)):
                spans += [(start + a, start + b, by) for a, b, by in find(text[start:end])]
        return spans

    def _known(self, text: str) -> Iterator[tuple[int, int, str]]:
        taken = 0
        found = [(*span, secret.label) for secret in self._secrets for span in secret.found_in(text)]
        for start, end, label in sorted(found, key=lambda span: (span[0], -span[1])):
            if start >= taken:
                yield start, end, label
                taken = end

    def _encoded(self, text: str) -> Iterator[tuple[int, int, str]]:
        for match in _BASE64.finditer(text):
            labels: dict[str, None] = {}
            hit = False
            for needle in self._needles:
                at = match[0].find(needle.text) if needle.base64_offset is not None else -1
                while at >= 0 and needle.base64_offset is not None:
                    decoded = _decode_base64(match[0], (at - needle.base64_offset) % 4)
                    names = [secret.label for secret in self._secrets if any(secret.found_in(decoded))]
                    labels.update(dict.fromkeys(names))
                    hit = hit or bool(names) or not needle.foreign
                    at = match[0].find(needle.text, at + 1)
            if hit:
                yield match.start(), match.end(), f"[base64 of {', '.join(labels)}]" if labels else REDACTED

    def _rest(self, text: str) -> Iterator[tuple[int, int, str]]:
        for match in _TOKEN.finditer(text):
            if self._has_marker(match[0]):
                yield match.start(), match.end(), REDACTED


class StreamRedactor:
    """Redacts a stream that comes in pieces, wherever it is cut.

    A run of token characters at the end of a piece is held back, up to 16 KiB, until it is known how it ends.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = b""
        self._swallowing = False
        """In an endless run that has a marker in it: the rest of the run is dropped."""

    def feed(self, data: bytes) -> bytes:
        """What can be passed on now."""
        if self._swallowing:
            data = data.lstrip(_TOKEN_BYTES)
            if not data:
                return b""
            self._swallowing = False
        whole = self._held + data if self._held else data
        cut = len(whole.rstrip(_TOKEN_BYTES))
        self._held = whole[cut:]
        ready = self._redactor.redact(whole[:cut])
        if len(self._held) <= _LONGEST_RUN_BYTES:
            return ready
        if self._redactor.suspects(self._held):
            self._held = b""
            self._swallowing = True
            return ready + REDACTED.encode()
        passed, self._held = self._held[:-_HELD_BYTES], self._held[-_HELD_BYTES:]
        return ready + passed

    def flush(self) -> bytes:
        """What was held back: the stream has ended."""
        held, self._held = self._held, b""
        self._swallowing = False
        return self._redactor.redact(held)


def _gaps(spans: list[tuple[int, int, str]], length: int) -> list[tuple[int, int]]:
    gaps = []
    start = 0
    for taken_from, taken_to, _ in sorted(spans):
        gaps.append((start, taken_from))
        start = taken_to
    return [(a, b) for a, b in [*gaps, (start, length)] if b > a]


def _needles(text: str, *, foreign: bool) -> list[_Needle]:
    """The plain form, and for each of three alignments the base64 characters that depend on `text` alone."""
    needles = [_Needle(text, None, foreign)]
    encoders: tuple[Callable[[bytes], bytes], ...] = (base64.b64encode, base64.urlsafe_b64encode)
    for before in range(3):
        first = -(-before * 8 // 6)
        last = (before + len(text.encode())) * 8 // 6
        forms = {encode(b"\0" * before + text.encode()).decode()[first:last] for encode in encoders}
        needles += [_Needle(form, first % 4, foreign) for form in sorted(forms)]
    return needles


def _patterns(needles: list[_Needle]) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(needle.text.encode() for needle in needles))


def _decode_base64(text: str, skip: int) -> str:
    usable = text[skip:].rstrip("=").replace("-", "+").replace("_", "/")
    if len(usable) % 4 == 1:
        usable = usable[:-1]
    return base64.b64decode(usable + "=" * (-len(usable) % 4)).decode("latin-1")


def _unescape(run: bytes) -> tuple[str, list[int] | range]:
    """The run's characters without escapes, and where in the run each of them starts (with the end as the last)."""
    if b"%" not in run and b"\\" not in run:
        return run.decode("latin-1"), range(len(run) + 1)
    characters: list[str] = []
    starts: list[int] = []
    for unit in _UNIT.finditer(run):
        escaped = unit[1] or unit[2]
        plain = unit[3] or unit[4]
        characters.append(chr(int(escaped, 16)) if escaped else plain.decode("latin-1") if plain else _BREAK)
        starts.append(unit.start())
    starts.append(len(run))
    return "".join(characters), starts
