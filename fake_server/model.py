"""What the fake model understands and says: it remembers this session's history, and answers from that alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

GAP = "…"
"""Stands in a text for words that were not understood; no fact is read across it."""

_FACT_NAME = r"([^\W_][\w '-]{0,60}?)"
_STATEMENT = re.compile(
    rf"\b(?:my|your|the user's)\s+{_FACT_NAME}\s+is\s+(?!not\b)([^?!\n]+?)\s*(?=[.!?](?:\s|$)|$|\n)", re.IGNORECASE
)
_QUESTION = re.compile(rf"\b(?:what(?:'s| is)|do you (?:know|remember))\s+my\s+{_FACT_NAME}\s*\?", re.IGNORECASE)
_OWNER = re.compile(r"(?:my|your|user's)\s")
"""The quick look, at a casefolded text: without one of these there is no statement in it."""


@dataclass(frozen=True, slots=True)
class Understood:
    """What one text teaches and asks."""

    taught: Mapping[str, str]
    """Names of facts and their values, in order of appearance."""
    asked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says to a turn."""

    text: str
    known: tuple[str, ...]
    """Asked facts that the history holds."""
    missing: tuple[str, ...]
    """Asked facts that it does not hold."""


_NOTHING = Understood({}, ())
_THANKS = Answer("Thank you, I will remember that.", (), ())
_SMALL_TALK = tuple(Answer(text, (), ()) for text in ("I see.", "All right.", "Please go on."))


class FakeModel:
    """Reads facts out of text and answers questions about them.

    `facts` (names to values) only helps to recognise what was said: a text that contains a value together with
    the fact's name teaches it, however it is phrased. Otherwise `My <fact> is <value>.` teaches. `replies` are said
    in turn where nothing is asked or taught; empty: small talk of its own.
    """

    def __init__(self, facts: Mapping[str, str] | None = None, replies: tuple[str, ...] = ()) -> None:
        self._small_talk = tuple(Answer(text, (), ()) for text in replies) or _SMALL_TALK
        self._named = [
            (name, value, re.compile(rf"(?<!\w){re.escape(value)}(?!\w)"), re.compile(rf"\b{re.escape(name)}\b", re.I))
            for name, value in (facts or {}).items()
            if value
        ]
        self.understand = lru_cache(maxsize=512)(self._understand)
        """What a text teaches and asks."""

    def _understand(self, text: str) -> Understood:
        if not text:
            return _NOTHING
        taught: dict[str, str] = {}
        if _OWNER.search(text.casefold()):
            for match in _STATEMENT.finditer(text):
                name, value = match[1].lower(), match[2].strip()
                if GAP not in name and GAP not in value:
                    taught[name] = value
        for name, value, value_pattern, name_pattern in self._named:
            if value in text and value_pattern.search(text) and name_pattern.search(text):
                taught[name] = value
                taught.pop(name.lower() if name != name.lower() else "", None)
        asked: tuple[str, ...] = ()
        if "?" in text:
            asked = tuple(dict.fromkeys(self._proper(match[1]) for match in _QUESTION.finditer(text)))
        if not taught and not asked:
            return _NOTHING
        return Understood(taught, asked)

    def answer(self, asked: tuple[str, ...], taught: tuple[str, ...], history: Mapping[str, str], turn: int) -> Answer:
        """The reply to a turn that asked and taught these facts, out of `history` (facts by name) alone.

        The same arguments give the same words.
        """
        if not asked:
            return _THANKS if taught else self._small_talk[(turn - 1) % len(self._small_talk)]
        known = tuple(name for name in asked if name in history)
        missing = tuple(name for name in asked if name not in history)
        sentences = [
            f"Your {name} is {history[name]}." if name in history else f"I do not know your {name}." for name in asked
        ]
        return Answer(" ".join(sentences), known, missing)

    def _proper(self, name: str) -> str:
        """The fact's name as the behaviour spells it."""
        lowered = name.lower()
        return next((known for known, *_ in self._named if known.lower() == lowered), lowered)
