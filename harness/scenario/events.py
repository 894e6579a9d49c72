"""The closed list of event names that `when`, `at` and `until` may use, and how each is matched. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from fake_server import events as server
from harness.journal import events as journal
from harness.journal.events import Event

Read = Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class EventName:
    """One name of the list."""

    name: str
    description: str
    """One line: when it happens."""
    kinds: tuple[type, ...]
    """Journal events of which it may be one."""
    condition: Callable[[Any], bool] | None = None
    """Which of them; None: all."""
    fields: Mapping[str, Read] = field(default_factory=dict)
    """What a `filter` may look at."""

    @property
    def can_be_held(self) -> bool:
        """True where `edge: before` is possible: a frame that the server has not sent yet."""
        return self.kinds == (server.FrameSent,)

    def covers(self, event: Event) -> bool:
        """True when `event` is one of these, whatever its fields."""
        return isinstance(event, self.kinds) and (self.condition is None or self.condition(event))


def matches(name: str, filter_: Mapping[str, object], event: Event) -> bool:
    """True when `event` is a `name` whose fields are as `filter_` says.

    A field that holds several values fits when all the values that the filter names are among them.
    Raises `KeyError` for a name that is not in the list.
    """
    wanted = EVENTS[name]
    return wanted.covers(event) and all(_fits(wanted.fields[key](event), value) for key, value in filter_.items())


def connection_of(event: Event) -> int | None:
    """The connection that an event belongs to; None for those that belong to none."""
    connection = getattr(event, "connection", None)
    return connection if isinstance(connection, int) else None


def _fits(actual: object, wanted: object) -> bool:
    if isinstance(actual, (tuple, list)):
        return set(wanted) <= set(actual) if isinstance(wanted, (tuple, list)) else wanted in actual
    if isinstance(wanted, (tuple, list)):
        return actual in wanted
    return actual == wanted


def _plain(*names: str) -> dict[str, Read]:
    def reader(name: str) -> Read:
        return lambda event: getattr(event, name)

    return {name: reader(name) for name in names}


def _said(*names: str) -> dict[str, Read]:
    def reader(name: str) -> Read:
        return lambda event: event.data.get(name)

    return {name: reader(name) for name in names}


def _sent(message: str) -> Callable[[Any], bool]:
    return lambda event: event.message == message


def _part(part: str) -> Callable[[Any], bool]:
    return lambda event: part in event.parts


def _client(event_name: str) -> Callable[[Any], bool]:
    return lambda event: event.event == event_name


_FRAME = _plain("index", "message", "parts", "size_bytes")
_TO_CLIENT = (server.FrameSent,)
_FROM_CLIENT = (server.FrameReceived,)
_CLIENT_LINE = (journal.ClientEvent,)
_CONTENT = frozenset({"client_content", "realtime_input"})

_ROWS = (
    EventName("dial", "an upgrade reached the server", (server.UpgradeReceived,), fields=_plain("version", "method")),
    EventName("link_dial", "a dial that the proxy closed, since the link is unavailable", (journal.LinkDial,)),
    EventName(
        "refused",
        "the service said no, on the upgrade or by a close",
        (server.UpgradeAnswered, server.CloseSent),
        lambda event: event.refusal is not None,
        _plain("refusal", "deliberate"),
    ),
    EventName("setup", "a setup arrived", _FROM_CLIENT, _sent("setup"), _FRAME),
    EventName(
        "handle_presented",
        "a setup carried a resumption handle",
        (server.HandlePresented,),
        fields=_plain("handle", "refusal"),
    ),
    EventName("setup_complete", "setupComplete is sent", _TO_CLIENT, _sent("setup_complete"), _FRAME),
    EventName(
        "session_started",
        "setupComplete went out, the session is live",
        (server.SessionStarted,),
        fields=_plain("session", "resumed_with", "facts"),
    ),
    EventName(
        "update",
        "a sessionResumptionUpdate is sent",
        _TO_CLIENT,
        _sent("session_resumption_update"),
        {**_FRAME, "resumable": lambda event: "resumable" in event.parts},
    ),
    EventName(
        "handle_issued",
        "what a sessionResumptionUpdate holds: its handle, and the facts that the handle restores",
        (server.HandleIssued,),
        fields=_plain("session", "handle", "resumable", "facts"),
    ),
    EventName(
        "user_text",
        "text of the user arrived",
        _FROM_CLIENT,
        lambda event: (
            event.message == "client_content" or (event.message == "realtime_input" and "text" in event.parts)
        ),
        _FRAME,
    ),
    EventName(
        "user_audio",
        "audio of the user arrived",
        _FROM_CLIENT,
        lambda event: event.message in _CONTENT and "audio" in event.parts,
        _FRAME,
    ),
    EventName(
        "turn_heard",
        "the model took in a whole user turn",
        (server.TurnHeard,),
        fields=_plain("turn", "how", "text", "taught", "asked"),
    ),
    EventName(
        "turn_answered",
        "the model begins to answer: what it will say is settled",
        (server.TurnAnswered,),
        fields=_plain("turn", "text", "known", "missing"),
    ),
    EventName(
        "first_audio",
        "the first audio of a model turn is being sent",
        (server.TurnAnswered,),
        fields=_plain("turn"),
    ),
    EventName("audio", "a frame with audio of the model is sent", _TO_CLIENT, _part("audio"), _FRAME),
    EventName("generation_complete", "generationComplete is sent", _TO_CLIENT, _part("generation_complete"), _FRAME),
    EventName("turn_complete", "turnComplete is sent", _TO_CLIENT, _part("turn_complete"), _FRAME),
    EventName("interrupted", "interrupted is sent", _TO_CLIENT, _part("interrupted"), _FRAME),
    EventName("turn_ended", "a model turn is over", (server.TurnEnded,), fields=_plain("turn", "outcome")),
    EventName("tool_call", "a toolCall is sent", _TO_CLIENT, _sent("tool_call"), _FRAME),
    EventName("tool_response", "a toolResponse arrived", _FROM_CLIENT, _sent("tool_response"), _FRAME),
    EventName("go_away", "goAway is sent", _TO_CLIENT, _sent("go_away"), _FRAME),
    EventName("token_minted", "a token call made a token", (server.TokenMinted,), fields=_plain("token", "via")),
    EventName(
        "token_call",
        "a token call was answered, or refused",
        (server.TokenMinted, server.TokenCallRefused),
        fields=_plain("via"),
    ),
    EventName(
        "token_spent",
        "a token lost a use",
        (server.TokenSpent,),
        fields=_plain("token", "uses_left"),
    ),
    EventName(
        "close_sent",
        "the server closed a WebSocket",
        (server.CloseSent,),
        fields=_plain("code", "reason", "refusal", "deliberate"),
    ),
    EventName(
        "close_received", "the client closed a WebSocket", (server.CloseReceived,), fields=_plain("code", "reason")
    ),
    EventName(
        "connection_ended", "a connection is gone at the server", (server.ConnectionEnded,), fields=_plain("how")
    ),
    EventName(
        "link_client_closed",
        "the client closed its own end, seen at the proxy",
        (journal.LinkClientClosed,),
        fields=_plain("link"),
    ),
    EventName(
        "fault_in_force",
        "a fault bites from here on",
        (journal.FaultInForce,),
        fields=_plain("fault", "act", "link"),
    ),
    EventName("fault_lifted", "a fault is over", (journal.FaultLifted,), fields=_plain("fault", "act")),
    EventName("client_state", "the client told its state", _CLIENT_LINE, _client("state"), _said("state")),
    EventName("reply", "the client told a finished reply", _CLIENT_LINE, _client("reply"), _said("text")),
    EventName("playback", "the client told what it plays", _CLIENT_LINE, _client("playback"), _said("state")),
    EventName("client_error", "the client told an error", _CLIENT_LINE, _client("error"), _said("code", "reason")),
)

EVENTS: Mapping[str, EventName] = MappingProxyType({row.name: row for row in _ROWS})
"""The list, by name, in the order of a connection's life."""
