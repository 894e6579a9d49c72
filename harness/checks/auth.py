"""AUTH: ephemeral tokens. Which token a dial shows, and when."""

from __future__ import annotations

from fake_server import events as server
from harness.checks.rule import Check, Numbered, Outcome, broken, holds, never_arose, unknown
from harness.checks.view import View
from harness.checks.view_connections import Connection, Refused
from harness.verdict import Level

WINDOW_TOLERANCE_S = 0.5
"""AUTH-3: the way to the service takes time, and its clock is read when the setup arrives."""

_TOKEN_DIALS = frozenset({server.UpgradeReceived.kind, server.UpgradeAnswered.kind, server.FrameReceived.kind})


def spent_token_stays_spent(view: View) -> Outcome:
    """AUTH-1."""
    given = view.given
    evidence: list[Numbered | None] = []
    shown: list[str] = []
    tried = 0
    unseen: Connection | None = None
    for connection in view.connections.values():
        token = view.tokens.get(connection.token or "")
        if token is None or connection.upgrade is None:
            continue
        used_up = token.used_up
        if any(other.used_up for other in view.tokens.values() if _before(other.used_up, connection)):
            tried += 1
        if used_up is None or used_up.event.connection == connection.number or not _before(used_up, connection):
            continue
        if given.resume_spends_use or connection.starts_anew:
            shown.append(token.label)
            evidence += [used_up, connection.upgrade, connection.setup]
        elif connection.setup is None and not (_turned_away(connection) and given.policy.token_per == "session"):
            unseen = connection
    if shown:
        labels = sorted(set(shown), key=shown.index)
        return broken(f"presented {_list(labels)} again after it was spent, {_times(len(shown))}", *evidence)
    if unseen is not None:
        return unknown("a dial showed a spent token, and its setup was never seen", unseen.upgrade)
    if not tried:
        return never_arose("no dial followed a session that had spent a single-use token")
    return holds(
        f"{tried} {'dial' if tried == 1 else 'dials'} after a token was spent, none of them with a spent one",
        *(one.upgrade for one in view.connections.values() if one.token in view.tokens),
    )


def refused_token_is_let_go(view: View) -> Outcome:
    """AUTH-2."""
    sees = view.given.client.sees
    refused: list[Refused] = []
    again: list[Numbered | None] = []
    repeats = 0
    labels: dict[str, float] = {}
    for refusal in view.refusals:
        connection = view.connections.get(refusal.connection)
        if not refusal.names_token or connection is None or connection.token is None:
            continue
        refused.append(refusal)
        token = connection.token
        if token in labels:
            continue
        labels[token] = refusal.t
        later = [
            one
            for one in view.connections.values()
            if one.token == token and one.upgrade is not None and one.upgrade.n > refusal.n
        ]
        can_tell = sees.http_status if refusal.http else sees.close_reason
        if len(later) > (0 if can_tell else 1):
            repeats += len(later)
            again += [refusal, *(one.upgrade for one in later)]
    if again:
        return broken(f"dialled again with a token that had just been refused, {_times(repeats)}", *again)
    if not refused:
        return never_arose("no ephemeral token was refused")
    return holds(f"{_list(list(labels))} was refused, and not shown again", *refused)


def token_is_used_in_its_window(view: View) -> Outcome:
    """AUTH-3."""
    in_time: list[Numbered | None] = []
    late: list[Numbered | None] = []
    worst = ""
    doubtful: Outcome | None = None
    for connection in view.connections.values():
        token = view.tokens.get(connection.token or "")
        upgrade = connection.upgrade
        if token is None or upgrade is None or not connection.starts_anew:
            continue  # without a setup it may have been for a resume, which is exempt
        if token.minted is None:
            doubtful = doubtful or unknown(f"nobody saw {token.label} being minted", upgrade)
            continue
        age_s = upgrade.t - token.minted.t
        window_s = token.minted.event.new_session_window_s
        if age_s > window_s + WINDOW_TOLERANCE_S:
            late += [token.minted, upgrade]
            worst = f"{token.label} was {age_s:.1f} s old, and its new-session window had been {window_s:g} s"
        else:
            in_time += [token.minted, upgrade]
    if late:
        return broken(f"presented for a new session after its window: {worst}", *late)
    if doubtful is not None:
        return doubtful
    if not in_time:
        return never_arose("no ephemeral token was presented for a new session")
    return holds("every token for a new session was presented within its window", *in_time)


def _turned_away(connection: Connection) -> bool:
    """The upgrade itself was refused, so that there could be no setup."""
    return connection.answer is not None and connection.answer.event.refusal is not None


def _before(fact: Numbered | None, connection: Connection) -> bool:
    return fact is not None and connection.upgrade is not None and fact.n < connection.upgrade.n


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _list(labels: list[str]) -> str:
    return ", ".join(labels[:3]) + (f" and {len(labels) - 3} more" if len(labels) > 3 else "")


CHECKS = (
    Check(
        id="AUTH-1",
        level=Level.MUST,
        title="Spent tokens stay spent",
        rule=(
            "A spent single-use token is not presented for a new session. Spent is a token that started a session "
            "without a handle; where a resume spends a use, too (`resume_spends_use: true`), one that started any."
        ),
        evidence="Every use of a token (`token.spent`), and every upgrade after it with the setup that followed.",
        fix=(
            "Ask your backend for a fresh ephemeral token before each dial that may start a new session; do not keep "
            "the one of the first connection in a variable that outlives it."
        ),
        seen_in=(
            "googleapis/js-genai#1257",
            "googleapis/js-genai#691",
            "ai-shifu/ai-shifu#2744",
            "google-gemini/cookbook#821",
        ),
        needs=_TOKEN_DIALS | {server.TokenSpent.kind, server.SessionStarted.kind},
        judge=spent_token_stays_spent,
    ),
    Check(
        id="AUTH-2",
        level=Level.MUST,
        title="A refused token is not shown again",
        rule=(
            "After a refusal that names an ephemeral token, no dial presents that token again: two in a row are the "
            "401 loop. A client that cannot see the refusal (`sees.http_status: false`) has one dial more."
        ),
        evidence="Refused upgrades, and closes with a reason that names the token; every upgrade after them.",
        fix=(
            "Treat HTTP 401 on the upgrade, and a close 1011 that speaks of the token, as the end of that token: "
            "throw it away, fetch another, and only then dial."
        ),
        seen_in=("googleapis/js-genai#1257", "ai-shifu/ai-shifu#2744"),
        needs=_TOKEN_DIALS | {server.CloseSent.kind},
        judge=refused_token_is_let_go,
    ),
    Check(
        id="AUTH-3",
        level=Level.MUST,
        title="Tokens are used before their window closes",
        rule=(
            "A token for a new session is presented within its new-session window (half a second more is forgiven). "
            "Setups with a handle are exempt."
        ),
        evidence="When each token was minted (`token.minted`), and when it was presented without a handle.",
        fix="Fetch the token as the last thing before the dial: after the microphone is ready, after the pause.",
        seen_in=("ai-shifu/ai-shifu#2744",),
        needs=_TOKEN_DIALS | {server.TokenMinted.kind},
        judge=token_is_used_in_its_window,
    ),
)
