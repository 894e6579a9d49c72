"""How much a session holds, and what its end leaves behind."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from fake_server.behaviour import Limits, ResumptionRules
from fake_server.context import Window
from fake_server.hearing import Detection, Ear
from fake_server.history import Memory
from tests.fake_server.house import QUICK, Caller, House

PICTURE = {"realtimeInput": {"video": {"mimeType": "image/jpeg", "data": base64.b64encode(b"picture").decode()}}}
QUIET = replace(QUICK, think_s=100.0)


def memory(**content: int) -> Memory:
    made = Memory(Ear({}, Detection(0.8)))
    for name, value in content.items():
        setattr(made, name, value)
    return made


def test_tokens_are_counted_by_modality() -> None:
    held = memory(tokens=10, context_samples=16_000, pictures=2)
    assert held.context == {"TEXT": 10, "AUDIO": 25, "VIDEO": 516}
    assert held.held_tokens == 551


@pytest.mark.parametrize(
    ("compression", "limit", "holds", "left"),
    [
        (None, 1000, True, 1000),
        (None, 999, False, 1000),
        (None, None, True, 1000),
        ({}, 1000, True, 400),
        ({"triggerTokens": 1000}, None, True, 1000),
        ({"triggerTokens": 900}, None, True, 450),
        ({"triggerTokens": 900, "slidingWindow": {"targetTokens": 100}}, 1000, True, 100),
        ({"triggerTokens": -1, "slidingWindow": {"targetTokens": -1}}, 1000, True, 0),
        ({}, None, True, 1000),
    ],
)
def test_a_full_window_ends_the_session_or_lets_the_oldest_go(
    compression: dict[str, Any] | None, limit: int | None, holds: bool, left: int
) -> None:
    held = memory(tokens=1000)
    assert Window(compression, limit).holds(held) is holds
    assert held.held_tokens == left


def test_a_session_without_compression_is_over_after_its_time_on_all_connections_and_gone_for_good() -> None:
    house = House(limits=Limits(session_s=10.0), resumption=ResumptionRules(every_s=1.0, first_after_s=0.1))
    caller = house.dial().set_up()
    house.advance(6.0)
    caller.drop()
    again = house.dial().set_up(sessionResumption={"handle": caller.handles()[-1]})
    house.advance(3.0)
    assert again.closes() == []
    house.advance(1.0)
    assert again.closes() == [(1007, "context_exhausted")]
    again.drop()
    gone = house.dial().set_up(sessionResumption={"handle": again.handles()[-1]})
    assert gone.closes() == [(1008, "session_expired")]


def test_a_session_with_compression_goes_on() -> None:
    house = House(limits=Limits(session_s=10.0, video_session_s=5.0))
    caller = house.dial().set_up(contextWindowCompression={"slidingWindow": {}})
    caller.send(PICTURE)
    house.advance(30.0)
    assert caller.closes() == []


def test_a_session_with_video_is_over_sooner() -> None:
    house = House(limits=Limits(session_s=100.0, video_session_s=5.0))
    seen, heard = house.dial().set_up(), house.dial().set_up()
    house.advance(3.0)
    seen.send(PICTURE)
    house.advance(4.9)
    assert seen.closes() == []
    house.advance(0.2)
    assert seen.closes() == [(1007, "context_exhausted")]
    assert heard.closes() == []


def test_one_picture_a_second_is_looked_at_and_billed() -> None:
    house = House(limits=Limits(video_session_s=None))
    caller = house.dial().set_up()
    for _ in range(10):
        caller.send(PICTURE)
        house.advance(0.25)
    caller.say("What do you see?")
    house.advance(5.0)
    details = usage_of(caller)["promptTokensDetails"]
    assert {"modality": "VIDEO", "tokenCount": 3 * 258} in details


def test_what_was_said_is_billed_again_with_every_turn() -> None:
    house = House()
    caller = house.dial().set_up()
    totals = []
    for _ in range(3):
        caller.say("Go on, please.")
        house.advance(3.0)
        totals.append(usage_of(caller)["promptTokenCount"])
    assert totals == sorted(set(totals))
    assert totals[1] - totals[0] >= 25  # the answer's own second of audio


def test_a_full_context_closes_where_it_fills() -> None:
    house = House(limits=Limits(context_tokens=100), script=QUIET)
    caller = house.dial().set_up()
    caller.say("x" * 300)
    assert caller.closes() == []
    caller.say("x" * 300)
    assert caller.closes() == [(1007, "context_exhausted")]


def usage_of(caller: Caller) -> dict[str, Any]:
    usages: list[dict[str, Any]] = [message["usageMetadata"] for message in caller.sent if "usageMetadata" in message]
    return usages[-1]
