"""A voice client on the google-genai SDK with a small reconnect loop, as an application would write it.

It uses the SDK's public API only. It is a driven client of the harness: commands come in on standard input, one JSON
object a line, and what the user would see goes out on standard output. Nothing here imports the harness.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import sys
import time
import urllib.request
import warnings
import wave
from collections import deque
from dataclasses import dataclass, field

import websockets
from google import genai
from google.genai import errors, types

warnings.simplefilter("ignore", errors.ExperimentalWarning)  # ephemeral tokens are marked experimental

CHUNK_S = 0.1
TOKEN_TIMEOUT_S, DIAL_TIMEOUT_S = 3.0, 6.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 4.0
STABLE_AFTER_S = 10.0  # a session that lived so long, or in which the model spoke, starts all this anew
KEEP_TRYING_HANDLE_S = 4.0
GIVE_UP_AFTER_S = 30.0  # the last attempt begins then
# Keyword arguments for the SDK's WebSocket: a dead link is noticed within 3 s, the sum of these three.
WEBSOCKET = {"ping_interval": 1, "ping_timeout": 1.5, "close_timeout": 0.5}
# The SDK raises APIError from connect() and receive(), and lets the errors of websockets through when sending.
NETWORK_ERRORS = (errors.APIError, websockets.WebSocketException, OSError, TimeoutError)


def tell(event: str, **more: object) -> None:
    """What the user would see."""
    print(json.dumps({"event": event, **more}), flush=True)


@dataclass
class TextTurn:
    """What the user typed, until the model has answered it."""

    text: str
    session: object = None  # the session that it was last sent on


@dataclass
class App:
    """One conversation over any number of sessions."""

    handle: str | None = None
    unanswered: deque[TextTurn] = field(default_factory=deque)
    microphone: deque[bytes] = field(default_factory=deque)
    something_to_send: asyncio.Event = field(default_factory=asyncio.Event)
    connected_at: float | None = None  # of this attempt; None: it has not come so far
    model_spoke: bool = False  # in the session of this attempt
    refused_at: float | None = None  # since when the service says "not now"

    # --- decisions ---------------------------------------------------------------------------------------------

    async def credential(self) -> str:
        """A token is good for one session: a fresh one for each dial."""
        return await asyncio.to_thread(fetch_token)

    def remember(self, update: types.LiveServerSessionResumptionUpdate) -> None:
        """Keep the newest handle that can be used; an update without one takes nothing away."""
        if update.resumable and update.new_handle:
            self.handle = update.new_handle

    def is_hopeless(self, refusal: errors.APIError) -> bool:
        """The service answered a setup with a close. Is there no point in trying again?"""
        about_the_handle = any(text in str(refusal) for text in ("session", "Requested entity was not found"))
        if self.handle and refusal.code in (1007, 1008) and about_the_handle:
            self.handle = None  # invalid, unknown or expired: start afresh
        elif refusal.code in (1007, 1008):
            return True  # a bad key, an unknown model, a mistake in the setup
        elif refusal.code == 1011:
            self.refused_at = self.refused_at or time.monotonic()
        return False

    def handle_to_present(self) -> str | None:
        """The handle, unless the service has said "not now" to it for too long."""
        if self.refused_at is not None and time.monotonic() - self.refused_at > KEEP_TRYING_HANDLE_S:
            self.handle = None
        return self.handle

    # --- the reconnect loop ------------------------------------------------------------------------------------

    async def talk(self) -> None:
        """One session after the other, until the user hangs up (then this is cancelled) or it gives up."""
        tell("state", state="connecting")
        pause_s, lost_at = FIRST_PAUSE_S, None
        while True:
            self.connected_at, self.model_spoke, hopeless = None, False, False
            try:
                await self.one_session()
                continue  # a planned move: the next session at once
            except NETWORK_ERRORS as error:
                tell("error", message=str(error) or type(error).__name__)
                if self.connected_at is None and isinstance(error, errors.APIError):
                    hopeless = self.is_hopeless(error)
            now = time.monotonic()
            if self.model_spoke or (self.connected_at is not None and now - self.connected_at > STABLE_AFTER_S):
                pause_s, lost_at = FIRST_PAUSE_S, None
            lost_at = lost_at or now
            time_left_s = lost_at + GIVE_UP_AFTER_S - now
            if hopeless or time_left_s <= 0:
                tell("state", state="gave_up")
                return
            tell("state", state="reconnecting")
            await asyncio.sleep(min(time_left_s, pause_s * random.uniform(0.75, 1.0)))
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)

    async def one_session(self) -> None:
        """Returns for a planned move; raises when the session was lost, or never came to be."""
        options = types.HttpOptions(api_version="v1alpha", async_client_args=WEBSOCKET)
        config = types.LiveConnectConfig(
            response_modalities=[types.Modality.AUDIO],
            session_resumption=types.SessionResumptionConfig(handle=self.handle_to_present()),
            input_audio_transcription=types.AudioTranscriptionConfig(),
            output_audio_transcription=types.AudioTranscriptionConfig(),
        )
        token = await self.credential()
        async with contextlib.AsyncExitStack() as stack:
            client = await stack.enter_async_context(genai.Client(api_key=token, http_options=options).aio)
            async with asyncio.timeout(DIAL_TIMEOUT_S):
                connecting = client.live.connect(model=os.environ["HARNESS_MODEL"], config=config)
                session = await stack.enter_async_context(connecting)
            tell("state", state="connected")
            self.connected_at, self.refused_at = time.monotonic(), None
            jobs = [asyncio.create_task(job) for job in (self.receive(session), self.send(session))]
            try:
                await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
                for job in jobs:
                    if job.done():
                        job.result()
            finally:
                for job in jobs:
                    job.cancel()
                await asyncio.gather(*jobs, return_exceptions=True)
                await session.close()  # properly, with 1000: left to a cancelled `async with`, it would be 1011

    # --- what goes up and what comes down ------------------------------------------------------------------------

    async def send(self, session: genai.live.AsyncSession) -> None:
        """Text turns that this session has not had, then sound: first what piled up while there was no session."""
        while True:
            self.something_to_send.clear()
            for turn in list(self.unanswered):
                if turn.session is not session:
                    turn.session = session
                    content = types.Content(role="user", parts=[types.Part(text=turn.text)])
                    await session.send_client_content(turns=content, turn_complete=True)
            while self.microphone:
                blob = types.Blob(data=self.microphone[0], mime_type="audio/pcm;rate=16000")
                await session.send_realtime_input(audio=blob)
                self.microphone.popleft()
            await self.something_to_send.wait()

    async def receive(self, session: genai.live.AsyncSession) -> None:
        """Until goAway, and then to the end of what the model is saying."""
        reply, model_is_talking, moving = "", False, False
        while True:
            async for message in session.receive():  # ends with each turn of the model
                if message.session_resumption_update:
                    self.remember(message.session_resumption_update)
                if message.go_away:
                    moving = True
                if content := message.server_content:
                    if content.model_turn:
                        model_is_talking = self.model_spoke = True
                    if content.output_transcription:
                        reply += content.output_transcription.text or ""
                    if content.interrupted:
                        reply, model_is_talking = "", False
                    if content.turn_complete:
                        if model_is_talking and self.unanswered and self.unanswered[0].session is session:
                            self.unanswered.popleft()
                        if reply:
                            tell("reply", text=reply.strip())
                        reply, model_is_talking = "", False
                if moving and not model_is_talking:
                    return

    # --- the user ------------------------------------------------------------------------------------------------

    async def speak(self, path: str) -> None:
        """A microphone: 100 ms of sound every 100 ms, whether there is a session or not."""
        with wave.open(path) as recording:
            began, count = time.monotonic(), 0
            while chunk := recording.readframes(int(recording.getframerate() * CHUNK_S)):
                count += 1
                await asyncio.sleep(began + count * CHUNK_S - time.monotonic())
                self.microphone.append(chunk)
                self.something_to_send.set()

    async def run(self) -> None:
        """Do what the lines on standard input say, until `quit` or their end."""
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        tell("hello", client="python-google-genai", version=genai.__version__, can=["text", "audio", "resume", "state"])
        call: list[asyncio.Task[None]] = []
        async with asyncio.TaskGroup() as tasks:  # an error that nobody expected ends the program
            while line := await reader.readline():
                match json.loads(line):
                    case {"do": "connect"}:
                        call.append(tasks.create_task(self.talk()))
                    case {"do": "say", "text": text}:
                        self.unanswered.append(TextTurn(text))
                        self.something_to_send.set()
                    case {"do": "speak", "wav": path}:
                        call.append(tasks.create_task(self.speak(path)))
                    case {"do": "hang_up"}:
                        await end(call)
                        tell("state", state="disconnected")
                    case {"do": "quit"}:
                        break
            await end(call)


async def end(call: list[asyncio.Task[None]]) -> None:
    """Whatever it is doing: talking, waiting for the next attempt, or in the middle of one."""
    for task in call:
        task.cancel()
    await asyncio.gather(*call, return_exceptions=True)
    call.clear()


def fetch_token() -> str:
    """Ask our own backend, which holds the API key."""
    request = urllib.request.Request(os.environ["HARNESS_TOKEN_URL"], method="POST", data=b"")  # noqa: S310
    with urllib.request.urlopen(request, timeout=TOKEN_TIMEOUT_S) as answer:  # noqa: S310
        return str(json.load(answer)["token"])


if __name__ == "__main__":
    asyncio.run(App().run())
