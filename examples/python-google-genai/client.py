"""A voice client on the google-genai SDK with a small reconnect loop, as an application would write it.

It uses the SDK's public API only. It is a driven client of the harness: commands come in on standard input, one JSON
object a line, and what the user would see goes out on standard output. Nothing here imports the harness.
"""

from __future__ import annotations

import asyncio
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
DIAL_TIMEOUT_S = 8.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.4, 4.0
GIVE_UP_AFTER_S = 60.0
NETWORK_ERRORS = (errors.APIError, websockets.WebSocketException, OSError, TimeoutError)
# Keyword arguments for the SDK's WebSocket: notice a dead link within 5 s, and do not wait long to close one.
WEBSOCKET = {"ping_interval": 2, "ping_timeout": 3, "close_timeout": 1}


def tell(event: str, **more: object) -> None:
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
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    model_is_talking: bool = False

    # --- decisions ---------------------------------------------------------------------------------------------

    async def credential(self) -> str:
        """A token is good for one session: a fresh one for each dial."""
        return await asyncio.to_thread(self.fetch_token)

    def resumption(self) -> types.SessionResumptionConfig:
        return types.SessionResumptionConfig(handle=self.handle)

    # --- the reconnect loop ------------------------------------------------------------------------------------

    async def talk(self) -> None:
        pause_s, lost_at = FIRST_PAUSE_S, None
        tell("state", state="connecting")
        while not self.hung_up.is_set():
            began = time.monotonic()
            try:
                await self.one_session()
                pause_s, lost_at = FIRST_PAUSE_S, None
                continue  # a planned move: the next session at once
            except NETWORK_ERRORS as error:
                tell("error", message=str(error) or type(error).__name__, code=getattr(error, "code", None))
            if self.hung_up.is_set():
                break
            tell("state", state="reconnecting")
            now = time.monotonic()
            if now - began > 10:
                pause_s, lost_at = FIRST_PAUSE_S, None
            lost_at = lost_at or now
            if now - lost_at > GIVE_UP_AFTER_S:
                tell("state", state="gave_up")
                return
            await asyncio.wait([self.hung_up_task], timeout=pause_s * random.uniform(0.5, 1.0))
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)
        tell("state", state="disconnected")

    async def one_session(self) -> None:
        """Returns for a planned move or a hang-up; raises when the session was lost."""
        client = genai.Client(
            api_key=await self.credential(),
            http_options=types.HttpOptions(api_version="v1alpha", async_client_args=WEBSOCKET),
        )
        config = types.LiveConnectConfig(
            response_modalities=[types.Modality.AUDIO],
            session_resumption=self.resumption(),
            input_audio_transcription=types.AudioTranscriptionConfig(),
            output_audio_transcription=types.AudioTranscriptionConfig(),
        )
        connecting = client.aio.live.connect(model=os.environ["HARNESS_MODEL"], config=config)
        async with asyncio.timeout(DIAL_TIMEOUT_S):
            session = await connecting.__aenter__()
        try:
            tell("state", state="connected")
            self.model_is_talking = False
            self.something_to_send.set()
            jobs = [asyncio.create_task(job) for job in (self.send(session), self.receive(session))]
            try:
                done, _ = await asyncio.wait([*jobs, self.hung_up_task], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for job in jobs:
                    job.cancel()
                await asyncio.gather(*jobs, return_exceptions=True)
            for job in done - {self.hung_up_task}:
                job.result()
        finally:
            await connecting.__aexit__(None, None, None)

    # --- what goes up and what comes down ------------------------------------------------------------------------

    async def send(self, session: genai.live.AsyncSession) -> None:
        while True:
            await self.something_to_send.wait()
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

    async def receive(self, session: genai.live.AsyncSession) -> None:
        said = ""
        moving = False
        while True:
            async for message in session.receive():
                if update := message.session_resumption_update:
                    self.remember(update)
                if message.go_away:
                    moving = True
                if content := message.server_content:
                    if content.model_turn:
                        self.model_is_talking = True
                    if content.output_transcription and content.output_transcription.text:
                        said += content.output_transcription.text
                    if content.turn_complete:
                        self.model_is_talking = False
                        if self.unanswered and self.unanswered[0].session is session:
                            self.unanswered.popleft()
                        if said:
                            tell("reply", text=said.strip())
                        said = ""
                if moving and not self.model_is_talking:
                    return

    def remember(self, update: types.LiveServerSessionResumptionUpdate) -> None:
        if update.resumable and update.new_handle:
            self.handle = update.new_handle

    # --- the user ----------------------------------------------------------------------------------------------

    async def speak(self, path: str) -> None:
        """A microphone: 100 ms of sound every 100 ms, whether there is a session or not."""
        with wave.open(path) as recording:
            began = time.monotonic()
            frames = int(recording.getframerate() * CHUNK_S)
            count = 0
            while (chunk := recording.readframes(frames)) and not self.hung_up.is_set():
                count += 1
                await asyncio.sleep(max(0.0, began + count * CHUNK_S - time.monotonic()))
                self.microphone.append(chunk)
                self.something_to_send.set()

    def fetch_token(self) -> str:
        request = urllib.request.Request(os.environ["HARNESS_TOKEN_URL"], method="POST", data=b"")  # noqa: S310
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return str(json.load(answer)["token"])

    async def run(self) -> None:
        self.hung_up_task = asyncio.create_task(self.hung_up.wait())
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        jobs: list[asyncio.Task[None]] = []
        tell("hello", client="python-google-genai", version=genai.__version__, can=["text", "audio", "resume", "state"])
        while line := await reader.readline():
            command = json.loads(line)
            match command.get("do"):
                case "connect":
                    jobs.append(asyncio.create_task(self.talk()))
                case "say":
                    self.unanswered.append(TextTurn(command["text"]))
                    self.something_to_send.set()
                case "speak":
                    jobs.append(asyncio.create_task(self.speak(command["wav"])))
                case "hang_up":
                    self.hung_up.set()
                case "quit":
                    break
        self.hung_up.set()
        for job in jobs[:1]:
            await asyncio.wait([job], timeout=3)


if __name__ == "__main__":
    asyncio.run(App().run())
