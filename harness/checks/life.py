"""LIFE: the program itself."""

from __future__ import annotations

from fake_server import events as server
from harness.checks.rule import Check, Numbered, Outcome, broken, holds, never_arose, unknown
from harness.checks.view import View
from harness.checks.view_facts import Fact
from harness.journal.events import ClientExited, ClientStarted, ClientStopping, RunEnded, StepEnded, UserTurn
from harness.verdict import Level


def program_lives(view: View) -> Outcome:
    """LIFE-1."""
    started = view.facts.of(ClientStarted)
    for fact in view.leaving.exits:
        if _is_crash(view, fact):
            return broken(f"the program ended by itself, {_how(fact.event)}", fact, *view.told(fact.t - 1.0, fact.t))
    if not started:
        return unknown("the program was never started")
    if not view.ends:
        return unknown("the client never had a session", *started)
    if not view.given.driven or view.leaving.hung_up is not None:
        return holds("the program did not crash", *started)
    probe = next((turn for turn in view.facts.of(UserTurn) if turn.event.probe), None)
    if probe is None:
        return unknown("the run ended before its last question", *started)
    heard = _heard(view, probe)
    if heard is not None:
        return holds("the client was alive to the end: it passed the last question on", probe, heard)
    asked_until = next((end for end in view.facts.of(StepEnded) if end.n > probe.n), None)
    until_s = asked_until.t if asked_until is not None else view.watched_until_s
    live = next(
        (end for end in view.ends if end.started_s <= probe.t and min(end.live_until_s, view.facts.end_s) >= until_s),
        None,
    )
    if live is not None:
        return broken(
            f"connected, but the last question was not passed on in {until_s - probe.t:.0f} s",
            probe,
            live.connection.session,
        )
    return unknown("the client was not connected when the last question was asked", probe, asked_until)


def program_leaves(view: View) -> Outcome:
    """LIFE-3."""
    told = view.leaving.told_to_leave
    forced = ("killed",) if not view.given.driven else ("terminated", "killed")
    asked: dict[int, Fact[ClientStopping]] = {}
    needed: Fact[ClientStopping] | None = None
    for stop in view.facts.of(ClientStopping):
        if stop.event.how == "asked":
            asked.setdefault(stop.event.instance, stop)
        elif stop.event.how in forced and stop.event.instance in asked:
            needed = stop
    if needed is not None and not view.played:
        return unknown("the run was broken off, and the program had less time than it may take", needed)
    if needed is not None:
        within_s = view.given.client.stop_within
        return broken(
            f"did not leave within {within_s:g} s of being told to, and had to be {needed.event.how}",
            asked[needed.event.instance],
            needed,
        )
    if told is None:
        return never_arose("the program was not told to leave")
    left = next((fact for fact in view.leaving.exits if fact.t >= told.t), None)
    if left is None:
        return unknown("nobody saw the program leave", told)
    return holds(f"left {left.t - told.t:.1f} s after it was told to", told, left)


def _is_crash(view: View, fact: Fact[ClientExited]) -> bool:
    exited = fact.event
    if exited.asked:
        return False
    may_leave = exited.after_hang_up or not view.given.driven
    return not (may_leave and exited.code == 0)


def _how(exited: ClientExited) -> str:
    if exited.signal is not None:
        return f"by {exited.signal}"
    return f"with exit code {exited.code}"


def _heard(view: View, probe: Fact[UserTurn]) -> Numbered | None:
    """The service took the probe in; None: it never did."""
    event = probe.event
    for fact in view.facts.of(server.TurnHeard):
        if fact.t < probe.t:
            continue
        if event.utterance in fact.event.utterances if event.utterance is not None else event.text in fact.event.text:
            return fact
    return None


CHECKS = (
    Check(
        id="LIFE-1",
        level=Level.MUST,
        title="The program survives",
        rule=(
            "The client does not crash or hang: it answers the probe that ends the run. One that is alive and was not "
            "connected then is not judged by this: the rules of AUTH and RETRY say why."
        ),
        evidence="Exits that nobody asked for, and whether the last question reached the service.",
        fix="Handle every end of a connection where the connection is awaited; let no error end the program.",
        seen_in=("googleapis/python-genai#2935", "firebase/firebase-android-sdk#7649"),
        needs=frozenset(
            {
                ClientStarted.kind,
                ClientExited.kind,
                RunEnded.kind,
                UserTurn.kind,
                server.TurnHeard.kind,
                server.SessionStarted.kind,
            }
        ),
        judge=program_lives,
    ),
    Check(
        id="LIFE-3",
        level=Level.MUST,
        title="The program leaves when told to",
        rule="It leaves when told to, within `stop_within`.",
        evidence="When the program was told to leave, what else it took, and when it was gone.",
        fix="End on `quit`, and when standard input closes; do not wait for a connection that does not answer.",
        seen_in=("juspay/neurolink#1005",),
        needs=frozenset({ClientStopping.kind, ClientExited.kind}),
        judge=program_leaves,
    ),
)
