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
    handles: Literal["model", "snapshot", "session"] = "model"
    """`snapshot`: the history as it was when the handle was issued; `session`: all of it up to the drop; `model`: as
    the profile of the model says. In transparent mode it is always a snapshot, so that the index says all."""
    pause_while_generating: bool = False
    """True: while the model speaks or a tool call is pending, updates say `resumable: false` and carry no handle."""
    lifetime_s: float = 7200.0
    """Seconds after the last session's end for which a handle is good."""
    embargo_old_socket: bool = True
    """A resume is refused by 1011 while the client has not closed its own end of the session's last socket."""
    embargo_idle_drop_s: float | Literal["model"] = "model"
    """A resume of a session that dropped while the model was idle is refused by 1011 so long; `model`: as the profile
    of the model says (about 1.2 s on 3.8)."""
    embargo_refused_after_s: float | Literal["model"] = "model"
    """From a setup to the 1011 of an embargo; `model`: as the profile of the model says (about 0.5 s on 3.8)."""
    counts_setup: bool = True
    """Transparent mode: the setup is client message 1 (not known of the service). False: the one after it is."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Times and sizes; None switches a limit off."""

    go_away_after_s: float | None = 540.0
    go_away_time_left_s: float = 50.0
    """What goAway announces; when it has passed, the server closes with 1008."""
    idle_s: float | Literal["model"] | None = "model"
    """Without input for so long: 1008 `The operation was aborted.`; `model`: as the profile says (150 s on 3.1)."""
    dead_client_s: float | None = 480.0
    """Nothing at all from the client for so long after our last message: 1011."""
    setup_within_s: float | None = 60.0
    """No setup for so long after the upgrade: close (the real time-out is unknown)."""
    session_s: float | None = 900.0
    """Length of a session without contextWindowCompression, over all its connections; then 1007, and it is gone."""
    video_session_s: float | None = 120.0
    """The same for a session with video, counted from the first picture."""
    context_tokens: int | None = 131_072
    """Context of a session, in tokens; beyond it 1007, or with contextWindowCompression the oldest goes."""
    sessions: int | None = None
    """Sessions at once; one more gets its setupComplete and then the quota close (free tier: 3; Vertex: 1,000)."""
    quota_close_after_s: float = 0.8
    """From setupComplete to the close where the quota is spent."""
    max_frame_bytes: int = 16 * 1024 * 1024
    input_ahead_s: float = 60.0
    """Audio received further ahead of real time than this: 1011 resource exhausted."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a server keeps, so that it may run for days. These are of the fake, and far from what a run needs."""

    connections: int = 1_000
    """Open at once; one more gets the quota close in place of an answer to its setup."""
    turned_away: int = 100
    """So many more may be at their quota close; further ones are refused by HTTP 429."""
    tokens: int = 10_000
    """Tokens known. At the limit expired ones are forgotten early; where none has expired, a token call gets 429."""
    token_grace_s: float = 4 * 3600.0
    """An expired token is known so long, and refused as expired; then it is as one that was never issued."""
    handles: int = 50_000
    """Handles known; the oldest are forgotten."""
    sessions: int = 20_000
    """Sessions known that nobody is connected to; the one that was left first is forgotten, with its handles."""
    facts: int = 1_000
    """Facts in the history of one session; the ones learnt first are forgotten."""
    draft_chars: int = 1_048_576
    """Text of clientContent messages that wait for their turnComplete; the oldest is dropped, its facts are kept."""
    queued_turns: int = 100
    """User turns that wait while the model is at another one; one more: 1011 resource exhausted."""
    pending_calls: int = 100
    """Function calls without a response; the oldest are forgotten."""


@dataclass(frozen=True, slots=True)
class FrameRules:
    """What server frames look like; the real service sends pretty-printed JSON in binary frames."""

    opcode: Literal["binary", "text"] = "binary"
    pretty: bool = True


@dataclass(frozen=True, slots=True)
class ScriptedCall:
    """The model calls a function in answer to one user turn."""

    turn: int
    """Which of the session's user turns, from 1 (answers to calls do not count)."""
    name: str | None = None
    """None: the first function that the client declared."""


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
    replies: tuple[str, ...] = ()
    """What it says in turn where nothing is asked or taught; empty: small talk of its own."""
    calls: tuple[ScriptedCall, ...] = ()
    """Functions that it calls, turn by turn; a function that the client did not declare is not called."""
    calls_when_named: bool = True
    """A user turn that names a declared function, as a word of its own, has it called."""
    call_ids: bool = True
    """False, on Vertex alone: calls carry no id, as some models there do."""
    pending_call_input: Literal["accept", "refuse"] = "accept"
    """Input while a blocking call is pending; `refuse`: 1008 `Operation is not…`, as seen on 3.1 and 2.5."""
    turn_complete: bool = True
    """False: a turn ends with generationComplete alone, as once seen on 3.1."""
    interim_turns: int = 1
    """Turns that say IN_PROGRESS before the answer, on models with an interactionStatus."""
    empty_frames: bool | Literal["model"] = "model"
    """`{}` and an empty serverContent come between audio chunks; `model`: as the profile says (seen on 3.8)."""


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
    bounds: Bounds = field(default_factory=Bounds)
    frames: FrameRules = field(default_factory=FrameRules)
    script: ModelScript = field(default_factory=ModelScript)
    unknown_fields: Literal["warn", "refuse"] = "warn"
    voices: Literal["known", "any"] = "known"
    """`known`: a voice that the service is not known to have is refused, in its words; `any`: every name is taken."""
    utterances: Mapping[int, Utterance] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    """Names of the facts that may be taught and asked (`{"name": "Ada Byron"}`). The model matches the *values*
    that it hears: it never answers from here, only from what was said in the session's history."""
