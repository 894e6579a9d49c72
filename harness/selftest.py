"""What the self-test expects of each of our own clients, and what came instead. Pure: verdicts in, a matrix out.

Every check is proved twice: the reference client passes it, and the broken client that is made for it fails it, and
nothing else that its one wrong decision does not bring with it. The client that does nothing gets in each scenario the
verdict that the scenario states.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.clients.catalogue import DO_NOTHING_MODULE, REFERENCE_MODULE, BrokenClient
from harness.verdict import CheckStatus, ExitCode, Finding, Level, RunStatus, Verdict


class Role(StrEnum):
    """What a client is for."""

    REFERENCE = "reference"
    DO_NOTHING = "do-nothing"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Player:
    """One of our own clients."""

    name: str
    """Of its folder in the results; nothing judges by it."""
    module: str
    """Run as `python -m MODULE`."""
    role: Role
    check: str | None = None
    """Of a broken client: the check that it is made to fail."""
    allowed: frozenset[str] = frozenset()
    """Of a broken client: every check that it may fail, `check` among them."""

    @classmethod
    def broken(cls, client: BrokenClient) -> Player:
        """The player of an entry of the catalogue."""
        return cls(f"broken-{client.check.lower()}", client.module, Role.BROKEN, client.check, client.allowed)


REFERENCE = Player("reference", REFERENCE_MODULE, Role.REFERENCE)
DO_NOTHING = Player("do-nothing", DO_NOTHING_MODULE, Role.DO_NOTHING)


@dataclass(frozen=True, slots=True)
class Expected:
    """One run of the self-test."""

    player: Player
    scenario: str
    """`tunnel~dies`."""
    do_nothing: str = ""
    """For the client that does nothing: `pass` or `fail`, as the scenario states."""

    @property
    def label(self) -> str:
        """`broken-resume-2/drop_idle`: unique in the self-test."""
        return f"{self.player.name}/{self.scenario}"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Something that is not as the catalogue says."""

    label: str
    """The run (`Expected.label`); empty when it concerns a check as a whole."""
    told: str
    """One sentence with the facts in it, without a full stop."""
    fault: bool = False
    """True: a fault of the harness, so that the run says nothing about the client."""


@dataclass(frozen=True, slots=True)
class Row:
    """One check in the matrix."""

    check: str
    level: Level
    broken_client: str | None
    """Name of the client that is made for it; None: there is none."""
    tripped_in: tuple[str, ...]
    """Scenarios in which that client fails it."""
    not_tripped_in: tuple[str, ...]
    """Scenarios in which it should, and does not."""
    not_played_in: tuple[str, ...]
    """Scenarios in which it should, and that could not be played or were a fault of the harness."""
    reference_holds: int
    """Runs of the reference client in which it holds."""
    reference_breaks: int
    """Runs of the reference client that fail it or are warned of it."""
    reference_unknown: int
    reference_not_applicable: int

    @property
    def played(self) -> bool:
        """True when the broken client was judged anywhere."""
        return bool(self.tripped_in or self.not_tripped_in)


@dataclass(frozen=True, slots=True)
class Matrix:
    """What the self-test came to."""

    rows: tuple[Row, ...]
    """A check each, in the catalogue's order."""
    mismatches: tuple[Mismatch, ...]
    not_played: tuple[tuple[str, str], ...]
    """Runs that this machine or this call cannot play (`Expected.label`), each with the reason."""
    played: int
    """Runs that were judged."""

    @property
    def exit_code(self) -> ExitCode:
        """0 all is as the catalogue says, 1 something is not, 3 a fault of the harness, 5 nothing was played."""
        if any(mismatch.fault for mismatch in self.mismatches):
            return ExitCode.HARNESS_FAULT
        if self.mismatches:
            return ExitCode.FAILED
        return ExitCode.PASSED if self.played else ExitCode.NOTHING_JUDGED


def expected_runs(
    do_nothing: Mapping[str, str], broken: Iterable[BrokenClient], only: Collection[str] | None = None
) -> list[Expected]:
    """The runs of the self-test.

    `do_nothing` holds every built-in scenario (`tunnel~dies`) with the verdict that it states for the client that does
    nothing. `only`: ids of checks; then their broken clients are played, and the reference client where they are.
    """
    chosen = [client for client in broken if only is None or client.check in only]
    wanted = {scenario for client in chosen for scenario in client.scenarios}
    runs = [Expected(REFERENCE, scenario) for scenario in do_nothing if only is None or scenario in wanted]
    if only is None:
        runs += [Expected(DO_NOTHING, scenario, verdict) for scenario, verdict in do_nothing.items()]
    for client in chosen:
        player = Player.broken(client)
        runs += [Expected(player, scenario) for scenario in client.scenarios]
    return runs


def compare(
    expected: Sequence[Expected],
    verdicts: Mapping[str, Verdict],
    levels: Mapping[str, Level],
    only: Collection[str] | None = None,
) -> Matrix:
    """Hold the verdicts (by `Expected.label`) against what was expected.

    `levels`: every check of the catalogue, in order. `only`: ids of the checks that the matrix is to show; None: all.
    A run without a verdict is a mismatch.
    """
    found: list[Mismatch] = []
    not_played: list[tuple[str, str]] = []
    played = 0
    for run in expected:
        verdict = verdicts.get(run.label)
        if verdict is None:
            found.append(Mismatch(run.label, "it was not judged"))
        elif verdict.status is RunStatus.SKIPPED:
            not_played.append((run.label, verdict.message))
        else:
            played += 1
            found += mismatches(run, verdict)
    shown = [check for check in levels if only is None or check in only]
    rows = [_row(check, levels[check], expected, verdicts) for check in shown]
    for row in rows:
        found += [Mismatch("", told) for told in _unproved(row, whole=only is None)]
    return Matrix(tuple(rows), tuple(found), tuple(not_played), played)


def mismatches(run: Expected, verdict: Verdict) -> list[Mismatch]:
    """What of one run is not as it should be. A skipped run shows nothing, so there is nothing."""
    if verdict.status is RunStatus.SKIPPED:
        return []
    if verdict.status is RunStatus.ERROR:
        ours = [finding.summary for finding in verdict.checks if _breaks(finding) and finding.level is Level.SELF]
        why = verdict.message or "; ".join(ours) or "no reason was left"
        return [Mismatch(run.label, f"fault of the harness: {why}", fault=True)]
    match run.player.role:
        case Role.REFERENCE:
            told = list(_of_reference(verdict))
        case Role.DO_NOTHING:
            told = list(_of_do_nothing(run, verdict))
        case Role.BROKEN:
            told = list(_of_broken(run, verdict))
    return [Mismatch(run.label, one) for one in told]


def _of_reference(verdict: Verdict) -> Iterator[str]:
    silent = True
    for finding in verdict.checks:
        if _breaks(finding):
            silent = False
            yield f"{finding.check} {_BREAKS[finding.status]}: {finding.summary}"
        elif finding.status is CheckStatus.UNKNOWN and finding.level in (Level.MUST, Level.SELF):
            silent = False
            yield f"{finding.check} is unknown: {finding.summary}"
    if silent and verdict.status is not RunStatus.PASS:
        yield f"the run came out as {verdict.status}: {verdict.message or 'no reason was left'}"


def _of_do_nothing(run: Expected, verdict: Verdict) -> Iterator[str]:
    if verdict.status == run.do_nothing:
        return
    telling = {RunStatus.FAIL: CheckStatus.FAIL, RunStatus.INCONCLUSIVE: CheckStatus.UNKNOWN}.get(verdict.status)
    reasons = [f"{one.check} ({one.summary})" for one in verdict.checks if one.status is telling]
    why = "; ".join(reasons) or verdict.message or "no check fails"
    yield f"the scenario says `do_nothing: {run.do_nothing}`, and the run came out as {verdict.status}: {why}"


def _of_broken(run: Expected, verdict: Verdict) -> Iterator[str]:
    made_for = next((one for one in verdict.checks if one.check == run.player.check), None)
    if made_for is None:
        yield f"{run.player.check} was not judged"
    elif not _trips(made_for):
        yield f"{made_for.check} should fail and {_STATES[made_for.status]}: {made_for.summary}"
    for finding in verdict.checks:
        if _breaks(finding) and finding.check not in run.player.allowed:
            yield f"{finding.check} {_BREAKS[finding.status]}, too, which this client may not break: {finding.summary}"


_BREAKS = {CheckStatus.FAIL: "fails", CheckStatus.WARN: "warns"}
_STATES = {
    CheckStatus.PASS: "holds",
    CheckStatus.FAIL: "fails",
    CheckStatus.WARN: "only warns",
    CheckStatus.UNKNOWN: "is unknown",
    CheckStatus.NOT_APPLICABLE: "never arose",
}


def _breaks(finding: Finding) -> bool:
    return finding.status in _BREAKS


def _trips(finding: Finding) -> bool:
    """True when a check does to a client all that its level lets it do."""
    return finding.status is (CheckStatus.FAIL if finding.level in (Level.MUST, Level.SELF) else CheckStatus.WARN)


def _row(check: str, level: Level, expected: Iterable[Expected], verdicts: Mapping[str, Verdict]) -> Row:
    name: str | None = None
    tripped: list[str] = []
    not_tripped: list[str] = []
    not_played: list[str] = []
    counts = dict.fromkeys(CheckStatus, 0)
    for run in expected:
        verdict = verdicts.get(run.label)
        finding = _finding(verdict, check)
        if run.player.check == check:
            name = run.player.name
            place = not_played if not _counts(verdict) else tripped if finding and _trips(finding) else not_tripped
            place.append(run.scenario)
        if run.player.role is Role.REFERENCE and finding is not None:
            counts[finding.status] += 1
    return Row(
        check,
        level,
        name,
        tuple(tripped),
        tuple(not_tripped),
        tuple(not_played),
        reference_holds=counts[CheckStatus.PASS],
        reference_breaks=counts[CheckStatus.FAIL] + counts[CheckStatus.WARN],
        reference_unknown=counts[CheckStatus.UNKNOWN],
        reference_not_applicable=counts[CheckStatus.NOT_APPLICABLE],
    )


def _unproved(row: Row, *, whole: bool) -> Iterator[str]:
    """What keeps a check from being proved although no run is wrong; `whole`: every built-in scenario was played."""
    if row.broken_client is None:
        if row.level is not Level.SELF:
            yield f"{row.check}: no broken client is made for it"
    elif not row.played:
        yield f"{row.check}: not proved, since none of the runs of its broken client could be played"
    if whole and not row.reference_holds + row.reference_breaks + row.reference_unknown:
        yield f"{row.check}: not proved, since in no run of the reference client it came to it"


def _counts(verdict: Verdict | None) -> bool:
    """True for a run that was played and is no fault of ours: the others say nothing about the client."""
    return verdict is not None and verdict.status not in (RunStatus.SKIPPED, RunStatus.ERROR)


def _finding(verdict: Verdict | None, check: str) -> Finding | None:
    """What one check found in a run that counts; None: nothing."""
    if verdict is None or not _counts(verdict):
        return None
    return next((one for one in verdict.checks if one.check == check), None)
