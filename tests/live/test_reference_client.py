"""The reference client, as the program that it is, against the fake server: one test for each road through it."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from fake_server import acts
from fake_server.app import FakeServer, Listener
from fake_server.behaviour import Behaviour, ModelScript, ResumptionRules, TokenRules, Utterance
from fake_server.clock import SystemClock
from fake_server.events import ServerEvent, SpeechRange
from fake_server.labels import Labels
from fake_server.speech import doubled, merge, missing, wav

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
DEADLINE_S = 15.0
QUICK = ModelScript(setup_complete_after_s=0.0, think_s=0.02, reply_audio_s=0.1, audio_pace=0.0)
BRISK = ResumptionRules(every_s=0.1, first_after_s=0.0)
WORDS, QUIET = 40_000, 16_000
SPOKEN = Utterance(1, "My city is Rome.", WORDS, WORDS + QUIET)


class Played:
    """A server, a client, and all that both told."""

    def __init__(self) -> None:
        self.facts: list[ServerEvent] = []
        self.lines: list[dict[str, Any]] = []
        self.changed = asyncio.Condition()
        self.server: FakeServer
        self.client: asyncio.subprocess.Process

    def tell(self, **command: object) -> None:
        assert self.client.stdin is not None
        self.client.stdin.write(json.dumps(command).encode() + b"\n")

    def of(self, kind: str) -> list[Any]:
        return [fact for fact in self.facts if fact.kind == kind]

    def said(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]

    @property
    def speech(self) -> list[SpeechRange]:
        return [one for frame in self.of("frame.received") for one in frame.speech]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until it holds; looked at whenever either side says something."""
        try:
            async with asyncio.timeout(DEADLINE_S), self.changed:
                await self.changed.wait_for(holds)
        except TimeoutError:
            kinds = [fact for fact in self.facts if fact.kind not in ("frame.sent", "frame.received")]
            pytest.fail(f"never came; the client said {self.lines}; the server told {kinds}", pytrace=True)

    async def notify(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def ask(self, text: str) -> str:
        """Say something, and wait for the reply to it."""
        before = len(self.said("reply"))
        self.tell(do="say", text=text)
        await self.until(lambda: len(self.said("reply")) > before)
        return str(self.said("reply")[-1]["text"])

    async def quit(self) -> int:
        """Tell it to leave; its exit status."""
        self.tell(do="quit")
        async with asyncio.timeout(DEADLINE_S):
            return await self.client.wait()


@asynccontextmanager
async def playing(
    behaviour: Behaviour, module: str = "harness.clients.reference", *, tls_in: Path | None = None
) -> AsyncIterator[Played]:
    """A server and a client program. `tls_in`: a folder for the test CA; None: plain text."""
    played = Played()
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    def observe(fact: ServerEvent) -> None:
        played.facts.append(fact)
        task = loop.create_task(played.notify())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = played.server = FakeServer(behaviour, clock=SystemClock(), observer=observe, labels=Labels(), seed=7)
    trust, tls = {}, None
    if tls_in is not None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(tls_in / "ca.pem"))
        trust["SSL_CERT_FILE"] = str(tls_in / "ca.pem")
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(tls)
    await server.start([Listener("live", tls=tls), Listener("backend", tls=tls)])
    mark = "s" if tls else ""
    method = "google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContentConstrained"
    environment = {
        **os.environ,
        **trust,
        "HARNESS_WS_CONSTRAINED_URL": f"ws{mark}://127.0.0.1:{server.port('live')}/ws/{method}",
        "HARNESS_TOKEN_URL": f"http{mark}://127.0.0.1:{server.port('backend')}/token",
        "HARNESS_MODEL": server.model,
        "NO_PROXY": "127.0.0.1",
    }
    pipe = asyncio.subprocess.PIPE
    client = played.client = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, stdin=pipe, stdout=pipe, cwd=ROOT, env=environment
    )

    async def read() -> None:
        assert client.stdout is not None
        async for line in client.stdout:
            played.lines.append(json.loads(line))
            await played.notify()

    reading = asyncio.create_task(read())
    try:
        yield played
    finally:
        if client.returncode is None:
            client.kill()
        await client.wait()
        await reading
        assert client.stdin is not None
        client.stdin.close()
        await server.stop()
        await asyncio.gather(*tasks)


@asynccontextmanager
async def speaking(played: Played) -> AsyncIterator[None]:
    """Connect, and stream the utterance as a microphone would."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "utterance.wav"
        path.write_bytes(wav(1, WORDS, QUIET))
        played.tell(do="connect")
        await played.until(lambda: bool(played.of("session.started")))
        played.tell(do="speak", wav=str(path), ms=3_500)
        yield


async def test_a_text_turn_over_tls_and_leaving(tmp_path: Path) -> None:
    async with playing(Behaviour(script=QUICK), tls_in=tmp_path) as played:
        played.tell(do="connect")
        await played.ask("My name is Ada.")
        assert await played.ask("What is my name?") == "Your name is Ada."
        assert [line["state"] for line in played.said("state")] == ["connecting", "connected"]
        assert played.lines[0]["event"] == "hello"
        assert await played.quit() == 0
        await played.until(lambda: bool(played.of("close.received")))
        assert played.of("close.received")[0].code == 1000
        setup = played.of("frame.received")[0]
        assert (setup.message, setup.problems) == ("setup", ())
        assert not played.said("error")


async def test_speech_through_an_abort_is_neither_lost_nor_said_twice() -> None:
    behaviour = Behaviour(script=QUICK, resumption=BRISK, utterances={1: SPOKEN})
    async with playing(behaviour) as played, speaking(played):
        await played.until(lambda: sum(one.end - one.start for one in played.speech) > 20_000)
        played.server.act(acts.Abort())
        await played.until(lambda: bool(played.said("reply")))
        first, second = (
            [one for frame in played.of("frame.received") if frame.connection == number for one in frame.speech]
            for number in (1, 2)
        )
        assert missing({1: WORDS}, played.speech) == {1: 0}
        assert doubled(played.speech)[1] < 24_000  # 1.5 s
        assert len(merge(first)) == len(merge(second)) == 1
        assert sorted(second, key=lambda one: one.start) == second
        assert second[0].start <= first[-1].end
        assert await played.ask("What is my city?") == "Your city is Rome."
        resumed = played.of("session.started")[1]
        assert resumed.resumed_with is not None
        assert resumed.token != played.of("session.started")[0].token


async def test_speech_goes_out_as_a_microphone_gives_it() -> None:
    async with playing(Behaviour(script=QUICK, utterances={1: SPOKEN})) as played, speaking(played):
        began_s = asyncio.get_running_loop().time()
        await played.until(lambda: bool(merge(played.speech)) and merge(played.speech)[-1].end == WORDS + QUIET)
        assert asyncio.get_running_loop().time() - began_s > 0.9 * (WORDS + QUIET) / 16_000
        chunks = [frame for frame in played.of("frame.received") if "audio" in frame.parts]
        assert len(chunks) == (WORDS + QUIET) / 1_600
        assert doubled(played.speech) == {1: 0}


async def test_not_now_is_met_with_the_same_handle_and_growing_pauses() -> None:
    async with playing(Behaviour(script=QUICK, resumption=BRISK)) as played:
        played.tell(do="connect")
        await played.ask("My name is Ada.")
        await played.until(lambda: bool(played.of("handle.issued")) and "name" in played.of("handle.issued")[-1].facts)
        played.server.act(acts.Refuse("internal_error", only="resume", for_s=1.2, times=None))
        played.server.act(acts.Abort())
        assert await played.ask("What is my name?") == "Your name is Ada."
        presented = played.of("handle.presented")
        assert {one.refusal for one in presented[:-1]} == {"internal_error"}
        assert presented[-1].refusal is None
        assert len({one.handle for one in presented}) == 1
        assert len(presented) <= 6, "pauses grow"
        assert played.of("token.minted")[-1].token == f"token-{1 + len(presented)}"


async def test_a_forgotten_session_is_started_afresh_and_told_what_was_said() -> None:
    async with playing(Behaviour(script=QUICK, resumption=BRISK)) as played:
        played.tell(do="connect")
        await played.ask("My name is Ada.")
        await played.until(lambda: len(played.of("handle.issued")) > 0)
        played.server.act(acts.ForgetHandle())
        played.server.act(acts.Abort())
        assert await played.ask("What is my name?") == "Your name is Ada."
        assert [one.refusal for one in played.of("handle.presented")] == ["session_not_found"]
        assert played.of("session.started")[1].resumed_with is None
        assert "cannot be resumed" in " ".join(line["message"] for line in played.said("error"))


async def test_go_away_is_answered_in_time_after_the_running_turn_and_with_one_new_session() -> None:
    script = ModelScript(setup_complete_after_s=0.0, think_s=0.1, reply_audio_s=0.6)
    async with playing(Behaviour(script=script, resumption=BRISK)) as played:
        played.tell(do="connect")
        played.tell(do="say", text="My name is Ada.")
        await played.until(lambda: bool(played.of("turn.answered")))
        played.server.act(acts.GoAway(time_left_s=4.0))
        await played.until(lambda: len(played.of("session.started")) == 2)
        order = [fact for fact in played.facts if fact.kind in ("turn.ended", "close.received", "session.started")]
        assert [fact.kind for fact in order[1:]] == ["turn.ended", "close.received", "session.started"]
        assert order[1].outcome == "complete"  # type: ignore[union-attr]
        assert await played.ask("What is my name?") == "Your name is Ada."
        assert not played.of("close.sent") or played.of("close.sent")[0].refusal is None
        assert len(played.of("session.started")) == 2
        assert not played.said("error")


async def test_a_hang_up_ends_it_also_while_a_retry_is_pending() -> None:
    async with playing(Behaviour(script=QUICK, resumption=BRISK)) as played:
        played.tell(do="connect")
        await played.ask("My name is Ada.")
        played.server.act(acts.Refuse("http_503", times=None))
        played.server.act(acts.Abort())
        await played.until(lambda: len([one for one in played.of("upgrade.answered") if one.status == 503]) >= 2)
        played.tell(do="hang_up")
        await played.until(lambda: played.said("state")[-1]["state"] == "disconnected")
        dials = len(played.of("upgrade.received"))
        played.server.lift(acts.Refuse("http_503", times=None))
        played.tell(do="connect")
        assert await played.ask("What is my name?") == "I do not know your name."
        assert len(played.of("upgrade.received")) == dials + 1
        assert [one.resumed_with for one in played.of("session.started")] == [None, None]
        played.tell(do="hang_up")
        await played.until(lambda: bool(played.of("close.received")))
        assert await played.quit() == 0
        assert len(played.of("upgrade.received")) == dials + 1


async def test_a_spent_token_is_never_shown_again_even_where_a_resume_spends_one() -> None:
    rules = TokenRules(uses=1, resume_spends_use=True, refuse="http_401")
    async with playing(Behaviour(script=QUICK, resumption=BRISK, tokens=rules)) as played:
        played.tell(do="connect")
        await played.ask("My name is Ada.")
        played.server.act(acts.Close(1011, "Internal error encountered."))
        assert await played.ask("What is my name?") == "Your name is Ada."
        assert {one.status for one in played.of("upgrade.answered")} == {101}
        assert len(played.of("token.minted")) == len(played.of("upgrade.received"))


async def test_a_silent_link_is_left_and_what_was_said_on_it_is_said_again() -> None:
    async with playing(Behaviour(script=QUICK, resumption=BRISK)) as played:
        played.tell(do="connect")
        await played.ask("My name is Ada.")
        played.server.act(acts.Silence())
        played.server.act(acts.SlowPong(delay_s=60.0))
        assert await played.ask("What is my name?") == "Your name is Ada."
        assert "silent" in played.said("error")[0]["reason"]
        assert len(played.of("session.started")) == 2
