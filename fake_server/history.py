"""What a session knows: `Memory` while it goes on, `History` as a value of one moment of it (a snapshot)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fake_server.hearing import NOTHING_HEARD, Ear, PendingSpeech
from fake_server.quick import made_quickly


@made_quickly
@dataclass(frozen=True)
class UserTurn:
    """A whole user turn, as the model took it in."""

    number: int
    """Counts user turns over the whole server, from 1."""
    taught: tuple[str, ...]
    asked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function call that the model has made and not yet had answered."""

    id: str
    name: str
    blocking: bool = False
    """The model says nothing until it has the response."""
    asked: tuple[str, ...] = ()
    """Facts that the user turn asked for which led to the call: the response's turn answers them."""


SAMPLES_PER_TOKEN = 640
"""25 tokens a second of audio, in and out (protocol, section 6.2)."""
TOKENS_PER_PICTURE = 258
"""A second of video (same place), of which one picture is looked at (section 4.3)."""


@dataclass(frozen=True, slots=True)
class History:
    """One session's past at one moment: what a resumption handle restores. Never changed."""

    known: Mapping[str, str] = field(default_factory=dict)
    """Facts by name: what was said in this history, by anyone."""
    tokens: int = 0
    """Text in the context, in tokens."""
    audio_samples: int = 0
    """Audio received (16 kHz): the clock that audio offsets are counted on."""
    unanswered: UserTurn | None = None
    """The last user turn, while the model has not finished its answer."""
    tool_calls: tuple[ToolCall, ...] = ()
    """Pending function calls, oldest first."""
    speech: PendingSpeech = NOTHING_HEARD
    """What was heard of a user turn that is not over."""
    context_samples: int = 0
    """Audio in the context (16 kHz), the user's and the model's."""
    pictures: int = 0
    """Pictures in the context."""
    turns: int = 0
    """User turns taken in, answers to calls not among them."""

    def emptied(self) -> History:
        """A past without anything in it (the audio clock runs on)."""
        return History(audio_samples=self.audio_samples)


class Memory:
    """A live session's past: grows in place."""

    def __init__(self, ear: Ear, past: History | None = None, most_facts: int = 1_000) -> None:
        past = past or History()
        self.known: dict[str, str] = dict(past.known)
        self._known_then: Mapping[str, str] | None = past.known
        """What `known` was at the last snapshot; None: it has changed since."""
        self._most_facts = most_facts
        self.tokens = past.tokens
        self.audio_samples = past.audio_samples
        self.unanswered = past.unanswered
        self.tool_calls = past.tool_calls
        self.context_samples = past.context_samples
        self.pictures = past.pictures
        self.turns = past.turns
        self.ear = ear
        ear.restore(past.speech)

    @property
    def facts(self) -> tuple[str, ...]:
        """Names of the known facts, in the order in which they were learnt."""
        return tuple(self.known)

    @property
    def context(self) -> dict[str, int]:
        """Tokens in the context, by modality."""
        return {
            "TEXT": self.tokens,
            "AUDIO": self.context_samples // SAMPLES_PER_TOKEN,
            "VIDEO": self.pictures * TOKENS_PER_PICTURE,
        }

    @property
    def held_tokens(self) -> int:
        """All of them."""
        return self.tokens + self.context_samples // SAMPLES_PER_TOKEN + self.pictures * TOKENS_PER_PICTURE

    def shorten(self, target_tokens: int) -> None:
        """Let the oldest go until so many tokens are left. Facts are kept: what was said of them may be the newest."""
        held = self.held_tokens
        if held > target_tokens:
            self.tokens = self.tokens * target_tokens // held
            self.context_samples = self.context_samples * target_tokens // held
            self.pictures = self.pictures * target_tokens // held

    def add(self, text: str, taught: Mapping[str, str]) -> None:
        """Take in one more piece of text, and what it teaches."""
        self.tokens += (len(text) + 3) // 4  # about 4 characters a token
        if taught:
            self.known.update(taught)
            while len(self.known) > self._most_facts:
                del self.known[next(iter(self.known))]
            self._known_then = None

    def snapshot(self) -> History:
        """The past as it is now."""
        if self._known_then is None:  # snapshots between which nothing was learnt share one
            self._known_then = dict(self.known)
        return History(
            self._known_then,
            self.tokens,
            self.audio_samples,
            self.unanswered,
            self.tool_calls,
            self.ear.pending,
            self.context_samples,
            self.pictures,
            self.turns,
        )
