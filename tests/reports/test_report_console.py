"""The console: what a person reads in a CI job and on a terminal."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from harness.verdict import ExitCode, RunStatus
from reports.console import Console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def play(console: Console, sample: ModuleType) -> None:
    _, bad = sample.tunnel()
    _, good = sample.passed()
    dead = sample.make_verdict(RunStatus.ERROR, ExitCode.HARNESS_FAULT, message=sample.HOSTILE)
    skipped = sample.make_verdict(RunStatus.SKIPPED, ExitCode.NOTHING_JUDGED, message="needs audio")
    out = Path("results")
    console.note("proxy: toxiproxy 2.12.0, found on PATH")
    runs = []
    for label, verdict in (("tunnel~dies", bad), ("hang_up", good), ("dead", dead), ("audio", skipped)):
        console.run_started(label)
        console.run_event(label, f"network.blackhole in force {sample.HOSTILE}")
        console.run_finished(label, verdict, out / verdict.client / label)
        runs.append((verdict, out / verdict.client / label))
    console.summary(runs, ExitCode.HARNESS_FAULT, out)


def test_plain_lines(sample: ModuleType, golden: Callable[[str, str], None]) -> None:
    for name, verbosity in (("quiet", -1), ("normal", 0), ("verbose", 1)):
        stream = io.StringIO()
        play(Console(verbosity, stream=stream, environ={}), sample)
        golden(f"console-{name}.txt", stream.getvalue())
        assert "\x1b" not in stream.getvalue()
        assert "AUTH-1 dialled again with token-1" in stream.getvalue()
        assert "report results/naive/tunnel~dies/report.html" in stream.getvalue()
        assert "repeat harness run scenarios/tunnel.yaml" in stream.getvalue()
        assert stream.getvalue().endswith("Exit code 3: fault in the harness, the proxy or the fake server.\n")


def test_a_terminal_shows_what_plays_now(sample: ModuleType) -> None:
    stream = Terminal()
    play(Console(0, stream=stream, environ={"TERM": "xterm"}), sample)
    shown = stream.getvalue()
    assert "\x1b[?25l" in shown, "the live table hides the cursor"
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "and gives it back"
    assert "network.blackhole in force" in shown
    assert "AUTH-1 dialled again with token-1" in shown
    assert "\\x1b[31m" in shown
    assert "\u202e" not in shown


def test_no_colour_where_none_is_wanted(sample: ModuleType) -> None:
    for environ in ({"NO_COLOR": "1", "CI": "true", "TERM": "xterm"}, {"TERM": "dumb"}):
        stream = Terminal()
        play(Console(0, stream=stream, environ=environ), sample)
        assert "\x1b" not in stream.getvalue()
    lively = Terminal()
    play(Console(0, stream=lively, environ={"NO_COLOR": "1", "TERM": "xterm"}), sample)
    assert "\x1b[31" not in lively.getvalue()
    assert "\x1b[1;3" not in lively.getvalue()


def test_json_has_standard_output_to_itself(sample: ModuleType, capsys: object) -> None:
    play(Console(0, json_on_stdout=True, environ={}), sample)
    captured = capsys.readouterr()  # type: ignore[attr-defined]
    assert captured.out == ""
    assert "PASSED  hang_up" in captured.err
