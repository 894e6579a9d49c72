"""What a tour says is held against the journal: a made-up tour that is right, and all ways in which it can be wrong."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fake_server import events as server
from harness.client_config import load_client_config
from harness.journal.events import ClientEvent, ClientExited, Entry, Event, Journal, RunEnded, RunPlanned
from harness.scenario.library import find_scenarios
from harness.scenario.model import Speak

TOURS = Path(__file__).resolve().parents[2] / "examples" / "tours"
FOLDERS = sorted(path.parent for path in TOURS.glob("*/tour.json"))
SPEECH_S = 2.0
"""So long is the WAV that play.py writes."""
REASON = "models/gemini-none-live is not found for API version v1, or is not"


@pytest.fixture(scope="module")
def tours() -> Iterator[dict[str, ModuleType]]:
    """The modules of examples/tours, by name; none of them stays imported."""
    found: dict[str, ModuleType] = {}
    for name in ("told", "compare", "table"):
        spec = importlib.util.spec_from_file_location(name, TOURS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = found[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found[name])
    yield found
    for name in found:
        del sys.modules[name]


class _Tour:
    """Writes the journal of a tour in which all is well."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.turns = 0

    def add(self, *events: Event) -> None:
        self.events += events

    def tell(self, step: str, **saw: object) -> None:
        self.add(ClientEvent("step", {"event": "step", "step": step, "status": "done", "saw": saw}))

    def sent(self, connection: int, message: str, part: str, payload: dict[str, Any]) -> None:
        self.add(server.FrameSent(connection, 1, message, (part,), 10, payload, None, False))

    def content(self, connection: int, part: str, **content: object) -> None:
        self.sent(connection, "server_content", part, {"serverContent": content})

    def dial(self, connection: int, *, method: str, kind: str, token: str | None = None, handle: str | None = None):
        credential = server.Credential(kind, "header.x-goog-api-key", "label-1")
        self.add(
            server.UpgradeReceived(connection, connection, "live", "v1", method, (credential,)),
            server.SessionStarted(connection, "session-1", handle, token, ()),
        )

    def closed(self, connection: int) -> None:
        self.add(server.CloseReceived(connection, 1000, ""))

    def issue(self, connection: int, handle: str) -> None:
        self.add(server.HandleIssued(connection, "session-1", handle, True, ("city",)))

    def turn(self, connection: int, text: str, answer: str, *, how: str = "text", outcome: str = "complete") -> None:
        self.turns += 1
        known = ("city",) if text == "What is my city?" else ()
        utterances = (1,) if how == "speech" else ()
        self.add(
            server.TurnHeard(connection, self.turns, how, text, utterances, (), ()),
            server.TurnAnswered(connection, self.turns, answer, known, ()),
        )
        audio = {"inlineData": {"mimeType": "audio/pcm;rate=24000", "bytes": 960, "digest": ""}}
        self.content(connection, "audio", modelTurn={"role": "model", "parts": [audio]})
        if outcome == "interrupted":
            self.content(connection, "interrupted", interrupted=True)
        else:
            self.content(connection, "output_transcription", outputTranscription={"text": answer})
        self.add(server.TurnEnded(connection, self.turns, outcome))

    def write(self) -> Journal:
        self.add(RunPlanned({"utterances": [{"number": 1, "text": "one two", "total_samples": 3200}]}))
        self.add(ClientEvent("hello", {"event": "hello", "client": "sdk", "version": "1.2.3"}))
        self.add(server.TokenMinted("token-1", "service", 1, 60.0, 1800.0))
        self.tell("mint_token", token="auth_tokens/token-1")
        self.dial(1, method="plain", kind="key")
        self.closed(1)
        self.tell("dial_key")
        setup = {"setup": {"model": "models/gemini-none-live"}}
        self.add(
            server.FrameReceived(2, 1, "setup", ("model",), 10, setup, (), (), 0),
            server.CloseSent(2, 1008, REASON, "model_not_found", False),
        )
        self.tell("refusal", code=1008, text=f"closed: {REASON}")
        self.dial(3, method="constrained", kind="token", token="token-1")
        self.tell("dial_token")
        self.turn(3, "My city is Lisbon.", "Thank you.")
        self.tell("text_turn", said="My city is Lisbon.", heard="Thank you.", audio_bytes=960)
        for begin in (0, 1600):
            heard = (server.SpeechRange(1, begin, begin + 1600),)
            self.add(server.FrameReceived(3, 3, "realtime_input", ("audio",), 10, {}, (), heard, 0))
        self.content(3, "input_transcription", inputTranscription={"text": "one two"})
        self.turn(3, "one two", "Go on.", how="speech")
        self.tell("audio_turn", heard="Go on.", audio_bytes=960)
        self.tell("transcriptions", input="one two", output="Go on.")
        call = {"id": "call-1", "name": "look_up", "args": {"place": "example"}}
        self.sent(3, "tool_call", "function_calls", {"toolCall": {"functionCalls": [call]}})
        answer = {"functionResponses": [{"id": "call-1", "name": "look_up", "response": {"place": "Lisbon"}}]}
        self.add(server.FrameReceived(3, 5, "tool_response", (), 10, {"toolResponse": answer}, (), (), 0))
        self.turn(3, "{}", "All right.", how="tool_response")
        self.tell("tool_call", heard="All right.", **call)
        self.turn(3, "Tell me a story.", "Once", outcome="interrupted")
        self.turn(3, "Stop, please.", "I see.")
        self.tell("interruption", interrupted=True, heard="I see.")
        self.issue(3, "handle-1")
        self.closed(3)
        self.dial(4, method="constrained", kind="token", token="token-2", handle="handle-1")
        self.turn(4, "What is my city?", "Lisbon.")
        self.tell("resumption", handle="handle-1", heard="Lisbon.")
        self.issue(4, "handle-2")
        self.sent(4, "go_away", "time_left", {"goAway": {"timeLeft": "10s"}})
        self.turn(4, "Please end this connection.", "Go on.")
        self.closed(4)
        self.dial(5, method="constrained", kind="token", token="token-3", handle="handle-2")
        self.turn(5, "What is my city?", "Lisbon.")
        self.tell("go_away", time_left_s=10.0, handle="handle-2", heard="Lisbon.")
        self.closed(5)
        self.tell("hang_up")
        self.add(ClientExited(1, 0, None, False, False), RunEnded("played", ""))
        return journal(self.events)


def journal(events: list[Event]) -> Journal:
    entries = [Entry(n, n / 10, event) for n, event in enumerate(events, start=1)]
    return Journal(tuple(entries), whole=True)


Change = Callable[[Any], Event | None]


def changed(kind: type, change: Change, *, nth: int = 1, step: str | None = None) -> Journal:
    """The good journal with its `nth` event of a kind (told of `step`) changed, or left out."""
    events: list[Event] = []
    seen = 0
    for entry in _Tour().write().entries:
        event: Event | None = entry.event
        wanted = isinstance(event, kind) and (step is None or getattr(event, "data", {}).get("step") == step)
        seen += wanted
        if wanted and seen == nth:
            event = change(event)
        events += [event] if event is not None else []
    return journal(events)


def without(_: Event) -> None:
    """Left out."""


def put(**fields: object) -> Change:
    return lambda event: dataclasses.replace(event, **fields)


def said(**more: object) -> Change:
    """Another line of a step; `saw` is laid over what it saw."""

    def change(event: ClientEvent) -> ClientEvent:
        saw = {**event.data["saw"], **more.get("saw", {})}  # type: ignore[dict-item]
        return ClientEvent("step", {**event.data, **more, "saw": saw})

    return change


def test_a_tour_that_is_right_has_nothing_against_it(tours: dict[str, ModuleType]) -> None:
    compared = tours["compare"].compare(_Tour().write())

    assert compared.complaints == ()
    assert (compared.result.client, compared.result.version) == ("sdk", "1.2.3")
    assert set(compared.result.steps) == set(tours["told"].STEPS)
    assert compared.result.wire == {
        "api_version": "v1",
        "key": ["header.x-goog-api-key"],
        "token": ["header.x-goog-api-key"],
        "close": 1000,
    }


WRONG: dict[str, tuple[Journal, str]] = {
    "no token": (changed(server.TokenMinted, without), "mint_token is told as done"),
    "another token": (changed(server.TokenMinted, put(token="token-9")), "the token"),
    "by the backend": (changed(server.TokenMinted, put(via="backend")), "mint_token"),
    "key by a token": (changed(server.SessionStarted, put(token="token-1")), "dial_key"),
    "closed by 1011": (changed(server.CloseReceived, put(code=1011)), "the client closed with 1011"),
    "refused by another row": (changed(server.CloseSent, put(refusal="quota")), "refusal is told as done"),
    "refused on purpose": (changed(server.CloseSent, put(deliberate=True)), "refusal is told as done"),
    "another reason": (changed(server.CloseSent, put(reason="else")), "is not in what the program saw"),
    "another code": (changed(ClientEvent, said(saw={"code": 1006}), step="refusal"), "the code 1006"),
    "session by the key": (changed(server.SessionStarted, put(token=None), nth=2), "dial_token"),
    "not constrained": (changed(server.UpgradeReceived, put(method="plain"), nth=2), "on plain"),
    "other words": (changed(ClientEvent, said(saw={"heard": "Hello."}), step="text_turn"), "the words"),
    "bytes lost": (changed(ClientEvent, said(saw={"audio_bytes": 959}), step="text_turn"), "bytes of audio"),
    "not complete": (changed(server.TurnEnded, put(outcome="cut")), "not complete, but cut"),
    "not heard": (changed(server.TurnHeard, without), "the text was heard: 0 times"),
    "samples lost": (changed(server.FrameReceived, put(speech=()), nth=2), "1600 were lost"),
    "samples unknown": (changed(server.FrameReceived, put(unrecognised_samples=7), nth=2), "7 were not recognised"),
    "input misread": (changed(ClientEvent, said(saw={"input": "one"}), step="transcriptions"), "the input"),
    "other arguments": (changed(ClientEvent, said(saw={"args": {}}), step="tool_call"), "the call"),
    "no response": (changed(server.FrameReceived, without, nth=4), "a toolResponse: 0 times"),
    "not interrupted": (changed(server.TurnEnded, put(outcome="complete"), nth=4), "interruption"),
    "an older handle": (changed(server.SessionStarted, put(resumed_with="handle-1"), nth=4), "go_away"),
    "fresh again": (changed(server.SessionStarted, put(resumed_with=None), nth=3), "a session was resumed: 0 times"),
    "nothing known": (changed(server.TurnAnswered, put(known=()), nth=6), "did not know the city"),
    "other time left": (changed(ClientEvent, said(saw={"time_left_s": 9.0}), step="go_away"), "9.0 s left"),
    "old session kept": (changed(server.CloseReceived, without, nth=3), "the client's close: 0 times"),
    "hung up badly": (changed(server.CloseReceived, put(code=1011), nth=4), "hang_up"),
    "cut": (changed(RunEnded, without), "the run was not played"),
    "crashed": (changed(ClientExited, put(code=1)), "exit code 0"),
    "no hello": (changed(ClientEvent, without), "the first line is no hello"),
    "a step left out": (changed(ClientEvent, without, step="interruption"), "these must be told"),
    "failed": (changed(ClientEvent, said(status="failed", reason="boom"), step="hang_up"), "hang_up failed: boom"),
    "no reason": (changed(ClientEvent, said(status="not_possible"), step="hang_up"), "without a reason"),
    "unknown status": (changed(ClientEvent, said(status="fine"), step="hang_up"), "'fine' is none of"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_every_mismatch_is_found(tours: dict[str, ModuleType], wrong: str) -> None:
    changed_journal, complaint = WRONG[wrong]

    assert complaint in "\n".join(tours["compare"].compare(changed_journal).complaints)


def test_only_what_is_known_to_be_impossible_may_be_told_so(tours: dict[str, ModuleType]) -> None:
    compare = tours["compare"].compare
    told = changed(ClientEvent, said(status="not_possible", reason="no such call"), step="mint_token")

    assert not [one for one in compare(told, ["mint_token"]).complaints if one.startswith("mint_token")]
    assert "tour.json does not say so" in compare(told).complaints[0]
    assert "says that it is not possible" in compare(_Tour().write(), ["mint_token"]).complaints[0]


def test_the_newest_handle_may_not_have_been_read_when_the_client_closes(tours: dict[str, ModuleType]) -> None:
    events = [entry.event for entry in _Tour().write().entries]
    close = next(n for n, event in enumerate(events) if isinstance(event, server.CloseReceived) and n > 20)
    update = server.HandleIssued(3, "session-1", "handle-late", True, ())

    assert tours["compare"].compare(journal([*events[:close], update, *events[close:]])).complaints == ()


def test_a_client_without_close_frames_can_do_all_but_hang_up_in_good_order(tours: dict[str, ModuleType]) -> None:
    events = [entry.event for entry in _Tour().write().entries]
    for n, event in enumerate(events):
        if isinstance(event, server.CloseReceived):
            events[n] = server.ConnectionEnded(event.connection, "fin")
    compared = tours["compare"].compare(journal(events))

    assert [one.partition(" ")[0] for one in compared.complaints] == ["hang_up"]
    assert compared.result.wire["close"] == "fin"


def test_the_table_is_what_the_stored_results_make(tours: dict[str, ModuleType]) -> None:
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(TOURS.glob("*/result.json"))]
    page = TOURS.parents[1] / "docs" / "reference" / "sdk-support.md"

    assert page.read_text(encoding="utf-8") == tours["table"].page(results)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_tour_is_whole(tours: dict[str, ModuleType], folder: Path) -> None:
    about = json.loads((folder / "tour.json").read_text(encoding="utf-8"))
    client = load_client_config(folder / "client.yaml")

    assert set(about) == {"language", "package", "tls", "not_possible"}
    assert set(about["tls"]) <= {"on", "off"}
    assert set(about["not_possible"]) <= set(tours["told"].STEPS)
    assert (folder / "setup").stat().st_mode & 0o111
    assert client.name == f"tour-{folder.name}"
    assert (client.profile.driven, client.profile.policy.credential) == (False, "key")


def test_the_scenario_waits_for_what_the_tours_are_told_to_say() -> None:
    (selected,) = find_scenarios(str(TOURS / "tour.yaml"))
    readme = (TOURS / "README.md").read_text(encoding="utf-8")
    words = [str(entry.when.filter["text"]) for entry in selected.scenario.timeline]

    assert [f"says `{text}`" in readme for text in words] == [True, True]
    assert [step.speak for step in selected.scenario.story if isinstance(step, Speak)] == [SPEECH_S]
