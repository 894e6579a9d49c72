"""Holds what a tour says of its steps against the journal of its run. Pure: a journal in, complaints out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from told import Step, bad_exits, not_played, read_steps

from fake_server import events as server
from fake_server.speech import doubled, missing
from harness.journal.events import ClientEvent, Entry, Journal, RunPlanned

REFUSED_MODEL = "models/gemini-none-live"
ON_ITS_WAY_S = 0.5
"""An update that was sent so shortly before the client closed may not have been read."""
ORDERLY_CLOSES = (1000, None)
"""None: a close frame without a code, which the other side reads as 1005."""

_E = TypeVar("_E")


class MismatchError(Exception):
    """The journal does not confirm a step; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a tour, without times, ports and places: the same SDK gives the same."""

    client: str
    version: str
    steps: Mapping[str, Mapping[str, str | None]]
    """Step → `status` and `reason`."""
    wire: Mapping[str, Any]
    """How it came: `api_version` of `dial_key`, where `key` and `token` stood, and the `close` code of `hang_up`,
    or `fin` where no close frame came."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The result, and what speaks against it."""

    result: Result | None
    """None: the run was not played."""
    complaints: tuple[str, ...]


def compare(journal: Journal, not_possible: Sequence[str] = ()) -> Compared:
    """Every step that is told as done must be confirmed; exactly those of `not_possible` may be told as such."""
    entries = journal.entries
    broken = not_played(journal)
    if broken is not None:
        return Compared(None, (broken,))
    steps, said = read_steps(entries)
    complaints = [*bad_exits(journal), *said]
    for step in steps:
        if step.status == "failed":
            complaints.append(f"{step.name} failed: {step.reason}")
        elif step.status == "not_possible" and step.name not in not_possible:
            complaints.append(f"{step.name} is told as not possible ({step.reason}), and tour.json does not say so")
        elif step.status == "done" and step.name in not_possible:
            complaints.append(f"{step.name} was done, and tour.json says that it is not possible")
        elif step.status == "done":
            try:
                _CONFIRM[step.name](_Story(entries, {one.name: one for one in steps}, step))
            except MismatchError as mismatch:
                complaints.append(f"{step.name} is told as done, and the journal does not confirm it: {mismatch}")
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                complaints.append(f"{step.name} saw something of an odd form: {type(error).__name__}: {error}")
    hello = next((e.event.data for e in entries if isinstance(e.event, ClientEvent) and e.event.event == "hello"), {})
    result = Result(
        client=str(hello.get("client", "")),
        version=str(hello.get("version", "")),
        steps={step.name: {"status": step.status, "reason": step.reason} for step in steps},
        wire=_wire(entries, {step.name: step for step in steps}),
    )
    return Compared(result, tuple(complaints))


# --- what a journal must have -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Spoken:
    """One turn: heard, and what was sent for it."""

    heard: server.TurnHeard
    answer: str
    known: tuple[str, ...]
    audio_bytes: int
    transcript: str


@dataclass(frozen=True, slots=True)
class _Story:
    entries: Sequence[Entry]
    steps: Mapping[str, Step]
    step: Step
    saw: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "saw", self.step.saw)

    def all_of(self, kind: type[_E], *, anywhere: bool = False) -> list[tuple[Entry, _E]]:
        """Events of a kind in this step, or in the whole journal."""
        entries = self.entries if anywhere else self.entries[self.step.begin : self.step.end]
        return [(entry, entry.event) for entry in entries if isinstance(entry.event, kind)]

    def one(
        self, kind: type[_E], what: str, fits: Callable[[_E], bool] = lambda _: True, *, anywhere: bool = False
    ) -> tuple[Entry, _E]:
        """The one event that fits; complains where there is none, or more."""
        found = [(entry, event) for entry, event in self.all_of(kind, anywhere=anywhere) if fits(event)]
        if len(found) != 1:
            raise MismatchError(f"{what}: {len(found)} times, once was expected")
        return found[0]

    def turn(self, what: str, fits: Callable[[server.TurnHeard], bool]) -> _Spoken:
        """A turn of this step, heard, answered and complete."""
        heard_at, heard = self.one(server.TurnHeard, f"{what} was heard", fits)
        answered_at, answered = self.one(
            server.TurnAnswered, f"{what} was answered", lambda event: event.turn == heard.turn
        )
        ended_at, ended = self.one(server.TurnEnded, f"{what}: the turn's end", lambda event: event.turn == heard.turn)
        if ended.outcome != "complete":
            raise MismatchError(f"{what}: the turn is not complete, but {ended.outcome}")
        sent = [
            event
            for entry, event in self.all_of(server.FrameSent)
            if event.connection == heard.connection and answered_at.n < entry.n < ended_at.n
        ]
        if heard_at.n > answered_at.n:
            raise MismatchError(f"{what} was answered before it was heard")
        return _Spoken(
            heard,
            answered.text,
            answered.known,
            sum(_audio_bytes(frame.payload) for frame in sent),
            "".join(_text(frame.payload, "outputTranscription") for frame in sent),
        )

    def agree(self, what: str, saw: object, journal: object) -> None:
        """Complains where the program saw something else than the journal has."""
        if saw != journal:
            raise MismatchError(f"{what}: the program saw {saw!r}, the journal has {journal!r}")

    def as_heard(self, spoken: _Spoken) -> None:
        """The words that the program heard are those that were sent, and those that the model said."""
        self.agree("the words", self.saw["heard"], spoken.transcript)
        self.agree("the words", self.saw["heard"], spoken.answer)

    def as_heard_and_played(self, spoken: _Spoken) -> None:
        """The words, and every byte of the audio."""
        self.as_heard(spoken)
        self.agree("bytes of audio", self.saw["audio_bytes"], spoken.audio_bytes)
        if not spoken.audio_bytes:
            raise MismatchError("no audio was sent")

    def ended_by_client(self, connection: int) -> Entry:
        """The client's end of a connection: its close, or, from an SDK that sends no close frame, that of the link."""
        for entry, ended in self.all_of(server.ConnectionEnded, anywhere=True):
            if ended.connection == connection and ended.how == "fin":
                return entry
        return self.closed_by_client(connection)[0]

    def closed_by_client(self, connection: int) -> tuple[Entry, server.CloseReceived]:
        """The client's own close of a connection, in good order."""
        entry, close = self.one(
            server.CloseReceived, "the client's close", lambda event: event.connection == connection, anywhere=True
        )
        if close.code not in ORDERLY_CLOSES:
            raise MismatchError(f"the client closed with {close.code} {close.reason!r}")
        ours = [event for _, event in self.all_of(server.CloseSent, anywhere=True) if event.connection == connection]
        if ours:
            raise MismatchError(f"the service closed as well: {ours[0].code} {ours[0].reason!r}")
        return entry, close

    def upgrade(self, connection: int) -> server.UpgradeReceived:
        """How a connection was asked for."""
        return self.one(
            server.UpgradeReceived, "the dial", lambda event: event.connection == connection, anywhere=True
        )[1]

    def resumed(self) -> tuple[Entry, server.SessionStarted, Entry]:
        """A session resumed with the newest handle: its start, and the close of the one before."""
        started_at, started = self.one(
            server.SessionStarted, "a session was resumed", lambda event: event.resumed_with is not None
        )
        self.agree("the handle", self.saw["handle"], started.resumed_with)
        issued = [
            (entry, event)
            for entry, event in self.all_of(server.HandleIssued, anywhere=True)
            if event.session == started.session and event.resumable and event.handle and entry.n < started_at.n
        ]
        if not issued:
            raise MismatchError("no handle had been issued")
        closed_at = self.ended_by_client(issued[-1][1].connection)
        if closed_at.n > started_at.n:
            raise MismatchError("it was dialled before the old session was closed")
        unread = [event.handle for entry, event in issued if closed_at.t - entry.t < ON_ITS_WAY_S]
        good = [event.handle for entry, event in issued if closed_at.t - entry.t >= ON_ITS_WAY_S][-1:] + unread
        if started.resumed_with not in good:
            raise MismatchError(f"{started.resumed_with} is not the newest handle, {issued[-1][1].handle} is")
        return started_at, started, closed_at

    def remembers(self) -> None:
        """The resumed session knows what was told in the one before."""
        spoken = self.turn("the question", lambda event: event.text == "What is my city?")
        if "city" not in spoken.known:
            raise MismatchError("the resumed session did not know the city")
        self.as_heard(spoken)


def _mint_token(story: _Story) -> None:
    _, minted = story.one(server.TokenMinted, "a token was minted", lambda event: event.via == "service")
    story.agree("the token", _label(story.saw["token"]), minted.token)


def _dial_key(story: _Story) -> None:
    _, started = story.one(server.SessionStarted, "a session was started")
    upgrade = story.upgrade(started.connection)
    kinds = {credential.kind for credential in upgrade.credentials}
    if started.token is not None or kinds != {"key"} or upgrade.method != "plain":
        raise MismatchError(f"it came with {', '.join(sorted(kinds)) or 'nothing'}, on {upgrade.method}")
    story.ended_by_client(started.connection)


def _refusal(story: _Story) -> None:
    _, close = story.one(server.CloseSent, "the service refused")
    if close.refusal != "model_not_found" or close.code != 1008 or close.deliberate:
        raise MismatchError(f"it was refused by {close.code} {close.reason!r}")
    _, setup = story.one(server.FrameReceived, "a setup", lambda event: event.message == "setup")
    story.agree("the model", REFUSED_MODEL, _inside(setup.payload, "setup", "model"))
    if story.saw["code"] not in (close.code, None):
        raise MismatchError(f"the program saw the code {story.saw['code']!r}, {close.code} was sent")
    if close.reason not in str(story.saw["text"]):
        raise MismatchError(f"the reason {close.reason!r} is not in what the program saw: {story.saw['text']!r}")


def _dial_token(story: _Story) -> None:
    _, started = story.one(server.SessionStarted, "a session was started")
    story.agree("the token", _label(story.steps["mint_token"].saw["token"]), started.token)
    upgrade = story.upgrade(started.connection)
    kinds = {credential.kind for credential in upgrade.credentials}
    if kinds != {"token"} or upgrade.method != "constrained":
        raise MismatchError(f"it came with {', '.join(sorted(kinds)) or 'nothing'}, on {upgrade.method}")


def _text_turn(story: _Story) -> None:
    story.agree("the text", story.saw["said"], "My city is Lisbon.")
    story.as_heard_and_played(story.turn("the text", lambda event: event.text == story.saw["said"]))


def _audio_turn(story: _Story) -> None:
    spoken = story.turn("the speech", lambda event: event.how == "speech")
    plan = story.one(RunPlanned, "the plan", anywhere=True)[1].plan
    utterance = _inside(plan, "utterances")[0]
    frames = [event for _, event in story.all_of(server.FrameReceived) if "audio" in event.parts]
    ranges = [run for frame in frames for run in frame.speech]
    lost = missing({utterance["number"]: utterance["total_samples"]}, ranges)[utterance["number"]]
    again = doubled(ranges).get(utterance["number"], 0)
    unknown = sum(frame.unrecognised_samples for frame in frames)
    if lost or again or unknown:
        raise MismatchError(f"of the samples {lost} were lost, {again} came twice, {unknown} were not recognised")
    story.agree("the speech", spoken.heard.text, utterance["text"])
    story.as_heard_and_played(spoken)


def _transcriptions(story: _Story) -> None:
    before = _Story(story.entries, story.steps, story.steps["audio_turn"])
    spoken = before.turn("the speech", lambda event: event.how == "speech")
    sent = "".join(_text(frame.payload, "inputTranscription") for _, frame in before.all_of(server.FrameSent))
    story.agree("the input", story.saw["input"], sent)
    story.agree("the input", story.saw["input"], spoken.heard.text)
    story.agree("the output", story.saw["output"], spoken.transcript)
    if not sent or not spoken.transcript:
        raise MismatchError("one of them is empty")


def _tool_call(story: _Story) -> None:
    _, call = story.one(server.FrameSent, "a toolCall was sent", lambda event: event.message == "tool_call")
    sent = _inside(call.payload, "toolCall", "functionCalls")[0]
    story.agree("the call", {key: story.saw[key] for key in ("id", "name", "args")}, sent)
    _, response = story.one(server.FrameReceived, "a toolResponse", lambda event: event.message == "tool_response")
    answer = _inside(response.payload, "toolResponse", "functionResponses")[0]
    story.agree("the response's id and name", (answer["id"], answer["name"]), (sent["id"], sent["name"]))
    story.agree("the response", answer["response"], {"place": "Lisbon"})
    story.as_heard(story.turn("the response", lambda event: event.how == "tool_response"))


def _interruption(story: _Story) -> None:
    _, first = story.one(server.TurnHeard, "the first text was heard", lambda event: event.text == "Tell me a story.")
    story.one(
        server.TurnEnded,
        "the first turn was interrupted",
        lambda event: event.turn == first.turn and event.outcome == "interrupted",
    )
    story.one(server.FrameSent, "interrupted was sent", lambda event: "interrupted" in event.parts)
    story.agree("interrupted", story.saw["interrupted"], True)
    story.as_heard(story.turn("the second text", lambda event: event.text == "Stop, please."))


def _resumption(story: _Story) -> None:
    story.resumed()
    story.remembers()


def _go_away(story: _Story) -> None:
    sent_at, sent = story.one(server.FrameSent, "goAway was sent", lambda event: event.message == "go_away")
    left_s = float(str(_inside(sent.payload, "goAway", "timeLeft")).removesuffix("s"))
    if story.saw["time_left_s"] not in (left_s, None):
        raise MismatchError(f"the program saw {story.saw['time_left_s']!r} s left, {left_s!r} s were sent")
    started_at, _, closed_at = story.resumed()
    story.ended_by_client(sent.connection)
    if not sent_at.t < closed_at.t <= started_at.t < sent_at.t + left_s:
        raise MismatchError("it was not in a new session before the time was over")
    story.remembers()


def _hang_up(story: _Story) -> None:
    last = story.all_of(server.SessionStarted, anywhere=True)[-1][1]
    story.closed_by_client(last.connection)
    dials = story.all_of(server.UpgradeReceived, anywhere=True)
    if dials[-1][1].connection != last.connection:
        raise MismatchError("it dialled again")


_CONFIRM: Mapping[str, Callable[[_Story], None]] = {
    "mint_token": _mint_token,
    "dial_key": _dial_key,
    "refusal": _refusal,
    "dial_token": _dial_token,
    "text_turn": _text_turn,
    "audio_turn": _audio_turn,
    "transcriptions": _transcriptions,
    "tool_call": _tool_call,
    "interruption": _interruption,
    "resumption": _resumption,
    "go_away": _go_away,
    "hang_up": _hang_up,
}


def _wire(entries: Sequence[Entry], steps: Mapping[str, Step]) -> dict[str, Any]:
    """How this SDK came to the service; null where it did not."""

    def dial(name: str) -> server.UpgradeReceived | None:
        step = steps.get(name)
        events = [entry.event for entry in entries[step.begin : step.end]] if step else []
        return next((event for event in events if isinstance(event, server.UpgradeReceived)), None)

    by_key, by_token = dial("dial_key"), dial("dial_token")
    started = [entry.event for entry in entries if isinstance(entry.event, server.SessionStarted)]
    ends = [entry.event for entry in entries if isinstance(entry.event, server.CloseReceived | server.ConnectionEnded)]
    last = next((end for end in ends if started and end.connection == started[-1].connection), None)
    return {
        "api_version": by_key and by_key.version,
        "key": sorted(credential.where for credential in by_key.credentials) if by_key else [],
        "token": sorted(credential.where for credential in by_token.credentials) if by_token else [],
        "close": last.how if isinstance(last, server.ConnectionEnded) else last and last.code,
    }


def _label(token: object) -> str:
    return str(token).removeprefix("auth_tokens/")


def _inside(payload: object, *path: str) -> Any:
    for name in path:
        if not isinstance(payload, Mapping) or name not in payload:
            raise MismatchError(f"the journal's frame has no {'.'.join(path)}")
        payload = payload[name]
    return payload


def _text(payload: object, member: str) -> str:
    content = payload.get("serverContent") if isinstance(payload, Mapping) else None
    return str((content or {}).get(member, {}).get("text", ""))


def _audio_bytes(payload: object) -> int:
    content = payload.get("serverContent") if isinstance(payload, Mapping) else None
    parts = ((content or {}).get("modelTurn") or {}).get("parts") or ()
    return sum(part["inlineData"]["bytes"] for part in parts if "inlineData" in part)
