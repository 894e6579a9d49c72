"""The tour of google-genai: twelve things done with the fake service through the SDK's public API (see ../README.md).

The same program runs on the newest SDK and on 1.20. Nothing here imports the harness.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import json
import os
import time
import warnings
import wave
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import websockets
from google import genai
from google.genai import errors, types

warnings.simplefilter("ignore")  # ephemeral tokens are marked experimental

STEP_WITHIN_S = 15.0
CHUNK_S = 0.1
TOKENS = types.HttpOptions(api_version="v1alpha")  # what the SDK asks for where tokens are concerned
LOOK_UP = types.FunctionDeclaration(
    name="look_up",
    description="Looks a place up.",
    behavior=types.Behavior.BLOCKING,
    parameters=types.Schema(
        type=types.Type.OBJECT, properties={"place": types.Schema(type=types.Type.STRING)}, required=["place"]
    ),
)


def tell(event: str, **more: object) -> None:
    """One line for the harness."""
    print(json.dumps({"event": event, **more}), flush=True)


class NoSessionError(Exception):
    """An earlier step has failed: there is nothing to do this one with."""


@dataclass
class Turn:
    """What came of one turn of the model."""

    heard: str = ""
    audio_bytes: int = 0
    user_said: str = ""
    """The transcription of the user's speech."""
    interrupted: bool = False


@dataclass
class Call:
    """One session, and what it brought."""

    session: genai.live.AsyncSession
    stack: contextlib.AsyncExitStack
    turn: Turn = field(default_factory=Turn)
    ended: list[Turn] = field(default_factory=list)
    handle: str | None = None
    go_away: types.LiveServerGoAway | None = None
    tool_call: types.FunctionCall | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    listener: asyncio.Task[None] | None = None

    async def listen(self) -> None:
        while True:
            async for message in self.session.receive():  # an iteration ends with each turn of the model
                self.take(message)
                self.changed.set()

    def take(self, message: types.LiveServerMessage) -> None:
        update = message.session_resumption_update
        if update and update.resumable and update.new_handle:
            self.handle = update.new_handle
        self.go_away = message.go_away or self.go_away
        if message.tool_call and message.tool_call.function_calls:
            self.tool_call = message.tool_call.function_calls[0]
        content = message.server_content
        if content is None:
            return
        for part in (content.model_turn and content.model_turn.parts) or []:
            self.turn.audio_bytes += len(part.inline_data.data) if part.inline_data else 0
        if content.output_transcription:
            self.turn.heard += content.output_transcription.text or ""
        if content.input_transcription:
            self.turn.user_said += content.input_transcription.text or ""
        if content.interrupted:
            self.turn.interrupted = True
        if content.turn_complete:
            self.ended.append(self.turn)
            self.turn = Turn()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait; raises what ended the session, if that came first."""
        while not condition():
            self.changed.clear()
            waiting = asyncio.create_task(self.changed.wait())
            await asyncio.wait({waiting, self.listener}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if self.listener.done() and not condition():
                self.listener.result()

    async def say(self, text: str) -> None:
        content = types.Content(role="user", parts=[types.Part(text=text)])
        await self.session.send_client_content(turns=content, turn_complete=True)

    async def next_turn(self) -> Turn:
        """The next turn that ends, and that the model spoke in."""
        await self.until(lambda: any(turn.audio_bytes for turn in self.ended))
        spoken = next(turn for turn in self.ended if turn.audio_bytes)
        self.ended.clear()
        return spoken

    async def close(self) -> None:
        self.listener.cancel()
        await asyncio.gather(self.listener, return_exceptions=True)
        await self.session.close()
        await self.stack.aclose()


async def dial(client: genai.Client, model: str, handle: str | None = None) -> Call:
    config = types.LiveConnectConfig(
        response_modalities=[types.Modality.AUDIO],
        session_resumption=types.SessionResumptionConfig(handle=handle),
        input_audio_transcription=types.AudioTranscriptionConfig(),
        output_audio_transcription=types.AudioTranscriptionConfig(),
        tools=[types.Tool(function_declarations=[LOOK_UP])],
    )
    stack = contextlib.AsyncExitStack()
    session = await stack.enter_async_context(client.aio.live.connect(model=model, config=config))
    call = Call(session, stack)
    call.listener = asyncio.create_task(call.listen())
    return call


class Tour:
    """The steps, in order."""

    def __init__(self) -> None:
        self.model = os.environ["HARNESS_MODEL"]
        self.token: str | None = None
        self.call: Call | None = None
        self.spoken = Turn()

    async def run(self) -> None:
        tell("hello", client="google-genai", version=importlib.metadata.version("google-genai"))
        for step in (
            self.mint_token,
            self.dial_key,
            self.refusal,
            self.dial_token,
            self.text_turn,
            self.audio_turn,
            self.transcriptions,
            self.tool_call,
            self.interruption,
            self.resumption,
            self.go_away,
            self.hang_up,
        ):
            await self.take(step)

    async def take(self, step: Callable[[], Awaitable[dict[str, object]]]) -> None:
        try:
            async with asyncio.timeout(STEP_WITHIN_S):
                saw = await step()
        except NoSessionError:
            tell("step", step=step.__name__, status="failed", saw={}, reason="no session")
        except TimeoutError:
            tell("step", step=step.__name__, status="failed", saw={}, reason="it was not over in time")
        except Exception as error:  # noqa: BLE001 - whatever the SDK raises belongs into the table
            reason = f"{type(error).__name__}: {error}"
            tell("step", step=step.__name__, status="failed", saw={}, reason=reason)
        else:
            tell("step", step=step.__name__, status="done", saw=saw)

    @property
    def live(self) -> Call:
        if self.call is None:
            raise NoSessionError
        return self.call

    async def mint(self) -> str:
        minting = genai.Client(http_options=TOKENS).aio.auth_tokens
        return (await minting.create(config=types.CreateAuthTokenConfig(uses=1))).name

    async def redial(self) -> str:
        """Close, and resume with the newest handle and a fresh token. Returns the handle."""
        old, self.call = self.live, None
        await old.close()
        token = await self.mint()
        self.call = await dial(genai.Client(api_key=token, http_options=TOKENS), self.model, old.handle)
        return old.handle

    async def mint_token(self) -> dict[str, object]:
        self.token = await self.mint()
        return {"token": self.token}

    async def dial_key(self) -> dict[str, object]:
        call = await dial(genai.Client(), self.model)
        await call.close()
        return {}

    async def refusal(self) -> dict[str, object]:
        try:
            call = await dial(genai.Client(), "gemini-none-live")
            await call.until(lambda: False)
        except errors.APIError as error:
            return {"code": error.code, "text": str(error)}
        except websockets.ConnectionClosed as error:  # what 1.20 lets through
            return {"code": error.rcvd and error.rcvd.code, "text": str(error)}
        raise AssertionError("the session ended without an error")

    async def dial_token(self) -> dict[str, object]:
        self.call = await dial(genai.Client(api_key=self.token, http_options=TOKENS), self.model)
        return {}

    async def text_turn(self) -> dict[str, object]:
        said = "My city is Lisbon."
        await self.live.say(said)
        turn = await self.live.next_turn()
        return {"said": said, "heard": turn.heard, "audio_bytes": turn.audio_bytes}

    async def audio_turn(self) -> dict[str, object]:
        call = self.live
        with wave.open(os.environ["TOUR_SPEECH_WAV"]) as recording:
            began, count = time.monotonic(), 0
            while chunk := recording.readframes(int(recording.getframerate() * CHUNK_S)):
                count += 1
                await asyncio.sleep(began + count * CHUNK_S - time.monotonic())
                blob = types.Blob(data=chunk, mime_type="audio/pcm;rate=16000")
                await call.session.send_realtime_input(audio=blob)
        self.spoken = await call.next_turn()
        return {"heard": self.spoken.heard, "audio_bytes": self.spoken.audio_bytes}

    async def transcriptions(self) -> dict[str, object]:
        return {"input": self.spoken.user_said, "output": self.spoken.heard}

    async def tool_call(self) -> dict[str, object]:
        call = self.live
        await call.say("Please call the tool.")
        await call.until(lambda: call.tool_call)
        asked = call.tool_call
        call.ended.clear()
        response = types.FunctionResponse(id=asked.id, name=asked.name, response={"place": "Lisbon"})
        await call.session.send_tool_response(function_responses=response)
        turn = await call.next_turn()
        return {"id": asked.id, "name": asked.name, "args": asked.args, "heard": turn.heard}

    async def interruption(self) -> dict[str, object]:
        call = self.live
        await call.say("Tell me a story.")
        await call.until(lambda: call.turn.audio_bytes)
        await call.say("Stop, please.")
        await call.until(lambda: any(turn.interrupted for turn in call.ended))
        call.ended.clear()
        turn = await call.next_turn()
        return {"interrupted": True, "heard": turn.heard}

    async def resumption(self) -> dict[str, object]:
        handle = await self.redial()
        await self.live.say("What is my city?")
        turn = await self.live.next_turn()
        return {"handle": handle, "heard": turn.heard}

    async def go_away(self) -> dict[str, object]:
        call = self.live
        await call.say("Please end this connection.")
        await call.next_turn()
        await call.until(lambda: call.go_away)
        time_left = call.go_away.time_left
        handle = await self.redial()
        await self.live.say("What is my city?")
        turn = await self.live.next_turn()
        time_left_s = None if time_left is None else float(time_left.removesuffix("s"))
        return {"time_left_s": time_left_s, "handle": handle, "heard": turn.heard}

    async def hang_up(self) -> dict[str, object]:
        await self.live.close()
        return {}


if __name__ == "__main__":
    asyncio.run(Tour().run())
