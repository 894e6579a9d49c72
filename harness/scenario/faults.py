"""Everything that a scenario can make go wrong: on the network, at the server, with tokens, to the program."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, Discriminator, Field, Tag, field_validator
from pydantic_core.core_schema import ValidationInfo

from fake_server.refusals import REFUSALS
from fake_server.wire import unsendable_reason
from harness.problems import rule_broken, unknown_word
from harness.proxy.port import INSTANT, Direction, FaultKind, Scope
from harness.scenario.base import BytesPerSecond, Seconds, SecondsOrNone, Strict, positive, tag_by_class

LinkName: TypeAlias = Literal["live", "backend", "all"]

_PARAMETERS: Mapping[FaultKind, frozenset[str]] = {
    FaultKind.SLOW: frozenset({"latency", "jitter"}),
    FaultKind.THROTTLE: frozenset({"rate"}),
    FaultKind.SLICE: frozenset({"slice_bytes", "slice_delay"}),
}


class _Lasting(Strict):
    for_s: Seconds | None = Field(default=None, alias="for")
    """How long it lasts; None: once, or to the end of the run."""

    @field_validator("for_s")
    @classmethod
    def _not_nothing(cls, seconds: float | None) -> float | None:
        return None if seconds is None else positive(seconds)


class NetworkFault(Strict):
    """A fault on the links between client and server, named by what the client experiences."""

    network: FaultKind
    for_s: Seconds | None = Field(default=None, alias="for", validate_default=True)
    """How long it lasts; every fault but `cut` and `reset` must say so."""
    link: LinkName = "all"
    direction: Direction = Direction.BOTH
    scope: Scope = Scope.ALL
    """`existing`: only links that live when it begins; new dials work."""
    latency: Seconds | None = None
    """`slow`: how much later bytes arrive; by default 1 s."""
    jitter: Seconds | None = None
    """`slow`: plus or minus; by default none."""
    rate: BytesPerSecond | None = None
    """`throttle`: what passes at most; by default 8kB/s."""
    slice_bytes: int | None = Field(default=None, ge=1)
    """`slice`: size of the pieces; by default 64."""
    slice_delay: Seconds | None = None
    """`slice`: time between the pieces; by default 10 ms."""

    @field_validator("for_s")
    @classmethod
    def _lasts_or_not(cls, seconds: float | None, info: ValidationInfo) -> float | None:
        kind = info.data.get("network")
        if kind in INSTANT and seconds is not None:
            raise rule_broken(f"`{kind}` happens once and lasts no time; take `for` away", key=True)
        if kind is not None and kind not in INSTANT and seconds is None:
            raise rule_broken(f"`{kind}` lacks `for`: it lasts, and must say how long; write `for: 8s`")
        return None if seconds is None else positive(seconds)

    @field_validator("latency", "jitter", "rate", "slice_bytes", "slice_delay")
    @classmethod
    def _belongs(cls, value: float | None, info: ValidationInfo) -> float | None:
        kind = info.data.get("network")
        if value is not None and kind is not None and info.field_name not in _PARAMETERS.get(kind, frozenset()):
            owner = next(str(one) for one, names in _PARAMETERS.items() if info.field_name in names)
            raise rule_broken(f"`{kind}` has no `{info.field_name}`, only `{owner}` has; take it away", key=True)
        return value

    @property
    def act(self) -> str:
        """`network.blackhole` and the like."""
        return f"network.{self.network}"


class ServerFault(Strict):
    """Something that the server does within the protocol, or against it."""

    server: str

    @property
    def act(self) -> str:
        """`server.go_away` and the like."""
        return f"server.{self.server}"


class _Once(ServerFault):
    for_s: ClassVar[float | None] = None


class _OnConnection(Strict):
    connection: int | None = Field(default=None, ge=1)
    """Counted from 1 over the run; None: the newest live one."""


class GoAwayFault(_OnConnection, _Once):
    """Send goAway; the server closes with 1008 when the time left has passed."""

    server: Literal["go_away"]
    time_left: SecondsOrNone = 5.0
    """`none`: the message carries no timeLeft."""
    raw: str | None = None
    """timeLeft as it stands on the wire, for odd forms; the deadline is still `time_left`."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Further members of the message."""


class CloseFault(_OnConnection, _Once):
    """Close the WebSocket with a code and a reason."""

    server: Literal["close"]
    code: int = Field(default=1011, ge=1000, le=4999)
    reason: str = ""


class RefusalFault(_Lasting, _OnConnection, ServerFault):
    """Refuse dials (or end the open session) by a row of the service's own table of refusals."""

    server: Literal["refusal"]
    refusal: str
    only: Literal["any", "fresh", "resume"] = "any"
    times: int | None = Field(default=None, ge=1)
    """How many; None: all within `for`, or one if there is no `for`."""
    retry_after: Seconds | None = None
    """Of a refusal by HTTP: what its Retry-After says; None: it has none."""

    @field_validator("retry_after")
    @classmethod
    def _by_http(cls, seconds: float | None, info: ValidationInfo) -> float | None:
        row = REFUSALS.get(info.data.get("refusal", ""))
        if seconds is not None and row is not None and not row.is_http:
            raise rule_broken(f"`{row.name}` is a close frame, which has no Retry-After; take it away", key=True)
        return seconds

    @field_validator("refusal")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in REFUSALS:
            raise unknown_word(name, list(REFUSALS), "refusal of the service")
        return name


class AbortFault(_OnConnection, _Once):
    """Drop the TCP link at the server without a close frame."""

    server: Literal["abort"]


class SilenceFault(_Lasting, _OnConnection, ServerFault):
    """Send nothing more; `only: model_turn` lets control messages through."""

    server: Literal["silence"]
    only: Literal["all", "model_turn"] = "all"


class UpdateFault(_Lasting, _OnConnection, ServerFault):
    """Send a sessionResumptionUpdate now; `resumable: false` has no handle, and holds `for` so long."""

    server: Literal["update"]
    resumable: bool = Field(default=True, validate_default=True)

    @field_validator("resumable")
    @classmethod
    def _only_false_lasts(cls, resumable: bool, info: ValidationInfo) -> bool:
        if resumable and info.data.get("for_s") is not None:
            raise rule_broken("an update with a handle lasts no time; take `for` away, or write `resumable: false`")
        return resumable


class ForgetHandleFault(_Once):
    """Every handle issued so far becomes unknown."""

    server: Literal["forget_handle"]


class ForgetContextFault(_Once):
    """Handles are still accepted, but the history behind them is gone."""

    server: Literal["forget_context"]


class InterruptFault(_OnConnection, _Once):
    """Interrupt the model's turn as if speech had been heard."""

    server: Literal["interrupt"]


class ToolCallFault(_OnConnection, _Once):
    """Have the model call a tool."""

    server: Literal["tool_call"]
    name: str | None = None
    """None: the first function that the client declared."""


class CancelToolCallFault(_OnConnection, _Once):
    """Cancel all pending tool calls."""

    server: Literal["cancel_tool_call"]


class MessageFault(_OnConnection, _Once):
    """Send just this message, once, in the service's name: for what no turn of the fake brings.

    The fake does not act on it: no close follows a goAway, and no answer to a toolCall is awaited.
    """

    server: Literal["message"]
    message: dict[str, Any]
    """As it stands on the wire, in camelCase: `{serverContent: {waitingForInput: true}}`."""

    @field_validator("message")
    @classmethod
    def _could_be_sent(cls, message: dict[str, Any]) -> dict[str, Any]:
        reason = unsendable_reason(message)
        if reason is not None:
            path, _, rule = reason.partition(": ")
            at = _place_in(message, path)
            told = rule if at else reason
            raise rule_broken(
                f"the service could not send this: {told}; correct it, "
                "or take `server: malformed` or `server: unknown_message` for what no service sends",
                at=at,
                key=rule.startswith("no such field"),
            )
        return message


def _place_in(message: Mapping[str, Any], path: str) -> tuple[str | int, ...]:
    """Where `serverContent.modelTurn.parts[0]` stands in the message; empty when it leads nowhere."""
    place: list[str | int] = []
    node: Any = message
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
        part = int(index) if index else name
        if not (part in node if isinstance(node, Mapping) else isinstance(node, list) and part in range(len(node))):
            return ()
        place.append(part)
        node = node[part]
    return tuple(place)


class MalformedFault(_OnConnection, _Once):
    """Send a frame that no service would send."""

    server: Literal["malformed"]
    malformed: Literal["not_json", "two_documents", "empty_object", "empty_frame", "too_large", "truncated"] = (
        "not_json"
    )


class UnknownMessageFault(_OnConnection, _Once):
    """Send a message of a type that no client can know."""

    server: Literal["unknown_message"]


class SlowPongFault(_Lasting, _OnConnection, ServerFault):
    """Answer pings late."""

    server: Literal["slow_pong"]
    delay: Seconds = 8.0


class TokenFault(Strict):
    """Something that the token service does."""

    tokens: str

    @property
    def act(self) -> str:
        """`tokens.fail` and the like."""
        return f"tokens.{self.tokens}"


class FailTokensFault(_Lasting, TokenFault):
    """Token calls fail: by an HTTP status, by no answer at all, or by an answer that makes no sense."""

    tokens: Literal["fail"]
    with_: int | Literal["timeout", "garbage"] = Field(default=503, alias="with")
    times: int | None = Field(default=None, ge=1)
    retry_after: Seconds | None = None

    @field_validator("with_", mode="before")
    @classmethod
    def _known(cls, given: object) -> object:
        status = isinstance(given, int) and not isinstance(given, bool) and 400 <= given <= 599
        if not status and given not in ("timeout", "garbage"):
            raise unknown_word(given, ["an HTTP status from 400 to 599", "timeout", "garbage"], "way to fail")
        return given


class SlowTokensFault(_Lasting, TokenFault):
    """Token calls are answered late."""

    tokens: Literal["slow"]
    delay: Seconds = 3.0


class ExpireTokensFault(TokenFault):
    """Every token issued so far expires now; live sessions that used one are ended."""

    for_s: ClassVar[float | None] = None
    tokens: Literal["expire"]


class ClientFault(_Lasting):
    """What happens to the program: stopped for a while (`suspend`), or killed and started again (`restart`).

    A `suspend` without `for` lasts until a `resume`.
    """

    client: Literal["suspend", "resume", "restart"]

    @field_validator("client")
    @classmethod
    def _only_suspend_lasts(cls, kind: str, info: ValidationInfo) -> str:
        if kind != "suspend" and info.data.get("for_s") is not None:
            raise rule_broken(f"`{kind}` lasts no time; take `for` away")
        return kind

    @property
    def act(self) -> str:
        """`client.suspend` and the like."""
        return f"client.{self.client}"


_SERVER: Mapping[str, type[ServerFault]] = {
    "go_away": GoAwayFault,
    "close": CloseFault,
    "refusal": RefusalFault,
    "abort": AbortFault,
    "silence": SilenceFault,
    "update": UpdateFault,
    "forget_handle": ForgetHandleFault,
    "forget_context": ForgetContextFault,
    "interrupt": InterruptFault,
    "tool_call": ToolCallFault,
    "cancel_tool_call": CancelToolCallFault,
    "message": MessageFault,
    "malformed": MalformedFault,
    "unknown_message": UnknownMessageFault,
    "slow_pong": SlowPongFault,
}
_TOKENS: Mapping[str, type[TokenFault]] = {
    "fail": FailTokensFault,
    "slow": SlowTokensFault,
    "expire": ExpireTokensFault,
}
_TAGS: Mapping[type[BaseModel], str] = {
    NetworkFault: "<network>",
    ClientFault: "<client>",
    **{kind: f"<server.{name}>" for name, kind in _SERVER.items()},
    **{kind: f"<tokens.{name}>" for name, kind in _TOKENS.items()},
}
_FAMILIES: Mapping[str, tuple[str, ...]] = {
    "network": tuple(FaultKind),
    "server": tuple(_SERVER),
    "tokens": tuple(_TOKENS),
    "client": ("suspend", "resume", "restart"),
}


def _recognise(given: object) -> object:
    """Refuse what is no fault, in words that say which there are."""
    if isinstance(given, Strict):
        return given
    example = "`{network: blackhole, for: 8s}`"
    if not isinstance(given, Mapping):
        raise rule_broken(f"a fault is a mapping; write one, as in {example}")
    families = [name for name in _FAMILIES if name in given]
    if len(families) != 1:
        if families:
            raise rule_broken(f"a fault is one thing, here are {' and '.join(families)}; write two entries")
        for name in given:
            words = [family for family, kinds in _FAMILIES.items() if name in kinds]
            if words:
                raise rule_broken(f"a fault says where it happens; write `{words[0]}: {name}`", at=(name,), key=True)
        what = next(iter(given), None)
        if what is None:
            raise rule_broken(f"the fault is empty; write one, as in {example}")
        raise unknown_word(what, tuple(_FAMILIES), "kind of fault", at=(what,), key=True)
    family = families[0]
    if given[family] not in _FAMILIES[family]:
        raise unknown_word(given[family], _FAMILIES[family], f"{family} fault", at=(family,))
    return given


def _tag(given: object) -> str | None:
    if not isinstance(given, Mapping):
        return tag_by_class(_TAGS, given)
    for family in ("network", "client"):
        if family in given:
            return f"<{family}>"
    return f"<server.{given['server']}>" if "server" in given else f"<tokens.{given.get('tokens')}>"


Fault: TypeAlias = Annotated[
    Annotated[NetworkFault, Tag("<network>")]
    | Annotated[GoAwayFault, Tag("<server.go_away>")]
    | Annotated[CloseFault, Tag("<server.close>")]
    | Annotated[RefusalFault, Tag("<server.refusal>")]
    | Annotated[AbortFault, Tag("<server.abort>")]
    | Annotated[SilenceFault, Tag("<server.silence>")]
    | Annotated[UpdateFault, Tag("<server.update>")]
    | Annotated[ForgetHandleFault, Tag("<server.forget_handle>")]
    | Annotated[ForgetContextFault, Tag("<server.forget_context>")]
    | Annotated[InterruptFault, Tag("<server.interrupt>")]
    | Annotated[ToolCallFault, Tag("<server.tool_call>")]
    | Annotated[CancelToolCallFault, Tag("<server.cancel_tool_call>")]
    | Annotated[MessageFault, Tag("<server.message>")]
    | Annotated[MalformedFault, Tag("<server.malformed>")]
    | Annotated[UnknownMessageFault, Tag("<server.unknown_message>")]
    | Annotated[SlowPongFault, Tag("<server.slow_pong>")]
    | Annotated[FailTokensFault, Tag("<tokens.fail>")]
    | Annotated[SlowTokensFault, Tag("<tokens.slow>")]
    | Annotated[ExpireTokensFault, Tag("<tokens.expire>")]
    | Annotated[ClientFault, Tag("<client>")],
    Discriminator(_tag),
    BeforeValidator(_recognise),
]
"""Any fault, as it stands behind `do`. Which one it is, its keys say."""
