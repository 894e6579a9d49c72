"""Any sequence of frames, dials, acts and times: nothing undefined, nothing leaks, nothing comes from nowhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fake_server import acts, speech
from fake_server.behaviour import DEFAULT_MODEL, Limits, ResumptionRules, TokenRules, Utterance
from fake_server.moves import Phase
from fake_server.service import ActError
from fake_server.wire.schema import ENUMS, MEMBERS, Kind, Member
from tests.fake_server.house import PLAIN, TOOLS, Caller, House
from tests.fake_server.machines import thorough
from tests.fake_server.witness import Witness

GREETING = Utterance(7, "Good morning to all of you.", speech_samples=16_000, total_samples=40_000)
"""It teaches nothing: what is known comes from what the machine says in writing."""
MODEL = f"models/{DEFAULT_MODEL}"
PINNED = {"generationConfig": {"responseModalities": ["AUDIO"]}}
"""A token's own setup that allows no resumption: a client's handle counts for nothing."""
MANUAL = {"automaticActivityDetection": {"disabled": True}}

OPEN = (Phase.AWAITING_SETUP, Phase.REFUSED, Phase.SETTING_UP, Phase.LIVE, Phase.DETACHED, Phase.CLOSING)
NOISE: tuple[Mapping[str, Any], ...] = (
    {"realtimeInput": {"audioStreamEnd": True}},
    {"realtimeInput": {"activityStart": {}}},
    {"realtimeInput": {"activityEnd": {}}},
    {"realtimeInput": {"video": {"mimeType": "image/jpeg", "data": "AAAA"}}},
    {"toolResponse": {"functionResponses": [{"id": "function-call-1-1", "name": "look_up", "response": {}}]}},
    {"clientContent": {}},
    {"clientContent": {"turns": [{"role": "model", "parts": [{"text": "Yes."}]}]}},
    {"setup": {"model": f"models/{DEFAULT_MODEL}"}},
    {"nonsense": 1},
    {},
)
ACTS: tuple[acts.Act, ...] = (
    acts.GoAway(2.0),
    acts.GoAway(None),
    acts.Close(1011, "x" * 200),
    acts.Abort(),
    acts.Silence(1.0),
    acts.Silence(only="model_turn"),
    acts.SendUpdate(resumable=False, for_s=1.0),
    acts.SendUpdate(),
    acts.Interrupt(),
    acts.CallTool(),
    acts.CancelTool(),
    acts.SendMalformed("two_documents"),
    acts.SendUnknown(),
    acts.SendMessage({"serverContent": {"turnComplete": True, "turnCompleteReason": "NEED_MORE_INPUT"}}),
    acts.SlowPong(1.0),
    acts.Refuse("session_not_found", only="resume"),
    acts.Refuse("quota"),
    acts.Refuse("unavailable", only="fresh"),
    acts.Refuse("http_503"),
    acts.ForgetContext(),
    acts.ForgetHandle(),
    acts.ExpireTokens(),
)


class Serving(RuleBasedStateMachine):
    """One server, its clients, and whoever orders things of it."""

    @initialize(
        model=st.sampled_from([DEFAULT_MODEL, "gemini-3.8-live", "gemini-3.8-live-extended-thinking"]),
        handles=st.sampled_from(["snapshot", "session"]),
        embargo=st.booleans(),
        pause=st.booleans(),
        go_away_s=st.sampled_from([None, 0.02, 6.0]),
        uses=st.sampled_from([1, 1, 2, 0]),
        lifetime_s=st.sampled_from([3.0, 60.0]),
    )
    def start(
        self,
        model: str,
        handles: Literal["snapshot", "session"],
        embargo: bool,
        pause: bool,
        go_away_s: float | None,
        uses: int,
        lifetime_s: float,
    ) -> None:
        rules = ResumptionRules(
            every_s=0.7,
            first_after_s=0.2,
            handles=handles,
            pause_while_generating=pause,
            embargo_old_socket=embargo,
            embargo_idle_drop_s=0.0,
        )
        limits = Limits(go_away_after_s=go_away_s, go_away_time_left_s=3.0, idle_s=15.0, setup_within_s=5.0)
        tokens = TokenRules(uses=uses, new_session_window_s=20.0, lifetime_s=lifetime_s)
        self.model = f"models/{model}"
        self.house = House(utterances={GREETING.number: GREETING}, resumption=rules, limits=limits, tokens=tokens)
        self.witness = Witness(self.house, whole_session=handles == "session")
        self.tokens: list[str] = []
        self.pinned: set[str] = set()
        self.facts = 0
        self.house.dial(token=self.new_token(pinned=False)).set_up(model=self.model, outputAudioTranscription={})
        self.house.advance(0.2)

    # ---- who is there

    def any_in(self, *phases: Phase) -> bool:
        return any(caller.session.phase in phases for caller in self.house.callers)

    def pick(self, index: int, *phases: Phase) -> Caller | None:
        callers = [caller for caller in self.house.callers if caller.session.phase in phases]
        return callers[index % len(callers)] if callers else None

    def handle(self, which: str) -> str:
        known = [handle for caller in self.house.callers for handle in caller.handles()]
        return {"oldest": known[0], "newest": known[-1]}[which] if known else ""

    def dial(self, token: str | None, key: str | None = None, path: str | None = None) -> Caller | None:
        if len(self.house.callers) >= 12:
            return None
        answered = self.house.try_dial(token=token, key=key, path=path)
        return answered if isinstance(answered, Caller) else None

    def new_token(self, pinned: bool) -> str:
        if pinned:
            name = self.house.mint_as(bidiGenerateContentSetup={"model": self.model, **PINNED})
            self.pinned.add(name)
        else:
            name = self.house.mint()
        rules, label = self.house.behaviour.tokens, self.house.labels.get(name)
        assert label is not None
        self.witness.uses[label] = rules.uses
        self.witness.ends_s[label] = self.house.clock.monotonic_s() + rules.lifetime_s
        self.tokens.append(name)
        return name

    # ---- dials and setups

    @rule(how=st.sampled_from(["key", "token", "pinned", "old token", "wrong key", "none", "wrong method"]))
    def dial_somehow(self, how: str) -> None:
        if how in ("token", "pinned"):
            self.dial(self.new_token(how == "pinned"))
        elif how == "old token":
            self.dial(self.tokens[0] if self.tokens else "auth_tokens/unknown")
        elif how == "wrong method":
            self.dial(self.new_token(pinned=False), path=PLAIN)
        else:
            self.dial(None, {"wrong key": "AIzaWrong", "none": ""}.get(how))

    @precondition(lambda self: self.any_in(Phase.AWAITING_SETUP))
    @rule(
        index=st.integers(0, 5),
        resume=st.sampled_from(["", "newest", "oldest"]),
        tools=st.booleans(),
        manual=st.booleans(),
        wait=st.booleans(),
    )
    def set_up(self, index: int, resume: str, tools: bool, manual: bool, wait: bool) -> None:
        caller = self.pick(index, Phase.AWAITING_SETUP)
        if caller is None:
            return
        setup: dict[str, Any] = {"model": self.model, "outputAudioTranscription": {}}
        if resume:
            setup["sessionResumption"] = {"handle": self.handle(resume)}
        if tools:
            setup["tools"] = TOOLS
        if manual:
            setup["realtimeInputConfig"] = MANUAL
        caller.send({"setup": setup})
        if wait:
            self.house.advance(0.05)

    @rule(by=st.sampled_from(["key", "same token", "new token", "pinned"]), drop=st.booleans())
    def come_back(self, by: str, drop: bool) -> None:
        """What a client does most: drop, dial, resume with the newest handle."""
        if drop:
            for caller in self.house.callers:
                if caller.session.phase is not Phase.ENDED:
                    caller.drop()
        old = self.tokens[-1:] if by == "same token" else []
        token = None if by == "key" else old[0] if old else self.new_token(by == "pinned")
        again = self.dial(token)
        if again is not None:
            handle = self.handle("newest")
            again.set_up(model=self.model, **({"sessionResumption": {"handle": handle}} if handle else {}))

    @precondition(lambda self: self.tokens)
    @rule(both=st.booleans())
    def share_a_token(self, both: bool) -> None:
        """Two dials at once, one of which may end before it has begun."""
        first, second = self.dial(self.tokens[-1]), self.dial(self.tokens[-1])
        for caller in (first, second):
            if caller is not None and caller.session.phase is Phase.AWAITING_SETUP:
                caller.send({"setup": {"model": self.model}})
        if first is not None and not both:
            first.drop()
        self.house.advance(0.05)

    # ---- talk

    @precondition(lambda self: self.any_in(Phase.LIVE, Phase.SETTING_UP))
    @rule(
        index=st.integers(0, 5),
        form=st.sampled_from(["turn", "history", "text", "instruction"]),
        seconds=st.sampled_from([0.0, 0.4, 0.8, 2.0]),
    )
    def teach(self, index: int, form: str, seconds: float) -> None:
        caller = self.pick(index, Phase.LIVE, Phase.SETTING_UP)
        if caller is None:
            return
        self.facts += 1
        text = f"My word{self.facts} is x{self.facts}."
        contents = {"parts": [{"text": text}]}
        self.witness.said(caller, f"word{self.facts}")
        if form == "text":
            caller.send({"realtimeInput": {"text": text}})
        elif form == "instruction":
            caller.send({"contextUpdate": {"systemInstruction": contents}})
        else:
            caller.send({"clientContent": {"turns": [contents], "turnComplete": form == "turn"}})
        self.house.advance(seconds)

    @precondition(lambda self: self.facts and self.any_in(Phase.LIVE))
    @rule(index=st.integers(0, 5), back=st.integers(0, 3), seconds=st.sampled_from([0.0, 0.4, 0.8, 2.0]))
    def ask(self, index: int, back: int, seconds: float) -> None:
        """Also for what was said in somebody else's session."""
        caller = self.pick(index, Phase.LIVE)
        if caller is not None:
            caller.say(f"What is my word{max(1, self.facts - back)}?")
            self.house.advance(seconds)

    @precondition(lambda self: self.any_in(*OPEN))
    @rule(index=st.integers(0, 5), frame=st.sampled_from(NOISE))
    def noise(self, index: int, frame: Mapping[str, Any]) -> None:
        caller = self.pick(index, *OPEN)
        if caller is None:
            return
        if caller.session.phase is Phase.SETTING_UP and "activity" in str(frame):
            self.witness.of(caller).deaf = True
        caller.send(frame)

    @precondition(lambda self: self.any_in(Phase.LIVE))
    @rule(index=st.integers(0, 5), start=st.integers(0, 30_000), size=st.integers(1, 8_000))
    def stream(self, index: int, start: int, size: int) -> None:
        caller = self.pick(index, Phase.LIVE)
        if caller is not None:
            caller.stream(speech.pcm(GREETING.number, start, start + size, 16_000), chunk_bytes=4001, step_s=0.05)

    @precondition(lambda self: self.any_in(*OPEN))
    @rule(index=st.integers(0, 5), data=st.sampled_from([b"", b"\xff\x00", b"[1]", b'{"setup":', "{}", b"null"]))
    def garbage(self, index: int, data: bytes | str) -> None:
        caller = self.pick(index, *OPEN)
        if caller is not None:
            caller.send(data)

    # ---- orders, ends, time

    @rule(act=st.sampled_from(ACTS), lift=st.booleans())
    def act(self, act: acts.Act, lift: bool) -> None:
        if isinstance(act, acts.ForgetContext):
            self.witness.forgotten()
        if isinstance(act, acts.ExpireTokens):
            self.witness.expired()
        try:
            self.house.act(act)
        except ActError:
            return
        if lift:
            self.house.lift(act)

    @precondition(lambda self: self.any_in(*OPEN))
    @rule(index=st.integers(0, 5), how=st.sampled_from(["close", "drop", "proxy", "ping"]))
    def leave(self, index: int, how: str) -> None:
        caller = self.pick(index, *OPEN)
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

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, 4.0]))
    def wait(self, seconds: float) -> None:
        self.house.advance(seconds)

    @invariant()
    def all_is_as_it_must_be(self) -> None:
        if hasattr(self, "witness"):
            self.witness.check()

    def teardown(self) -> None:
        """In the end every client is gone."""
        if hasattr(self, "witness"):
            for caller in self.house.callers:
                if caller.session.phase is not Phase.ENDED:
                    caller.drop()
            self.witness.check()


TestServing = Serving.TestCase
TestServing.settings = thorough(examples=60, steps=30)


# ---- any document that the schema allows, or nearly

_ODD: st.SearchStrategy[Any] = st.sampled_from([None, 0, -1, 1, 2.5, 2**70, True, "", "x", "1", [], [[]], {}, {"x": 1}])
_VALUES: Mapping[Kind, st.SearchStrategy[Any]] = {
    Kind.STRING: st.sampled_from(["", "text", "models/x", MODEL, "audio/pcm;rate=8000", "h" * 36, "\x00é"]),
    Kind.BOOL: st.booleans(),
    Kind.INT32: st.sampled_from([0, 1, "7", -5, 2**31 - 1]),
    Kind.INT64: st.sampled_from([0, "1000", -(2**63)]),
    Kind.FLOAT: st.sampled_from([0.5, 1, "NaN", "-Infinity"]),
    Kind.BYTES: st.sampled_from(["", "AAAA", "AA", "_-8=", "AAA"]),
    Kind.DURATION: st.sampled_from(["1s", "0.5s"]),
    Kind.TIMESTAMP: st.just("2027-01-15T08:00:00Z"),
    Kind.JSON: _ODD,
}


def _message(type_name: str, depth: int) -> st.SearchStrategy[Any]:
    members = sorted({member.name: member for member in MEMBERS[type_name].values()}.items())
    if depth == 0 or not members:
        return st.just({})
    return st.lists(st.sampled_from(members), max_size=3).flatmap(
        lambda chosen: st.fixed_dictionaries({name: _member(member, depth) for name, member in chosen})
    )


def _member(member: Member, depth: int) -> st.SearchStrategy[Any]:
    if member.kind is Kind.ENUM:
        one: st.SearchStrategy[Any] = st.sampled_from([*sorted(ENUMS[member.type_name]), "NOVEL", 0, 2, 99])
    elif member.kind is Kind.MESSAGE:
        one = _message(member.type_name, depth - 1)
    else:
        one = _VALUES[member.kind]
    if member.mapped:
        one = st.dictionaries(st.sampled_from(["a", "b"]), one, max_size=2)
    elif member.repeated:
        one = st.lists(one, max_size=2)
    return st.integers(0, 9).flatmap(lambda n: _ODD if n == 0 else one)


_FRAMES = st.sampled_from(["clientContent", "realtimeInput", "toolResponse", "contextUpdate"]).flatmap(
    lambda name: _member(MEMBERS["ClientMessage"][name], 5).map(lambda body: {name: body})
)


_SETUPS = st.builds(
    lambda setup, config, tools: {**setup, **({"generationConfig": config} if config else {}), **tools},
    _message("Setup", 5),
    _message("GenerationConfig", 4),
    st.just({}) | _message("Tool", 4).map(lambda tool: {"tools": [tool]}),
)


DOCUMENTS = given(
    model=st.sampled_from(
        [DEFAULT_MODEL, "gemini-3.8-live", "gemini-3.1-flash-live-preview", "gemini-3.5-transcribe-live", "nobody"]
    ),
    setup=_SETUPS,
    frames=st.lists(_FRAMES, max_size=3),
)


def play_documents(model: str, setup: dict[str, Any], frames: list[dict[str, Any]]) -> None:
    house = House()
    Witness(house, whole_session=False)
    judged, plain = house.dial(), house.dial()
    judged.send(json.dumps({"setup": {**setup, "model": f"models/{model}"}}))
    plain.set_up()
    for caller in (judged, plain):
        for frame in frames:
            caller.send(json.dumps(frame))
            house.advance(0.4)
        house.advance(3.0)
        caller.drop()


test_no_document_breaks_a_session = settings(max_examples=50)(DOCUMENTS(play_documents))
