"""Whether frames come in an order in which the real service could send them (protocol, sections 6.3 and 8.2)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any


class _Member(enum.Enum):
    """Looked up for every frame: hashed by identity, which is quicker than by name."""

    __hash__ = object.__hash__


class Turn(_Member):
    """How far the model's turn has got, as a client sees it."""

    NONE = "between turns"
    OPEN = "under way"
    GENERATED = "generated"
    INTERRUPTED = "interrupted"


class Mark(_Member):
    """What a frame says of the turn."""

    CONTENT = "content"
    CALL = "toolCall"
    GENERATION_COMPLETE = "generationComplete"
    INTERRUPTED = "interrupted"
    TURN_COMPLETE = "turnComplete"


TURN_MOVES: Mapping[tuple[Turn, Mark], Turn] = MappingProxyType(
    {
        (Turn.NONE, Mark.CONTENT): Turn.OPEN,
        (Turn.NONE, Mark.CALL): Turn.OPEN,
        (Turn.NONE, Mark.GENERATION_COMPLETE): Turn.GENERATED,  # a turn in which nothing was said
        (Turn.NONE, Mark.INTERRUPTED): Turn.INTERRUPTED,  # while it was still thinking, or after all was sent
        (Turn.OPEN, Mark.CONTENT): Turn.OPEN,
        (Turn.OPEN, Mark.CALL): Turn.OPEN,
        (Turn.OPEN, Mark.GENERATION_COMPLETE): Turn.GENERATED,
        (Turn.OPEN, Mark.INTERRUPTED): Turn.INTERRUPTED,
        (Turn.GENERATED, Mark.CALL): Turn.GENERATED,
        (Turn.GENERATED, Mark.INTERRUPTED): Turn.INTERRUPTED,  # playback was not over
        (Turn.GENERATED, Mark.TURN_COMPLETE): Turn.NONE,
        (Turn.INTERRUPTED, Mark.TURN_COMPLETE): Turn.NONE,
    }
)
"""Every legal move. Models without a turnComplete also begin a turn after `GENERATED`."""

_OPEN = Turn.OPEN
_BEGINS = frozenset({Mark.CONTENT, Mark.GENERATION_COMPLETE})


class FrameOrder:
    """The frames of one connection, judged one after the other."""

    def __init__(self) -> None:
        self.says_turn_complete = True
        """False: this model ends its turns by generationComplete alone."""
        self._turn = Turn.NONE
        self._voice: str | None = None
        self._offset_s = 0.0
        self._index = 0
        self._handles: set[str] = set()
        self._calls: set[str] = set()
        self._cancelled: set[str] = set()

    def judge(self, message: Mapping[str, Any]) -> str | None:
        """Why the service could not have sent this well-formed message now; None: it could. It counts as sent."""
        content = message.get("serverContent")
        reason = None
        if content:
            if self._turn is _OPEN and len(content) == 1 == len(message) and "modelTurn" in content:
                return None  # what comes in thousands
            reason = self._content(content)
        if len(message) > 1 or not content:
            for key in message:
                judge = _OTHERS.get(key)
                if judge is not None:
                    reason = judge(self, message[key]) or reason
        return reason

    def _content(self, content: Mapping[str, Any]) -> str | None:
        reason = None
        if "modelTurn" in content or "text" in content.get("outputTranscription", ()):
            reason = self._move(Mark.CONTENT)
        if "generationComplete" in content:
            reason = self._move(Mark.GENERATION_COMPLETE) or reason
        if "interrupted" in content:
            reason = self._move(Mark.INTERRUPTED) or reason
        if "turnComplete" in content:
            reason = self._move(Mark.TURN_COMPLETE) or reason
        elif "interactionStatus" in content:
            reason = "serverContent: interactionStatus comes with turnComplete"
        return reason

    def _move(self, mark: Mark) -> str | None:
        after = TURN_MOVES.get((self._turn, mark))
        if after is None and not self.says_turn_complete and self._turn is Turn.GENERATED and mark in _BEGINS:
            after = TURN_MOVES[Turn.NONE, mark]
        if after is None:
            return f"{mark.value} in a turn that is {self._turn.value}: the service sends no such order"
        self._turn = after
        return None

    def _call(self, call: Mapping[str, Any]) -> str | None:
        reason = self._move(Mark.CALL)
        for one in call.get("functionCalls", ()):
            call_id = one.get("id")
            if call_id is not None:
                if call_id in self._calls:
                    reason = "toolCall: an id comes once"
                self._calls.add(call_id)
        return reason

    def _cancellation(self, cancellation: Mapping[str, Any]) -> str | None:
        ids = set(cancellation.get("ids", ()))
        again = bool(ids & self._cancelled)
        self._cancelled |= ids
        return "toolCallCancellation: a call is cancelled once" if again else None

    def _update(self, update: Mapping[str, Any]) -> str | None:
        handle = update.get("newHandle")
        if handle is not None:
            if handle in self._handles:
                return "sessionResumptionUpdate: a handle comes once"
            self._handles.add(handle)
        index = int(update.get("lastConsumedClientMessageIndex", self._index))
        if index < self._index:
            return "sessionResumptionUpdate: lastConsumedClientMessageIndex never goes back"
        self._index = index
        return None

    def _activity(self, activity: Mapping[str, Any]) -> str | None:
        kind = activity.get("type")
        offset_s = float(activity.get("audioOffset", "0s").removesuffix("s"))
        again, back = kind == self._voice, offset_s < self._offset_s
        self._voice, self._offset_s = kind, max(offset_s, self._offset_s)
        if again:
            return f"voiceActivity: {kind} twice"
        return "voiceActivity: audioOffset never goes back" if back else None


_OTHERS = {
    "toolCall": FrameOrder._call,
    "toolCallCancellation": FrameOrder._cancellation,
    "sessionResumptionUpdate": FrameOrder._update,
    "voiceActivity": FrameOrder._activity,
}
