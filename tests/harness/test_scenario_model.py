"""The scenario language: shapes that are accepted, what they come to, and shapes that are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from fake_server import events as server
from harness.journal import events as journal
from harness.journal.events import Event
from harness.problems import check
from harness.proxy.port import Direction, FaultKind, Scope
from harness.scenario import faults
from harness.scenario.events import EVENTS, connection_of, matches
from harness.scenario.faults import Fault, NetworkFault
from harness.scenario.model import AtMost, Do, HangUp, Scenario, Speak, Step, Until
from harness.scenario.moments import When
from harness.scenario.sense import problems_of

FAULTS: TypeAdapter[Fault] = TypeAdapter(Fault)
STEPS: TypeAdapter[Step] = TypeAdapter(Step)


def scenario(**parts: Any) -> Scenario:
    return Scenario.model_validate({"scenario": "s", "title": "t", "story": [{"wait": "1s"}], **parts})


def problems(**parts: Any) -> list[str]:
    data = {"scenario": "s", "title": "t", "story": [{"wait": "1s"}], **parts}
    return [found.message for found in check(Scenario, data)[1]]


@pytest.mark.parametrize(
    ("given", "kind", "act", "for_s"),
    [
        ({"network": "cut"}, faults.NetworkFault, "network.cut", None),
        ({"network": "blackhole", "for": "8s"}, faults.NetworkFault, "network.blackhole", 8.0),
        ({"network": "slow", "for": "1s", "latency": "2s", "jitter": "1s"}, faults.NetworkFault, "network.slow", 1.0),
        ({"network": "throttle", "for": "1s", "rate": "8kB/s"}, faults.NetworkFault, "network.throttle", 1.0),
        ({"network": "slice", "for": "1s", "slice_bytes": 3}, faults.NetworkFault, "network.slice", 1.0),
        ({"server": "go_away", "time_left": "none", "extra": {"x": 1}}, faults.GoAwayFault, "server.go_away", None),
        ({"server": "close", "code": 1001}, faults.CloseFault, "server.close", None),
        ({"server": "refusal", "refusal": "quota", "for": "3s"}, faults.RefusalFault, "server.refusal", 3.0),
        ({"server": "abort", "connection": 2}, faults.AbortFault, "server.abort", None),
        ({"server": "silence", "only": "model_turn"}, faults.SilenceFault, "server.silence", None),
        ({"server": "update", "resumable": False, "for": "2s"}, faults.UpdateFault, "server.update", 2.0),
        ({"server": "forget_handle"}, faults.ForgetHandleFault, "server.forget_handle", None),
        ({"server": "forget_context"}, faults.ForgetContextFault, "server.forget_context", None),
        ({"server": "interrupt"}, faults.InterruptFault, "server.interrupt", None),
        ({"server": "tool_call", "name": "f"}, faults.ToolCallFault, "server.tool_call", None),
        ({"server": "cancel_tool_call"}, faults.CancelToolCallFault, "server.cancel_tool_call", None),
        ({"server": "message", "message": {"serverContent": {}}}, faults.MessageFault, "server.message", None),
        ({"server": "malformed", "malformed": "truncated"}, faults.MalformedFault, "server.malformed", None),
        ({"server": "unknown_message"}, faults.UnknownMessageFault, "server.unknown_message", None),
        ({"server": "slow_pong", "delay": "25s", "for": "60s"}, faults.SlowPongFault, "server.slow_pong", 60.0),
        ({"tokens": "fail", "with": "garbage", "for": "1s"}, faults.FailTokensFault, "tokens.fail", 1.0),
        ({"tokens": "fail", "with": 429, "retry_after": "5s"}, faults.FailTokensFault, "tokens.fail", None),
        ({"tokens": "slow", "delay": "9s"}, faults.SlowTokensFault, "tokens.slow", None),
        ({"tokens": "expire"}, faults.ExpireTokensFault, "tokens.expire", None),
        ({"client": "suspend", "for": "1m"}, faults.ClientFault, "client.suspend", 60.0),
        ({"client": "restart"}, faults.ClientFault, "client.restart", None),
    ],
)
def test_every_fault_is_recognised_and_written_back(
    given: dict[str, Any], kind: type[Any], act: str, for_s: float | None
) -> None:
    fault = FAULTS.validate_python(given)
    assert (type(fault), fault.act, fault.for_s) == (kind, act, for_s)
    written = FAULTS.dump_json(fault)
    assert FAULTS.validate_python(json.loads(written)) == fault


def test_a_network_fault_has_the_contracts_defaults() -> None:
    fault = FAULTS.validate_python({"network": "stall", "for": "1s"})
    assert isinstance(fault, NetworkFault)
    assert (fault.network, fault.link, fault.direction, fault.scope) == (
        FaultKind.STALL,
        "all",
        Direction.BOTH,
        Scope.ALL,
    )


@pytest.mark.parametrize("kind", sorted(set(FaultKind) - {"cut", "reset"}))
def test_lasting_network_faults_must_say_how_long(kind: str) -> None:
    (message,) = problems(story=[{"do": {"network": kind}}])
    assert message == f"story[0].do: `{kind}` lacks `for`: it lasts, and must say how long; write `for: 8s`"


@pytest.mark.parametrize("kind", ["cut", "reset"])
def test_instant_network_faults_may_not(kind: str) -> None:
    (message,) = problems(story=[{"do": {"network": kind}, "for": "2s"}])
    assert message == f"story[0].for: `{kind}` happens once and lasts no time; take `for` away"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"network": "blakhole", "for": "1s"}, 'did you mean "blackhole"?'),
        ({"netwrok": "cut"}, 'did you mean "network"?'),
        ({"blackhole": "8s"}, "write `network: blackhole`"),
        ({"go_away": "8s"}, "write `server: go_away`"),
        ({"server": "goaway"}, 'did you mean "go_away"?'),
        ({"server": "refusal", "refusal": "qouta"}, 'did you mean "quota"?'),
        ({"server": "close", "for": "2s"}, "unknown key `for`"),
        ({"server": "update", "for": "2s"}, "lasts no time"),
        ({"server": "message"}, "lacks `message`"),
        ({"server": "message", "message": {"serverContent": {}}, "for": "2s"}, "unknown key `for`"),
        ({"tokens": "fail", "with": 200}, "is no way to fail"),
        ({"client": "restart", "for": "2s"}, "lasts no time"),
        ({"network": "cut", "server": "abort"}, "a fault is one thing"),
        ({"network": "cut", "rate": "1B/s"}, "only `throttle` has"),
        ({"network": "throttle", "for": "1s", "rate": 8000}, "write 8kB/s"),
        ({"network": "stall", "for": "0s"}, "more than 0s"),
        ({}, "the fault is empty"),
        ("cut", "a fault is a mapping"),
    ],
)
def test_a_wrong_fault_says_what_is_right(fault: object, expected: str) -> None:
    (message,) = problems(story=[{"do": fault}])
    assert expected in message


@pytest.mark.parametrize("service", ["developer", "vertex"])
def test_a_message_that_the_other_service_sends_is_out_of_place(service: str) -> None:
    names = {"developer": "responseTokenCount", "vertex": "candidatesTokenCount"}
    usage = {service: {names[service]: 3, "totalTokenCount": 3} for service in names}
    found = scenario_problems(usage[service], service)
    other = "vertex" if service == "developer" else "developer"
    assert found == []
    (message,) = scenario_problems(usage[service], other)
    assert message.startswith(f"story[0].do.message: the service of `profile: {other}` could not send this: usageMeta")


def scenario_problems(usage: dict[str, Any], profile: str) -> list[str]:
    fault = {"server": "message", "message": {"usageMetadata": usage}}
    return [one.message for one in problems_of(scenario(session={"profile": profile}, story=[{"do": fault}]))]


def test_steps_are_known_by_their_verb() -> None:
    story = scenario(
        story=[
            {"teach": ["name"]},
            {"say": "hello"},
            {"speak": "6s", "meanwhile": {"at": {"speech": "2s"}, "do": {"network": "cut"}}},
            {"ask": ["name"]},
            {"until": "turn_complete"},
            {"until": {"recovered": {"within": "5s"}}},
            {"wait": "300ms"},
            {"do": {"network": "stall"}, "for": "3s"},
            {"hang_up": None},
        ]
    ).story
    assert [step.verb for step in story] == [
        *("teach", "say", "speak", "ask", "until", "until", "wait", "do", "hang_up"),
    ]
    speak, until, recovered, do = story[2], story[4], story[5], story[7]
    assert isinstance(speak, Speak)
    assert isinstance(until, Until)
    assert isinstance(recovered, Until)
    assert isinstance(do, Do)
    assert speak.speak == 6.0
    assert len(speak.meanwhile) == 1
    assert until.event is not None
    assert (until.event.event, until.event.within_s, until.recovered) == ("turn_complete", 15.0, None)
    assert recovered.event is None
    assert recovered.recovered is not None
    assert recovered.recovered.within_s == 5.0
    assert do.do.for_s == 3.0
    assert story[8] == STEPS.validate_python("hang_up") == HangUp(hang_up=True)


@pytest.mark.parametrize(
    ("at", "event", "delay_s"),
    [
        ({"speech": "2s"}, None, 2.0),
        ("2s", None, 2.0),
        ({"reply": "1s"}, When(event="first_audio"), 1.0),
        ("update", When(event="update"), 0.0),
        (
            {"event": "update", "nth": 2, "after": "1s", "connection": 3},
            When.model_validate({"event": "update", "nth": 2, "after": "1s", "connection": 3}),
            0.0,
        ),
    ],
)
def test_points_of_a_step(at: object, event: When | None, delay_s: float) -> None:
    step = STEPS.validate_python({"speak": "6s", "meanwhile": {"at": at, "do": {"network": "cut"}}})
    point = step.meanwhile[0].at
    assert (point.event, point.delay_s) == (event, delay_s)


def test_the_timeline_takes_conditions_flat_or_nested() -> None:
    flat = {"when": "update", "nth": 2, "edge": "before", "filter": {"resumable": True}}
    nested = {"when": {"event": "update", "nth": 2, "edge": "before", "filter": {"resumable": True}}}
    late = {"when": "5s"}
    cut = {"do": {"network": "stall"}, "for": "1s"}
    first, second, third = scenario(timeline=[{**flat, **cut}, {**nested, **cut}, {**late, **cut}]).timeline
    assert first == second
    assert (first.when.nth, first.when.edge, first.do.for_s) == (2, "before", 1.0)
    assert (third.when.event, third.when.after_s) == ("session_started", 5.0)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"when": "updat"}, 'did you mean "update"?'),
        ({"when": {"event": "update", "nth": 0}}, "it must be 1 or more"),
        ({"when": "update", "nth": 0}, "timeline[0].nth = 0"),
        ({"when": "update", "filter": {"resumabel": True}}, 'did you mean "resumable"?'),
        ({"when": "turn_heard", "edge": "before"}, "is no frame that the server could hold back"),
        ({"when": "update", "edge": "before", "after": "1s"}, "held back or followed, not both"),
        ({}, "lacks `when`"),
    ],
)
def test_a_wrong_condition_says_what_is_right(entry: dict[str, Any], expected: str) -> None:
    (message,) = problems(timeline=[{**entry, "do": {"network": "cut"}}])
    assert expected in message


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        ({"resumption": {"every": "sometimes"}}, "is no cadence"),
        ({"resumption": {"every": 1}}, "has no unit"),
        ({"resumption": {"every": "0s"}}, "without end"),
        ({"limits": {"session": "off"}}, "nor the word never"),
        ({"limits": {"idle": "off"}}, "neither a duration nor never or model"),
        ({"limits": {"sessions": 0}}, "a whole number from 1, or the word never"),
        ({"resumption": {"embargo": {"idle_drop": "never"}}}, "neither a duration nor model"),
        ({"tokens": {"uses": -1}}, "it must be 0 or more"),
        ({"dialect": "articel"}, 'did you mean "article"?'),
        ({"frames": {"pretty": "very"}}, "it must be true or false"),
        ({"modle": "x"}, 'did you mean "model"?'),
    ],
)
def test_a_wrong_session_says_what_is_right(session: dict[str, Any], expected: str) -> None:
    (message,) = problems(session=session)
    assert expected in message


def test_session_words() -> None:
    session = scenario(
        session={
            "resumption": {"every": "model's own", "embargo": {"idle_drop": "1200ms"}},
            "limits": {"go_away_after": "never", "idle": "150s"},
        }
    ).session
    assert session.resumption.every == "model"
    assert session.resumption.embargo.idle_drop == 1.2
    assert (session.limits.go_away_after, session.limits.idle) == (None, 150.0)
    assert scenario(session={"resumption": {"every": "never"}}).session.resumption.every is None


def test_bounds_of_speech() -> None:
    speech = scenario(expect={"speech": {"lost": "as_declared", "doubled": {"at_most": "1500ms"}}}).expect.speech
    assert speech.lost == "as_declared"
    assert speech.doubled == AtMost.model_validate({"at_most": "1500ms"})
    (message,) = problems(expect={"speech": {"lost": "much"}})
    assert "as_declared" in message


def test_a_whole_scenario_is_written_back_as_it_was_read() -> None:
    whole = scenario(
        checks=["RETRY-1"],
        session={"limits": {"go_away_after": "never"}, "resumption": {"every": "never"}},
        story=[
            {"teach": ["name"]},
            {"speak": "6s", "meanwhile": [{"at": "update", "do": {"server": "go_away", "time_left": "none"}}]},
            {"until": {"event": "update", "filter": {"resumable": True}}},
        ],
        timeline=[{"when": "5s", "do": {"network": "throttle", "for": "1s", "rate": "1.5kB/s"}}],
        do_nothing="pass",
    )
    assert Scenario.model_validate(json.loads(whole.model_dump_json())) == whole


def sent(message: str, *parts: str) -> Event:
    return server.FrameSent(4, 1, message, parts, 10, {}, None, False)


def received(message: str, *parts: str) -> Event:
    return server.FrameReceived(4, 1, message, parts, 10, {}, (), (), 0)


HANDLE = server.HandleIssued(4, "session-1", "handle-1", True, ("name", "city"))


@pytest.mark.parametrize(
    ("name", "filter_", "event", "expected"),
    [
        ("update", {}, sent("session_resumption_update", "new_handle", "resumable"), True),
        ("update", {"resumable": True}, sent("session_resumption_update", "new_handle", "resumable"), True),
        ("update", {"resumable": True}, sent("session_resumption_update"), False),
        ("update", {"resumable": False}, sent("session_resumption_update"), True),
        ("update", {}, HANDLE, False),
        ("handle_issued", {"facts": ["city"]}, HANDLE, True),
        ("handle_issued", {"facts": "city", "resumable": True}, HANDLE, True),
        ("handle_issued", {"facts": ["city", "job"]}, HANDLE, False),
        ("audio", {}, sent("server_content", "audio"), True),
        ("audio", {}, sent("server_content", "turn_complete"), False),
        ("turn_complete", {}, sent("server_content", "turn_complete"), True),
        ("setup", {}, received("setup"), True),
        ("setup", {}, sent("setup_complete"), False),
        ("user_audio", {}, received("realtime_input", "audio"), True),
        ("user_text", {}, received("realtime_input", "audio"), False),
        ("user_text", {}, received("realtime_input", "text"), True),
        ("user_text", {}, received("client_content", "turns"), True),
        ("refused", {}, server.UpgradeAnswered(1, 101, None, False), False),
        ("refused", {"refusal": "http_401"}, server.UpgradeAnswered(1, 401, "http_401", False), True),
        ("refused", {}, server.CloseSent(1, 1011, "", "token_used_up", False), True),
        ("token_call", {}, server.TokenCallRefused("backend", 503, "", True), True),
        (
            "client_state",
            {"state": ["gave_up", "disconnected"]},
            journal.ClientEvent("state", {"state": "gave_up"}),
            True,
        ),
        ("client_state", {}, journal.ClientEvent("reply", {"text": "x"}), False),
        ("reply", {}, journal.ClientEvent("reply", {"text": "x"}), True),
    ],
)
def test_events_are_matched(name: str, filter_: dict[str, object], event: Event, expected: bool) -> None:
    assert matches(name, filter_, event) is expected


def test_every_event_name_reads_fields_that_its_events_have() -> None:
    for row in EVENTS.values():
        for kind in row.kinds:
            names = set(kind.__dataclass_fields__)
            assert set(row.fields) - {"resumable"} <= names or kind is journal.ClientEvent, row.name
        assert row.description
        assert row.can_be_held is (row.kinds == (server.FrameSent,))


def test_connections_of_events() -> None:
    assert connection_of(HANDLE) == 4
    assert connection_of(journal.Note("x")) is None
