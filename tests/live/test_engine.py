"""The engine with a real client: when faults come, how long they last, and what a run makes of a part that fails."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import requests

from fake_server import events as server
from fake_server.clock import SystemClock
from harness.client_config import load_client_config
from harness.engine.client import ClientUnderTest
from harness.engine.recorder import Recorder
from harness.engine.run import Played, RunPlayer, Surroundings
from harness.engine.situation import Situation
from harness.engine.suite import PlannedRun, play_all
from harness.journal.events import (
    ClientCommand,
    ClientExited,
    ClientStarted,
    ClientStopping,
    Entry,
    FaultDue,
    FaultInForce,
    FaultLifted,
    Note,
    RunEnded,
    StepEnded,
    StepStarted,
)
from harness.journal.reader import read_journal
from harness.journal.writer import JournalWriter
from harness.plan import Plan, ProxyInfo, make_plan
from harness.proxy.choose import open_proxy
from harness.proxy.port import Fault, FaultKind, FaultProxy, ProxyError
from harness.proxy.relay import BuiltinProxy
from harness.proxy.toxiproxy import ToxiproxyProxy
from harness.redaction import Redactor
from harness.scenario.faults import ClientFault
from harness.scenario.library import find_scenarios
from harness.tls import Authority, make_authority
from harness.verdict import ExitCode, RunStatus, Verdict
from tests.live.run_fixtures import CLIENT, QUICK, TALKER, toxiproxy_program

pytestmark = pytest.mark.live

_E = TypeVar("_E")
SLACK_S = 0.02
"""Between an event and what is done about it, beside the lag that the journal itself tells."""


@pytest.fixture(scope="module")
def authority() -> Iterator[Authority]:
    with tempfile.TemporaryDirectory() as folder:
        yield make_authority(Path(folder))


@dataclass(frozen=True)
class At:
    """One fact and when it was written."""

    n: int
    t: float


class Facts:
    """A journal, asked by kind."""

    def __init__(self, path: Path) -> None:
        self.journal = read_journal(path)
        assert self.journal.whole

    def of(self, kind: type[_E], fits: Callable[[_E], bool] = lambda event: True) -> list[tuple[At, _E]]:
        entries = self.journal.entries
        return [(At(e.n, e.t), e.event) for e in entries if isinstance(e.event, kind) and fits(e.event)]

    def one(self, kind: type[_E], fits: Callable[[_E], bool] = lambda event: True) -> tuple[At, _E]:
        (found,) = self.of(kind, fits)
        return found

    def frames(self, part: str) -> list[At]:
        return [at for at, _ in self.of(server.FrameSent, lambda frame: part in (frame.message, *frame.parts))]

    def step(self, number: int) -> tuple[At, At, str]:
        began, _ = self.one(StepStarted, lambda step: step.step == number)
        ended, event = self.one(StepEnded, lambda step: step.step == number)
        return began, ended, event.outcome


class Bench:
    """Plays scenarios in this process, one at a time."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.folder = folder
        self.authority = authority
        self.clock = SystemClock()
        self.proxy: FaultProxy = BuiltinProxy(seed=1, clock=self.clock)
        self.player: RunPlayer
        self.progress: Callable[[str], None] = lambda text: None

    def planned(self, body: str, command: list[str], name: str = "x", **config: Any) -> PlannedRun:
        file, client_file = self.folder / f"{name}.yaml", self.folder / "client.yaml"
        file.write_text(f"scenario: {name}\ntitle: t\ndo_nothing: pass\n{body}")
        given = {"name": "c", "command": command, "tls": "off", "can": ["text"], "stop_within": "15s", **config}
        client_file.write_text(json.dumps(given))
        (selected,) = find_scenarios(str(file))
        client = load_client_config(client_file)
        info = ProxyInfo.of(self.proxy.kind, self.proxy.version, self.proxy.abilities)
        plan = make_plan(selected.scenario, None, 1, client.profile, info, {})
        return PlannedRun(name, plan, client, self.folder / "runs" / name, f"run-{os.getpid()}-{name}", "")

    @property
    def surroundings(self) -> Surroundings:
        return Surroundings(self.proxy, "", self.authority, self.clock, dict(os.environ), asyncio.Semaphore(4))

    async def play(self, story: str, kind: str = "plain", session: str = QUICK, **config: Any) -> Facts:
        run = self.planned(session + story, [*TALKER, kind], **config)
        self.player = RunPlayer(
            run.plan, run.client, run.folder, run.run_id, self.surroundings, lambda text: self.progress(text)
        )
        played = await self.player.play()
        facts = Facts(played.journal)
        assert facts.journal.entries[-1].event == RunEnded(played.outcome, played.message)
        return facts


@pytest.fixture
def bench(tmp_path: Path, authority: Authority) -> Bench:
    return Bench(tmp_path, authority)


def in_force_after(facts: Facts, cause: At, delay_s: float) -> FaultInForce:
    """The first fault after `cause`, which came `delay_s` after it."""
    at, fault = next(found for found in facts.of(FaultInForce) if found[0].n > cause.n)
    late_s = at.t - cause.t - delay_s
    assert -0.001 <= late_s <= fault.lag_ms / 1000 + SLACK_S
    return fault


# --- when a fault comes ----------------------------------------------------------------------------------------------

THREE = "story:\n  - say: First.\n  - say: Second.\n  - say: Third.\n"


async def test_on_the_nth_event(bench: Bench) -> None:
    facts = await bench.play(THREE + "timeline: [{when: {event: turn_complete, nth: 2}, do: {server: update}}]\n")
    turns = facts.frames("turn_complete")
    assert len(turns) == 4  # with the probe's
    (at, _) = facts.one(FaultInForce)
    assert turns[1].n < at.n < turns[2].n
    in_force_after(facts, turns[1], 0.0)


async def test_on_an_event_that_fits_a_filter_some_time_after_it(bench: Bench) -> None:
    facts = await bench.play(
        THREE + '  - wait: 200ms\ntimeline: [{when: {event: turn_heard, filter: {text: "Second."}, after: 150ms}, '
        "do: {server: update}}]\n"
    )
    heard, _ = facts.one(server.TurnHeard, lambda turn: turn.text == "Second.")
    in_force_after(facts, heard, 0.15)
    assert facts.one(FaultDue)[1].after_s == 0.15


async def test_on_an_event_of_one_connection(bench: Bench) -> None:
    facts = await bench.play(
        "story:\n  - say: First.\n  - do: {server: abort}\n  - until: {recovered: {within: 5s}}\n  - say: Second.\n"
        "timeline: [{when: {event: turn_complete, connection: 2}, do: {server: update}}]\n"
    )
    at, _ = facts.one(FaultInForce, lambda fault: fault.act == "server.update")
    turn, _ = facts.of(server.FrameSent, lambda frame: frame.connection == 2 and "turn_complete" in frame.parts)[0]
    assert turn.n < at.n
    in_force_after(facts, turn, 0.0)


async def test_on_every_event(bench: Bench) -> None:
    facts = await bench.play(
        THREE + "timeline: [{when: {event: turn_complete, nth: 2, every: true}, do: {server: update}}]\n"
    )
    turns = facts.frames("turn_complete")
    assert len(facts.of(FaultInForce)) == len(turns) - 1
    for turn in turns[1:]:
        in_force_after(facts, turn, 0.0)


async def test_at_a_time_after_the_first_session_began(bench: Bench) -> None:
    facts = await bench.play("story: [wait: 400ms]\ntimeline: [{when: 250ms, do: {server: update}}]\n")
    in_force_after(facts, facts.one(server.SessionStarted)[0], 0.25)


@pytest.mark.parametrize("edge", ["before", "after"])
async def test_a_frame_is_held_until_the_fault_is_in_force(bench: Bench, edge: str) -> None:
    facts = await bench.play(
        "story:\n  - say: First.\n  - wait: 200ms\ntimeline: [{when: {event: turn_complete, edge: "
        + edge
        + "}, do: {network: slow, latency: 50ms, for: 100ms}}]\n"
    )
    at, _ = facts.one(FaultInForce)
    turn = facts.frames("turn_complete")[0]
    assert (at.n < turn.n) == (edge == "before")
    assert facts.journal.entries[-1].event == RunEnded("played", "")


async def test_a_held_frame_is_lost_with_the_link_that_the_fault_cuts(bench: Bench) -> None:
    facts = await bench.play(
        "story:\n  - say: First.\ntimeline: [{when: {event: turn_complete, edge: before}, do: {network: cut}}]\n"
    )
    at, _ = facts.one(FaultInForce)
    on_first = facts.of(server.FrameSent, lambda frame: frame.connection == 1 and "turn_complete" in frame.parts)
    assert on_first == [] or on_first[0][0].n > at.n
    assert len(facts.of(server.SessionStarted)) == 2


async def test_while_the_user_speaks(bench: Bench) -> None:
    facts = await bench.play(
        "story:\n  - speak: 300ms\n    meanwhile: {at: {speech: 200ms}, do: {network: stall, for: 100ms}}\n",
        can=["text", "audio"],
    )
    began, ended, _ = facts.step(1)
    in_force_after(facts, began, 0.2)
    assert facts.one(FaultLifted)[0].n < ended.n
    assert any(frame.speech for _, frame in facts.of(server.FrameReceived))


async def test_while_the_model_answers(bench: Bench) -> None:
    facts = await bench.play(
        "story:\n  - say: First.\n    meanwhile: {at: {reply: 150ms}, do: {server: interrupt}}\n",
        session=QUICK.replace("reply_audio: 100ms, audio_pace: 0", "reply_audio: 600ms, audio_pace: 1"),
    )
    answered, _ = facts.of(server.TurnAnswered)[0]
    in_force_after(facts, answered, 0.15)
    assert facts.of(server.TurnEnded)[0][1].outcome == "interrupted"


async def test_on_an_event_of_a_step_and_on_two_at_once(bench: Bench) -> None:
    facts = await bench.play(
        "story:\n  - say: First.\n  - say: Second.\n    meanwhile:\n"
        "      - {at: {event: audio, nth: 2, edge: before}, do: {server: update}}\n"
        "      - {at: {event: turn_complete, after: 50ms}, do: {server: update}}\n"
        "  - wait: 100ms\n",
        session=QUICK.replace("reply_audio: 100ms", "reply_audio: 400ms"),
    )
    began, _, _ = facts.step(2)
    (first, _), (second, _) = facts.of(FaultInForce)
    assert began.n < first.n < [audio for audio in facts.frames("audio") if audio.n > began.n][1].n
    in_force_after(facts, next(turn for turn in facts.frames("turn_complete") if turn.n > began.n), 0.05)
    assert second.n > first.n


async def test_what_never_came_due_is_noted_and_does_not_come_later(bench: Bench) -> None:
    facts = await bench.play(
        "story:\n  - say: First.\n    meanwhile: {at: {event: go_away}, do: {network: cut}}\n"
        "    # the step is over before this:\n"
        "  - wait: 10ms\n    meanwhile: {at: 5s, do: {network: cut}}\n"
        "timeline: [{when: {event: connection_ended, every: true}, do: {server: abort}}]\n"
    )
    assert facts.of(FaultDue) == []  # nor by the client's own end, when the story is over
    notes = [note.text for _, note in facts.of(Note)]
    assert sum(note.startswith("network.cut never came due") for note in notes) == 2
    assert "a fault never came due: no connection_ended came for it" in notes


# --- how long it lasts -----------------------------------------------------------------------------------------------


async def test_a_fault_lasts_as_long_as_it_says(bench: Bench) -> None:
    facts = await bench.play(
        "story:\n  - say: First.\n  - do: {network: blackhole, for: 300ms}\n  - until: {recovered: {within: 5s}}\n"
        "  - do: {network: refuse, for: 200ms}\n  - until: {recovered: {within: 5s}}\n"
    )
    for act, for_s in (("network.blackhole", 0.3), ("network.refuse", 0.2)):
        began, _ = facts.one(FaultInForce, lambda fault, act=act: fault.act == act)  # type: ignore[misc]
        lifted, fault = facts.one(FaultLifted, lambda fault, act=act: fault.act == act)  # type: ignore[misc]
        assert -0.001 <= lifted.t - began.t - for_s <= fault.lag_ms / 1000 + SLACK_S
    assert facts.step(5)[2] == "done"


async def test_what_is_in_force_at_the_end_is_lifted(bench: Bench) -> None:
    facts = await bench.play("story:\n  - say: First.\n  - do: {server: slow_pong, delay: 1s, for: 60s}\n")
    assert facts.one(FaultLifted)[1].act == "server.slow_pong"
    assert facts.journal.entries[-1].event == RunEnded("played", "")


# --- the program -----------------------------------------------------------------------------------------------------


async def test_a_suspended_client_does_nothing_until_it_goes_on(bench: Bench) -> None:
    facts = await bench.play("story:\n  - say: First.\n  - do: {client: suspend, for: 400ms}\n  - say: Second.\n")
    began, _ = facts.one(FaultInForce, lambda fault: fault.act == "client.suspend")
    lifted, _ = facts.one(FaultLifted)
    said, _ = facts.of(ClientCommand, lambda command: command.command.get("text") == "Second.")[0]
    assert began.n < said.n < lifted.n
    assert [at for at, _ in facts.of(server.FrameReceived) if began.t + SLACK_S < at.t < lifted.t] == []
    heard, _ = facts.one(server.TurnHeard, lambda turn: turn.text == "Second.")
    assert heard.n > lifted.n
    assert facts.step(3)[2] == "done"


async def test_a_client_that_is_started_again_goes_on_with_the_story(bench: Bench) -> None:
    facts = await bench.play(
        "story:\n  - say: First.\n"
        "  - wait: 700ms\n    meanwhile: {at: 50ms, do: {client: restart}}\n"
        "  - until: {recovered: {within: 5s}}\n  - say: Second.\n"
    )
    (first, _), (second, _) = facts.of(ClientStarted)
    exited, how = facts.of(ClientExited)[0]
    assert first.n < exited.n < second.n
    assert (how.instance, how.signal, how.asked) == (1, "SIGKILL", True)
    at, fault = facts.one(FaultInForce)
    assert exited.n < at.n < second.n  # it bites when the program is dead, however long a start takes
    assert fault.act == "client.restart"
    began, ended, outcome = facts.step(2)
    assert outcome == "done"
    assert ended.t - began.t >= 0.7  # its end did not end the step
    connects = facts.of(ClientCommand, lambda command: command.command["do"] == "connect")
    assert len(connects) == 2
    _, turn = facts.one(server.TurnHeard, lambda turn: turn.text == "Second.")
    assert turn.connection == 2
    assert [stop.how for _, stop in facts.of(ClientStopping)] == ["asked"]  # at the end alone: LIFE-3 reads it
    assert facts.journal.entries[-1].event == RunEnded("played", "")


async def test_what_is_said_while_it_is_started_again_is_said_afterwards(tmp_path: Path) -> None:
    client, recorder, told = deaf_client(tmp_path)
    await client.start()
    start_again = await client.control(ClientFault(client="restart"))
    assert start_again is not None
    client.command({"do": "say", "text": "During."})
    assert [entry.event.kind for entry in told] == ["client.started", "client.exited"]
    await start_again()
    commands = [entry.event.command for entry in told if isinstance(entry.event, ClientCommand)]
    assert commands == [{"do": "connect"}, {"do": "say", "text": "During."}]
    await client.stop(hurry=True)
    recorder.close()


async def test_a_client_that_cannot_be_started_again_is_a_fault_that_failed(bench: Bench, tmp_path: Path) -> None:
    program = tmp_path / "app"
    program.write_text(f"#!/bin/sh\nexec {' '.join(TALKER)} plain\n")
    program.chmod(0o755)
    bench.progress = lambda text: program.unlink(missing_ok=True) if text.startswith("step 1") else None
    run = bench.planned(f"{QUICK}story:\n  - wait: 10ms\n  - do: {{client: restart}}\n  - wait: 20s\n", [str(program)])
    player = RunPlayer(run.plan, run.client, run.folder, run.run_id, bench.surroundings, bench.progress)
    played = await player.play()
    assert played.outcome == "harness_error"
    assert played.message.startswith("client.restart could not be done: the client's program")
    assert Facts(played.journal).journal.entries[-1].t < 15


async def test_commands_for_a_client_that_does_not_read_are_noted_and_hold_nothing_up(tmp_path: Path) -> None:
    client, recorder, told = deaf_client(tmp_path)
    await client.start()
    for number in range(4000):
        client.command({"do": "say", "text": f"{number} " + "x" * 500})
    began_s = asyncio.get_running_loop().time()
    await client.stop(hurry=False)
    assert asyncio.get_running_loop().time() - began_s < 8
    assert sum(isinstance(entry.event, ClientCommand) for entry in told) == 4000
    lost = [entry.event.text for entry in told if isinstance(entry.event, Note)]
    assert len(lost) > 1000
    assert set(lost) == {"the client does not read its commands: `say` never reached it"}
    assert [entry.event.how for entry in told if isinstance(entry.event, ClientStopping)] == ["asked", "terminated"]
    recorder.close()


def deaf_client(folder: Path) -> tuple[ClientUnderTest, Recorder, list[Entry]]:
    (folder / "client.yaml").write_text(json.dumps({"name": "c", "command": [*CLIENT, "deaf"], "stop_within": "300ms"}))
    (folder / "x.yaml").write_text("scenario: x\ntitle: t\ndo_nothing: pass\nstory: [wait: 1s]\n")
    config = load_client_config(folder / "client.yaml")
    (selected,) = find_scenarios(str(folder / "x.yaml"))
    proxy = BuiltinProxy(seed=1, clock=SystemClock())
    info = ProxyInfo.of(proxy.kind, proxy.version, proxy.abilities)
    plan: Plan = make_plan(selected.scenario, None, 1, config.profile, info, {})
    recorder = Recorder(JournalWriter(folder / "journal.jsonl", SystemClock()))
    situation = Situation()
    told: list[Entry] = []
    recorder.listen(situation.take)
    recorder.listen(told.append)
    client = ClientUnderTest(
        plan,
        config,
        folder=folder,
        scratch=folder,
        run_id="run-deaf",
        environment=lambda: dict(os.environ),
        recorder=recorder,
        situation=situation,
        redactor=Redactor(),
        start_slots=asyncio.Semaphore(1),
        on_broken=lambda why: None,
    )
    return client, recorder, told


# --- parts that fail -------------------------------------------------------------------------------------------------


async def test_a_fault_of_the_server_ends_the_run_at_once(bench: Bench) -> None:
    def break_it(text: str) -> None:
        if text.startswith("step 1"):
            assert bench.player.server.on_error is not None
            bench.player.server.on_error(LookupError("no such thing"))

    bench.progress = break_it
    facts = await bench.play("story:\n  - wait: 60s\n")
    last = facts.journal.entries[-1]
    assert last.event == RunEnded("harness_error", "the fake server failed: LookupError: no such thing")
    assert last.t < 15
    assert facts.of(ClientExited)[0][1].asked


async def test_a_mistake_of_ours_in_the_story_is_an_error_of_the_run(bench: Bench) -> None:
    def break_it(text: str) -> None:
        if text.startswith("step 1"):
            raise LookupError("no such step")

    bench.progress = break_it
    facts = await bench.play("story:\n  - wait: 60s\n")
    assert facts.journal.entries[-1].event == RunEnded("harness_error", "LookupError: no such step")
    assert any("in break_it" in note.text for _, note in facts.of(Note))


async def test_a_fault_that_nobody_awaits_breaks_off_what_is_played(bench: Bench) -> None:
    def stumble() -> None:
        raise OSError(24, "Too many open files")

    told = Told(lambda text: asyncio.get_running_loop().call_soon(stumble) if text.startswith("step 1") else None)
    run = bench.planned(f"{QUICK}story:\n  - wait: 60s\n", [*TALKER, "plain"])
    finished = await play_all([run], {"builtin": bench.surroundings}, unjudged, told, jobs=1)
    assert [one.verdict.exit_code for one in finished] == [0]  # as this test's judge has it
    last = Facts(run.folder / "journal.jsonl").journal.entries[-1]
    assert isinstance(last.event, RunEnded)
    assert last.event.outcome == "harness_error"
    assert "stumble" in last.event.message
    assert last.event.message.endswith("OSError: [Errno 24] Too many open files")
    assert last.t < 15
    assert asyncio.get_running_loop().get_exception_handler() is None


async def test_a_machine_that_can_start_nothing_more_is_not_the_users_mistake(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    facts = await bench.play("story: [wait: 1s]\n")
    assert facts.journal.entries[-1].event == RunEnded(
        "harness_error", "this machine cannot start the client: Too many open files; see `ulimit -a`"
    )


async def test_a_relay_that_cannot_reach_the_server_says_so(bench: Bench) -> None:
    with tempfile.TemporaryDirectory():
        link = await bench.proxy.open_link("live", 9)
        await link.check()
        reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
        assert await reader.read() == b""
        with pytest.raises(ProxyError, match="link `live`: the built-in relay failed: ConnectionRefusedError"):
            await link.check()
        writer.close()
        await link.close()


@pytest.mark.toxiproxy
async def test_a_proxy_that_somebody_removed_is_noticed(tmp_path: Path) -> None:
    program = toxiproxy_program()
    proxy, _ = await open_proxy("toxiproxy", seed=1, clock=SystemClock(), server=str(program))
    assert isinstance(proxy, ToxiproxyProxy)
    link = await proxy.open_link("live", 9)
    await link.apply(Fault(FaultKind.REFUSE))
    await link.check()  # refused is as asked for
    (name,) = (await asyncio.to_thread(requests.get, f"{proxy.server_url}/proxies", timeout=5)).json()
    await asyncio.to_thread(requests.delete, f"{proxy.server_url}/proxies/{name}", timeout=5)
    with pytest.raises(ProxyError, match=f"looking at proxy '{name}': .*not found"):
        await link.check()
    await proxy.close()


class Told:
    """Hears how the runs go."""

    def __init__(self, on_event: Callable[[str], object] = lambda text: None) -> None:
        self.verdicts: dict[str, Verdict] = {}
        self.on_event = on_event

    def run_started(self, label: str) -> None:
        """Nothing to do."""

    def run_event(self, label: str, text: str) -> None:
        self.on_event(text)

    def run_finished(self, label: str, verdict: Verdict, folder: Path) -> None:
        self.verdicts[label] = verdict


def unjudged(run: PlannedRun, played: Played) -> Verdict:
    return Verdict("x", None, "c", 1, RunStatus.PASS, ExitCode.PASSED, 0.0, (), {}, "")


async def test_what_breaks_one_run_leaves_the_others_alone(bench: Bench) -> None:
    command = [*CLIENT, "leaves_with", "0"]
    runs = [bench.planned("story: [wait: 10ms]\n", command, name) for name in ("bad", "full", "good", "late")]
    (bench.folder / "runs").mkdir()
    (bench.folder / "runs" / "late").write_text("a file where the results should be")

    def judge(run: PlannedRun, played: Played) -> Verdict:
        if run.label == "bad":
            raise KeyError("a check that fell over")
        if run.label == "full":
            raise OSError(28, "No space left on device")
        return unjudged(run, played)

    told = Told()
    finished = await play_all(runs, {"builtin": bench.surroundings}, judge, told, jobs=2)
    assert [one.planned.label for one in finished] == ["bad", "full", "good", "late"]
    codes = {one.planned.label: one.verdict.exit_code for one in finished}
    assert codes == {"bad": 3, "full": 3, "good": 0, "late": 3}
    assert {one.planned.label: one.verdict for one in finished} == told.verdicts
    assert told.verdicts["bad"].message.startswith("KeyError: 'a check that fell over' (test_engine.py:")
    assert told.verdicts["full"].message == "its results could not be kept: [Errno 28] No space left on device"
    assert "Not a directory" in told.verdicts["late"].message
