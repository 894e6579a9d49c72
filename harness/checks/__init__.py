"""The checks: each a pure function from a journal to a finding. A new family is a new module and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from harness.checks import auth, context, goaway, life, own, resume, retry, speech, wire
from harness.checks.rule import Check

_FAMILIES = (auth, resume, context, goaway, retry, speech, wire, life, own)

CATALOGUE: Mapping[str, Check] = MappingProxyType({check.id: check for family in _FAMILIES for check in family.CHECKS})
"""Every check by id, in the order in which reports show them."""

__all__ = ["CATALOGUE", "Check"]
