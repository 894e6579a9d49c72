"""Orders of frames that the service sends, and such as it does not."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from fake_server import wire
from fake_server.wire.order import TURN_MOVES, FrameOrder, Mark, Turn

AUDIO = wire.server_content(audio=b"\0\0")
WORDS = wire.server_content(output_transcription="a ")
GENERATED = wire.server_content(generation_complete=True)
COMPLETE = wire.server_content(turn_complete=True)
INTERRUPTED = wire.server_content(interrupted=True)
CALL = wire.tool_call([("fc_1", "f", {})])


def judged(*messages: dict[str, Any], says_turn_complete: bool = True) -> list[str | None]:
    order = FrameOrder()
    order.says_turn_complete = says_turn_complete
    return [order.judge(message) for message in messages]


@pytest.mark.parametrize(
    "frames",
    [
        (wire.setup_complete(), AUDIO, WORDS, AUDIO, GENERATED, COMPLETE, AUDIO, GENERATED, COMPLETE),
        (AUDIO, INTERRUPTED, COMPLETE, AUDIO, GENERATED, INTERRUPTED, COMPLETE),
        (INTERRUPTED, COMPLETE),
        (CALL, GENERATED, COMPLETE, AUDIO, GENERATED, COMPLETE),
        (AUDIO, CALL, AUDIO, GENERATED, COMPLETE),
        (AUDIO, {}, {"serverContent": {}}, wire.go_away(50), AUDIO, GENERATED, wire.go_away(40), COMPLETE),
        (AUDIO, GENERATED, wire.server_content(input_transcription="hm"), COMPLETE),
        (wire.voice_activity("ACTIVITY_END", 1.0), wire.voice_activity("ACTIVITY_START", 1.0)),
        (wire.server_content(turn_complete=True, interrupted=True),),
    ],
)
def test_orders_that_were_seen(frames: tuple[dict[str, Any], ...]) -> None:
    assert judged(*frames) == [None] * len(frames)


@pytest.mark.parametrize(
    ("frames", "complaint"),
    [
        ((COMPLETE,), "turnComplete in a turn that is between turns"),
        ((AUDIO, COMPLETE), "turnComplete in a turn that is under way"),
        ((AUDIO, GENERATED, AUDIO), "content in a turn that is generated"),
        ((AUDIO, GENERATED, GENERATED), "generationComplete in a turn that is generated"),
        ((AUDIO, INTERRUPTED, AUDIO), "content in a turn that is interrupted"),
        ((AUDIO, INTERRUPTED, GENERATED), "generationComplete in a turn that is interrupted"),
        ((AUDIO, INTERRUPTED, INTERRUPTED), "interrupted in a turn that is interrupted"),
        ((wire.server_content(text="a", interaction_status="IDLE"),), "comes with turnComplete"),
        ((CALL, CALL), "an id comes once"),
        ((CALL, *[wire.tool_call_cancellation(["fc_1"])] * 2), "cancelled once"),
        ([wire.session_resumption_update("h" * 36)] * 2, "a handle comes once"),
        (
            [wire.session_resumption_update(letter * 36, last_consumed_index=n) for letter, n in (("a", 3), ("b", 2))],
            "never goes back",
        ),
        ([wire.voice_activity("ACTIVITY_START", 1.0)] * 2, "ACTIVITY_START twice"),
        (
            (wire.voice_activity("ACTIVITY_START", 2.0), wire.voice_activity("ACTIVITY_END", 1.0)),
            "audioOffset never goes back",
        ),
    ],
)
def test_orders_that_no_service_sends(frames: tuple[dict[str, Any], ...], complaint: str) -> None:
    *before, last = judged(*frames)
    assert before == [None] * len(before)
    assert last is not None
    assert complaint in last


def test_a_model_without_turn_complete_begins_again_after_generation_complete() -> None:
    frames = (AUDIO, GENERATED, AUDIO, GENERATED, GENERATED, AUDIO, INTERRUPTED, COMPLETE, AUDIO)
    assert judged(*frames, says_turn_complete=False) == [None] * len(frames)
    assert judged(AUDIO, COMPLETE, says_turn_complete=False)[-1] is not None


def test_the_table_has_a_way_out_of_every_state() -> None:
    for turn in Turn:
        reached = {turn}
        for _ in range(len(Turn)):
            reached |= {
                TURN_MOVES[one, mark] for one, mark in itertools.product(reached, Mark) if (one, mark) in TURN_MOVES
            }
        assert Turn.NONE in reached
