"""What a fake server can be told to do, now: the server and token faults of a scenario, and of `harness serve`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class GoAway:
    """Send goAway; when `time_left_s` has passed and the client is still there, close with 1008."""

    time_left_s: float | None = 5.0
    """None: the message carries no timeLeft, and the server closes after the profile's usual time."""
    raw_time_left: str | None = None
    """Sent as it is instead of the formatted duration (for odd forms); the deadline still uses `time_left_s`."""
    extra: Mapping[str, object] = field(default_factory=dict)
    """Further members of the goAway message, for unknown-field tests."""
    connection: int | None = None
    """None: the newest live connection. So in every act below."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the WebSocket with a code and a reason (cut at 123 bytes)."""

    code: int = 1011
    reason: str = ""
    connection: int | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """Refuse coming dials (or, for refusals of an open session, the open one) by a row of the table of refusals."""

    refusal: str
    only: Literal["any", "fresh", "resume"] = "any"
    for_s: float | None = None
    """How long dials are refused; None: until `times` is reached."""
    times: int | None = 1
    """How many dials are refused; None: all within `for_s`."""
    connection: int | None = None
    retry_after_s: float | None = None
    """By HTTP: what the answer's Retry-After says; None: it has none."""


@dataclass(frozen=True, slots=True)
class Abort:
    """Drop the TCP link without a close frame (RST where nothing stands between)."""

    connection: int | None = None


@dataclass(frozen=True, slots=True)
class Silence:
    """Send nothing more for a while (`only: model_turn`: control messages still go)."""

    for_s: float | None = None
    """None: for the rest of the connection."""
    only: Literal["all", "model_turn"] = "all"
    connection: int | None = None


@dataclass(frozen=True, slots=True)
class SendUpdate:
    """Send a sessionResumptionUpdate now."""

    resumable: bool = True
    """False: the update has no handle and says that the session cannot be resumed at this moment."""
    for_s: float | None = None
    """With `resumable=False`: periodic updates stay non-resumable for so long; None: only this one."""
    connection: int | None = None


@dataclass(frozen=True, slots=True)
class ForgetHandle:
    """Every handle issued so far becomes unknown (1008 session not found)."""


@dataclass(frozen=True, slots=True)
class ForgetContext:
    """Handles are still accepted, but the history behind them is gone."""


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Interrupt the model's turn as if speech had been heard."""

    connection: int | None = None


@dataclass(frozen=True, slots=True)
class CallTool:
    """Have the model call a tool: by name, or the first function that the client declared."""

    name: str | None = None
    connection: int | None = None


@dataclass(frozen=True, slots=True)
class CancelTool:
    """Send toolCallCancellation for all pending calls."""

    connection: int | None = None


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Send just this message, once, in the service's name: for what no turn of the fake brings.

    The fake does not act on it: no close follows a goAway, and no answer to a toolCall is awaited.
    """

    message: Mapping[str, object]
    """One that the service could send (`wire.unsendable_reason`); never changed afterwards."""
    connection: int | None = None


@dataclass(frozen=True, slots=True)
class SendMalformed:
    """Send a frame that no service would send."""

    form: Literal["not_json", "two_documents", "empty_object", "empty_frame", "too_large", "truncated"] = "not_json"
    connection: int | None = None


@dataclass(frozen=True, slots=True)
class SendUnknown:
    """Send a message of a type that no client can know."""

    connection: int | None = None


@dataclass(frozen=True, slots=True)
class SlowPong:
    """Answer pings late."""

    delay_s: float = 8.0
    for_s: float | None = None
    connection: int | None = None


@dataclass(frozen=True, slots=True)
class FailTokenCalls:
    """Token calls fail for a while."""

    how: Literal["status", "timeout", "garbage"] = "status"
    status: int = 503
    for_s: float | None = None
    times: int | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class SlowTokenCalls:
    """Token calls are answered late."""

    delay_s: float = 3.0
    for_s: float | None = None


@dataclass(frozen=True, slots=True)
class ExpireTokens:
    """Every token issued so far expires now; live sessions that used one end with 1011 `auth token has expired`."""


Act: TypeAlias = (
    GoAway
    | Close
    | Refuse
    | Abort
    | Silence
    | SendUpdate
    | ForgetHandle
    | ForgetContext
    | Interrupt
    | CallTool
    | CancelTool
    | SendMessage
    | SendMalformed
    | SendUnknown
    | SlowPong
    | FailTokenCalls
    | SlowTokenCalls
    | ExpireTokens
)
