"""The states of a conversation and of its model, and every legal move between them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TypeVar


class IllegalMoveError(RuntimeError):
    """An event came in a state that has no move for it. A fault of this server, never of a client."""


class _Member(enum.Enum):
    """Members are looked up on every frame: hashed by identity, which is quicker than by name."""

    __hash__ = object.__hash__


class Phase(_Member):
    """Where a connection stands."""

    AWAITING_SETUP = "awaiting setup"
    SETTING_UP = "setting up"
    """The setup is accepted, setupComplete is due."""
    REFUSED = "refused"
    """The setup is refused, the close is due."""
    LIVE = "live"
    DETACHED = "detached"
    """Its session was resumed elsewhere: nothing is sent any more, and what comes in is ignored."""
    CLOSING = "closing"
    """A close frame went out."""
    ENDED = "ended"


class Step(_Member):
    """What can happen to a connection."""

    SETUP_ACCEPTED = "setup accepted"
    SETUP_REFUSED = "setup refused"
    """And the service takes its time to say so; a refusal at once is a close."""
    SETUP_COMPLETED = "setup completed"
    RESUMED_ELSEWHERE = "resumed elsewhere"
    CLOSE = "close"
    END = "end"


class Talk(_Member):
    """What the model does."""

    LISTENING = "listening"
    THINKING = "thinking"
    GENERATING = "generating"
    PLAYING = "playing"
    """All is generated; turnComplete is held until the audio would have been heard."""
    CALLING = "calling"
    """A blocking function call waits for its response."""


class Cue(_Member):
    """What moves the model on."""

    TURN_HEARD = "turn heard"
    ANSWER_BEGUN = "answer begun"
    GENERATION_COMPLETE = "generation complete"
    PLAYBACK_OVER = "playback over"
    CALL_MADE = "call made"
    """And the model waits for its response."""
    CALL_LEFT_RUNNING = "call left running"
    """The model has called, and ends its turn; the response begins another."""
    MORE_TO_COME = "more to come"
    """A turn is over, but the interaction is not (extended thinking)."""
    INTERRUPTED = "interrupted"


PHASE_MOVES: Mapping[tuple[Phase, Step], Phase] = {
    (Phase.AWAITING_SETUP, Step.SETUP_ACCEPTED): Phase.SETTING_UP,
    (Phase.AWAITING_SETUP, Step.SETUP_REFUSED): Phase.REFUSED,
    (Phase.AWAITING_SETUP, Step.CLOSE): Phase.CLOSING,
    (Phase.AWAITING_SETUP, Step.END): Phase.ENDED,
    (Phase.SETTING_UP, Step.SETUP_COMPLETED): Phase.LIVE,
    (Phase.SETTING_UP, Step.RESUMED_ELSEWHERE): Phase.DETACHED,
    (Phase.SETTING_UP, Step.CLOSE): Phase.CLOSING,
    (Phase.SETTING_UP, Step.END): Phase.ENDED,
    (Phase.REFUSED, Step.CLOSE): Phase.CLOSING,
    (Phase.REFUSED, Step.END): Phase.ENDED,
    (Phase.LIVE, Step.RESUMED_ELSEWHERE): Phase.DETACHED,
    (Phase.LIVE, Step.CLOSE): Phase.CLOSING,
    (Phase.LIVE, Step.END): Phase.ENDED,
    (Phase.DETACHED, Step.CLOSE): Phase.CLOSING,
    (Phase.DETACHED, Step.END): Phase.ENDED,
    (Phase.CLOSING, Step.END): Phase.ENDED,
}

TALK_MOVES: Mapping[tuple[Talk, Cue], Talk] = {
    (Talk.LISTENING, Cue.TURN_HEARD): Talk.THINKING,
    (Talk.LISTENING, Cue.CALL_MADE): Talk.CALLING,
    (Talk.THINKING, Cue.ANSWER_BEGUN): Talk.GENERATING,
    (Talk.THINKING, Cue.CALL_MADE): Talk.CALLING,
    (Talk.LISTENING, Cue.CALL_LEFT_RUNNING): Talk.LISTENING,
    (Talk.THINKING, Cue.CALL_LEFT_RUNNING): Talk.LISTENING,
    (Talk.THINKING, Cue.INTERRUPTED): Talk.LISTENING,
    (Talk.GENERATING, Cue.GENERATION_COMPLETE): Talk.PLAYING,
    (Talk.GENERATING, Cue.INTERRUPTED): Talk.LISTENING,
    (Talk.PLAYING, Cue.PLAYBACK_OVER): Talk.LISTENING,
    (Talk.PLAYING, Cue.MORE_TO_COME): Talk.THINKING,
    (Talk.PLAYING, Cue.INTERRUPTED): Talk.LISTENING,
    (Talk.CALLING, Cue.TURN_HEARD): Talk.THINKING,
    (Talk.CALLING, Cue.CALL_MADE): Talk.CALLING,
    (Talk.CALLING, Cue.INTERRUPTED): Talk.LISTENING,
}

StateT = TypeVar("StateT", Phase, Talk)
EventT = TypeVar("EventT", Step, Cue)


def move(table: Mapping[tuple[StateT, EventT], StateT], state: StateT, event: EventT) -> StateT:
    """The state after `event`; raises `IllegalMoveError`, naming both, where the table has no such move."""
    try:
        return table[state, event]
    except KeyError:
        text = f"{event.value!r} in the state {state.value!r}: the table has no such move"
        raise IllegalMoveError(text) from None
