"""Ledgers and tokens for the tests of both."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from fake_server.behaviour import TokenRules
from fake_server.token_calls import CallRefused
from fake_server.tokens import Admitted, Minted, TokenLedger, TokenRefused

NOW_S = 1_800_000_000.0
"""2027-01-15T08:00:00Z."""


def ledger(
    rules: TokenRules | None = None,
    dialect: Literal["google", "article"] = "google",
    *,
    kind: type[TokenLedger] = TokenLedger,
    unknown_fields: Literal["warn", "refuse"] = "warn",
) -> TokenLedger:
    numbers = itertools.count(1)
    return kind(
        rules or TokenRules(),
        new_secret=lambda: f"opaque-{next(numbers)}",
        dialect=dialect,
        unknown_fields=unknown_fields,
    )


def mint(tokens: TokenLedger, now_s: float = NOW_S, **body: Any) -> Minted:
    minted = tokens.mint(orjson.dumps(body), now_s=now_s)
    assert isinstance(minted, Minted), minted
    return minted


def refusal(answer: Admitted | TokenRefused) -> str | None:
    return answer.refusal if isinstance(answer, TokenRefused) else None


def at(offset_s: float) -> str:
    return datetime.fromtimestamp(NOW_S + offset_s, UTC).isoformat()


def envelope(answer: Minted | CallRefused) -> dict[str, Any]:
    assert isinstance(answer, CallRefused), answer
    error: dict[str, Any] = answer.response["error"]
    assert error["code"] == answer.http_status
    return error
