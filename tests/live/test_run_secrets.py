"""No secret reaches a result: a client that gives all of them away, in every form, and a search of every file."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.live import run_fixtures
from tests.live.programs.talker import forms_of
from tests.live.run_fixtures import QUICK, TALKER, Call, Line

pytestmark = pytest.mark.live
call = pytest.fixture(run_fixtures.calls)
line = pytest.fixture(run_fixtures.lines)

PIECE = 12
SCENARIO = f"""
scenario: tattle
title: A client that cannot keep anything to itself
do_nothing: pass
{QUICK}
story:
  - say: Hello.
  - do: {{server: abort}}
  - until: {{recovered: {{within: 5s}}}}
"""


def forms(secret: str) -> Iterator[str]:
    """Every text that gives the secret away, or 12 characters of it; its public prefix does not count."""
    opaque = re.sub(r"^(auth_tokens/|AIza)", "", secret)
    yield from (opaque[at : at + PIECE] for at in range(len(opaque) - PIECE + 1))
    yield quote(secret, safe="")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            # Of a piece in any place, the characters that depend on it alone.
            text = encode(b"\0" * shift + opaque.encode()).decode()[4 if shift else 0 :]
            yield from (text[at : at + PIECE] for at in range(len(text) - PIECE - 3))


@pytest.mark.parametrize(
    "secret", ["auth_tokens/3f9ab07cf1e2d3c4b5a6978877665544", "AIza3f9ab07cf1e2d3c4b5a697887766554"]
)
def test_the_search_itself_is_not_blind(secret: str) -> None:
    given_away = forms_of(secret)
    assert [form for form in given_away if not any(piece in form for piece in forms(secret))] == []
    assert not any(piece in "auth_tokens/ AIza token-1 [redacted]" for piece in forms(secret))


@pytest.mark.parametrize("credential", ["token", "key"])
def test_no_result_holds_a_secret_in_any_form(call: Call, line: Line, credential: str) -> None:
    call.environment["TEST_PORT"] = str(line.port)
    call.start([*TALKER, "tattles"], scenario=SCENARIO, config={"policy": {"credential": credential}})
    secrets = line.hear()["secrets"]
    ended = call.end()
    assert ended.journal.whole, ended.said
    assert len(secrets) >= 3, secrets
    assert any(secret.startswith("AIza" if credential == "key" else "auth_tokens/") for secret in secrets)
    files = {path: path.read_text(errors="replace") for path in call.out.rglob("*") if path.is_file()}
    assert {"journal.jsonl", "verdict.json", "report.html", "client.stdout", "client.stderr", "junit.xml", "index.html",
            "summary.json"} <= {path.name for path in files}  # fmt: skip
    files[Path("printed by the harness")] = ended.said
    assert "token-1" in files[ended.folder / "client.stdout"] or credential == "key"
    leaks = [
        f"{path.name}: {form!r} at {text[max(0, text.find(form) - 60) : text.find(form) + 60]!r}"
        for path, text in files.items()
        for secret in secrets
        for form in forms(secret)
        if form in text
    ]
    assert not leaks, "\n".join(leaks[:20])
