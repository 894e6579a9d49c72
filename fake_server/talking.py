"""How the model answers a turn: what is sent when, in the order and at the pace of the real service.

Protocol, section 8.2: audio interleaved with outputTranscription, generationComplete, then turnComplete with
usageMetadata, held back until the audio would have been heard; an interruption brings `interrupted` and turnComplete
at once, and no generationComplete. A model with an interactionStatus first says a turn or more with IN_PROGRESS.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from fake_server import wire
from fake_server.answers import BYTES_PER_20_MS, BYTES_PER_S, Piece, Sound, plan, thought
from fake_server.behaviour import ModelScript
from fake_server.effects import Effect, Send, Tell
from fake_server.events import TurnAnswered, TurnEnded
from fake_server.history import Memory, UserTurn
from fake_server.model import Answer, FakeModel
from fake_server.moves import TALK_MOVES, Cue, Talk, move
from fake_server.profiles import ModelProfile

_TOKENS_PER_S = 25
_HEARING_RATE_HZ = 16_000
_INTERIM_TEXT = "Let me think about that."
_INTERIM_BYTES = 40 * BYTES_PER_20_MS
_THOUGHT_TEXT = "The user said something. I will answer from what I was told in this session."

# Looking up a member of an enum costs more than a call does on Python 3.11: for every turn, these are kept at hand.
_LISTENING, _THINKING, _GENERATING, _PLAYING = Talk.LISTENING, Talk.THINKING, Talk.GENERATING, Talk.PLAYING

_SEND_GENERATION_COMPLETE = Send(wire.server_content(generation_complete=True), constant=True)
_SEND_INTERRUPTED = Send(wire.server_content(interrupted=True), constant=True)


@dataclass(frozen=True, slots=True)
class Voice:
    """What one connection's answers are made of."""

    modality: Literal["AUDIO", "TEXT"]
    transcribe: bool
    """The client asked for outputAudioTranscription."""
    profile: ModelProfile
    service: Literal["developer", "vertex"]
    thoughts: bool = False
    """The client asked for the model's thoughts (includeThoughts)."""


class Speaker:
    """One connection's model, answering. `due_s` says when it has something to send: call `fire` then."""

    def __init__(self, connection: int, voice: Voice, script: ModelScript, model: FakeModel) -> None:
        self.state = Talk.LISTENING
        self.turn: UserTurn | None = None
        """The turn that is being answered."""
        self.due_s = math.inf
        self._connection = connection
        self._voice = voice
        self._script = script
        self._model = model
        self._plan: tuple[Piece, ...] = ()
        self._next = 0
        self._began_s = 0.0
        self._interims = 0
        profile = voice.profile
        self._says_turn_complete = script.turn_complete and profile.idle_signal in (
            "turn_complete",
            "interaction_status",
        )
        self._sound = Sound(
            voice.modality,
            voice.transcribe,
            script.audio_pace,
            profile.chunk_bytes,
            profile.empty_frames if script.empty_frames == "model" else script.empty_frames,
            text_ahead=voice.service == "vertex",
        )
        self._whole_bytes = round(script.reply_audio_s * BYTES_PER_S / BYTES_PER_20_MS) * BYTES_PER_20_MS
        self._audio_s = 0.0
        self._said_tokens = 0
        self._thought_tokens = 0

    @property
    def busy(self) -> bool:
        """The model thinks, speaks, or waits for a function's response."""
        return self.state is not _LISTENING

    @property
    def waiting(self) -> bool:
        """A blocking function call waits for its response."""
        return self.state is Talk.CALLING

    @property
    def says_turn_complete(self) -> bool:
        """A turn ends with turnComplete; False: with generationComplete alone."""
        return self._says_turn_complete

    def superseded(self) -> tuple[TurnEnded, ...]:
        """What there is to tell of a turn that a function call put off, now that the next one begins."""
        return self._ended("complete")

    def begin(self, turn: UserTurn, now_s: float) -> None:
        """A whole user turn is in: the answer follows after the script's thinking time."""
        self.state = move(TALK_MOVES, self.state, Cue.TURN_HEARD)
        self.turn = turn
        self._interims = self._script.interim_turns if self._voice.profile.idle_signal == "interaction_status" else 0
        self._said_tokens = self._thought_tokens = 0
        self.due_s = now_s + self._script.think_s

    def fire(self, at_s: float, memory: Memory, out: list[Effect]) -> bool:
        """Do everything that is due at `at_s`; True when the answer came to its end (all generated) in this call."""
        generated = False
        while self.due_s <= at_s:
            state = self.state
            if state is _THINKING:
                self._speak(self.due_s, memory, out)
            elif state is _GENERATING:
                generated = self._generate(memory, out) or generated
            elif state is _PLAYING:
                self._end(memory, out)
            else:
                self.due_s = math.inf
        return generated

    def interrupt(self, memory: Memory, out: list[Effect]) -> bool:
        """Stop: `interrupted`, then turnComplete. False (and nothing) when the model was not busy."""
        if self.state is _LISTENING:
            return False
        self.state = move(TALK_MOVES, self.state, Cue.INTERRUPTED)
        self.due_s = math.inf
        out.append(_SEND_INTERRUPTED)
        out.append(Send(self._turn_complete(memory), self._ended("interrupted")))
        return True

    def call(self, message: dict[str, Any], blocking: bool, memory: Memory, out: list[Effect]) -> None:
        """Send a toolCall. A blocking one keeps the model silent until the response; the other ends the turn.

        While the model speaks it goes on speaking, and the call comes in between (protocol, section 8.3).
        """
        out.append(Send(message))
        if self.state in (Talk.GENERATING, Talk.PLAYING):
            return
        if blocking:
            self.state = move(TALK_MOVES, self.state, Cue.CALL_MADE)
            self.due_s = math.inf
        elif self.state is not Talk.CALLING:
            self.state = move(TALK_MOVES, self.state, Cue.CALL_LEFT_RUNNING)
            self.due_s = math.inf
            memory.unanswered = None
            ended = self._ended("complete")
            if self._says_turn_complete:
                out.append(_SEND_GENERATION_COMPLETE)
                out.append(Send(self._turn_complete(memory), ended))
            else:
                out.append(Send(_SEND_GENERATION_COMPLETE.message, ended, constant=True))

    def cut(self) -> tuple[TurnEnded, ...]:
        """The connection is gone: what there is to tell of the turn."""
        self.due_s = math.inf
        return self._ended("cut")

    def _speak(self, at_s: float, memory: Memory, out: list[Effect]) -> None:
        turn = self.turn
        if turn is None:  # only a user turn leads to THINKING
            raise AssertionError("thinking about no turn")
        self.state = move(TALK_MOVES, self.state, Cue.ANSWER_BEGUN)
        if self._voice.thoughts and not self._thought_tokens:
            self._thought_tokens = len(_THOUGHT_TEXT) // 4
            out.append(thought(_THOUGHT_TEXT))
        total_bytes = self._whole_bytes
        if self._interims:
            text, total_bytes = _INTERIM_TEXT, min(_INTERIM_BYTES, total_bytes)
        else:
            answer = self._answer(turn, memory)
            text = answer.text
            out.append(Tell(TurnAnswered(self._connection, turn.number, text, answer.known, answer.missing)))
        memory.add(text, {})
        self._plan = plan(text, self._sound, total_bytes, turn.number % len(self._sound.chunk_bytes))
        if self._voice.modality == "TEXT":
            self._said_tokens = len(text) // 4 + 1
        else:
            self._audio_s = total_bytes / BYTES_PER_S
            self._said_tokens = int(self._audio_s * _TOKENS_PER_S)
        self._next = 0
        self._began_s = at_s

    def _answer(self, turn: UserTurn, memory: Memory) -> Answer:
        return self._model.answer(turn.asked, turn.taught, memory.known, turn.number)

    def _generate(self, memory: Memory, out: list[Effect]) -> bool:
        pieces = self._plan
        began_s, due_s = self._began_s, self.due_s
        while self._next < len(pieces):
            offset_s, send = pieces[self._next]
            if began_s + offset_s > due_s:
                self.due_s = began_s + offset_s
                return False
            out.append(send)
            self._next += 1
        self.state = move(TALK_MOVES, self.state, Cue.GENERATION_COMPLETE)
        memory.context_samples += int(self._audio_s * _HEARING_RATE_HZ)
        if self._script.hold_turn_complete:
            self.due_s = max(due_s, began_s + self._audio_s)
        if self._interims:
            out.append(_SEND_GENERATION_COMPLETE)
            return False
        if self._says_turn_complete:
            out.append(_SEND_GENERATION_COMPLETE)
        elif self._voice.profile.idle_signal == "none":
            out[-1] = Send(pieces[-1][1].message, self._ended("complete"), constant=True)  # nothing comes after it
        else:
            out.append(Send(_SEND_GENERATION_COMPLETE.message, self._ended("complete"), constant=True))
        memory.unanswered = None
        return True

    def _end(self, memory: Memory, out: list[Effect]) -> None:
        if self._interims:
            self._interims -= 1
            out.append(Send(self._turn_complete(memory, "IN_PROGRESS")))
            self.state = move(TALK_MOVES, self.state, Cue.MORE_TO_COME)
            self.due_s += self._script.think_s
            return
        self.state = move(TALK_MOVES, self.state, Cue.PLAYBACK_OVER)
        self.due_s = math.inf
        if self._says_turn_complete:
            out.append(Send(self._turn_complete(memory), self._ended("complete")))

    def _ended(self, outcome: str) -> tuple[TurnEnded, ...]:
        turn = self.turn
        if turn is None:
            return ()
        self.turn = None
        return (TurnEnded(self._connection, turn.number, outcome),)

    def _turn_complete(self, memory: Memory, status: Literal["IN_PROGRESS", "IDLE"] = "IDLE") -> dict[str, Any]:
        profile = self._voice.profile
        usage = None
        if profile.usage:
            usage = wire.usage_metadata(
                memory.context,
                {self._voice.modality: self._said_tokens},
                thoughts=self._thought_tokens,
                service=self._voice.service,
            )
        return wire.server_content(
            turn_complete=True,
            interaction_status=status if profile.idle_signal == "interaction_status" else None,
            usage=usage,
        )
