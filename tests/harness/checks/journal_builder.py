"""Journals by hand, for the tests of the checks: a run in the words of a run, each with its time.

    book = Book(policy={"redial": "on_demand"})
    book.opens(1.0, 1, token="token-1")          # a whole dial: token call, upgrade, setup, setupComplete
    book.update(2.0, 1, "handle-1", facts=("name",))
    drop = book.cut(5.0, 1)                      # a mark: `book.n(drop)` is its number in the journal
    book.opens(5.5, 2, token="token-2", handle="handle-1")
    book.ends(60.0)

    assert status(book, "RESUME-2") == "pass"

Facts may be written down in any order: they are sorted by time when they are read, and numbered then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fake_server import events as server
from harness.checks import CATALOGUE
from harness.checks.rule import find
from harness.checks.view import View
from harness.checks.view_given import Given, read_given
from harness.journal import events as ours
from harness.journal.events import Entry, Event, Journal
from harness.policy import ClientProfile
from harness.scenario.model import Scenario
from harness.verdict import Finding

CHUNK = 1600
"""Samples in 100 ms."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One fact of a book, before it has a number."""

    t: float
    order: int
    event: Event


class Book:
    """The facts of one run."""

    def __init__(
        self,
        *,
        policy: Mapping[str, Any] | None = None,
        sees: Mapping[str, Any] | None = None,
        driven: bool = True,
        stop_within: str = "5s",
        checks: Sequence[str] = (),
        session: Mapping[str, Any] | None = None,
        expect: Mapping[str, Any] | None = None,
        story: Sequence[Mapping[str, Any]] = (),
        started_s: float | None = 0.1,
    ) -> None:
        """`started_s` None: the client was never started."""
        scenario = {
            "scenario": "by_hand",
            "title": "Written by hand",
            "checks": list(checks),
            "session": dict(session or {}),
            "expect": dict(expect or {}),
            "story": [dict(step) for step in story],
        }
        client = {
            "driven": driven,
            "stop_within": stop_within,
            "sees": dict(sees or {}),
            "policy": dict(policy or {}),
        }
        self.plan: dict[str, object] = {
            "scenario": Scenario.model_validate(scenario).model_dump(mode="json"),
            "client": ClientProfile.model_validate(client).model_dump(mode="json"),
            "variant": None,
            "seed": 7,
        }
        self.driven = driven
        self._marks: list[Mark] = []
        self._frames: dict[int, int] = {}
        self._faults = 0
        self._turns = 0
        self.add(0.0, ours.RunPlanned(self.plan))
        if started_s is not None:
            self.add(started_s, ours.ClientStarted(1))
            self.add(started_s, ours.StepStarted(0, "connect", {}))
            if driven:
                self.add(started_s, ours.ClientCommand({"do": "connect"}))
            self.add(started_s, ours.StepEnded(0, "done"))

    # --- reading it ----------------------------------------------------------------------------------------------

    def add(self, t: float, event: Event) -> Mark:
        mark = Mark(t, len(self._marks), event)
        self._marks.append(mark)
        return mark

    def without(self, *kinds: str) -> Book:
        """The same book, all facts of some kinds torn out."""
        return self._copy(lambda mark: mark.event.kind not in kinds)

    def without_marks(self, *marks: Mark) -> Book:
        """The same book without some facts."""
        return self._copy(lambda mark: mark not in marks)

    def _copy(self, keep: Callable[[Mark], bool]) -> Book:
        copy = Book.__new__(Book)
        copy.__dict__.update(self.__dict__)
        copy._marks = [mark for mark in self._marks if keep(mark)]
        return copy

    def _in_order(self) -> list[Mark]:
        return sorted(self._marks, key=lambda mark: (mark.t, mark.order))

    def n(self, mark: Mark) -> int:
        """Its number in the journal."""
        return self._in_order().index(mark) + 1

    def journal(self) -> Journal:
        entries = tuple(Entry(n, mark.t, mark.event) for n, mark in enumerate(self._in_order(), start=1))
        return Journal(entries, whole=bool(entries) and isinstance(entries[-1].event, ours.RunEnded))

    # --- the service ---------------------------------------------------------------------------------------------

    def mints(self, t: float, token: str, *, uses: int = 1, window_s: float = 60.0, lifetime_s: float = 1800.0) -> Mark:
        return self.add(t, server.TokenMinted(token, "backend", uses, window_s, lifetime_s))

    def dials(
        self,
        t: float,
        connection: int,
        *,
        token: str | None = None,
        key: str | None = None,
        status: int = 101,
        refusal: str | None = None,
        accepted_s: float | None = None,
    ) -> Mark:
        """Accept, upgrade and its answer; the mark is the upgrade's. `accepted_s`: when the TCP link came in."""
        self.add(t if accepted_s is None else accepted_s, server.SocketAccepted(connection, "live"))
        credentials = []
        if token is not None:
            credentials.append(server.Credential("token", "query.access_token", token))
        if key is not None:
            credentials.append(server.Credential("key", "query.key", key))
        method = "plain" if token is None else "constrained"
        upgrade = self.add(
            t, server.UpgradeReceived(connection, connection, "live", "v1beta", method, tuple(credentials))
        )
        self.add(t, server.UpgradeAnswered(connection, status, refusal, False))
        return upgrade

    def knocks(self, t: float, socket: int) -> Mark:
        """A dial that never becomes an upgrade."""
        return self.add(t, server.SocketAccepted(socket, "live"))

    def turned_away(self, t: float) -> Mark:
        """A dial that the proxy itself saw, and closed."""
        return self.add(t, ours.LinkDial("live"))

    def frame(self, t: float, connection: int, message: str, *parts: str, payload: object = None) -> Mark:
        self._frames[connection] = index = self._frames.get(connection, 0) + 1
        given: Any = {message: {}} if payload is None else payload
        return self.add(t, server.FrameReceived(connection, index, message, parts, 100, given, (), (), 0))

    def sends(self, t: float, connection: int, message: str, *, payload: object = None, invalid: str = "") -> Mark:
        given: Any = {message: {}} if payload is None else payload
        return self.add(t, server.FrameSent(connection, 1, message, (), 50, given, invalid or None, False))

    def sets_up(
        self, t: float, connection: int, handle: str | None = None, *, resumption: bool = True, refusal: str = ""
    ) -> Mark:
        """A setup. `refusal`: by which row of the table the handle is refused."""
        setup: dict[str, object] = {"model": "models/m"}
        if resumption:
            setup["sessionResumption"] = {} if handle is None else {"handle": handle}
        parts = ("model", "session_resumption") if resumption else ("model",)
        mark = self.frame(t, connection, "setup", *parts, payload={"setup": setup})
        if handle is not None:
            self.add(t, server.HandlePresented(connection, handle, refusal or None))
        return mark

    def completes(
        self,
        t: float,
        connection: int,
        *,
        session: str = "session-1",
        handle: str | None = None,
        token: str | None = None,
        uses_left: int | None = None,
        facts: Sequence[str] = (),
    ) -> Mark:
        """The setupComplete; the mark is the session's. `uses_left`: of the token, where this start took a use."""
        self.sends(t, connection, "setup_complete", payload={"setupComplete": {}})
        if token is not None and uses_left is not None:
            self.add(t, server.TokenSpent(token, connection, uses_left))
        return self.add(t, server.SessionStarted(connection, session, handle, token, tuple(facts)))

    def opens(
        self,
        t: float,
        connection: int,
        *,
        token: str | None = None,
        minted: bool = True,
        handle: str | None = None,
        session: str = "session-1",
        uses_left: int = 0,
        resume_spends: bool = False,
        resumption: bool = True,
        takes_s: float = 0.03,
        facts: Sequence[str] = (),
    ) -> Mark:
        """A whole dial, from the token call to a live session at `t + takes_s`; the mark is the upgrade's."""
        if token is not None and minted:
            self.mints(max(0.0, t - 0.01), token)
        upgrade = self.dials(t, connection, token=token, key=None if token is not None else "key-1")
        self.sets_up(t + takes_s / 3, connection, handle, resumption=resumption)
        spends = handle is None or resume_spends
        self.completes(
            t + takes_s,
            connection,
            session=session,
            handle=handle,
            token=token,
            uses_left=uses_left if spends else None,
            facts=facts,
        )
        return upgrade

    def refused_dial(
        self, t: float, connection: int, refusal: str, *, token: str | None = None, handle: str | None = None
    ) -> Mark:
        """A dial whose setup is refused by a close; the mark is the close's."""
        self.dials(t, connection, token=token, key=None if token is not None else "key-1")
        self.sets_up(t + 0.01, connection, handle, refusal=refusal)
        return self.closes(t + 0.02, connection, refusal=refusal)

    def update(
        self,
        t: float,
        connection: int,
        handle: str | None,
        *,
        session: str = "session-1",
        resumable: bool = True,
        facts: Sequence[str] = (),
    ) -> Mark:
        self.sends(t, connection, "session_resumption_update")
        return self.add(t, server.HandleIssued(connection, session, handle, resumable, tuple(facts)))

    def goes_away(self, t: float, connection: int, time_left: str | None = "5s") -> Mark:
        body = {} if time_left is None else {"timeLeft": time_left}
        return self.sends(t, connection, "go_away", payload={"goAway": body})

    def closes(self, t: float, connection: int, code: int = 1011, reason: str = "", refusal: str = "") -> Mark:
        """The server closes; the link is gone a moment later."""
        mark = self.add(t, server.CloseSent(connection, code, reason, refusal or None, False))
        self.add(t + 0.01, server.ConnectionEnded(connection, "closed"))
        return mark

    def is_left(self, t: float, connection: int, code: int | None = 1000) -> Mark:
        """The client closes in order."""
        mark = self.add(t, server.CloseReceived(connection, code, ""))
        self.add(t + 0.01, server.ConnectionEnded(connection, "closed"))
        return mark

    def link_ends(self, t: float, connection: int, how: str = "fin") -> Mark:
        return self.add(t, server.ConnectionEnded(connection, how))

    def drops_own_end(self, t: float, socket: int) -> Mark:
        """The client closed its own end of a link, as the proxy saw."""
        return self.add(t, ours.LinkClientClosed("live", socket))

    def hears(self, t: float, connection: int, text: str, *, utterance: int | None = None) -> int:
        """The service takes a turn in; gives the turn's number."""
        self._turns += 1
        said = () if utterance is None else (utterance,)
        how = "text" if utterance is None else "speech"
        self.add(t, server.TurnHeard(connection, self._turns, how, text, said, (), ()))
        return self._turns

    def answers(
        self, t: float, connection: int, turn: int, *, known: Sequence[str] = (), missing: Sequence[str] = ()
    ) -> Mark:
        mark = self.add(t, server.TurnAnswered(connection, turn, "It is so.", tuple(known), tuple(missing)))
        self.add(t + 0.1, server.TurnEnded(connection, turn, "complete"))
        return mark

    # --- the person and the program ------------------------------------------------------------------------------

    def turn(
        self, t: float, step: int, verb: str, text: str, *, teaches: Sequence[str] = (), asks: Sequence[str] = ()
    ) -> Mark:
        """A turn in text; the mark is the user's turn."""
        self.add(t, ours.StepStarted(step, verb, {}))
        mark = self.add(t, ours.UserTurn(step, "text", text, tuple(teaches), tuple(asks), None, 0, 0, verb == "probe"))
        if self.driven:
            self.add(t, ours.ClientCommand({"do": "say", "text": text}))
        return mark

    def asked_and_answered(
        self,
        t: float,
        step: int,
        connection: int,
        asks: Sequence[str],
        *,
        missing: Sequence[str] = (),
        verb: str = "ask",
    ) -> Mark:
        """A question and its answer; the mark is the question's."""
        text = " ".join(f"What is my {name}?" for name in asks) or f"Turn {step}."
        question = self.turn(t, step, verb, text, asks=asks)
        self.frame(t + 0.01, connection, "client_content", "turns", "turn_complete")
        number = self.hears(t + 0.02, connection, text)
        known = [name for name in asks if name not in missing]
        self.answers(t + 0.1, connection, number, known=known, missing=missing)
        self.add(t + 0.3, ours.StepEnded(step, "done"))
        return question

    def probes(self, t: float, connection: int) -> Mark:
        """The last question of a run, heard and answered."""
        return self.asked_and_answered(t, 99, connection, (), verb="probe")

    def speaks(
        self, t: float, utterance: int = 1, *, speech_s: float = 6.0, step: int = 2, asks: Sequence[str] = ()
    ) -> Mark:
        """The person begins to speak: `speech_s` of words and 1.5 s of quiet."""
        samples = round(speech_s * 16_000)
        self.add(t, ours.StepStarted(step, "speak", {}))
        mark = self.add(
            t, ours.UserTurn(step, "speech", "Words.", (), tuple(asks), utterance, samples, samples + 24_000, False)
        )
        self.add(t, ours.ClientCommand({"do": "speak", "wav": f"utterance-{utterance}.wav", "ms": 7500}))
        return mark

    def audio(self, t: float, connection: int, start: int, end: int, *, utterance: int = 1, unplaced: int = 0) -> Mark:
        """One frame of speech, its samples from `start` to `end`."""
        self._frames[connection] = index = self._frames.get(connection, 0) + 1
        ranges = () if end <= start else (server.SpeechRange(utterance, start, end),)
        payload = {"realtimeInput": {"audio": {"bytes": 2 * (end - start)}}}
        return self.add(
            t,
            server.FrameReceived(connection, index, "realtime_input", ("audio",), 4300, payload, (), ranges, unplaced),
        )

    def streams(
        self,
        connection: int,
        spoken_s: float,
        from_s: float,
        to_s: float,
        *,
        at_s: float | None = None,
        utterance: int = 1,
    ) -> list[Mark]:
        """What was spoken (by an utterance that began at `spoken_s`) from `from_s` to `to_s` arrives in chunks.

        In real time; from `at_s` on, what is late by then comes first, four times as fast.
        """
        first, last = round((from_s - spoken_s) * 16_000), round((to_s - spoken_s) * 16_000)
        marks = []
        for place, start in enumerate(range(first, last, CHUNK)):
            end = min(last, start + CHUNK)
            t = spoken_s + end / 16_000 + 0.005
            if at_s is not None:
                t = max(t, at_s + place * 0.025)
            marks.append(self.audio(round(t, 6), connection, start, end, utterance=utterance))
        return marks

    def tells(self, t: float, state: str) -> Mark:
        """A line of the client: a state, or `error`."""
        if state == "error":
            return self.add(t, ours.ClientEvent("error", {"event": "error", "message": "so it is"}))
        return self.add(t, ours.ClientEvent("state", {"event": "state", "state": state}))

    def hangs_up(self, t: float) -> Mark:
        """The mark is the step's."""
        mark = self.add(t, ours.StepStarted(9, "hang_up", {}))
        if self.driven:
            self.add(t, ours.ClientCommand({"do": "hang_up"}))
        self.add(t, ours.StepEnded(9, "done"))
        return mark

    def exits(
        self,
        t: float,
        code: int | None = 0,
        *,
        signal: str | None = None,
        asked: bool = False,
        after_hang_up: bool = False,
        instance: int = 1,
    ) -> Mark:
        return self.add(t, ours.ClientExited(instance, code, signal, asked, after_hang_up))

    def stopping(self, t: float, how: str = "asked", *, instance: int = 1) -> Mark:
        return self.add(t, ours.ClientStopping(instance, how, how))

    def ends(self, t: float, outcome: str = "played", *, leaves: bool = True, message: str = "") -> Mark:
        """The program is told to leave and does (`leaves`), and the run is over a second later."""
        if leaves:
            self.stopping(t)
            self.exits(t + 0.1, asked=True)
        return self.add(t + 1.0, ours.RunEnded(outcome, message))

    # --- faults --------------------------------------------------------------------------------------------------

    def fault(
        self,
        t: float,
        act: str,
        *,
        for_s: float | None = None,
        takes_s: float = 0.004,
        lifted_s: float | None = None,
        link: str | None = None,
        direction: str | None = None,
        scope: str | None = None,
        after_s: float = 0.0,
        lag_ms: float = 4.0,
        lifted_lag_ms: float = 1.0,
        detail: Mapping[str, object] | None = None,
        bites: bool = True,
    ) -> Mark:
        """Due at `t`, in force at `t + takes_s`, lifted after `for_s` (or at `lifted_s`); the mark is `in force`."""
        self._faults += 1
        number = self._faults
        if act.startswith("network."):
            link, direction, scope = link or "all", direction or "both", scope or "all"
        due = self.add(t, ours.FaultDue(number, act, dict(detail or {}), after_s))
        if not bites:
            return due
        mark = self.add(t + takes_s, ours.FaultInForce(number, act, link, direction, scope, for_s, lag_ms))
        if for_s is not None or lifted_s is not None:
            end_s = lifted_s if lifted_s is not None else t + takes_s + (for_s or 0.0)
            self.add(end_s, ours.FaultLifted(number, act, lifted_lag_ms))
        return mark

    def cut(self, t: float, connection: int) -> Mark:
        """The link of a connection is cut."""
        mark = self.fault(t, "network.cut")
        self.link_ends(t + 0.006, connection)
        return mark


# --- judging ---------------------------------------------------------------------------------------------------------


def given_of(book: Book) -> Given:
    given = read_given(book.plan)
    assert given is not None
    return given


def view_of(book: Book) -> View:
    return View(book.journal(), given_of(book))


def finding(book: Book, check: str) -> Finding:
    return find(CATALOGUE[check], view_of(book))


def status(book: Book, check: str) -> str:
    return str(finding(book, check).status)


def statuses(book: Book, *checks: str) -> dict[str, str]:
    view = view_of(book)
    return {check: str(find(CATALOGUE[check], view).status) for check in checks}


def evidence_of(book: Book, check: str) -> list[Event]:
    """What a finding points at."""
    entries = {entry.n: entry.event for entry in book.journal().entries}
    return [entries[n] for n in finding(book, check).evidence]


def kinds(events: Iterable[Event]) -> set[str]:
    return {event.kind for event in events}
