"""One journal event in one line, and in full as JSON text."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from enum import StrEnum

import orjson

from fake_server import events as server
from harness.journal import events as ours
from reports.text import plural, seconds, shorten, visible


class Lane(StrEnum):
    """The layers of a run, in the order in which they are drawn."""

    CLIENT = "client"
    LINK = "link"
    CONNECTIONS = "connections"
    SESSIONS = "sessions"
    TOKENS = "tokens"
    SPEECH = "speech"
    TURNS = "turns"
    HARNESS = "harness"
    """Not drawn: the plan, notes, our own lag."""


LANE_TITLES: Mapping[Lane, str] = {
    Lane.CLIENT: "User, client",
    Lane.LINK: "Link, faults",
    Lane.CONNECTIONS: "Connections",
    Lane.SESSIONS: "Sessions",
    Lane.TOKENS: "Tokens",
    Lane.SPEECH: "Speech",
    Lane.TURNS: "Model turns",
    Lane.HARNESS: "Harness",
}

_LANE_OF_KIND: Mapping[str, Lane] = {
    "socket": Lane.LINK,
    "link": Lane.LINK,
    "fault": Lane.LINK,
    "http": Lane.TOKENS,
    "token": Lane.TOKENS,
    "upgrade": Lane.CONNECTIONS,
    "frame": Lane.CONNECTIONS,
    "close": Lane.CONNECTIONS,
    "connection": Lane.CONNECTIONS,
    "session": Lane.SESSIONS,
    "handle": Lane.SESSIONS,
    "turn": Lane.TURNS,
    "client": Lane.CLIENT,
    "user": Lane.CLIENT,
    "step": Lane.CLIENT,
}


def lane_of(event: ours.Event) -> Lane:
    """The lane to which an event belongs."""
    if isinstance(event, server.FrameReceived) and (event.speech or event.unrecognised_samples):
        return Lane.SPEECH
    return _LANE_OF_KIND.get(event.kind.partition(".")[0], Lane.HARNESS)


def connection_of(event: ours.Event) -> int | None:
    """The number of the connection that an event is about, or None."""
    number = getattr(event, "connection", None)
    return number if isinstance(number, int) else None


def is_bulk(event: ours.Event) -> bool:
    """True for what comes by the hundred and says little: audio frames, output lines, our own lag."""
    if isinstance(event, (server.FrameReceived, server.FrameSent)):
        refused = isinstance(event, server.FrameReceived) and event.problems
        return set(event.parts) == {"audio"} and not refused
    return isinstance(event, (ours.ClientOutput, ours.HarnessLag, server.SocketAccepted))


def describe(event: ours.Event) -> str:
    """The event in one line, with invisible characters shown; at most some 500 characters."""
    return visible(_words(event), 500)


def _words(event: ours.Event) -> str:
    """One line a kind; what has no line of its own is told by its fields."""
    match event:
        case server.SocketAccepted():
            return f"TCP link {event.socket} accepted on {event.listener}"
        case server.HttpAnswered():
            return f"{event.method} {event.path} answered {event.status}"
        case server.TokenMinted():
            uses = plural(event.uses, "use") if event.uses else "unlimited uses"
            window = seconds(event.new_session_window_s)
            return f"{event.token} minted by the {event.via}: {uses}, new session within {window}"
        case server.TokenCallRefused():
            how = f"answered {event.status}" if event.status else "left without an answer"
            return f"token call {how}: {event.reason}{_on_purpose(event.deliberate)}"
        case server.TokenSpent():
            left = "unlimited" if event.uses_left is None else f"{event.uses_left} left"
            return f"a use of {event.token} spent ({left})"
        case server.UpgradeReceived():
            shown = ", ".join(f"{item.label} in {item.where}" for item in event.credentials) or "no credential"
            return f"dial: upgrade asked for, {event.version} {event.method}, with {shown}"
        case server.UpgradeAnswered():
            name = f", {event.refusal}" if event.refusal else ""
            later = "" if event.retry_after_s is None else f", Retry-After: {event.retry_after_s:g}"
            return f"upgrade answered {event.status}{name}{later}{_on_purpose(event.deliberate)}"
        case server.FrameReceived():
            problems = f"; refused: {'; '.join(event.problems)}" if event.problems else ""
            heard = "".join(
                f"; utterance {piece.utterance}, samples {piece.start:,} to {piece.end:,}" for piece in event.speech[:3]
            )
            return f"← {event.message}{_parts(event.parts)}, {event.size_bytes:,} bytes{heard}{problems}"
        case server.FrameSent():
            wrong = f"; invalid: {event.invalid}{_on_purpose(event.deliberate)}" if event.invalid else ""
            return f"→ {event.message}{_parts(event.parts)}, {event.size_bytes:,} bytes{wrong}"
        case server.SessionStarted():
            how = f"resumed with {event.resumed_with}" if event.resumed_with else "fresh"
            return f"{event.session} live, {how}, {event.token or 'a key'}{_facts('; it knows', event.facts)}"
        case server.HandlePresented():
            return f"setup presented {event.handle}: {'refused, ' + event.refusal if event.refusal else 'accepted'}"
        case server.HandleIssued():
            what = f"{event.handle} issued" if event.handle else "update without a handle"
            return f"{what}{'' if event.resumable else ', not resumable'}{_facts('; it holds', event.facts)}"
        case server.TurnHeard():
            return f"turn {event.turn} heard ({event.how}): “{event.text}”"
        case server.TurnAnswered():
            return f"turn {event.turn} answered: “{event.text}”{_facts('; not known:', event.missing)}"
        case server.TurnEnded():
            return f"turn {event.turn} ended: {event.outcome}"
        case server.CloseSent():
            name = f" ({event.refusal})" if event.refusal else ""
            return f"→ close {event.code} “{event.reason}”{name}{_on_purpose(event.deliberate)}"
        case server.CloseReceived():
            return f"← close {event.code if event.code is not None else 'without a code'} “{event.reason}”"
        case server.ConnectionEnded():
            return f"connection over: {event.how}"
        case ours.RunPlanned():
            return "the plan of this run"
        case ours.RunEnded():
            return f"end of the run: {event.outcome}{'; ' + event.message if event.message else ''}"
        case ours.ProxyReady():
            return f"proxy: {event.proxy} {event.version} ({event.why})"
        case ours.StepStarted():
            return f"step {event.step} begins: {event.verb} {_compact(event.detail)}"
        case ours.StepEnded():
            return f"step {event.step} over: {event.outcome}"
        case ours.UserTurn():
            long = f", {seconds(event.speech_samples / 16000)} of speech" if event.speech_samples else ""
            return f"the user, by {event.how}{long}{' (probe)' if event.probe else ''}: “{event.text}”"
        case ours.ClientStarted():
            return f"client started, instance {event.instance}"
        case ours.ClientExited():
            end = f"ended by {event.signal}" if event.signal else f"left with status {event.code}"
            return f"client {end}{', as asked' if event.asked else ''}"
        case ours.ClientStopping():
            return f"client being stopped: {event.how} {event.detail}".rstrip()
        case ours.ClientCommand():
            return f"command {_compact(event.command)}"
        case ours.ClientEvent():
            told = {key: value for key, value in event.data.items() if key != "event"}
            return f"client says {event.event} {_compact(told)}".rstrip()
        case ours.ClientOutput():
            return f"{event.stream}: {event.text}"
        case ours.FaultDue():
            return f"fault {event.fault} due: {event.act} {_compact(event.detail)}".rstrip()
        case ours.FaultInForce():
            where = ", ".join(value for value in (event.link, event.direction, event.scope) if value)
            lasting = f" for {seconds(event.for_s)}" if event.for_s else ""
            where = f" ({where})" if where else ""
            return f"fault {event.fault} in force: {event.act}{lasting}{where}, {event.lag_ms:.1f} ms late"
        case ours.FaultLifted():
            return f"fault {event.fault} lifted: {event.act}, {event.lag_ms:.1f} ms late"
        case ours.FaultFailed():
            return f"fault {event.fault} could not be done: {event.act}: {event.reason}"
        case ours.LinkDial():
            return f"dial at link {event.link}, closed by the proxy"
        case ours.LinkClientClosed():
            return f"client closed its end of link {event.link}"
        case ours.HarnessLag():
            return f"the harness woke {event.lag_ms:.0f} ms late"
        case ours.Note():
            return event.text
        case ours.UnknownEvent():
            return f"{event.original_kind} {_compact(event.data)}"


def _parts(parts: tuple[str, ...]) -> str:
    return f" ({', '.join(parts)})" if parts else ""


def _facts(lead: str, names: tuple[str, ...]) -> str:
    return f"{lead} {', '.join(names)}" if names else ""


def _on_purpose(deliberate: bool) -> str:
    return " (the scenario's doing)" if deliberate else ""


def _compact(value: Mapping[str, object]) -> str:
    if not value:
        return ""
    return json.dumps(shorten(value, 200, 20), ensure_ascii=False, default=str)


def in_full(event: ours.Event, limit: int = 4000) -> str:
    """All fields of an event as indented JSON, at most `limit` characters, safe to look at."""
    fields = {item.name: _plain(getattr(event, item.name)) for item in dataclasses.fields(event)}
    text = json.dumps(shorten(fields), ensure_ascii=False, indent=2, default=str)
    return visible(text, limit, keep_newlines=True)


def _plain(value: object) -> object:
    if isinstance(value, orjson.Fragment):
        return orjson.loads(orjson.dumps(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_plain(member) for member in value]
    return value
