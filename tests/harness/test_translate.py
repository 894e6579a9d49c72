"""From scenario words to what server and proxy are told: nothing is lost on the way."""

from __future__ import annotations

import typing
from typing import Any

import pytest
from pydantic import TypeAdapter

from fake_server import acts
from fake_server.behaviour import Behaviour, ScriptedCall
from harness.plan import ProxyInfo, make_plan
from harness.policy import ClientProfile
from harness.proxy import port
from harness.scenario.faults import Fault, NetworkFault, ServerFault, TokenFault
from harness.scenario.loader import parse_scenario
from harness.translate import behaviour, network_fault, server_act

FAULTS: TypeAdapter[Fault] = TypeAdapter(Fault)
PROXY = ProxyInfo(kind="builtin", version="0.1")

ACTS = [
    ({"server": "go_away"}, acts.GoAway(5.0)),
    (
        {"server": "go_away", "time_left": "none", "raw": "57s", "extra": {"x": 1}, "connection": 2},
        acts.GoAway(None, "57s", {"x": 1}, 2),
    ),
    ({"server": "close", "code": 1001, "reason": "bye", "connection": 1}, acts.Close(1001, "bye", 1)),
    ({"server": "refusal", "refusal": "quota"}, acts.Refuse("quota", "any", None, 1)),
    ({"server": "refusal", "refusal": "quota", "for": "3s"}, acts.Refuse("quota", "any", 3.0, None)),
    (
        {"server": "refusal", "refusal": "session_expired", "only": "resume", "times": 2, "for": "3s"},
        acts.Refuse("session_expired", "resume", 3.0, 2),
    ),
    (
        {"server": "refusal", "refusal": "http_429", "retry_after": "3s"},
        acts.Refuse("http_429", "any", None, 1, None, 3.0),
    ),
    ({"server": "abort", "connection": 3}, acts.Abort(3)),
    ({"server": "silence", "only": "model_turn", "for": "2s"}, acts.Silence(2.0, "model_turn")),
    ({"server": "update", "resumable": False, "for": "2s"}, acts.SendUpdate(False, 2.0)),
    ({"server": "forget_handle"}, acts.ForgetHandle()),
    ({"server": "forget_context"}, acts.ForgetContext()),
    ({"server": "interrupt"}, acts.Interrupt()),
    ({"server": "tool_call", "name": "f"}, acts.CallTool("f")),
    ({"server": "cancel_tool_call"}, acts.CancelTool()),
    (
        {"server": "message", "message": {"serverContent": {"waitingForInput": True}}, "connection": 2},
        acts.SendMessage({"serverContent": {"waitingForInput": True}}, 2),
    ),
    ({"server": "malformed", "malformed": "truncated"}, acts.SendMalformed("truncated")),
    ({"server": "unknown_message"}, acts.SendUnknown()),
    ({"server": "slow_pong", "delay": "25s", "for": "60s"}, acts.SlowPong(25.0, 60.0)),
    ({"tokens": "fail", "times": 2}, acts.FailTokenCalls("status", 503, None, 2)),
    ({"tokens": "fail"}, acts.FailTokenCalls("status", 503)),
    (
        {"tokens": "fail", "with": 429, "retry_after": "5s", "times": 2},
        acts.FailTokenCalls("status", 429, None, 2, 5.0),
    ),
    ({"tokens": "fail", "with": "timeout", "for": "5s"}, acts.FailTokenCalls("timeout", 503, 5.0)),
    ({"tokens": "fail", "with": "garbage"}, acts.FailTokenCalls("garbage", 503)),
    ({"tokens": "slow", "delay": "9s"}, acts.SlowTokenCalls(9.0)),
    ({"tokens": "expire"}, acts.ExpireTokens()),
]


@pytest.mark.parametrize(("given", "expected"), ACTS, ids=lambda one: type(one).__name__)
def test_acts(given: dict[str, Any], expected: acts.Act) -> None:
    fault = FAULTS.validate_python(given)
    assert isinstance(fault, ServerFault | TokenFault)
    assert server_act(fault) == expected


def test_every_act_of_the_server_can_be_written_in_a_scenario() -> None:
    assert {type(act) for _, act in ACTS} == set(typing.get_args(acts.Act))


def test_a_fault_without_an_act_is_an_error_of_ours() -> None:
    with pytest.raises(TypeError, match="no act of the fake server"):
        server_act(ServerFault(server="new"))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"network": "cut"}, port.Fault(port.FaultKind.CUT)),
        (
            {"network": "stall", "for": "1s", "direction": "up", "scope": "existing"},
            port.Fault(port.FaultKind.STALL, port.Direction.UP, port.Scope.EXISTING),
        ),
        (
            {"network": "slow", "for": "1s", "latency": "250ms", "jitter": "50ms"},
            port.Fault(port.FaultKind.SLOW, latency_ms=250, jitter_ms=50),
        ),
        (
            {"network": "throttle", "for": "1s", "rate": "1.5kB/s"},
            port.Fault(port.FaultKind.THROTTLE, rate_bytes_per_s=1500),
        ),
        (
            {"network": "slice", "for": "1s", "slice_bytes": 7, "slice_delay": "3ms"},
            port.Fault(port.FaultKind.SLICE, slice_bytes=7, slice_delay_ms=3),
        ),
    ],
)
def test_network_faults(given: dict[str, Any], expected: port.Fault) -> None:
    fault = FAULTS.validate_python(given)
    assert isinstance(fault, NetworkFault)
    assert network_fault(fault) == expected


def told(session: str, story: str = "[{teach: [name]}, {speak: 1s}]") -> Behaviour:
    scenario = parse_scenario(f"scenario: s\ntitle: t\nsession: {session}\nstory: {story}\n").scenario
    return behaviour(make_plan(scenario, None, 7, ClientProfile(), PROXY, {}))


def test_a_session_that_says_nothing_is_the_real_one() -> None:
    found = told("{}")
    assert (found.tokens, found.resumption, found.limits, found.frames, found.script) == (
        Behaviour().tokens,
        Behaviour().resumption,
        Behaviour().limits,
        Behaviour().frames,
        Behaviour().script,
    )
    assert list(found.facts) == ["name"]
    assert found.utterances[1].speech_samples == 16_000


def test_everything_that_a_session_says_reaches_the_server() -> None:
    found = told(
        "{model: m, dialect: article, profile: vertex, unknown_fields: refuse, voices: any,"
        " tokens: {uses: 3, new_session_window: 2s, lifetime: 4s, resume_spends_use: true, refuse: http_401},"
        " resumption: {every: never, first_after: 1s, handles: session, pause_while_generating: true, lifetime: 5s,"
        "   counts_setup: false, embargo: {old_socket: false, idle_drop: 1200ms, refused_after: 500ms}},"
        " limits: {go_away_after: 6s, go_away_time_left: 7s, idle: 8s, dead_client: never, setup_within: 9s,"
        "   session: 10s, max_frame_bytes: 11, input_ahead: 12s, video_session: 3s, context_tokens: 500, sessions: 3,"
        "   quota_close_after: 2s},"
        " frames: {opcode: text, pretty: false},"
        " model_script: {setup_complete_after: 13s, think: 14s, reply_audio: 15s, audio_pace: 0,"
        "   hold_turn_complete: false, quiet_ends_turn: 16s, speech_interrupts: false, replies: [Yes.],"
        "   calls: [{turn: 2, name: f}], calls_when_named: false, call_ids: false, pending_call_input: refuse,"
        "   turn_complete: false, interim_turns: 2, empty_frames: true}}"
    )
    assert (found.model, found.dialect, found.profile, found.unknown_fields) == ("m", "article", "vertex", "refuse")
    assert found.voices == "any"
    default = Behaviour()
    for part in ("tokens", "resumption", "limits", "frames", "script"):
        mine, usual = getattr(found, part), getattr(default, part)
        same = [name for name in mine.__dataclass_fields__ if getattr(mine, name) == getattr(usual, name)]
        assert same == [], f"{part}: every value was changed"
    assert found.resumption.every_s is None
    assert found.limits.dead_client_s is None
    assert found.script.calls == (ScriptedCall(2, "f"),)


def test_limits_may_be_the_models_own_or_none() -> None:
    found = told("{limits: {idle: never, context_tokens: never, sessions: never}}").limits
    assert (found.idle_s, found.context_tokens, found.sessions) == (None, None, None)
    assert told("{limits: {idle: model}}").limits.idle_s == "model"


def test_refusing_at_the_upgrade_implies_that_a_resume_spends_a_use() -> None:
    assert told("{tokens: {refuse: http_401}}").tokens.resume_spends_use
    assert not told("{tokens: {refuse: close_1011}}").tokens.resume_spends_use
