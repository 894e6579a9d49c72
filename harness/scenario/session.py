"""How the fake service behaves in a scenario. What is not said is as the real service does it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from fake_server import behaviour
from fake_server.profiles import profile_of
from harness.durations import PATTERN, format_duration, parse_duration_s
from harness.scenario.base import Seconds, SecondsOrNever, Strict

_TOKENS = behaviour.TokenRules()
_RESUMPTION = behaviour.ResumptionRules()
_LIMITS = behaviour.Limits()
_FRAMES = behaviour.FrameRules()
_SCRIPT = behaviour.ModelScript()


def _cadence(given: object) -> float | str | None:
    if given in ("model", "model's own"):
        return "model"
    if given == "never":
        return None
    if isinstance(given, str) and not given[:1].isdigit():
        raise ValueError(f"{given!r} is no cadence: it is a duration, never, or model (the model's own); write 1s")
    seconds = parse_duration_s(given)
    if seconds <= 0:
        raise ValueError(f"{given!r} would send updates without end; write 200ms or more")
    return seconds


def _write_cadence(every: float | str | None) -> str:
    return "never" if every is None else every if isinstance(every, str) else format_duration(every)


def _seconds_or_model(*, never: bool) -> tuple[BeforeValidator, PlainSerializer, WithJsonSchema]:
    """A duration field that may be `model` (as the model does it) and, where it makes sense, `never` (None)."""
    words = ("never", "model") if never else ("model",)

    def read(given: object) -> float | str | None:
        if given in words:
            return None if given == "never" else "model"
        if isinstance(given, str) and not given[:1].isdigit():
            raise ValueError(f"{given!r} is neither a duration nor {' or '.join(words)}; write 300ms, 2s, 10m or model")
        return parse_duration_s(given)

    schema = {"anyOf": [{"type": "string", "pattern": PATTERN}, {"enum": list(words)}]}
    return BeforeValidator(read), PlainSerializer(_write_cadence, return_type=str), WithJsonSchema(schema)


SecondsOrModel = Annotated[float | Literal["model"], *_seconds_or_model(never=False)]
SecondsOrModelOrNever = Annotated[float | Literal["model"] | None, *_seconds_or_model(never=True)]


def _count(given: object) -> int | None:
    if given == "never":
        return None
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise ValueError(f"{given!r} is no limit: it is a whole number from 1, or the word never; write 3 or never")
    return given


CountOrNever = Annotated[
    int | None,
    BeforeValidator(_count),
    PlainSerializer(lambda count: "never" if count is None else count, return_type=int | str),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "never"}]}),
]
"""A number that `never` switches off (None)."""

Cadence = Annotated[
    float | Literal["model"] | None,
    BeforeValidator(_cadence),
    PlainSerializer(_write_cadence, return_type=str),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": PATTERN}, {"enum": ["never", "model", "model's own"]}]}),
]


class Tokens(Strict):
    """Ephemeral tokens."""

    uses: int = Field(default=_TOKENS.uses, ge=0)
    """Sessions that one may start; 0: without limit."""
    new_session_window: Seconds = _TOKENS.new_session_window_s
    lifetime: Seconds = _TOKENS.lifetime_s
    resume_spends_use: bool = _TOKENS.resume_spends_use
    refuse: Literal["close_1011", "http_401"] = _TOKENS.refuse
    """How a spent one is refused; `http_401` implies `resume_spends_use`."""


class Embargo(Strict):
    """When a resume is refused by 1011 although its handle is good."""

    old_socket: bool = _RESUMPTION.embargo_old_socket
    """While the client has not closed its own end of the old socket."""
    idle_drop: SecondsOrModel = _RESUMPTION.embargo_idle_drop_s
    """For so long after a drop while the model was idle; `model`: as the model does it (about 1.2 s on 3.8)."""
    refused_after: SecondsOrModel = _RESUMPTION.embargo_refused_after_s
    """From the setup to the refusal; `model`: as the model does it (about 0.5 s on 3.8)."""


class Resumption(Strict):
    """Resumption updates and what their handles mean."""

    every: Cadence = _RESUMPTION.every_s
    first_after: Seconds | None = _RESUMPTION.first_after_s
    """From setupComplete to the first update; None: as the model does it, at most `every`."""
    handles: Literal["model", "snapshot", "session"] = _RESUMPTION.handles
    """What a handle restores; `model`: as the model does it (the session on 3.8, else a snapshot)."""
    pause_while_generating: bool = _RESUMPTION.pause_while_generating
    lifetime: Seconds = _RESUMPTION.lifetime_s
    counts_setup: bool = _RESUMPTION.counts_setup
    """Transparent mode: the setup is client message 1; false: the message after it is."""
    embargo: Embargo = Embargo()


class SessionLimits(Strict):
    """The service's limits; `never` switches one off."""

    go_away_after: SecondsOrNever = _LIMITS.go_away_after_s
    go_away_time_left: Seconds = _LIMITS.go_away_time_left_s
    idle: SecondsOrModelOrNever = _LIMITS.idle_s
    """Without input; `model`: as the model does it (150 s on 3.1, else never)."""
    dead_client: SecondsOrNever = _LIMITS.dead_client_s
    setup_within: SecondsOrNever = _LIMITS.setup_within_s
    session: SecondsOrNever = _LIMITS.session_s
    """A session without contextWindowCompression, over all its connections."""
    video_session: SecondsOrNever = _LIMITS.video_session_s
    """The same from the first picture on."""
    context_tokens: CountOrNever = _LIMITS.context_tokens
    sessions: CountOrNever = _LIMITS.sessions
    """At once; one more gets the quota close."""
    quota_close_after: Seconds = _LIMITS.quota_close_after_s
    """From setupComplete to the close where the quota is spent."""
    max_frame_bytes: int = Field(default=_LIMITS.max_frame_bytes, ge=1)
    input_ahead: Seconds = _LIMITS.input_ahead_s


class Frames(Strict):
    """What the server's frames look like."""

    opcode: Literal["binary", "text"] = _FRAMES.opcode
    pretty: bool = _FRAMES.pretty


class ScriptedCall(Strict):
    """The model calls a function in answer to one user turn."""

    turn: int = Field(ge=1)
    """Which of the session's user turns."""
    name: str | None = None
    """None: the first function that the client declared."""


class Script(Strict):
    """How the model talks."""

    setup_complete_after: Seconds = _SCRIPT.setup_complete_after_s
    think: Seconds = _SCRIPT.think_s
    reply_audio: Seconds = _SCRIPT.reply_audio_s
    audio_pace: float = Field(default=_SCRIPT.audio_pace, ge=0)
    """How many times faster than real time; 0: at once."""
    hold_turn_complete: bool = _SCRIPT.hold_turn_complete
    quiet_ends_turn: Seconds = _SCRIPT.quiet_ends_turn_s
    speech_interrupts: bool = _SCRIPT.speech_interrupts
    replies: tuple[str, ...] = ()
    """What it says in turn where nothing is asked or taught."""
    calls: tuple[ScriptedCall, ...] = ()
    """Functions that it calls, turn by turn."""
    calls_when_named: bool = _SCRIPT.calls_when_named
    """A user turn that names a declared function has it called."""
    call_ids: bool = _SCRIPT.call_ids
    """False, on Vertex alone: calls carry no id."""
    pending_call_input: Literal["accept", "refuse"] = _SCRIPT.pending_call_input
    """Input while a blocking call is pending; `refuse`: by 1008."""
    turn_complete: bool = _SCRIPT.turn_complete
    """False: a turn ends with generationComplete alone."""
    interim_turns: int = Field(default=_SCRIPT.interim_turns, ge=0)
    """Turns with IN_PROGRESS before the answer, on models with an interactionStatus."""
    empty_frames: bool | Literal["model"] = _SCRIPT.empty_frames
    """Empty frames between audio chunks; `model`: as the model does it (on 3.8)."""


class SessionSpec(Strict):
    """The `session` of a scenario."""

    model: str = behaviour.DEFAULT_MODEL
    dialect: Literal["google", "article"] = "google"
    profile: Literal["developer", "vertex"] = "developer"
    tokens: Tokens = Tokens()
    resumption: Resumption = Resumption()
    limits: SessionLimits = SessionLimits()
    frames: Frames = Frames()
    model_script: Script = Script()
    unknown_fields: Literal["warn", "refuse"] = "warn"
    voices: Literal["known", "any"] = "known"
    """`any`: a voice that we do not know is accepted."""

    @property
    def handles(self) -> Literal["snapshot", "session"]:
        """What a handle restores here: as the scenario says, or the model."""
        chosen = self.resumption.handles
        return profile_of(self.model).handles if chosen == "model" else chosen
