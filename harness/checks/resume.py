"""RESUME: handles, over any number of connections."""

from __future__ import annotations

from collections.abc import Mapping

from fake_server import events as server
from harness.checks.rule import (
    Check,
    Numbered,
    Outcome,
    broken,
    broken_softly,
    holds,
    never_arose,
    unknown,
    waived,
)
from harness.checks.view import View
from harness.checks.view_connections import EMPTY_HANDLE
from harness.checks.view_tokens import UNKNOWN_HANDLE, Handle, Presented
from harness.journal.events import FaultInForce
from harness.verdict import Level

_SETUPS = frozenset({server.UpgradeReceived.kind, server.FrameReceived.kind, server.SessionStarted.kind})
_HANDLES = _SETUPS | {server.HandleIssued.kind, server.HandlePresented.kind, FaultInForce.kind}


def first_setup_opts_in(view: View) -> Outcome:
    """RESUME-1."""
    if exempt := _not_by_handle(view):
        return exempt
    first = view.first_setup
    if first is None:
        return never_arose("no setup was ever sent")
    if first.opted_in is None:
        return unknown("what the first setup asked for was not recorded", first.setup)
    if not first.opted_in:
        return broken("the first setup does not ask for resumption: no `sessionResumption` in it", first.setup)
    return holds("the first setup asks for resumption", first.setup)


def drop_is_answered_with_a_handle(view: View) -> Outcome:
    """RESUME-2."""
    if exempt := _not_by_handle(view):
        return exempt
    without: list[Numbered | None] = []
    shown: list[Numbered | None] = []
    said = ""
    for gap, dials in view.presented:
        for dial in dials:
            newest = dial.offer.newest
            if newest is None:
                continue
            if dial.label is not None:
                shown += [newest, dial.connection.setup]
            elif dial.owed is not None:
                without += [gap.drop, newest, dial.connection.setup]
                said = said or (
                    f"dialled {_after(dial.dial_s - gap.drop.t)} the drop without a handle, although "
                    f"{newest.label} had been received {_after(gap.drop.t - newest.t)} it"
                ).replace("after it", "before it")
    if without:
        return broken(said, *without)
    if shown:
        return holds("every dial after a drop carried a handle, where there was one", *shown)
    if unseen := _unseen_dial(view, resumable=True):
        return unseen
    return never_arose("no dial followed a drop after a usable handle had been received")


def handle_is_the_newest(view: View) -> Outcome:
    """RESUME-3."""
    if exempt := _not_by_handle(view):
        return exempt
    issued = _issued(view)
    older: list[Numbered | None] = []
    newest_shown: list[Numbered | None] = []
    said, soft = "", True
    for _, dials in view.presented:
        for dial in dials:
            known = issued.get(dial.label or "")
            newest = dial.offer.newest
            if known is None or newest is None:
                continue
            if known.n >= newest.n:
                newest_shown += [newest, dial.connection.setup]
                continue
            older += [known, newest, dial.connection.setup]
            soft = soft and view.given.handles_are_sessions and known.session == newest.session
            said = said or (
                f"resumed with {known.label}, although {newest.label} had been received "
                f"{newest.t - known.t:.1f} s after it"
            )
    if older:
        return broken_softly(said, *older) if soft else broken(said, *older)
    if newest_shown:
        return holds("every resume carried the newest usable handle received", *newest_shown)
    if unseen := _unseen_dial(view, resumable=True):
        return unseen
    return never_arose("no resume with an issued handle was tried")


def update_without_resumption_is_passed_over(view: View) -> Outcome:
    """RESUME-4."""
    if exempt := _not_by_handle(view):
        return exempt
    issued = _issued(view)
    keeps_handles = any(one.handle_label in issued for one in view.connections.values())
    wrong: list[Numbered | None] = []
    right: list[Numbered | None] = []
    said, doubtful = "", None
    for _, dials in view.presented:
        for dial in dials:
            useless = _useless_update(view, dial)
            if useless is None or dial.excused is not None:
                continue
            setup = dial.connection.setup
            taken = issued.get(dial.label or "")
            if taken is not None and not taken.resumable:
                wrong += [taken, setup]
                said = said or f"presented {taken.label}, from an update that could not be resumed"
            elif dial.label is not None:
                right += [useless, setup]
            elif dial.offer.newest is None:
                continue
            elif dial.connection.handle_label == EMPTY_HANDLE:
                wrong += [useless, setup]
                said = said or "presented an empty handle, as the last update had it"
            elif keeps_handles:
                wrong += [dial.offer.newest, useless, setup]
                said = said or (
                    f"had {dial.offer.newest.label}, and presented none after an update that could not be resumed"
                )
            else:
                doubtful = doubtful or dial
    if wrong:
        return broken(said, *wrong)
    if doubtful is not None:
        return unknown(
            "presented no handle after an update that could not be resumed; it never presents one, so that the update "
            "need not be the cause (RESUME-2 judges that)",
            doubtful.offer.newest,
            doubtful.connection.setup,
        )
    if right:
        return holds("an update that could not be resumed neither gave a handle nor took one", *right)
    if unseen := _unseen_dial(view, resumable=False):
        return unseen
    return never_arose("no resume followed an update that could not be resumed")


def handle_was_issued_here(view: View) -> Outcome:
    """RESUME-5."""
    issued = _issued(view)
    owing = {dial.connection.number for _, dials in view.presented for dial in dials if dial.owed is not None}
    shown: list[Numbered | None] = []
    for connection in view.connections.values():
        label = connection.handle_label
        if label is None or (label == EMPTY_HANDLE and connection.number not in owing):
            continue  # proto3 knows no difference between an empty text and none
        known = issued.get(label)
        if known is None or (connection.setup is not None and known.n > connection.setup.n):
            what = f"{label} before it was issued"
            if label == EMPTY_HANDLE:
                what = "an empty handle, although there was one,"
            elif label.startswith(UNKNOWN_HANDLE):
                what = "a handle that this service never issued"
            return broken(f"presented {what} on connection {connection.number}", connection.setup, connection.handle)
        shown += [known, connection.setup]
    if not shown:
        return _not_by_handle(view) or never_arose("no handle was presented")
    return holds("every handle that was presented had been issued in this conversation", *shown)


# --- what the rules share --------------------------------------------------------------------------------------------


def _not_by_handle(view: View) -> Outcome | None:
    """By policy, some clients do not resume at all."""
    how = view.given.policy.resumption
    return None if how == "handle" else waived(f"by its policy the client does not resume (`resumption: {how}`)")


def _issued(view: View) -> Mapping[str, Handle]:
    """Every handle that was sent, by label; of a label that came twice, the last."""
    return {handle.label: handle for handle in view.handles if handle.label is not None}


def _unseen_dial(view: View, *, resumable: bool) -> Outcome | None:
    """After a drop an upgrade was accepted and its setup never seen, so that what it would have carried is not known.

    `resumable`: only where an update of this kind had surely been received before it. Dials that the link or the
    service turned away could not have shown a setup at all.
    """
    for gap, dials in view.presented:
        if dials or (gap.next is None and view.leaving.hung_up is not None):
            continue
        for dial in gap.dials:
            one = dial.connection
            if one is None or one.setup is not None or one.answer is None or one.answer.event.status != 101:
                continue
            if any(h.certain and h.t <= dial.t and (h.usable if resumable else not h.resumable) for h in view.handles):
                return unknown("an upgrade followed the drop, and its setup was never seen", gap.drop, one.upgrade)
    return None


def _useless_update(view: View, dial: Presented) -> Handle | None:
    """The newest update before the dial that surely was received, and could not be resumed; None: another was."""
    last = dial.offer.last_update
    return last if last is not None and not last.resumable else None


def _after(seconds: float) -> str:
    return f"{seconds:.1f} s after"


CHECKS = (
    Check(
        id="RESUME-1",
        level=Level.MUST,
        title="Resumption is asked for from the start",
        rule="The first setup of a conversation opts in to resumption (policy `resumption: handle`).",
        evidence="The first `setup` frame of the run.",
        fix="Put `sessionResumption: {}` into the first setup: without it no handle is promised for the drop to come.",
        seen_in=("google/adk-python#4996", "mastra-ai/mastra#18119"),
        needs=_SETUPS,
        judge=first_setup_opts_in,
    ),
    Check(
        id="RESUME-2",
        level=Level.MUST,
        title="A drop is answered with a handle",
        rule=(
            "The first dial after a drop carries a handle, if a usable one was received; later ones do, too, until "
            "resumes have been refused for the policy's `keep_trying`."
        ),
        evidence=(
            "Updates sent at least 250 ms before the link was lost with no fault in their way, and the setups of the "
            "dials that followed."
        ),
        fix="Keep the `newHandle` of each resumable update outside of the connection, and put it into the next setup.",
        seen_in=(
            "google/adk-python#4996",
            "livekit/agents-js#2366",
            "pipecat-ai/pipecat#4242",
            "livekit/agents#5985",
        ),
        needs=_HANDLES,
        judge=drop_is_answered_with_a_handle,
    ),
    Check(
        id="RESUME-3",
        level=Level.MUST,
        title="The newest handle is the one to use",
        rule=(
            "A resume carries the newest usable handle received. Where handles name a session and not a snapshot, any "
            "handle of that session is as good: there it is a SHOULD."
        ),
        evidence="The order in which updates were sent, and the handle in each setup.",
        fix="Overwrite the stored handle with every update that is resumable, also after the turn has ended.",
        seen_in=("googleapis/python-genai#2527",),
        needs=_HANDLES,
        judge=handle_is_the_newest,
    ),
    Check(
        id="RESUME-4",
        level=Level.MUST,
        title="An update that cannot be resumed changes nothing",
        rule=(
            "No handle comes from an update that was not resumable, and such an update does not erase a usable one. "
            "That the update erased it is shown only of a client that presents handles at other times."
        ),
        evidence="Updates with `resumable: false` that were received, and the setup of the next dial.",
        fix="Take `newHandle` only when `resumable` is true and the handle is not empty; otherwise keep what you have.",
        seen_in=("kazunori279/adk-streaming-guide#11",),
        needs=_HANDLES,
        judge=update_without_resumption_is_passed_over,
    ),
    Check(
        id="RESUME-5",
        level=Level.MUST,
        title="Handles are not invented",
        rule=(
            "The handle was issued by the server in this conversation: not invented, not another's, and not empty "
            "where there was one."
        ),
        evidence="Every handle in a setup, against every handle that was sent before it.",
        fix="Clear the stored handle when a conversation ends, and send no `handle` at all when there is none.",
        seen_in=("aicc2025/sip-to-ai#14",),
        needs=_HANDLES,
        judge=handle_was_issued_here,
    ),
)
