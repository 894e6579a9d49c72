"""What a report says about a check beside its finding; the harness fills it from its catalogue."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CheckText:
    """One check for people."""

    title: str
    """A few words: `Spent tokens stay spent`."""
    rule: str
    """The rule in a sentence or two."""
    fix: str
    """How to mend a client that fails it."""
    seen_in: tuple[str, ...] = ()
    """Public bugs behind the rule, as `owner/repo#12`."""
