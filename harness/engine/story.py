"""Does what the person of the story does, step by step, with a deadline on every wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from fake_server import events as server
from harness.engine.faults import FaultRunner
from harness.engine.recorder import Predicate, Recorder
from harness.engine.situation import Situation
from harness.engine.triggers import Condition, TriggerBoard
from harness.journal.events import (
    ClientEvent,
    ClientExited,
    Entry,
    Note,
    StepEnded,
    StepStarted,
    UserTurn,
)
from harness.plan import Plan, PlannedTurn
from harness.scenario.faults import Fault, GoAwayFault
from harness.scenario.model import (
    Ask,
    Do,
    HangUp,
    Meanwhile,
    Say,
    Speak,
    Step,
    Teach,
    Until,
    Wait,
)

TURN_ENDS_WITHIN_S = 15.0
"""teach, say and ask end at the turn's end, or after this."""
QUIET_AFTER_HANG_UP_S = 10.0
"""RETRY-6 watches for the longer of this and twice the last gap between dials."""
LONGEST_QUIET_S = 60.0
SETTLE_S = 2.0
"""A link that came back, and whose session lived on for so long with nobody speaking, counts as recovered."""
SAMPLE_RATE_HZ = 16_000


class User(Protocol):
    """How the person reaches the client: commands for a driven client, nothing for an autonomous one."""

    @property
    def driven(self) -> bool:
        """False: the client talks by itself and takes no commands."""
        ...

    def command(self, command: dict[str, object]) -> None:
        """Write one command line (contract, section 4)."""
        ...

    def wav_path(self, utterance: int) -> str:
        """Where the WAV of an utterance lies."""
        ...


@dataclass(frozen=True, slots=True)
class _Armed:
    watch: int | None
    timer: asyncio.TimerHandle | None
    what: str


class StoryPlayer:
    """Plays the steps of one plan."""

    def __init__(
        self,
        plan: Plan,
        user: User,
        recorder: Recorder,
        situation: Situation,
        faults: FaultRunner,
        triggers: TriggerBoard,
        progress: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._user = user
        self._recorder = recorder
        self._situation = situation
        self._faults = faults
        self._triggers = triggers
        self._progress = progress
        self._timers: set[asyncio.TimerHandle] = set()

    async def play(self) -> None:
        """Every step in order; stops early when the client is gone or says that the scenario is not for it."""
        steps = self._plan.scenario.story
        for number, step in enumerate(steps, start=1):
            if not self._can_go_on:
                return
            self._progress(f"step {number} of {len(steps)}: {step.verb}")
            await self._play_step(number, step)

    async def probe(self) -> None:
        """The turn that ends a run: does the client still answer?"""
        number = len(self._plan.scenario.story) + 1
        turn = self._plan.turn(number)
        if turn is None or not self._can_go_on or self._situation.hung_up:
            return
        await self._faults.wait_for_links()
        self._progress("probe: is anybody there?")
        self._recorder.record(StepStarted(number, "probe", {"text": turn.text}))
        outcome = await self._say_turn(turn, waits_for_answer=True)
        self._recorder.record(StepEnded(number, outcome))

    async def watch_after_hang_up(self) -> None:
        """Nothing may be dialled any more: look for as long as RETRY-6 asks, with the link up."""
        await self._faults.wait_for_links()
        quiet_s = min(LONGEST_QUIET_S, max(QUIET_AFTER_HANG_UP_S, 2 * self._situation.last_dial_gap_s))
        self._progress(f"hung up: watching {quiet_s:.0f} s for dials")
        await self._wait_for(_is_exit, quiet_s)

    @property
    def _can_go_on(self) -> bool:
        return self._situation.client_alive and self._situation.unsupported is None

    async def _wait_for(self, predicate: Predicate, timeout_s: float) -> Entry | None:
        """Like `Recorder.wait_for`, but the client's exit ends it too (and is returned)."""
        if not self._situation.client_alive:
            return None
        return await self._recorder.wait_for(lambda entry: predicate(entry) or _is_exit(entry), timeout_s)

    async def _play_step(self, number: int, step: Step) -> None:
        self._recorder.record(StepStarted(number, step.verb, step.model_dump(mode="json", exclude_none=True)))
        armed = [self._arm(meanwhile) for meanwhile in step.meanwhile]
        try:
            outcome = await self._act_out(number, step)
        finally:
            self._disarm(armed)
        self._recorder.record(StepEnded(number, outcome if self._situation.client_alive else "client_gone"))

    async def _act_out(self, number: int, step: Step) -> str:
        match step:
            case Teach() | Say() | Ask() | Speak():
                turn = self._plan.turn(number)
                if turn is None:
                    raise LookupError(f"step {number} ({step.verb}) has no turn in the plan")
                return await self._say_turn(turn, waits_for_answer=not isinstance(step, Speak))
            case Until() if step.recovered is not None:
                return await self._until_recovered(step.recovered.within_s)
            case Until():
                return await self._until_event(step)
            case Wait():
                await self._wait_for(_is_exit, step.wait)
                return "done"
            case HangUp():
                self._user.command({"do": "hang_up"})
                return "done"
            case Do():
                await asyncio.wait({self._faults.due(step.do)})
                return "done"

    # --- turns -------------------------------------------------------------------------------------------------

    async def _say_turn(self, turn: PlannedTurn, *, waits_for_answer: bool) -> str:
        spoken_s = 0.0
        total_samples = speech_samples = 0
        if turn.utterance is not None:
            utterance = self._plan.utterance(turn.utterance)
            total_samples, speech_samples = utterance.total_samples, utterance.speech_samples
            spoken_s = total_samples / SAMPLE_RATE_HZ
        self._recorder.record(
            UserTurn(
                turn.step,
                turn.how,
                turn.text,
                tuple(turn.teaches),
                tuple(turn.asks),
                turn.utterance,
                speech_samples,
                total_samples,
                turn.probe,
            )
        )
        if turn.utterance is None:
            self._user.command({"do": "say", "text": turn.text})
        else:
            milliseconds = round(1000 * total_samples / SAMPLE_RATE_HZ)
            self._user.command({"do": "speak", "wav": self._user.wav_path(turn.utterance), "ms": milliseconds})
        if not waits_for_answer:
            await self._wait_for(_is_exit, spoken_s)
            return "done"
        heard: set[int] = set()

        def answered(entry: Entry) -> bool:
            match entry.event:
                case server.TurnHeard(turn=number) if self._is_turn(turn, entry.event):
                    heard.add(number)
                case server.TurnEnded(turn=number, outcome="complete" | "interrupted"):
                    return number in heard
                case ClientEvent(event="state", data={"state": "gave_up"}):
                    return True
                case _:
                    pass
            return False

        if not self._user.driven:
            entry = await self._wait_for(_is_turn_complete, TURN_ENDS_WITHIN_S)
        elif self._situation.gave_up and not self._situation.live:
            entry = await self._wait_for(answered, SETTLE_S)
        else:
            entry = await self._wait_for(answered, spoken_s + TURN_ENDS_WITHIN_S)
        return "timed_out" if entry is None else "done"

    @staticmethod
    def _is_turn(turn: PlannedTurn, heard: server.TurnHeard) -> bool:
        if turn.utterance is not None:
            return turn.utterance in heard.utterances
        return turn.text in heard.text

    # --- waits -------------------------------------------------------------------------------------------------

    async def _until_event(self, step: Until) -> str:
        assert_event = step.event
        if assert_event is None:
            return "done"
        condition = Condition(
            assert_event.event,
            nth=assert_event.nth,
            connection=assert_event.connection,
            filter=assert_event.filter,
        )
        seen = 0

        def fits(entry: Entry) -> bool:
            nonlocal seen
            if condition.fits(entry.event):
                seen += 1
            return seen >= condition.nth

        entry = await self._wait_for(fits, assert_event.within_s)
        return "timed_out" if entry is None or seen < condition.nth else "done"

    async def _until_recovered(self, within_s: float) -> str:
        """Until the client is back, or `within_s` have passed since the later of known and link back."""
        if self._faults.last_in_force_s is None and not self._faults.holding:
            # A fault that was due a moment ago may not be in force yet.
            await self._wait_for(_is_fault_in_force, 1.0)
        await self._faults.wait_for_links()
        fault_s = self._faults.last_in_force_s
        if fault_s is None:
            self._recorder.record(
                Note("`until: recovered` had nothing to recover from: no fault was in force before it")
            )
            return "done"
        back_s = self._faults.link_back_s if self._faults.link_back_s is not None else self._situation.now_s
        known_by_s = max(back_s, fault_s + self._slowest_notice_s())
        give_up_at_s = known_by_s + within_s + 1.0
        if self._plan.client.policy.redial != "eager":
            await self._wait_for(_is_exit, SETTLE_S)
            return "done"
        while not self._is_back(fault_s, back_s):
            left_s = give_up_at_s - self._recorder.now_s()
            if left_s <= 0 or not self._can_go_on:
                return "timed_out"
            settle_s = back_s + SETTLE_S - self._recorder.now_s()
            await self._wait_for(_may_be_back, min(left_s, settle_s) if settle_s > 0 else left_s)
        return "done"

    def _is_back(self, fault_s: float, back_s: float) -> bool:
        situation = self._situation
        newest_s = max(situation.live.values(), default=None)
        if newest_s is None:
            return False
        if newest_s > fault_s:
            return True
        if self._faults.existing_only:
            # Its link is the one that the fault hit: what the server still holds is a ghost.
            return False
        rode_it_out = situation.last_input_s is not None and situation.last_input_s > back_s
        return rode_it_out or self._recorder.now_s() >= back_s + SETTLE_S

    def _slowest_notice_s(self) -> float:
        """Seconds after the newest fault by which the client must have noticed it, by its own policy."""
        newest = self._faults.newest
        if isinstance(newest, GoAwayFault):
            return self._plan.go_away_time_left_s(newest)
        if self._faults.existing_only:
            return self._plan.client.policy.liveness.within
        return 0.0

    # --- faults on the way ---------------------------------------------------------------------------------------

    def _arm(self, meanwhile: Meanwhile) -> _Armed:
        at = meanwhile.at
        what = meanwhile.do.act
        if at.event is None:
            return _Armed(None, self._later(at.delay_s, meanwhile.do, at.delay_s), what)
        event, after_s = at.event.event, at.delay_s + at.event.after_s
        condition = Condition(
            event,
            nth=at.event.nth,
            connection=at.event.connection,
            after_s=after_s,
            filter=at.event.filter,
            edge=at.event.edge,
        )
        return _Armed(self._triggers.add(condition, self.firing(meanwhile.do)), None, what)

    def firing(self, fault: Fault) -> Callable[[Condition], object]:
        """What a trigger calls: begins `fault` after the condition's delay; returns the task when it begins at once."""

        def fire(condition: Condition) -> object:
            if condition.after_s > 0:
                self._later(condition.after_s, fault, condition.after_s)
                return None
            return self._faults.due(fault)

        return fire

    def _later(self, delay_s: float, fault: Fault, after_s: float) -> asyncio.TimerHandle:
        loop = asyncio.get_running_loop()
        due_at_s = loop.time() + delay_s

        def begin() -> None:
            self._timers.discard(handle)
            self._faults.due(fault, after_s=after_s, late_s=loop.time() - due_at_s)

        handle = loop.call_at(due_at_s, begin)
        self._timers.add(handle)
        return handle

    def _disarm(self, armed: Iterable[_Armed]) -> None:
        loop = asyncio.get_running_loop()
        for one in armed:
            never_fired = (one.watch is not None and self._triggers.remove(one.watch)) or (
                one.timer is not None and one.timer in self._timers and one.timer.when() > loop.time()
            )
            if one.timer is not None and never_fired:
                one.timer.cancel()
                self._timers.discard(one.timer)
            if never_fired:
                self._recorder.record(Note(f"{one.what} never came due: its moment did not come while its step lasted"))

    def cancel_timers(self) -> None:
        """Nothing begins after this."""
        for handle in self._timers:
            handle.cancel()
        self._timers.clear()


def _is_exit(entry: Entry) -> bool:
    """The client is gone. One that we end ourselves is not: it is started again."""
    return isinstance(entry.event, ClientExited) and not entry.event.asked


def _is_turn_complete(entry: Entry) -> bool:
    return isinstance(entry.event, server.TurnEnded) and entry.event.outcome == "complete"


def _is_fault_in_force(entry: Entry) -> bool:
    return entry.event.kind == "fault.in_force"


def _may_be_back(entry: Entry) -> bool:
    return isinstance(entry.event, server.SessionStarted | server.FrameReceived)
