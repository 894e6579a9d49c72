"""How the model answers a turn: what is sent when, in the order and at the pace of the real service.

Protocol, section 8.2: audio interleaved with outputTranscription, generationComplete, then turnComplete with
usageMetadata, held back until the audio would have been heard; an interruption brings `interrupted` and turnComplete
at once, and no generationComplete.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from fake_server import wire
from fake_server.behaviour import ModelScript
from fake_server.effects import Effect, Send, Tell
from fake_server.events import TurnAnswered, TurnEnded
from fake_server.history import Memory, UserTurn
from fake_server.model import FakeModel
from fake_server.moves import TALK_MOVES, Cue, Talk, move
from fake_server.profiles import ModelProfile

_BYTES_PER_S = 48_000  # 24 kHz, 16-bit, mono
_BYTES_PER_20_MS = 960
_CHUNK_BYTES = (4800, 15360, 15360, 1920, 19200, 15360, 13440, 26880)
"""As measured on gemini-3.8-live: every size a multiple of 20 ms (protocol, section 8.1)."""
_FRAGMENT_WORDS = (3, 2, 4, 5)
_TOKENS_PER_S = 25
_SAMPLES_PER_TOKEN = 16_000 // _TOKENS_PER_S

# Looking up a member of an enum costs more than a call does on Python 3.11: for every turn, these are kept at hand.
_LISTENING, _THINKING, _GENERATING, _PLAYING = Talk.LISTENING, Talk.THINKING, Talk.GENERATING, Talk.PLAYING

_GENERATION_COMPLETE = wire.server_content(generation_complete=True)
_SEND_GENERATION_COMPLETE = Send(_GENERATION_COMPLETE, constant=True)
_INTERRUPTED = wire.server_content(interrupted=True)
_PERIOD = b"".join(  # 250 Hz, a triangle: 96 samples
    (200 * (48 - abs(48 - sample)) - 4800).to_bytes(2, "little", signed=True) for sample in range(96)
)


@lru_cache(maxsize=64)
def _audio(size_bytes: int) -> dict[str, Any]:
    """A serverContent message with so much of a steady tone: the very same object each time."""
    repeats = -(-size_bytes // len(_PERIOD))
    return wire.server_content(audio=(_PERIOD * repeats)[:size_bytes])


@dataclass(frozen=True, slots=True)
class Voice:
    """What one connection's answers are made of."""

    modality: Literal["AUDIO", "TEXT"]
    transcribe: bool
    """The client asked for outputAudioTranscription."""
    profile: ModelProfile
    service: Literal["developer", "vertex"]


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
        self._plan: tuple[tuple[float, Send], ...] = ()
        self._next = 0
        self._began_s = 0.0
        is_audio = voice.modality == "AUDIO"
        self._audio_bytes = round(script.reply_audio_s * _BYTES_PER_S / _BYTES_PER_20_MS) * _BYTES_PER_20_MS
        self._audio_s = self._audio_bytes / _BYTES_PER_S if is_audio else 0.0
        self._said_tokens = int(self._audio_s * _TOKENS_PER_S)

    @property
    def busy(self) -> bool:
        """The model thinks, speaks, or waits for a function's response."""
        return self.state is not _LISTENING

    @property
    def waiting(self) -> bool:
        """A blocking function call waits for its response."""
        return self.state is Talk.CALLING

    def superseded(self) -> tuple[TurnEnded, ...]:
        """What there is to tell of a turn that a function call put off, now that the next one begins."""
        return self._ended("complete")

    def begin(self, turn: UserTurn, now_s: float) -> None:
        """A whole user turn is in: the answer follows after the script's thinking time."""
        self.state = move(TALK_MOVES, self.state, Cue.TURN_HEARD)
        self.turn = turn
        self.due_s = now_s + self._script.think_s

    def fire(self, at_s: float, memory: Memory, out: list[Effect]) -> bool:
        """Do everything that is due at `at_s`; True when the answer came to its end (all generated) in this call."""
        generated = False
        while self.due_s <= at_s:
            state = self.state
            if state is _THINKING:
                self._answer(self.due_s, memory, out)
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
        out.append(Send(_INTERRUPTED, constant=True))
        out.append(Send(self._turn_complete(memory), self._ended("interrupted")))
        return True

    def call(self, message: dict[str, Any], blocking: bool, memory: Memory, out: list[Effect]) -> None:
        """Send a toolCall. A blocking one keeps the model silent until the response; the other ends an idle turn.

        While the model speaks it goes on speaking (protocol, section 8.3).
        """
        out.append(Send(message))
        if self.state in (Talk.GENERATING, Talk.PLAYING):
            return
        if blocking:
            self.state = move(TALK_MOVES, self.state, Cue.CALL_MADE)
            self.due_s = math.inf
        elif self.state is Talk.LISTENING:
            out.append(_SEND_GENERATION_COMPLETE)
            out.append(Send(self._turn_complete(memory)))

    def cut(self) -> tuple[TurnEnded, ...]:
        """The connection is gone: what there is to tell of the turn."""
        self.due_s = math.inf
        return self._ended("cut")

    def _answer(self, at_s: float, memory: Memory, out: list[Effect]) -> None:
        turn = self.turn
        if turn is None:  # only a user turn leads to THINKING
            raise AssertionError("thinking about no turn")
        answer = self._model.answer(turn.asked, turn.taught, memory.known, turn.number)
        self.state = move(TALK_MOVES, self.state, Cue.ANSWER_BEGUN)
        out.append(Tell(TurnAnswered(self._connection, turn.number, answer.text, answer.known, answer.missing)))
        memory.add(answer.text, {})
        voice = self._voice
        self._plan = _plan(
            answer.text,
            voice.modality,
            voice.transcribe,
            self._audio_bytes,
            self._script.audio_pace,
            turn.number % len(_CHUNK_BYTES),
        )
        if voice.modality == "TEXT":
            self._said_tokens = len(answer.text) // 4 + 1
        self._next = 0
        self._began_s = at_s

    def _generate(self, memory: Memory, out: list[Effect]) -> bool:
        plan = self._plan
        began_s, due_s = self._began_s, self.due_s
        while self._next < len(plan):
            offset_s, send = plan[self._next]
            if began_s + offset_s > due_s:
                self.due_s = began_s + offset_s
                return False
            out.append(send)
            self._next += 1
        self.state = move(TALK_MOVES, self.state, Cue.GENERATION_COMPLETE)
        silent_end = self._voice.profile.idle_signal in ("generation_complete", "none")
        if silent_end:
            out.append(Send(_GENERATION_COMPLETE, self._ended("complete"), constant=True))
        else:
            out.append(_SEND_GENERATION_COMPLETE)
        memory.unanswered = None
        if self._script.hold_turn_complete:
            self.due_s = max(due_s, began_s + self._audio_s)
        return True

    def _end(self, memory: Memory, out: list[Effect]) -> None:
        self.state = move(TALK_MOVES, self.state, Cue.PLAYBACK_OVER)
        self.due_s = math.inf
        if self._voice.profile.idle_signal not in ("generation_complete", "none"):
            out.append(Send(self._turn_complete(memory), self._ended("complete")))

    def _ended(self, outcome: str) -> tuple[TurnEnded, ...]:
        turn = self.turn
        if turn is None:
            return ()
        self.turn = None
        return (TurnEnded(self._connection, turn.number, outcome),)

    def _turn_complete(self, memory: Memory) -> dict[str, Any]:
        profile = self._voice.profile
        usage = None
        if profile.usage:
            prompt = {"TEXT": memory.tokens}
            if memory.audio_samples:
                prompt["AUDIO"] = memory.audio_samples // _SAMPLES_PER_TOKEN
            said: dict[str, int] = {self._voice.modality: self._said_tokens}
            usage = wire.usage_metadata(prompt, said, service=self._voice.service)
        return wire.server_content(
            turn_complete=True,
            interaction_status="IDLE" if profile.idle_signal == "interaction_status" else None,
            usage=usage,
        )


@lru_cache(maxsize=256)
def _plan(
    text: str, modality: str, transcribe: bool, total_bytes: int, pace: float, first_chunk: int
) -> tuple[tuple[float, Send], ...]:
    """An answer's pieces, each with its offset in seconds from the beginning of the answer.

    A text is spread over the time that its sound would take to send.
    """
    fragments = _fragments(text)
    if modality == "TEXT":
        step_s = total_bytes / _BYTES_PER_S / pace / len(fragments) if pace else 0.0
        return tuple(
            (step_s * n, Send(wire.server_content(text=part), constant=True)) for n, part in enumerate(fragments)
        )
    spoken = [Send(wire.server_content(output_transcription=part), constant=True) for part in fragments]
    spoken = spoken if transcribe else []
    pieces: list[tuple[float, Send]] = []
    sent_bytes = 0
    chunk = first_chunk
    while sent_bytes < total_bytes:
        offset_s = sent_bytes / _BYTES_PER_S / pace if pace else 0.0
        size = min(_CHUNK_BYTES[chunk % len(_CHUNK_BYTES)], total_bytes - sent_bytes)
        pieces.append((offset_s, Send(_audio(size), constant=True)))
        sent_bytes += size
        chunk += 1
        while spoken and len(spoken) > len(fragments) * (1 - sent_bytes / total_bytes):
            pieces.append((offset_s, spoken.pop(0)))
    end_s = pieces[-1][0] if pieces else 0.0
    return (*pieces, *((end_s, send) for send in spoken))


def _fragments(text: str) -> tuple[str, ...]:
    """The text in pieces of 2 to 5 words, spaces kept, so that they join to the whole."""
    words = text.split(" ")
    pieces: list[str] = []
    at = 0
    while at < len(words):
        count = _FRAGMENT_WORDS[len(pieces) % len(_FRAGMENT_WORDS)]
        last = at + count >= len(words)
        pieces.append(" ".join(words[at : at + count]) + ("" if last else " "))
        at += count
    return tuple(pieces)
