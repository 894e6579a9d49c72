"""Writing and reading journals: nothing of a fact is lost or changed, and nothing on disk can make reading fail."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import subprocess
import sys
import time
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fake_server.clock import SteppingClock, SystemClock
from fake_server.events import (
    Credential,
    FrameReceived,
    FrameSent,
    SpeechRange,
    TokenMinted,
    UpgradeAnswered,
    UpgradeReceived,
)
from harness.journal.events import (
    ClientOutput,
    Entry,
    Event,
    FaultInForce,
    HarnessLag,
    Note,
    RunEnded,
    RunPlanned,
    UnknownEvent,
)
from harness.journal.reader import UNREADABLE, parse_journal, read_journal
from harness.journal.registry import KINDS, decode_event, encode_lines
from harness.journal.writer import JournalError, JournalWriter

# --- every event class round-trips -----------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
WHOLE = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | WHOLE | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=4)


def of_type(hint: Any) -> st.SearchStrategy[Any]:
    origin, members = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*[of_type(member) for member in members if member is not orjson.Fragment])
    if origin is tuple:
        return st.lists(of_type(members[0]), max_size=3).map(tuple)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return OBJECTS
    if dataclasses.is_dataclass(hint):
        return of_class(typing.cast(type, hint))
    return {int: WHOLE, str: TEXT, bool: st.booleans(), float: FLOATS, type(None): st.none()}[hint]


def of_class(cls: type) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(cls)
    return st.builds(cls, **{field.name: of_type(hints[field.name]) for field in dataclasses.fields(cls)})


ALL_CLASSES = typing.get_args(Event)


@pytest.mark.parametrize("cls", ALL_CLASSES, ids=lambda cls: cls.__name__)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_event_class_round_trips(cls: type, data: st.DataObject) -> None:
    event = data.draw(of_class(cls))
    line = encode_lines([Entry(1, 0.5, event)])
    assert line.count(b"\n") == 1
    back = decode_event(orjson.loads(line))
    assert back == event
    assert type(back) is cls


def test_every_class_of_both_modules_is_registered_once() -> None:
    assert len(KINDS) == len(ALL_CLASSES)
    assert {"frame.sent", "run.planned", "client.event", "connection.ended"} <= set(KINDS)
    for cls in ALL_CLASSES:
        assert not {"n", "t", "kind"} & {field.name for field in dataclasses.fields(cls)}


def frame(payload: Any) -> FrameSent:
    return FrameSent(1, 7, "server_content", ("audio",), 512, payload, None, False)


def line_of(event: Event) -> dict[str, Any]:
    return typing.cast("dict[str, Any]", orjson.loads(encode_lines([Entry(1, 0.5, event)])))


def test_a_frames_own_bytes_are_spliced_in_on_one_line() -> None:
    spliced = frame(orjson.Fragment(b'{\n  "serverContent": {\r\n    "x": "a\\nb"}\n}\n'))
    lines = encode_lines([Entry(1, 0.5, Note("before")), Entry(2, 0.5, spliced), Entry(3, 0.5, Note("after"))])
    assert b"\r" not in lines
    before, line, after = lines.splitlines()
    assert orjson.loads(line)["payload"] == {"serverContent": {"x": "a\nb"}}
    assert (orjson.loads(before)["text"], orjson.loads(after)["text"]) == ("before", "after")


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "payload",
    [
        {"big": 2**80},
        nested(400),
        nested(5000),
        {1: "one"},
        {"lone": "\ud800"},
        {"nan": float("nan")},
        {"obj": object()},
    ],
    ids=["big integer", "deep", "far too deep", "integer key", "lone surrogate", "nan", "no JSON"],
)
def test_what_orjson_refuses_is_still_written_as_a_fact_of_its_kind(payload: Any) -> None:
    back = decode_event(line_of(frame(payload)))
    assert isinstance(back, FrameSent)
    assert (back.connection, back.index, back.size_bytes) == (1, 7, 512)
    assert isinstance(back.payload, dict)


# --- reading is tolerant ---------------------------------------------------------------------------------------------

CREDENTIALS = UpgradeReceived(1, 2, "live", "v1beta", "plain", (Credential("key", "query.key", "key-1"),))
HEARD = FrameReceived(1, 2, "realtime_input", ("audio",), 9, {"a": [1, None]}, (), (SpeechRange(1, 0, 160),), 3)


def test_unknown_fields_are_left_out_also_in_nested_objects() -> None:
    line = line_of(CREDENTIALS) | {"weather": "fine"}
    line["credentials"][0]["colour"] = "red"
    assert decode_event(line) == CREDENTIALS


@pytest.mark.parametrize("kind", ["from.the.future", None, 7])
def test_an_unknown_kind_is_kept_as_it_is(kind: object) -> None:
    assert decode_event({"n": 3, "t": 1.5, "kind": kind, "x": 1}) == UnknownEvent(
        kind if kind == str(kind) else "", {"x": 1}
    )


def test_a_journal_from_before_a_field_was_added_is_read_with_its_default() -> None:
    answered = UpgradeAnswered(1, 503, "http_503", True, 2.5)
    line = line_of(answered)
    assert decode_event(line) == answered
    del line["retry_after_s"]
    assert decode_event(line) == UpgradeAnswered(1, 503, "http_503", True, None)


def test_a_missing_field_or_a_wrong_type_is_never_guessed() -> None:
    broken: list[dict[str, Any]] = [
        {"connection": "1"},
        {"connection": True},
        {"speech": [1]},
        {"speech": {}},
        {"payload": 4},
    ]
    for break_it in broken:
        event = decode_event(line_of(HEARD) | break_it)
        assert isinstance(event, UnknownEvent), break_it
        assert event.original_kind == "frame.received"
    short = line_of(HEARD)
    del short["size_bytes"]
    assert isinstance(decode_event(short), UnknownEvent)


def test_whole_numbers_are_read_as_the_floats_that_they_are() -> None:
    line = {"kind": "harness.lag", "lag_ms": 20}
    assert decode_event(line) == HarnessLag(20.0)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 400), junk=st.binary(max_size=60), at=st.integers(0, 5))
def test_nothing_on_disk_makes_reading_fail(cut: int, junk: bytes, at: int) -> None:
    events: list[Event] = [Note("one"), CREDENTIALS, HEARD, RunEnded("played", "")]
    lines = [encode_lines([Entry(i, i + 0.5, event)])[:-1] for i, event in enumerate(events, 1)]
    lines.insert(at, junk)
    content = b"\n".join(lines) + b"\n"
    journal = parse_journal(content[:cut] if cut < 400 else content)
    assert [entry.n for entry in journal.entries] == sorted({entry.n for entry in journal.entries})


def test_a_cut_last_line_is_left_out_and_the_journal_is_not_whole() -> None:
    lines = b'{"n":1,"t":0.5,"kind":"note","text":"a"}\n'
    lines += b'{"n":2,"t":1.0,"kind":"run.ended","outcome":"played","message":""}\n'
    assert parse_journal(lines).whole
    assert parse_journal(lines[:-1]).whole  # only the line break is missing
    cut = parse_journal(lines[:-5])
    assert not cut.whole
    assert [entry.event for entry in cut.entries] == [Note("a")]
    assert parse_journal(b"") == parse_journal(b"\n")
    assert not parse_journal(b"").whole


def test_a_damaged_line_in_the_middle_keeps_its_place() -> None:
    journal = parse_journal(
        b'{"n":1,"t":0.5,"kind":"note","text":"a"}\n\xff{oops\n{"n":3,"t":1,"kind":"note","text":"b"}\n'
    )
    assert [(entry.n, entry.t) for entry in journal.entries] == [(1, 0.5), (2, 0.5), (3, 1.0)]
    damaged = journal.entries[1].event
    assert isinstance(damaged, UnknownEvent)
    assert damaged.original_kind == UNREADABLE


def test_a_missing_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_journal(tmp_path / "journal.jsonl")


def test_a_hundred_thousand_lines_are_read_in_a_moment() -> None:
    event = frame({"serverContent": {"modelTurn": {"bytes": 4800, "digest": "a1b2c3d4"}}})
    content = encode_lines(Entry(n, n + 0.25, event) for n in range(1, 100_001))
    started_s = time.process_time()
    journal = parse_journal(content)
    assert time.process_time() - started_s < 3.0  # 0.7 s measured; the bound allows for a busy machine
    assert len(journal.entries) == 100_000


# --- writing ---------------------------------------------------------------------------------------------------------


def test_entries_are_numbered_and_stamped_and_read_back_equal(tmp_path: Path) -> None:
    clock = SteppingClock(start_s=1000.0)
    writer = JournalWriter(tmp_path / "journal.jsonl", clock, None)
    written = []
    for event in (RunPlanned({"scenario": "tunnel"}), CREDENTIALS, HEARD, RunEnded("played", "")):
        written.append(writer.append(event))
        clock.advance(1.1234567)
    writer.close()
    writer.close()
    assert [(entry.n, entry.t) for entry in written] == [(1, 0.0), (2, 1.123457), (3, 2.246913), (4, 3.37037)]
    text = (tmp_path / "journal.jsonl").read_text()
    assert text.startswith('{"n":1,"t":0.000000,"kind":"run.planned","plan":{"scenario":"tunnel"}}\n')
    assert '"t":3.370370,' in text
    journal = read_journal(tmp_path / "journal.jsonl")
    assert journal.entries == tuple(written)
    assert journal.whole
    assert writer.failed is None


async def test_lines_reach_the_disk_without_anybody_asking(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    writer = JournalWriter(path, SystemClock(), None)
    for number in range(3):
        writer.append(Note(f"note {number}"))
        assert path.read_bytes().count(b"\n") == 2 * number  # nothing is written line by line
        writer.append(Note("more"))
        async with asyncio.timeout(10):
            while path.read_bytes().count(b"\n") < 2 * number + 2:  # noqa: ASYNC110 - a file has no event to wait for
                await asyncio.sleep(0)
    writer.close()


def test_much_at_once_is_not_kept_in_memory(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "journal.jsonl", SteppingClock(), None)
    for _ in range(100):
        writer.append(Note("x" * 10_000))
    assert (tmp_path / "journal.jsonl").stat().st_size > 700_000
    writer.close()


def test_lines_are_redacted_before_they_reach_the_disk(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "journal.jsonl", SteppingClock(), lambda lines: lines.replace(b"hush", b"key-1"))
    writer.append(ClientOutput("stderr", "it is hush, and hush again"))
    writer.append(Note("hush"))
    writer.close()
    assert b"hush" not in (tmp_path / "journal.jsonl").read_bytes()
    journal = read_journal(tmp_path / "journal.jsonl")
    assert [entry.event for entry in journal.entries] == [
        ClientOutput("stderr", "it is key-1, and key-1 again"),
        Note("key-1"),
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_kept_as_a_typed_error_and_does_not_stop_the_run(tmp_path: Path) -> None:
    told: list[JournalError] = []
    writer = JournalWriter(Path("/dev/full"), SteppingClock(), None, told.append)
    writer.append(Note("a"))
    assert not told
    writer.flush()
    assert isinstance(writer.failed, JournalError)
    assert "No space left" in str(writer.failed)
    assert writer.append(Note("b")).n == 2
    writer.close()
    assert told == [writer.failed]


def test_a_full_disk_loses_nothing_of_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.jsonl"
    writer = JournalWriter(path, SteppingClock(), None)
    writer.append(Note("safe"))
    writer.flush()
    real_write, room = os.write, [20]

    def write(fd: int, data: memoryview) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        done = real_write(fd, data[: room[0]])
        room[0] -= done
        return done

    monkeypatch.setattr(os, "write", write)
    writer.append(Note("cut in the middle of its line"))
    writer.close()
    assert writer.failed is not None
    assert [entry.event for entry in read_journal(path).entries] == [Note("safe")]


def test_a_folder_that_is_not_there_and_a_closed_journal_are_typed_errors(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot create"):
        JournalWriter(tmp_path / "nowhere" / "journal.jsonl", SteppingClock(), None)
    writer = JournalWriter(tmp_path / "journal.jsonl", SteppingClock(), None)
    writer.close()
    with pytest.raises(JournalError, match=r"note came after the journal was closed"):
        writer.append(Note("late"))


def test_a_kill_leaves_every_flushed_line_whole(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    program = """
import os, sys
from pathlib import Path
from fake_server.clock import SystemClock
from harness.journal.events import Note
from harness.journal.writer import JournalWriter
writer = JournalWriter(Path(sys.argv[1]), SystemClock(), None)
for number in range(1000):
    writer.append(Note("n" * 100))
writer.flush()
writer.append(Note("not flushed"))
os.kill(os.getpid(), 9)
"""
    ended = subprocess.run([sys.executable, "-c", program, str(path)], check=False, timeout=60)
    assert ended.returncode == -9
    journal = read_journal(path)
    assert len(journal.entries) == 1000
    assert not journal.whole
    assert {entry.event for entry in journal.entries} == {Note("n" * 100)}


@pytest.mark.parametrize(
    "event",
    [
        TokenMinted("token-1", "backend", 1, 60.0, 1800.0),
        FaultInForce(1, "network.stall", "all", "both", "all", 8.0, 1.5),
    ],
)
def test_appending_is_quick(tmp_path: Path, event: Event) -> None:
    writer = JournalWriter(tmp_path / "journal.jsonl", SystemClock(), None)
    started_s = time.process_time()
    for _ in range(20_000):
        writer.append(event)
    spent_us = (time.process_time() - started_s) / 20_000 * 1e6
    writer.close()
    assert spent_us < 25  # 3 measured on an idle machine, disk included
