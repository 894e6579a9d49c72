"""The reference client: what a client of the Live API should do when the network, the token or the service fails.

One small class on `websockets` and the standard library. Every decision is one method, under "Decisions" below, so
that a client that gets one of them wrong is a subclass of a few lines. The rest is plumbing.

    python -m harness.clients.reference         (commands on stdin, events on stdout: the contract, section 4)
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import random
import ssl
import time
import wave
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from harness.clients.attempt import Attempt
from harness.clients.program import Message, Program, TokenCallFailedError, fetch_token, parse

CHUNK_S = 0.1
CHUNK_BYTES = 3_200  # 16 kHz, 16 bit, mono
REPLAY_SPEED = 4.0  # times real time; the service stands about 60 s of input ahead of real time
PING_EVERY_S = 0.4
HOLD_SPEECH_AFTER_S = 0.8  # on a link that has been silent so long, speech waits: it would only be sent twice
SILENT_AFTER_S = 2.5  # speech is running meanwhile: better one reconnect too many than seconds to catch up on
PONG_LATE_S = 30.0  # while data flows, a missing pong says little
KEEP_TRYING_S = 4.0
GIVE_UP_AFTER_S = 60.0
QUOTA_PAUSE_S = 5.0


class LinkSilentError(Exception):
    """Nothing has come for too long."""


@dataclass
class Turn:
    """A text turn of the user that has no whole answer yet."""

    text: str
    sent_on: int = 0
    """Number of the connection that it last went out on; 0: not sent."""


class LiveClient(Program):
    """One conversation at a time with the Live API, over as many connections as it takes."""

    name = "reference"
    can: Sequence[str] = ("text", "audio", "resume", "transcript", "state")
    policy: Mapping[str, object] = {"gives_up": {"after": "60s"}, "liveness": {"by": "ping", "within": "45s"}}

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.url = environment["HARNESS_WS_CONSTRAINED_URL"]
        self.token_url = environment["HARNESS_TOKEN_URL"]
        self.model = environment["HARNESS_MODEL"]
        is_tls = self.url.startswith("wss:") or self.token_url.startswith("https:")
        self.tls = ssl.create_default_context() if is_tls else None  # trusts SSL_CERT_FILE
        super().__init__()
        self.conversation: asyncio.Task[None] | None = None
        self.begin()

    def begin(self) -> None:
        """Start a conversation with nothing in it."""
        self.hung_up = False
        self.socket: ClientConnection | None = None
        self.ready = False
        self.moving = False  # we closed a healthy connection ourselves, to go on with the next
        self.connections = 0
        self.handle: str | None = None
        self.not_now_since: float | None = None
        self.failures = 0
        self.hopeless = 0
        self.outage_since: float | None = None
        self.turns: deque[Turn] = deque()
        self.transcript: list[tuple[str, str]] = []
        self.unheard: deque[bytes] = deque()  # speech that is not known to have arrived
        self.sent = 0  # of it, chunks that went out on this connection
        self.input_waits = asyncio.Event()
        self.last_heard_s = 0.0
        self.model_speaks = False
        self.turn_ended = asyncio.Event()
        self.reply = self.heard_speech = ""

    # Decisions ------------------------------------------------------------------------------------------------------

    async def credential(self) -> str:
        """Which token to dial with: a fresh one each time. A refused one is so never shown again."""
        return await fetch_token(self.token_url, self.tls)

    def handle_to_present(self) -> str | None:
        """Which handle to resume with; None starts a fresh session."""
        return self.handle

    def take_update(self, update: Message) -> None:
        """Which handle to keep: the newest that was resumable. An update without one takes nothing away."""
        if update.get("resumable") and update.get("newHandle"):
            self.handle = update["newHandle"]

    def setup(self, handle: str | None) -> Message:
        """What to ask for: resumption from the first setup on, with the same model and configuration each time."""
        return {
            "model": f"models/{self.model}",
            "generationConfig": {"responseModalities": ["AUDIO"]},
            "inputAudioTranscription": {},
            "outputAudioTranscription": {},
            "sessionResumption": {"handle": handle} if handle else {},
        }

    async def open_session(self, socket: ClientConnection, attempt: Attempt) -> None:
        """Setup first, and nothing else until the service says setupComplete."""
        await socket.send(json.dumps({"setup": self.setup(attempt.handle)}))
        while "setupComplete" not in parse(await socket.recv()):
            pass

    async def after_setup(self, socket: ClientConnection, attempt: Attempt) -> None:
        """What a new session is told first: where nothing could be resumed, what was said so far."""
        if not attempt.handle and self.transcript:
            turns = [{"role": role, "parts": [{"text": text}]} for role, text in self.transcript]
            await socket.send(json.dumps({"clientContent": {"turns": turns, "turnComplete": False}}))

    def comes_back(self, attempt: Attempt) -> bool:
        """Whether to dial again after this end. Not for ever, and not twice with what cannot work."""
        self.hopeless = self.hopeless + 1 if attempt.cannot_heal else 0
        outage_s = time.monotonic() - (self.outage_since or time.monotonic())
        return self.hopeless < 2 and outage_s < GIVE_UP_AFTER_S

    def learn_from(self, attempt: Attempt) -> None:
        """A refused handle is dropped; one that is refused "not now" is tried for a few seconds more."""
        now_s = time.monotonic()
        if attempt.not_now:
            self.not_now_since = self.not_now_since or now_s
        if attempt.refuses_handle or (self.not_now_since and now_s - self.not_now_since > KEEP_TRYING_S):
            self.handle, self.not_now_since = None, None
            self.tell("error", message="the session cannot be resumed: starting afresh", reason=attempt.reason)

    def pause_before_dial_s(self, attempt: Attempt) -> float:
        """0.25 s, doubling up to 5 s, with jitter: half of it is drawn, so that a herd of clients spreads out."""
        pause_s = min(5.0, 0.25 * 2.0**self.failures) * random.uniform(0.5, 1.0)
        return QUOTA_PAUSE_S + pause_s if attempt.over_quota else pause_s

    def patience_s(self) -> float:
        """How long a token call, a dial or a setup may hang: short at first, for a link that comes back soon."""
        return 2.0 if self.failures < 3 else 5.0

    async def on_go_away(self, socket: ClientConnection, time_left_s: float) -> None:
        """Hear the running turn to its end if time allows, close, and only then resume: before the time is out."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(time_left_s - min(1.5, time_left_s / 3)):
                while self.model_speaks or self.answer_owed:
                    self.turn_ended.clear()
                    await self.turn_ended.wait()
        await self.move_on(socket)

    def link_is_dead(self, waited_for_pong_s: float) -> bool:
        """How a silent link is noticed. Anything that comes is a sign of life."""
        silent_s = time.monotonic() - self.last_heard_s
        return min(silent_s, waited_for_pong_s) > SILENT_AFTER_S or waited_for_pong_s > PONG_LATE_S

    def hear_microphone(self, chunk: bytes) -> None:
        """What to do with speech, also while there is no connection: keep it until it is known to have arrived."""
        self.unheard.append(chunk)

    def acknowledge(self, chunks: int) -> None:
        """A pong came: what went out before its ping has arrived, and is not sent again."""
        self.sent -= chunks
        for _ in range(chunks):
            self.unheard.popleft()

    def replay_speech(self) -> None:
        """What to send again on a new connection: all that is not known to have arrived, oldest first."""
        self.sent = 0

    def turns_to_send(self) -> list[Turn]:
        """Which text turns to send now: those that this connection has not had. Answered ones are gone from here."""
        return [turn for turn in self.turns if turn.sent_on != self.connections]

    async def hang_up(self) -> None:
        """The user ends the call: close properly, and let nothing bring it back."""
        self.hung_up = True
        if self.socket is not None:
            await self.socket.close()
        if self.conversation is not None:
            self.conversation.cancel()

    # The conversation -----------------------------------------------------------------------------------------------

    async def converse(self) -> None:
        """Session after session, until the user hangs up or there is no point in going on."""
        self.tell("state", state="connecting")
        while True:
            self.moving = False
            attempt = Attempt(self.handle_to_present())
            try:
                await self.play_session(attempt)
            except ConnectionClosed as closed:
                attempt.code, attempt.reason = (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (None, "")
            except InvalidStatus as refused:
                attempt.code = refused.response.status_code
            except (OSError, TimeoutError, InvalidHandshake, TokenCallFailedError, LinkSilentError) as problem:
                attempt.reason = str(problem) or type(problem).__name__
            finally:
                self.ready = False
                if self.socket is not None and not self.hung_up:
                    self.socket.transport.abort()  # our own end must be closed, or a resume is refused
                self.socket = None
            if self.hung_up:
                return
            if attempt.proved:
                self.failures, self.outage_since = 0, None
            if self.moving:
                continue
            self.tell("error", message=f"{attempt.phase} ended", code=attempt.code, reason=attempt.reason)
            self.learn_from(attempt)
            self.outage_since = self.outage_since or time.monotonic()
            if not self.comes_back(attempt):
                self.tell("state", state="gave_up")
                return
            self.tell("state", state="reconnecting")
            await asyncio.sleep(self.pause_before_dial_s(attempt))
            self.failures += 1

    async def play_session(self, attempt: Attempt) -> None:
        """One connection from the token call to its end, which is always an exception."""
        async with asyncio.timeout(self.patience_s()):
            token = await self.credential()
        attempt.phase = "dial"
        tls = self.tls if self.url.startswith("wss:") else None
        socket = self.socket = await connect(
            f"{self.url}?access_token={token}",
            ssl=tls,
            open_timeout=self.patience_s(),
            ping_interval=None,
            close_timeout=1,
            max_size=2**24,
            compression=None,
        )
        attempt.phase = "setup"
        async with asyncio.timeout(self.patience_s()):
            await self.open_session(socket, attempt)
        attempt.phase, attempt.began_s = "session", time.monotonic()
        self.connections += 1
        self.last_heard_s = time.monotonic()
        self.not_now_since = None
        self.model_speaks, self.reply, self.heard_speech = False, "", ""
        await self.after_setup(socket, attempt)
        self.replay_speech()
        self.ready = True
        self.tell("state", state="connected")
        jobs = [self.receive(socket, attempt), self.send_input(socket), self.watch_link(socket)]
        tasks = [asyncio.create_task(job) for job in jobs]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def receive(self, socket: ClientConnection, attempt: Attempt) -> None:
        """Take in what the service says; what is not known is passed over."""
        while True:
            message = parse(await socket.recv())
            self.last_heard_s = time.monotonic()
            if isinstance(update := message.get("sessionResumptionUpdate"), dict):
                self.take_update(update)
            if isinstance(content := message.get("serverContent"), dict):
                attempt.carried_content |= "modelTurn" in content
                await self.take_content(socket, content)
            if isinstance(warning := message.get("goAway"), dict):
                self.do(self.on_go_away(socket, seconds(warning.get("timeLeft"))))

    async def take_content(self, socket: ClientConnection, content: Message) -> None:
        """Collect the model's words; at the end of its turn they become a reply."""
        self.model_speaks |= any(content.get(part) for part in ("modelTurn", "outputTranscription", "interrupted"))
        self.reply += text_of(content.get("outputTranscription"))
        self.heard_speech += text_of(content.get("inputTranscription"))
        if content.get("interrupted"):
            self.reply = ""
        if content.get("turnComplete"):
            await self.end_turn(socket)

    async def end_turn(self, socket: ClientConnection) -> None:
        """The model's turn is over: the oldest turn that this connection carried is answered."""
        said = self.heard_speech
        if self.model_speaks and self.answer_owed:
            said = f"{said} {self.turns.popleft().text}".strip()
        if self.reply:
            self.transcript += [("user", said), ("model", self.reply)] if said else [("model", self.reply)]
            self.tell("reply", text=self.reply)
        self.model_speaks, self.reply, self.heard_speech = False, "", ""
        self.turn_ended.set()

    async def send_input(self, socket: ClientConnection) -> None:
        """Text turns as they come; speech as the microphone gives it, a backlog faster but at a bounded speed."""
        while True:
            self.input_waits.clear()
            for turn in self.turns_to_send():
                turn.sent_on = self.connections
                content = {"turns": [{"role": "user", "parts": [{"text": turn.text}]}], "turnComplete": True}
                await socket.send(json.dumps({"clientContent": content}))
            behind = len(self.unheard) - self.sent
            if not behind:
                await self.input_waits.wait()
            elif time.monotonic() - self.last_heard_s > HOLD_SPEECH_AFTER_S:
                await asyncio.sleep(0.05)
            else:
                data = base64.b64encode(self.unheard[self.sent]).decode()
                audio = {"mimeType": "audio/pcm;rate=16000", "data": data}
                await socket.send(json.dumps({"realtimeInput": {"audio": audio}}))
                self.sent += 1  # after it is written: a ping may acknowledge too little, never too much
                if behind > 1:
                    await asyncio.sleep(CHUNK_S / REPLAY_SPEED)

    async def watch_link(self, socket: ClientConnection) -> None:
        """Ping; a pong tells that the link lives, and what has arrived."""
        while True:
            sent = self.sent
            pinged_s = time.monotonic()
            async with asyncio.timeout(SILENT_AFTER_S):
                pong = asyncio.ensure_future(await socket.ping())
            while not pong.done():
                await asyncio.wait([pong], timeout=0.1)
                if not pong.done() and self.link_is_dead(time.monotonic() - pinged_s):
                    raise LinkSilentError(f"the link has been silent for {time.monotonic() - self.last_heard_s:.1f} s")
            pong.result()
            self.last_heard_s = time.monotonic()
            self.acknowledge(sent)
            await asyncio.sleep(PING_EVERY_S)

    @property
    def answer_owed(self) -> bool:
        """A text turn went out on this connection, and its answer is not complete."""
        return bool(self.turns) and self.turns[0].sent_on == self.connections

    async def move_on(self, socket: ClientConnection) -> None:
        """Close a healthy connection; the conversation goes on with the next one at once."""
        if self.socket is socket and not self.hung_up:
            self.moving = True
            await socket.close()

    async def speak(self, path: str) -> None:
        """A microphone: a chunk every 100 ms by the clock, whether anyone listens or not."""
        with wave.open(path, "rb") as file:
            samples = file.readframes(file.getnframes())
        began_s = time.monotonic()
        for number, at in enumerate(range(0, len(samples), CHUNK_BYTES), start=1):
            await asyncio.sleep(began_s + number * CHUNK_S - time.monotonic())
            if self.hung_up:
                return
            self.hear_microphone(samples[at : at + CHUNK_BYTES])
            self.input_waits.set()

    # The program ----------------------------------------------------------------------------------------------------

    async def obey(self, command: Message) -> None:
        """Carry out one command; unknown ones are passed over."""
        match command:
            case {"do": "connect"}:
                self.start()
            case {"do": "say", "text": str(text)}:
                self.turns.append(Turn(text))
                self.wake()
            case {"do": "speak", "wav": str(path)}:
                self.do(self.speak(path))
                self.wake()
            case {"do": "hang_up"}:
                await self.hang_up()
                self.tell("state", state="disconnected")

    def start(self) -> None:
        """Begin a conversation, unless one is going on."""
        if self.conversation is None or self.conversation.done():
            self.begin()
            self.conversation = self.do(self.converse())

    def wake(self) -> None:
        """There is something to send; a user who speaks after we gave up has us try once more."""
        self.input_waits.set()
        if self.conversation is not None and self.conversation.done() and not self.hung_up:
            self.failures, self.hopeless, self.outage_since = 0, 0, None
            self.conversation = self.do(self.converse())

    async def leave(self) -> None:
        """Leave at once."""
        await LiveClient.hang_up(self)


def seconds(duration: object) -> float:
    """`"50s"` as a number; 5 for what cannot be read, since a warning without a time is still a warning."""
    try:
        return max(0.0, float(str(duration).removesuffix("s")))
    except ValueError:
        return 5.0


def text_of(transcription: object) -> str:
    """The words of a transcription message, if there are any."""
    return str(transcription.get("text", "")) if isinstance(transcription, dict) else ""


def main(client: type[LiveClient] = LiveClient) -> None:
    """Run a client in this process."""
    asyncio.run(client(os.environ).run())


if __name__ == "__main__":
    main()
