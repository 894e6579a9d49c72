"""The console: plain lines everywhere, a live table on a terminal. Words carry the meaning, colours only repeat it."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from harness.verdict import CheckStatus, ExitCode, RunStatus, Verdict
from reports.text import plural, seconds, visible
from reports.words import blame, broken, exit_word, run_word, scenario_label, unjudged

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.live import Live
    from rich.table import Table

_LIVE_ROWS = 16
"""Runs in the live table; more are counted."""

_STYLES: Mapping[RunStatus, str] = {
    RunStatus.PASS: "bold green",
    RunStatus.FAIL: "bold red",
    RunStatus.INCONCLUSIVE: "bold yellow",
    RunStatus.ERROR: "bold magenta",
    RunStatus.SKIPPED: "dim",
}

_COUNTED: Sequence[tuple[RunStatus, str]] = (
    (RunStatus.PASS, "passed"),
    (RunStatus.FAIL, "failed"),
    (RunStatus.INCONCLUSIVE, "inconclusive"),
    (RunStatus.ERROR, "harness fault"),
    (RunStatus.SKIPPED, "skipped"),
)


class Console:
    """Tells a person how the runs go. It is told; it influences nothing.

    `verbosity`: -1 only what did not pass, 0 a line for each start and end, 1 and more also every step and fault.
    With `json_on_stdout` everything goes to standard error, so that standard output holds the JSON alone.
    A live table is shown only on a terminal that is not in a CI job; `NO_COLOR` and `TERM=dumb` are honoured.
    """

    def __init__(
        self,
        verbosity: int = 0,
        *,
        json_on_stdout: bool = False,
        stream: TextIO | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._verbosity = verbosity
        self._stream = stream if stream is not None else sys.stderr if json_on_stdout else sys.stdout
        surroundings = os.environ if environ is None else environ
        terminal = self._stream.isatty() and surroundings.get("TERM") != "dumb"
        self._colour = terminal and not surroundings.get("NO_COLOR")
        self._lively = terminal and not surroundings.get("CI") and verbosity == 0
        self._rich: RichConsole | None = None
        self._live: Live | None = None
        self._playing: dict[str, str] = {}

    # --- what happens ------------------------------------------------------------------------------------------------

    def note(self, text: str) -> None:
        """A line about the call as a whole, such as which proxy was taken."""
        if self._verbosity >= 0:
            self._line(visible(text, 2000))

    def run_started(self, label: str) -> None:
        """The run is being played from now on."""
        self._playing[label] = "starts"
        if self._lively:
            self._refresh()
        elif self._verbosity >= 0:
            self._line(f"PLAY  {visible(label)}")

    def run_event(self, label: str, text: str) -> None:
        """Something worth a line happened: a step began, a fault is in force."""
        if label in self._playing:
            self._playing[label] = visible(text, 200)
        if self._lively:
            self._refresh()
        elif self._verbosity >= 1:
            self._line(f"      {visible(label)}: {visible(text, 600)}")

    def run_finished(self, label: str, verdict: Verdict, folder: Path) -> None:
        """The run was played and judged; a failure is told in full at once."""
        self._playing.pop(label, None)
        fine = verdict.status in (RunStatus.PASS, RunStatus.SKIPPED)
        if not fine or self._verbosity >= 0:
            word = run_word(verdict).upper()
            told = "" if verdict.status is not RunStatus.PASS else f", {_held(verdict)}"
            if verdict.status is RunStatus.SKIPPED:
                told = f": {visible(verdict.message)}"
            line = f"  {visible(label)}  {seconds(verdict.duration_s)}{told}"
            self._line(line, word=word.ljust(4), style=_STYLES[verdict.status])
        for line in _findings(verdict, verbose=self._verbosity >= 1):
            self._line(f"      {line}")
        if not fine:
            for line in _way_on(verdict, folder):
                self._line(f"      {line}")
        if self._lively:
            self._refresh()

    def summary(self, runs: Sequence[tuple[Verdict, Path]], exit_code: ExitCode, out: Path) -> None:
        """The last lines: what did not pass once more, how many of each, the exit code and what it means."""
        self.close()
        troubled = [run for run in runs if run[0].status not in (RunStatus.PASS, RunStatus.SKIPPED)]
        if len(runs) > 1 and troubled and self._verbosity >= 0:
            self._line("")
            self._line("What did not pass:")
            for verdict, folder in troubled:
                label = f"{visible(verdict.client)}/{visible(scenario_label(verdict))}"
                ids = ", ".join(visible(found.check, 60) for found in broken(verdict))
                word = run_word(verdict).upper().ljust(4)
                self._line(f"  {label}{'  ' + ids if ids else ''}", word=word, style=_STYLES[verdict.status])
                for line in _way_on(verdict, folder):
                    self._line(f"      {line}")
        stopped = [verdict for verdict, _ in runs if verdict.exit_code is ExitCode.INTERRUPTED]
        judged = [verdict.status for verdict, _ in runs if verdict not in stopped]
        counts = [*((judged.count(status), word) for status, word in _COUNTED), (len(stopped), "interrupted")]
        told = ", ".join(f"{count} {word}" for count, word in counts if count)
        if self._verbosity >= 0:
            self._line("")
            self._line(f"results {_path(out / 'index.html')}")
        self._line(
            f"{plural(len(runs), 'run')}{': ' + told if told else ''}. "
            f"Exit code {int(exit_code)}: {exit_word(exit_code)}."
        )

    def close(self) -> None:
        """Take the live table away. Safe to call twice; called by `summary`, and at the program's end."""
        if self._live is not None:
            self._live.stop()
            self._live = None
            atexit.unregister(self.close)

    # --- how it is shown ---------------------------------------------------------------------------------------------

    def _line(self, text: str, *, word: str = "", style: str = "") -> None:
        if not (self._colour or self._live):
            try:
                self._stream.write(f"{word}{text}\n")
                self._stream.flush()
            except BrokenPipeError:  # whoever read it has left (`harness run | head`): the runs go on, and are judged
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            return
        from rich.text import Text

        # Text objects are never read as markup, so nothing that a client wrote can act on the terminal.
        self._screen().print(Text(word, style=style).append(text, style="not bold"), soft_wrap=True)

    def _screen(self) -> RichConsole:
        if self._rich is None:
            # 90 ms to import, and a CI job never needs it.
            from rich.console import Console as RichConsole

            self._rich = RichConsole(file=self._stream, highlight=False, markup=False, no_color=not self._colour)
        return self._rich

    def _refresh(self) -> None:
        if not self._playing:
            self.close()
            return
        if self._live is None:
            from rich.live import Live

            self._live = Live(self._table(), console=self._screen(), auto_refresh=False, transient=True)
            atexit.register(self.close)
            self._live.start()
        self._live.update(self._table(), refresh=True)

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, title=None)
        table.add_column("playing", no_wrap=True)
        table.add_column("now", no_wrap=True, overflow="ellipsis")
        for label, now in list(self._playing.items())[:_LIVE_ROWS]:
            table.add_row(Text(visible(label)), Text(now))
        if len(self._playing) > _LIVE_ROWS:
            table.add_row(Text(f"and {len(self._playing) - _LIVE_ROWS} more"), Text(""))
        return table


def _held(verdict: Verdict) -> str:
    held = sum(found.status is CheckStatus.PASS for found in verdict.checks)
    warned = sum(found.status is CheckStatus.WARN for found in verdict.checks)
    return plural(held, "check holds", "checks hold") + (f", {warned} warned of" if warned else "")


def _findings(verdict: Verdict, *, verbose: bool) -> Iterator[str]:
    """What broke, a line each; with `verbose` also what was warned of, waived or not judged."""
    for found in broken(verdict):
        yield f"{visible(found.check, 60)} {visible(found.summary, 600)}"
    if verdict.status not in (RunStatus.PASS, RunStatus.SKIPPED):
        fault = blame(verdict)
        yield f"whose fault: {visible(fault.who)}. {visible(fault.because, 600)}"
    if verdict.status is RunStatus.INCONCLUSIVE or verbose:
        for found in unjudged(verdict):
            yield f"unknown: {visible(found.check, 60)} {visible(found.summary, 600)}"
    if verbose:
        for found in verdict.checks:
            if found.status is CheckStatus.WARN:
                yield f"warns: {visible(found.check, 60)} {visible(found.summary, 600)}"
            if found.status is CheckStatus.FAIL and found.check in verdict.waived:
                yield f"waived: {visible(found.check, 60)} {visible(verdict.waived[found.check], 600)}"


def _way_on(verdict: Verdict, folder: Path) -> Iterator[str]:
    yield f"report {_path(folder / 'report.html')}"
    if verdict.reproduce:
        yield f"repeat {visible(verdict.reproduce, 4000)}"


def _path(path: Path) -> str:
    return visible(str(path), 4000)
