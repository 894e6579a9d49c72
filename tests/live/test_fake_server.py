"""The shell: real sockets, plain and TLS, with a client that shares no code with it."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import socket
import ssl
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import pytest
import trustme
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from fake_server import acts
from fake_server.app import ActError, FakeServer, Listener
from fake_server.behaviour import Behaviour, FrameRules, Limits, ModelScript, ResumptionRules, TokenRules
from fake_server.clock import SystemClock
from fake_server.events import FrameSent, ServerEvent
from fake_server.labels import Labels
from fake_server.refusals import REFUSALS

pytestmark = pytest.mark.live

METHOD = "google.ai.generativelanguage.{version}.GenerativeService.BidiGenerateContent"
QUICK = ModelScript(setup_complete_after_s=0.0, think_s=0.0, reply_audio_s=0.1, audio_pace=0.0)
DEADLINE_S = 5.0


class Running:
    """A server and everything it told."""

    def __init__(self, behaviour: Behaviour, **options: Any) -> None:
        self.events: list[ServerEvent] = []
        self.errors: list[Exception] = []
        self.labels = Labels()
        self._changed = asyncio.Event()
        self.server = FakeServer(
            behaviour, clock=SystemClock(), observer=self._observe, labels=self.labels, seed=5, **options
        )
        self.server.on_error = self.errors.append
        authority = trustme.CA()
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(self.tls)
        self.trust = ssl.create_default_context()
        authority.configure_trust(self.trust)

    def _observe(self, event: ServerEvent) -> None:
        self.events.append(event)
        self._changed.set()

    async def until(self, kind: str, count: int = 1) -> Any:
        """The `count`th event of a kind, waited for."""
        async with asyncio.timeout(DEADLINE_S):
            while len(found := self.of(kind)) < count:
                self._changed.clear()
                await self._changed.wait()
        return found[count - 1]

    def of(self, kind: str) -> list[Any]:
        return [event for event in self.events if event.kind == kind]

    def dial(
        self, query: str = "", *, tls: bool = False, constrained: bool = False, version: str = "v1beta",
        prefix: str = "", **options: Any
    ) -> connect:  # fmt: skip
        scheme, port = ("wss", self.server.port("tls")) if tls else ("ws", self.server.port("live"))
        method = METHOD.format(version=version) + ("Constrained" if constrained else "")
        options |= {"ssl": self.trust} if tls else {}
        return connect(f"{scheme}://127.0.0.1:{port}{prefix}/ws/{method}{query}", **options)

    async def open(self, query: str | None = None, *, setup: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Dial (by key unless told otherwise), set up, and wait for setupComplete."""
        ws = await self.dial(f"?key={self.server.api_key}" if query is None else query, **options)
        await ws.send(json.dumps({"setup": {"model": f"models/{self.server.model}", **(setup or {})}}))
        assert await receive(ws) == {"setupComplete": {}}
        return ws

    async def post(self, path: str, *, listener: str = "live", **options: Any) -> tuple[int, Any]:
        tls = listener == "tls"
        url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server.port(listener)}{path}"
        options["ssl"] = self.trust if tls else True
        async with aiohttp.ClientSession() as http, http.post(url, **options) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if answer.content_type == "application/json" else text


async def receive(ws: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(DEADLINE_S):
        message: dict[str, Any] = json.loads(await ws.recv())
        return message


async def closed(ws: ClientConnection) -> tuple[int, str]:
    """Code and reason of the close that comes next."""
    try:
        while True:
            await receive(ws)
    except ConnectionClosed as ended:
        return (ended.rcvd.code, ended.rcvd.reason) if ended.rcvd is not None else (1006, "")


async def next_handle(ws: ClientConnection) -> str:
    """The handle of the next update; what comes before it is passed over."""
    while True:
        update = (await receive(ws)).get("sessionResumptionUpdate")
        if update is not None:
            return str(update["newHandle"])


async def turn(ws: ClientConnection, text: str) -> str:
    """Say something; what the model answered, whole."""
    content = {"turns": [{"role": "user", "parts": [{"text": text}]}], "turnComplete": True}
    await ws.send(json.dumps({"clientContent": content}))
    answer = ""
    while True:
        content = (await receive(ws)).get("serverContent", {})
        answer += content.get("outputTranscription", {}).get("text", "")
        if content.get("turnComplete"):
            return answer


Start = Callable[..., Awaitable[Running]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    running: list[Running] = []

    async def begin(**changes: Any) -> Running:
        options = {name: changes.pop(name) for name in ("gate",) if name in changes}
        changes.setdefault("script", QUICK)
        one = Running(Behaviour(**changes), **options)
        await one.server.start([Listener("live"), Listener("tls", tls=one.tls), Listener("backend")])
        running.append(one)
        return one

    yield begin
    for one in running:
        await one.server.stop()
        assert one.errors == []
        secrets = [secret for secret, label in one.labels.known.items() if not label.startswith("unknown")]
        assert all(one.server.marker in secret for secret in secrets)
        assert one.server.marker not in repr(one.events)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_token_dial_turn_resume_close(start: Start, tls: bool) -> None:
    here = await start(resumption=ResumptionRules(every_s=0.05))
    wanted = {"inputAudioTranscription": {}, "outputAudioTranscription": {}}

    async def mint() -> str:
        status, made = await here.post("/v1alpha/auth_tokens", listener="tls" if tls else "live",
                                       headers={"x-goog-api-key": here.server.api_key}, json={})  # fmt: skip
        assert status == 200
        return f"?access_token={made['name']}"

    ws = await here.open(await mint(), tls=tls, constrained=True, setup=wanted)
    assert await turn(ws, "My name is Ada Byron.")
    handle = await next_handle(ws)
    await ws.close()
    await here.until("connection.ended")
    resuming = {**wanted, "sessionResumption": {"handle": handle}}
    again = await here.open(await mint(), tls=tls, constrained=True, setup=resuming)
    assert await turn(again, "What is my name?") == "Your name is Ada Byron."
    await again.close()
    assert (await here.until("connection.ended", 2)).how == "closed"
    first, second = here.of("session.started")
    assert (first.session, first.token, first.resumed_with) == ("session-1", "token-1", None)
    assert (second.session, second.token, second.resumed_with) == ("session-1", "token-2", here.labels.get(handle))
    assert [event.token for event in here.of("token.spent")] == ["token-1"]
    assert [event.code for event in here.of("close.received")] == [1000, 1000]
    assert all(event.invalid is None for event in here.of("frame.sent"))


FORMS: list[tuple[bool, str, dict[str, str]]] = [
    (False, "?key={key}", {}),
    (False, "", {"x-goog-api-key": "{key}"}),
    (False, "?key={key}", {"x-goog-api-key": "{key}"}),
    (True, "?access_token={token}", {}),
    (True, "", {"Authorization": "Token {token}"}),
    (True, "", {"Authorization": "Token {token}", "x-goog-api-key": "{token}"}),
    (True, "?access_token={token}", {"x-goog-api-key": "{token}"}),
]


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha"])
@pytest.mark.parametrize(("constrained", "query", "headers"), FORMS)
async def test_every_form_of_a_credential(
    start: Start, constrained: bool, query: str, headers: dict[str, str], version: str
) -> None:
    here = await start()
    status, made = await here.post("/token", listener="backend")
    assert status == 200
    secrets = {"key": here.server.api_key, "token": made["token"]}
    sent = {name: value.format(**secrets) for name, value in headers.items()}
    ws = await here.open(
        query.format(**secrets), constrained=constrained, version=version, prefix="/", additional_headers=sent
    )
    await ws.close()
    upgrade = here.of("upgrade.received")[0]
    assert (upgrade.version, upgrade.method) == (version, "constrained" if constrained else "plain")
    assert {one.label for one in upgrade.credentials} == {"token-1" if constrained else "key-1"}


async def test_refusals_come_as_closes_after_the_101(start: Start) -> None:
    here = await start()
    _, made = await here.post("/token")
    spent = f"?access_token={made['token']}"
    await (await here.open(spent, constrained=True)).close()
    setup = json.dumps({"setup": {"model": f"models/{here.server.model}"}})
    for query, constrained, expected in (
        ("", False, 1008),
        (spent, False, 1008),
        (f"?key={here.server.api_key}", True, 1008),
        ("?key=AIzaWrong", False, 1007),
        (spent, True, 1011),
    ):
        ws = await here.dial(query, constrained=constrained)
        if expected != 1008:
            await ws.send(setup)
        assert (await closed(ws))[0] == expected
    reasons = [event.reason for event in here.of("close.sent")]
    assert all("unregistered callers" in reason and len(reason) == 123 for reason in reasons[:3])
    assert reasons[3:] == ["API key not valid. Please pass a valid API key.", "Token has been used too many times"]
    assert {event.status for event in here.of("upgrade.answered")} == {101}


async def test_a_spent_token_by_http_and_the_articles_dialect(start: Start) -> None:
    here = await start(dialect="article", tokens=TokenRules(uses=1))
    status, made = await here.post("/v1alpha/ephemeralTokens:create", params={"key": here.server.api_key}, json={})
    assert status == 200
    assert set(made) == {"name", "expireTime"}
    await (await here.open(f"?access_token={made['name']}", constrained=True)).close()
    with pytest.raises(InvalidStatus) as caught:
        await here.dial(f"?access_token={made['name']}", constrained=True)
    assert caught.value.response.status_code == 401
    assert [event.status for event in here.of("upgrade.answered")] == [101, 401]


async def test_token_calls_and_other_paths(start: Start) -> None:
    here = await start()
    key = {"x-goog-api-key": here.server.api_key}
    assert (await here.post("//v1beta//auth_tokens", headers=key))[0] == 200
    assert (await here.post("/v1alpha/auth_tokens", headers={"x-goog-api-key": "AIzaWrong"}, json={}))[0] == 400
    wrong = await here.post("/v1/auth_tokens", headers=key, json={"liveConnectConstraints": {}})
    assert (wrong[0], wrong[1]["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert (await here.post("/v1alpha/ephemeralTokens:create", headers=key, json={}))[0] == 404
    port = here.server.port("live")
    async with aiohttp.ClientSession() as http:
        for path in ("/v1alpha/auth_tokens", "/nothing", "/ws/" + METHOD.format(version="v1")):
            async with http.get(f"http://127.0.0.1:{port}{path}") as answer:
                assert (answer.status, await answer.read()) == (404, b"")
        with pytest.raises(aiohttp.WSServerHandshakeError, match="404"):
            await http.ws_connect(f"http://127.0.0.1:{port}/ws/elsewhere")
    assert len(here.of("http.answered")) == 8
    assert [event.via for event in here.of("token.minted")] == ["service"]


async def test_ordered_token_faults(start: Start) -> None:
    here = await start()
    here.server.act(acts.FailTokenCalls(status=429, times=1, retry_after_s=2))
    assert (await here.post("/token"))[0] == 429
    garbage = acts.FailTokenCalls(how="garbage")
    here.server.act(garbage)
    status, text = await here.post("/token")
    assert (status, text[:9]) == (200, "<!doctype")
    here.server.lift(garbage)
    here.server.act(acts.FailTokenCalls(how="timeout", times=1))
    with pytest.raises(asyncio.TimeoutError):
        await here.post("/token", timeout=aiohttp.ClientTimeout(total=0.2))
    assert (await here.post("/token"))[0] == 200
    assert [event.status for event in here.of("token.call_refused")] == [429, 200, None]
    assert all(event.deliberate for event in here.of("token.call_refused"))


async def test_the_gate_holds_a_frame_and_all_that_follow(start: Start) -> None:
    opened = asyncio.Event()
    asked: list[FrameSent] = []

    def gate(frame: FrameSent) -> Awaitable[Any] | None:
        asked.append(frame)
        return opened.wait() if "generation_complete" in frame.parts else None

    here = await start(gate=gate)
    ws = await here.open(setup={"outputAudioTranscription": {}})
    answer = asyncio.create_task(turn(ws, "What is my name?"))
    await here.until("turn.answered")
    await here.until("frame.sent", len(asked) - 1)
    assert "generation_complete" in asked[-1].parts
    assert not any("generation_complete" in event.parts for event in here.of("frame.sent"))
    ping = await ws.ping()
    opened.set()
    assert await answer == "I do not know your name."
    await asyncio.wait_for(ping, DEADLINE_S)
    assert [event.index for event in here.of("frame.sent")] == list(range(1, len(asked) + 1))
    await ws.close()


async def test_an_abort_is_a_reset_and_the_ways_of_ending_are_told_apart(start: Start) -> None:
    here = await start()
    ws = await here.open()
    here.server.act(acts.Abort())
    with pytest.raises(ConnectionClosed) as caught:
        await receive(ws)
    assert caught.value.rcvd is None
    assert (await here.until("connection.ended")).how == "aborted"
    await here.open()
    ended = 1
    for how in ("fin", "reset"):
        ws = await here.open()
        raw: socket.socket = ws.transport.get_extra_info("socket")
        if how == "reset":
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ws.transport.abort()
        ended += 1
        assert (await here.until("connection.ended", ended)).how == how


async def test_ordered_close_go_away_and_malformed_frames(start: Start) -> None:
    here = await start(frames=FrameRules(opcode="text", pretty=False))
    ws = await here.open()
    here.server.act(acts.SendMalformed("two_documents"))
    here.server.act(acts.SendUnknown())
    here.server.act(acts.GoAway(time_left_s=0.05))
    assert (await ws.recv()).count("serverContent") == 2
    assert "futureMessage" in await receive(ws)
    assert await receive(ws) == {"goAway": {"timeLeft": "0.050s"}}
    assert (await closed(ws))[0] == 1008
    await here.until("connection.ended")
    with pytest.raises(ActError):
        here.server.act(acts.GoAway())
    sent = {event.message: event for event in here.of("frame.sent")}
    assert sent["malformed"].invalid == "two documents"
    assert sent["malformed"].deliberate
    assert sent["unknown"].deliberate


async def test_a_frame_over_the_limit_is_refused(start: Start) -> None:
    here = await start(limits=Limits(max_frame_bytes=10_000))
    ws = await here.open()
    data = base64.b64encode(bytes(20_000)).decode()
    await ws.send(json.dumps({"realtimeInput": {"audio": {"mimeType": "audio/pcm", "data": data}}}))
    assert (await closed(ws))[0] == 1009
    assert (await here.until("close.sent")).refusal == "frame_too_large"


async def test_the_embargo_ends_when_a_proxy_saw_the_client_close(start: Start) -> None:
    here = await start(resumption=ResumptionRules(every_s=60.0, first_after_s=0.0))
    ghost = await here.open()
    handle = await next_handle(ghost)
    setup = json.dumps({"setup": {"model": f"models/{here.server.model}", "sessionResumption": {"handle": handle}}})
    key = f"?key={here.server.api_key}"
    early = await here.dial(key)
    await early.send(setup)
    assert await closed(early) == (1011, "Internal error encountered.")
    peer_port = ghost.local_address[1]
    number = here.server.socket_of_peer(peer_port)
    assert number == here.of("upgrade.received")[0].socket
    here.server.client_closed(number)
    later = await here.dial(key)
    await later.send(setup)
    assert await receive(later) == {"setupComplete": {}}
    await later.close()
    await ghost.close()


async def test_every_link_is_counted_and_stop_leaves_nothing(start: Start) -> None:
    here = await start()
    ws = await here.open()
    port, tls_port = here.server.port("live"), here.server.port("tls")
    mute = socket.create_connection(("127.0.0.1", tls_port))  # never says a word of TLS
    await here.until("socket.accepted", 2)
    assert [event.listener for event in here.of("socket.accepted")] == ["live", "tls"]
    async with asyncio.timeout(DEADLINE_S):
        await here.server.stop()
    mute.settimeout(DEADLINE_S)
    assert mute.recv(1) == b""
    mute.close()
    assert (await closed(ws))[0] == 1006
    assert here.of("connection.ended")[0].how == "aborted"
    for one in (port, tls_port):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", one))
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_a_fault_of_ours_is_told_as_1011_and_to_the_owner(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    here = await start()
    ws = await here.open()
    monkeypatch.setattr("fake_server.conversation.Conversation.take", lambda *_: 1 / 0)
    await ws.send(json.dumps({"clientContent": {"turnComplete": True}}))
    assert await closed(ws) == (1011, "Internal error encountered.")
    await here.until("connection.ended")
    assert [type(error) for error in here.errors] == [ZeroDivisionError]
    here.errors.clear()


async def test_the_server_on_its_own_serves_until_it_is_interrupted() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fake_server", "--model", "gemini-3.8-live", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        lines = []
        while not lines or not lines[-1].startswith("What happens"):
            lines.append((await process.stdout.readline()).decode())
        url = next(line.split()[1] for line in lines if line.startswith("  plain"))
        async with aiohttp.ClientSession() as http, http.post(f"{url}/token") as answer:
            assert (await answer.json())["token"].startswith("auth_tokens/")
        process.send_signal(signal.SIGINT)
        rest, _ = await process.communicate()
    assert process.returncode == 0
    assert b"token.minted" in rest
    assert b"auth_tokens/" not in rest


async def test_a_port_that_is_taken_is_said_without_a_traceback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "fake_server", "--port", str(taken.getsockname()[1]), stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(20):
            _, errors = await process.communicate()
    assert process.returncode == 3
    assert errors.startswith(b"cannot listen at 127.0.0.1: ")
    assert errors.count(b"\n") == 1


@pytest.mark.parametrize("name", [row.name for row in REFUSALS.values() if row.is_http])
@pytest.mark.parametrize("retry_after_s", [None, 3.0])
async def test_every_refusal_by_http_comes_with_and_without_a_retry_after(
    start: Start, name: str, retry_after_s: float | None
) -> None:
    here = await start()
    here.server.act(acts.Refuse(name, retry_after_s=retry_after_s))
    with pytest.raises(InvalidStatus) as caught:
        await here.dial(f"?key={here.server.api_key}")
    assert caught.value.response.status_code == REFUSALS[name].code
    assert caught.value.response.headers.get("Retry-After") == (None if retry_after_s is None else "3")
    (answered,) = here.of("upgrade.answered")
    assert (answered.refusal, answered.retry_after_s) == (name, retry_after_s)


async def test_frames_of_every_model_and_service_are_such_as_the_service_sends(start: Start) -> None:
    for model in ("gemini-3.8-live", "gemini-3.8-live-extended-thinking", "gemini-3.5-live-translate-preview"):
        here = await start(script=QUICK)
        ws = await here.open(setup={"model": f"models/{model}", "outputAudioTranscription": {}})
        for number in (1, 2):
            await ws.send(
                json.dumps({"clientContent": {"turns": [{"parts": [{"text": "Go on."}]}], "turnComplete": True}})
            )
            await here.until("turn.ended", number)
        await ws.close()
        sent = here.of("frame.sent")
        assert len(sent) > 4
        assert [event.invalid for event in sent] == [None] * len(sent)


async def test_an_upgrade_is_refused_by_http_when_ordered(start: Start) -> None:
    here = await start()
    here.server.act(acts.Refuse("http_503", times=1))
    with pytest.raises(InvalidStatus) as caught:
        await here.dial(f"?key={here.server.api_key}")
    assert caught.value.response.status_code == 503
    assert json.loads(caught.value.response.body)["error"]["status"] == "UNAVAILABLE"
    await (await here.open()).close()
    answered = here.of("upgrade.answered")
    assert [(event.status, event.refusal, event.deliberate) for event in answered] == [
        (503, "http_503", True),
        (101, None, False),
    ]


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer ya29.x"}, {"x-goog-api-key": "{key}"}])
async def test_vertex_takes_bearers_and_express_keys(start: Start, headers: dict[str, str]) -> None:
    here = await start(profile="vertex")
    path = "/ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent"
    sent = {name: value.format(key=here.server.api_key) for name, value in headers.items()}
    async with connect(f"ws://127.0.0.1:{here.server.port('live')}{path}", additional_headers=sent) as ws:
        model = f"projects/p/locations/l/publishers/google/models/{here.server.model}"
        await ws.send(json.dumps({"setup": {"model": model}}))
        assert (await receive(ws))["setupComplete"]["sessionId"]
    upgrade = here.of("upgrade.received")[0]
    assert (upgrade.method, upgrade.version) == ("vertex", "v1beta1")
    assert upgrade.credentials[0].label in ("unknown-credential-1", "key-1")
    assert all(event.invalid is None for event in here.of("frame.sent"))
