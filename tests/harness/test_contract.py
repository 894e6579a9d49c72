"""Lines out and lines in: what a client prints can say anything, and never breaks us."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import contract
from harness.journal.events import ClientEvent, Entry
from harness.journal.registry import decode_event, encode_lines
from harness.policy import ClientProfile, GapSpeechTail, GivesUpAttempts, Policy, RefusedHandle

COMMANDS: list[tuple[contract.Command, dict[str, Any]]] = [
    (contract.connect(), {"do": "connect"}),
    (contract.say("Grüße\n\u2028"), {"do": "say", "text": "Grüße\n\u2028"}),
    (contract.speak("/tmp/x y.wav", 6000), {"do": "speak", "wav": "/tmp/x y.wav", "ms": 6000}),
    (contract.hang_up(), {"do": "hang_up"}),
    (contract.background(), {"do": "background"}),
    (contract.foreground(), {"do": "foreground"}),
    (contract.network("lost"), {"do": "network", "state": "lost"}),
    (contract.leave(), {"do": "quit"}),
]


@pytest.mark.parametrize(("command", "wanted"), COMMANDS, ids=lambda value: value["do"])
def test_commands_are_one_json_line_as_the_contract_has_them(command: contract.Command, wanted: dict[str, Any]) -> None:
    line = contract.encode_command(command)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert json.loads(line) == wanted


def test_no_folder_of_this_machine_gets_into_the_journal() -> None:
    assert contract.for_journal(contract.speak("/tmp/abc/utterance-1.wav", 1)) == {
        "do": "speak",
        "wav": "utterance-1.wav",
        "ms": 1,
    }
    assert contract.for_journal(contract.say("/tmp/x")) == {"do": "say", "text": "/tmp/x"}


@pytest.mark.parametrize(
    "line",
    [
        '{"event":"state","state":"connected"}',
        b' {"event":"state","state":"connected"}\r\n',
        '\t{"state":"connected","event":"state"}',
    ],
)
def test_an_event_line_is_an_event(line: str | bytes) -> None:
    assert contract.parse_line(line) == ClientEvent("state", {"event": "state", "state": "connected"})


def test_unknown_events_are_events_too() -> None:
    assert contract.parse_line('{"event":"mood","is":"good"}') == ClientEvent("mood", {"event": "mood", "is": "good"})


NO_EVENTS: dict[str, str | bytes] = {
    "empty": "",
    "text": "connected!",
    "a list": '["event"]',
    "no event": '{"state": "connected"}',
    "event is no text": '{"event": 7}',
    "event is empty": '{"event": ""}',
    "event is a novel": json.dumps({"event": "x" * 100}),
    "cut": '{"event": "state", "sta',
    "two documents": '{"event": "a"}{"event": "b"}',
    "NaN": '{"event": "a", "x": NaN}',
    "lone surrogate": '{"event": "a", "x": "\ud800"}',
    "escaped lone surrogate": '{"event": "a", "x": "\\ud800"}',
    "invalid UTF-8": b'{"event": "\xff"}',
    "too deep for a journal": '{"event": "a", "x": ' + "[" * 500 + "]" * 500 + "}",
    "too deep for a parser": '{"event": "a", "x": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "too long": json.dumps({"event": "a", "x": "x" * contract.LONGEST_LINE}),
}


@pytest.mark.parametrize("name", NO_EVENTS)
def test_everything_else_is_log(name: str) -> None:
    assert contract.parse_line(NO_EVENTS[name]) is None


@given(st.one_of(st.text(), st.binary(), st.text().map(lambda inner: '{"event":' + inner + "}")))
def test_no_line_raises(line: str | bytes) -> None:
    event = contract.parse_line(line)
    assert event is None or isinstance(event.event, str)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(data=st.dictionaries(st.sampled_from(["client", "version", "can", "policy", "x"]), JSON))
def test_whatever_is_an_event_can_be_written_read_and_understood_as_a_hello(data: dict[str, Any]) -> None:
    event = contract.parse_line(json.dumps({"event": "hello", **data}))
    if event is None:  # NaN
        return
    assert decode_event(json.loads(encode_lines([Entry(1, 0.0, event)]))) == event
    profile = contract.with_hello(ClientProfile(), contract.parse_hello(event))
    assert ClientProfile.model_validate(profile.model_dump(mode="json")) == profile


def hello(**data: Any) -> contract.Hello:
    event = contract.parse_line(json.dumps({"event": "hello", **data}))
    assert event is not None
    return contract.parse_hello(event)


def test_a_hello_is_read_leniently_value_by_value() -> None:
    read = hello(
        client="mine",
        version="1.2",
        can=["text", "telepathy", 3],
        policy={
            "resumption": "reseed",
            "gap_speech": {"tail": "2s"},
            "gives_up": {"attempts": 5},
            "refused_handle": {"keep_trying": "9s"},
            "announce_after": 2,
            "colour": "red",
        },
    )
    assert (read.client, read.version, read.can) == ("mine", "1.2", frozenset({"text"}))
    assert read.policy == {
        "resumption": "reseed",
        "gap_speech": GapSpeechTail(tail="2s"),  # type: ignore[arg-type]  # as people write it
        "gives_up": GivesUpAttempts(attempts=5),
        "refused_handle": RefusedHandle(keep_trying="9s"),  # type: ignore[arg-type]  # as above
    }
    assert len(read.problems) == 4
    assert {problem.split(":")[0] for problem in read.problems} == {"can", "policy"}


def test_a_hello_without_anything_changes_nothing() -> None:
    assert contract.with_hello(ClientProfile(), hello()) == ClientProfile()
    assert hello(can="text", policy=[]).problems == ('can: "text" is no list', "policy: [] is no object")


def test_a_hello_says_nothing_of_abilities_that_it_does_not_speak_of() -> None:
    assert contract.with_hello(ClientProfile(), hello(can=["audio", "playback"])).can == {"audio", "playback", "state"}


def test_what_the_configuration_sets_outright_stands_against_a_hello() -> None:
    given_policy = Policy(resumption="none")
    profile = ClientProfile(can=frozenset({"text"}), policy=given_policy)
    merged = contract.with_hello(profile, hello(can=["audio"], policy={"resumption": "handle", "redial": "manual"}))
    assert merged.can == {"text"}
    assert (merged.policy.resumption, merged.policy.redial) == ("none", "manual")
