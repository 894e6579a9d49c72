"""How a fake service behaves: plain values, all of the real service's limits among them.

Defaults are the real service's (shared figures: protocol page, sections 6 and 8); a scenario shortens them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

DEFAULT_MODEL = "gemini-2.5-flash-native-audio-preview-12-2025"


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What the token service hands out when the caller asks for nothing else."""

    uses: int = 1
    """Sessions a token may start; 0 means without limit."""
    new_session_window_s: float = 60.0
    lifetime_s: float = 1800.0
    resume_spends_use: bool = False
    """False as measured: a setup with a handle takes no use. True: any setup (or upgrade) does."""
    refuse: Literal["close_1011", "http_401"] = "close_1011"
    """How a spent token is refused. `http_401` acts on the upgrade, so it implies `resume_spends_use`."""


@dataclass(frozen=True, slots=True)
class ResumptionRules:
    """When handles are issued and what they mean."""

    every_s: float | Literal["model"] | None = "model"
    """Seconds between updates; None: never; `"model"`: as the profile of the model says."""
    first_after_s: float | None = None
    """Seconds from setupComplete to the first update; None: as the model's profile, at most `every_s`."""
    handles: Literal["snapshot", "session"] = "snapshot"
    """`snapshot`: the history as it was when the handle was issued; `session`: all of it up to the drop."""
    pause_while_generating: bool = False
    """True: while the model speaks or a tool call is pending, updates say `resumable: false` and carry no handle."""
    lifetime_s: float = 7200.0
    """Seconds after the last session's end for which a handle is good."""
    embargo_old_socket: bool = True
    """A resume is refused by 1011 while the client has not closed its own end of the session's last socket."""
    embargo_idle_drop_s: float = 0.0
    """A resume of a session that dropped while the model was idle is refused by 1011 so long (real: about 1.2 s)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Times and sizes; None switches a limit off."""

    go_away_after_s: float | None = 540.0
    go_away_time_left_s: float = 50.0
    """What goAway announces; when it has passed, the server closes with 1008."""
    idle_s: float | None = None
    """Without input for so long: 1008 `The operation was aborted.` (150 s on 3.1; by default the profile's)."""
    dead_client_s: float | None = 480.0
    """Nothing at all from the client for so long after our last message: 1011."""
    setup_within_s: float | None = 60.0
    """No setup for so long after the upgrade: close (the real time-out is unknown)."""
    session_s: float | None = None
    """Length of a session without compression (real: 900 s of audio); then 1007."""
    max_frame_bytes: int = 16 * 1024 * 1024
    input_ahead_s: float = 60.0
    """Audio received further ahead of real time than this: 1011 resource exhausted."""


@dataclass(frozen=True, slots=True)
class FrameRules:
    """What server frames look like; the real service sends pretty-printed JSON in binary frames."""

    opcode: Literal["binary", "text"] = "binary"
    pretty: bool = True


@dataclass(frozen=True, slots=True)
class ModelScript:
    """How the fake model talks. Answers to questions about facts are never scripted: they come from the history."""

    setup_complete_after_s: float = 0.05
    """From setup to setupComplete (real: 0.2 to 0.36 s from the dial)."""
    think_s: float = 0.3
    """From the end of the user's turn to the first audio (real: 0.5 to 0.8 s)."""
    reply_audio_s: float = 1.0
    """Length of the spoken answer."""
    audio_pace: float = 4.5
    """How many times faster than real time audio is sent (real: 4 to 5); 0 means at once."""
    hold_turn_complete: bool = True
    """Hold turnComplete until the audio would have finished playing, as the real service does."""
    quiet_ends_turn_s: float = 0.8
    """Quiet after speech that ends the user's turn (real: about 1.2 s)."""
    speech_interrupts: bool = True


@dataclass(frozen=True, slots=True)
class Utterance:
    """One spoken turn that a client may stream: the position code in its samples carries `number`."""

    number: int
    text: str
    speech_samples: int
    """Samples (16 kHz) that carry the words; what follows in the WAV is coded quiet."""
    total_samples: int


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Everything that one fake server is told about itself."""

    model: str = DEFAULT_MODEL
    dialect: Literal["google", "article"] = "google"
    profile: Literal["developer", "vertex"] = "developer"
    tokens: TokenRules = field(default_factory=TokenRules)
    resumption: ResumptionRules = field(default_factory=ResumptionRules)
    limits: Limits = field(default_factory=Limits)
    frames: FrameRules = field(default_factory=FrameRules)
    script: ModelScript = field(default_factory=ModelScript)
    unknown_fields: Literal["warn", "refuse"] = "warn"
    utterances: Mapping[int, Utterance] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    """Names of the facts that may be taught and asked (`{"name": "Ada Byron"}`). The model matches the *values*
    that it hears: it never answers from here, only from what was said in the session's history."""
