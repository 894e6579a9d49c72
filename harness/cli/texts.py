"""What reports say about checks, from the catalogue."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from harness.checks import CATALOGUE
from reports.explain import CheckText


@functools.cache
def check_texts() -> Mapping[str, CheckText]:
    """Check id → its title, rule, way to mend a client, and the public bugs behind it."""
    return {
        check.id: CheckText(title=check.title, rule=check.rule, fix=check.fix, seen_in=check.seen_in)
        for check in CATALOGUE.values()
    }
