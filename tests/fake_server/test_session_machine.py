"""Any sequence of events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fake_server import acts, speech, wire
from fake_server.behaviour import Limits, ResumptionRules
from fake_server.effects import Send
from fake_server.moves import Phase
from fake_server.service import ActError
from tests.fake_server.house import SPOKEN, TOOLS, Caller, House

# ---- any sequence of events


class AnySequence(RuleBasedStateMachine):
    """No order of frames, acts and times raises, sends before setupComplete, or leaves a timer on a closed link."""

    def __init__(self) -> None:
        super().__init__()
        self.house = House(
            utterances={7: SPOKEN},
            resumption=ResumptionRules(every_s=0.7, first_after_s=0.2, pause_while_generating=True),
            limits=Limits(go_away_after_s=20.0, go_away_time_left_s=3.0, idle_s=15.0, setup_within_s=5.0),
        )

    @initialize(tools=st.booleans())
    def begin(self, tools: bool) -> None:
        setup: dict[str, Any] = {"tools": TOOLS} if tools else {}
        self.house.dial(token=self.house.mint()).set_up(outputAudioTranscription={}, **setup)

    @rule(tools=st.booleans())
    def come_back(self, tools: bool) -> None:
        """What a client does most: drop, dial, resume with the newest handle."""
        for caller in self.house.callers:
            if caller.session.phase is not Phase.ENDED:
                caller.drop()
        handles = [handle for one in self.house.callers for handle in one.handles()]
        setup: dict[str, Any] = {"sessionResumption": {"handle": handles[-1]}} if handles else {}
        self.house.dial().set_up(**setup, **({"tools": TOOLS} if tools else {}))

    def one_of_open(self, index: int) -> Caller | None:
        callers = [caller for caller in self.house.callers if caller.session.phase is not Phase.ENDED]
        return callers[index % len(callers)] if callers else None

    @rule(by_token=st.booleans())
    def dial(self, by_token: bool) -> None:
        if len(self.house.callers) < 6:
            self.house.dial(token=self.house.mint() if by_token else None)

    @rule(index=st.integers(0, 5), resume=st.booleans(), tools=st.booleans(), manual=st.booleans())
    def set_up(self, index: int, resume: bool, tools: bool, manual: bool) -> None:
        caller = self.one_of_open(index)
        if caller is None:
            return
        setup: dict[str, Any] = {"outputAudioTranscription": {}}
        known = [handle for one in self.house.callers for handle in one.handles()]
        if resume and known:
            setup["sessionResumption"] = {"handle": known[-1]}
        if tools:
            setup["tools"] = TOOLS
        if manual:
            setup["realtimeInputConfig"] = {"automaticActivityDetection": {"disabled": True}}
        caller.set_up(**setup)

    @rule(
        index=st.integers(0, 5),
        frame=st.sampled_from(
            [
                {"clientContent": {"turns": [{"parts": [{"text": "My name is Ada."}]}], "turnComplete": True}},
                {"clientContent": {"turns": [{"role": "model", "parts": [{"text": "Yes."}]}]}},
                {"realtimeInput": {"text": "What is my name?"}},
                {"realtimeInput": {"audioStreamEnd": True}},
                {"realtimeInput": {"activityStart": {}}},
                {"realtimeInput": {"activityEnd": {}}},
                {"toolResponse": {"functionResponses": [{"id": "function-call-1-1", "name": "look_up"}]}},
                {"contextUpdate": {"systemInstruction": {"parts": [{"text": "My city is Rome."}]}}},
                {"nonsense": 1},
                {},
            ]
        ),
    )
    def send(self, index: int, frame: Mapping[str, Any]) -> None:
        caller = self.one_of_open(index)
        if caller is not None:
            caller.send(frame)

    @rule(text=st.sampled_from(["My name is Ada.", "What is my name?"]), seconds=st.sampled_from([0.0, 0.4, 0.7, 2.0]))
    def talk(self, text: str, seconds: float) -> None:
        for caller in self.house.callers:
            if caller.session.live:
                caller.say(text)
        self.house.advance(seconds)

    @rule(index=st.integers(0, 5), start=st.integers(0, 30_000), size=st.integers(1, 8_000))
    def stream(self, index: int, start: int, size: int) -> None:
        caller = self.one_of_open(index)
        if caller is not None:
            caller.stream(speech.pcm(7, start, start + size, 16_000), chunk_bytes=4000, step_s=0.05)

    @rule(
        act=st.sampled_from(
            [
                acts.GoAway(2.0),
                acts.Close(1011, "x"),
                acts.Abort(),
                acts.Silence(1.0),
                acts.Silence(only="model_turn"),
                acts.SendUpdate(resumable=False, for_s=1.0),
                acts.SendUpdate(),
                acts.Interrupt(),
                acts.CallTool(),
                acts.CancelTool(),
                acts.SendUnknown(),
                acts.SlowPong(1.0),
                acts.ForgetContext(),
                acts.ExpireTokens(),
                acts.Refuse("session_not_found", only="resume"),
            ]
        ),
        lift=st.booleans(),
    )
    def act(self, act: acts.Act, lift: bool) -> None:
        try:
            self.house.act(act)
        except ActError:
            return
        if lift:
            self.house.lift(act)

    @rule(index=st.integers(0, 5), how=st.sampled_from(["close", "drop", "proxy", "ping"]))
    def leave(self, index: int, how: str) -> None:
        caller = self.one_of_open(index)
        if caller is None:
            return
        now_s = self.house.clock.monotonic_s()
        if how == "close":
            caller.hang_up()
        elif how == "drop":
            caller.drop()
        elif how == "proxy":
            self.house.control.client_closed(caller.session.caller.socket, now_s)
        else:
            caller.take(caller.session.pinged(b"p", now_s))

    @precondition(lambda self: self.house.callers)
    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, 4.0]))
    def wait(self, seconds: float) -> None:
        self.house.advance(seconds)

    @invariant()
    def frames_are_such_as_the_service_sends(self) -> None:
        for caller in self.house.callers:
            odd = [effect.message for effect in caller.effects if isinstance(effect, Send) and effect.deliberate]
            for number, message in enumerate(caller.sent):
                if message not in odd:
                    assert wire.invalid_reason(message, first=number == 0) is None

    @invariant()
    def every_heard_turn_ends_once_at_most(self) -> None:
        for caller in self.house.callers:
            ended = [event.turn for event in caller.of("turn.ended")]
            assert len(ended) == len(set(ended))
            if caller.session.phase is Phase.ENDED:
                assert caller.session.next_deadline_s == float("inf")
                assert {event.turn for event in caller.of("turn.heard")} <= set(ended)


TestAnySequence = AnySequence.TestCase
TestAnySequence.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
