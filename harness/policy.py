"""What a client says of itself: abilities, what it can see, and what it does by design (contract, section 4).

Checks take their bounds from here, never from a client's name.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_serializer

from harness.durations import Seconds


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class RefusedHandle(_Strict):
    """What follows a refused resume."""

    keep_trying: Seconds = 4.0
    """How long the same handle may be tried again after a "not now" (1011)."""
    then: Literal["reseed", "fresh", "give_up"] = "reseed"


class GivesUpAfter(_Strict):
    """Gives up after so long without a session."""

    after: Seconds


class GivesUpAttempts(_Strict):
    """Gives up after so many failed dials in a row."""

    attempts: int = Field(ge=1)


class Liveness(_Strict):
    """How a silent link is noticed, and within what time."""

    by: Literal["ping", "answer_timeout", "os_network", "none"] = "ping"
    within: Seconds = 45.0


class GapSpeechTail(_Strict):
    """Of the speech spoken in the gap, the last so many seconds are replayed."""

    tail: Seconds


class Policy(_Strict):
    """A client's choices. The defaults are the first values of the contract's table."""

    credential: Literal["token", "key", "oauth"] = "token"
    token_per: Literal["dial", "session"] = "dial"
    resumption: Literal["handle", "reseed", "none"] = "handle"
    refused_handle: RefusedHandle = RefusedHandle()
    handover: Literal["break_first", "overlap"] = "break_first"
    go_away: Literal["before_deadline", "after_turn", "on_close"] = "before_deadline"
    redial: Literal["eager", "on_demand", "manual"] = "eager"
    gives_up: GivesUpAfter | GivesUpAttempts | Literal["never"] = GivesUpAfter(after="60s")  # type: ignore[arg-type]
    liveness: Liveness = Liveness()
    speech_path: Literal["exact", "resampled"] = "exact"
    gap_speech: Literal["replay", "drop"] | GapSpeechTail = "replay"
    gap_text: Literal["resend", "report"] = "resend"
    announce_after: Seconds = 2.0


class Sees(_Strict):
    """What the platform lets the client see of a refusal (a browser sees neither status nor reason of an upgrade)."""

    http_status: bool = True
    close_reason: bool = True


class Waiver(_Strict):
    """A check that the client's team lives with for now."""

    check: str
    because: str
    until: str
    """Last day (YYYY-MM-DD) on which the waiver holds."""


Ability = Literal["text", "audio", "tools", "resume", "transcript", "state", "playback"]


class ClientProfile(_Strict):
    """All that plans and checks know of a client: no name, no command."""

    driven: bool = True
    can: frozenset[Ability] = frozenset({"text", "audio", "resume", "state"})
    tls: Literal["on", "off"] = "on"
    start_within: Seconds = 20.0
    stop_within: Seconds = 5.0
    sees: Sees = Sees()
    policy: Policy = Policy()

    @field_serializer("can")
    def _in_order(self, can: frozenset[Ability]) -> list[str]:
        return sorted(can)
