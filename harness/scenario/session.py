"""How the fake service behaves in a scenario. What is not said is as the real service does it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from fake_server import behaviour
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
    idle_drop: Seconds = _RESUMPTION.embargo_idle_drop_s
    """For so long after a drop while the model was idle (the real service: about 1.2 s)."""


class Resumption(Strict):
    """Resumption updates and what their handles mean."""

    every: Cadence = _RESUMPTION.every_s
    first_after: Seconds | None = _RESUMPTION.first_after_s
    """From setupComplete to the first update; None: as the model does it, at most `every`."""
    handles: Literal["snapshot", "session"] = _RESUMPTION.handles
    pause_while_generating: bool = _RESUMPTION.pause_while_generating
    lifetime: Seconds = _RESUMPTION.lifetime_s
    embargo: Embargo = Embargo()


class SessionLimits(Strict):
    """The service's limits; `never` switches one off."""

    go_away_after: SecondsOrNever = _LIMITS.go_away_after_s
    go_away_time_left: Seconds = _LIMITS.go_away_time_left_s
    idle: SecondsOrNever = _LIMITS.idle_s
    dead_client: SecondsOrNever = _LIMITS.dead_client_s
    setup_within: SecondsOrNever = _LIMITS.setup_within_s
    session: SecondsOrNever = _LIMITS.session_s
    max_frame_bytes: int = Field(default=_LIMITS.max_frame_bytes, ge=1)
    input_ahead: Seconds = _LIMITS.input_ahead_s


class Frames(Strict):
    """What the server's frames look like."""

    opcode: Literal["binary", "text"] = _FRAMES.opcode
    pretty: bool = _FRAMES.pretty


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
