"""WIRE: speaking the protocol."""

from __future__ import annotations

from fake_server import events as server
from harness.checks.rule import Check, Numbered, Outcome, broken, holds, never_arose
from harness.checks.view import View
from harness.verdict import Level

_NEEDS = frozenset({server.FrameReceived.kind})


def setup_is_first_and_only(view: View) -> Outcome:
    """WIRE-1."""
    setups: list[Numbered | None] = []
    for connection in view.connections.values():
        if not connection.frames:
            continue
        first = connection.frames[0]
        if first.event.message != "setup":
            return broken(f"connection {connection.number} began with `{first.event.message}`", first)
        again = [frame for frame in connection.frames[1:] if frame.event.message == "setup"]
        if again:
            return broken(f"a second setup on connection {connection.number}", first, *again[:20])
        setups.append(first)
    if not setups:
        return never_arose("no frame was ever sent")
    return holds("setup was the first frame of every connection, and came once", *setups)


def nothing_before_setup_complete(view: View) -> Outcome:
    """WIRE-2."""
    waited: list[Numbered | None] = []
    for connection in view.connections.values():
        setup = connection.setup
        if setup is None:
            continue
        complete = connection.setup_complete or connection.session  # either says that it was there
        early = [
            frame
            for frame in connection.frames
            if frame.n > setup.n and frame.event.message != "setup" and (complete is None or frame.n < complete.n)
        ]
        if early:
            return broken(
                f"sent `{early[0].event.message}` on connection {connection.number} before setupComplete",
                setup,
                *early[:20],
                complete,
            )
        waited += [setup, complete]
    if not waited:
        return never_arose("no setup was ever sent")
    return holds("nothing was sent between setup and setupComplete", *waited)


CHECKS = (
    Check(
        id="WIRE-1",
        level=Level.MUST,
        title="Setup comes first, and once",
        rule="`setup` is the first frame and the only one of its kind on a connection.",
        evidence="The frames of each connection, in order.",
        fix="Send setup when the socket opens; to change the configuration, open a new connection and resume.",
        seen_in=("BerriAI/litellm#31494",),
        needs=_NEEDS | {server.UpgradeReceived.kind},
        judge=setup_is_first_and_only,
    ),
    Check(
        id="WIRE-2",
        level=Level.MUST,
        title="Nothing is sent before setupComplete",
        rule="Nothing else is sent before setupComplete.",
        evidence="Frames received after a setup and before the setupComplete that answered it.",
        fix="Hold input back until setupComplete has come, also on every reconnect; an open socket is no session yet.",
        seen_in=("googleapis/js-genai#1257",),
        needs=_NEEDS | {server.FrameSent.kind},
        judge=nothing_before_setup_complete,
    ),
)
