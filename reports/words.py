"""The words that every report shares: what a status is called, whose fault it is, the story in one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.journal.events import FaultInForce, Journal, RunPlanned
from harness.verdict import CheckStatus, ExitCode, Finding, Level, RunStatus, Verdict
from reports.text import plural, seconds, visible

CHECK_WORDS: Mapping[CheckStatus, str] = {
    CheckStatus.PASS: "holds",
    CheckStatus.FAIL: "FAILS",
    CheckStatus.WARN: "warns",
    CheckStatus.UNKNOWN: "unknown",
    CheckStatus.NOT_APPLICABLE: "not applicable",
}

COUNT_WORDS: Mapping[CheckStatus, str] = {
    CheckStatus.PASS: "hold",
    CheckStatus.FAIL: "failed",
    CheckStatus.WARN: "warned of",
    CheckStatus.UNKNOWN: "unknown",
    CheckStatus.NOT_APPLICABLE: "not applicable",
}

_RUN_WORDS: Mapping[RunStatus, str] = {
    RunStatus.PASS: "Passed",
    RunStatus.FAIL: "Failed",
    RunStatus.INCONCLUSIVE: "Inconclusive",
    RunStatus.ERROR: "Harness fault",
    RunStatus.SKIPPED: "Skipped",
}

_EXIT_WORDS: Mapping[ExitCode, str] = {
    ExitCode.PASSED: "every required check holds",
    ExitCode.FAILED: "a required check failed",
    ExitCode.INCONCLUSIVE: "inconclusive: could not judge",
    ExitCode.HARNESS_FAULT: "fault in the harness, the proxy or the fake server",
    ExitCode.BAD_USAGE: "bad usage or bad scenario",
    ExitCode.NOTHING_JUDGED: "nothing was judged",
    ExitCode.INTERRUPTED: "interrupted",
}

_FAULT_WORDS: Mapping[str, str] = {
    "network.cut": "the link was cut",
    "network.reset": "the link was reset",
    "network.stall": "the link stood still",
    "network.blackhole": "the link went dark",
    "network.refuse": "dials were refused",
    "network.unavailable": "the service was unreachable",
    "network.slow": "the link was slow",
    "network.throttle": "the link was narrow",
    "network.slice": "the bytes came in slices",
    "server.go_away": "the server sent goAway",
    "server.close": "the server closed",
    "server.abort": "the server dropped the link",
    "server.silence": "the server fell silent",
    "server.forget_handle": "the server forgot its handles",
    "server.forget_context": "the server forgot the context",
    "client.suspend": "the client was put to sleep",
    "client.restart": "the client was killed and started again",
}

POLICY_DEFAULTS: Mapping[str, object] = {
    "credential": "token",
    "token_per": "dial",
    "resumption": "handle",
    "refused_handle": {"keep_trying": "4s", "then": "reseed"},
    "handover": "break_first",
    "go_away": "before_deadline",
    "redial": "eager",
    "gives_up": {"after": "60s"},
    "liveness": {"by": "ping", "within": "45s"},
    "speech_path": "exact",
    "gap_speech": "replay",
    "gap_text": "resend",
    "announce_after": "2s",
}
"""The first value of each choice (contract, section 4): what is not this is printed beside the verdict."""

_SEES_DEFAULTS: Mapping[str, object] = {"http_status": True, "close_reason": True}


def run_word(verdict: Verdict) -> str:
    """The badge: one or two words."""
    if verdict.exit_code is ExitCode.INTERRUPTED:
        return "Interrupted"
    if verdict.exit_code is ExitCode.BAD_USAGE:
        return "Bad usage"
    return _RUN_WORDS[verdict.status]


def exit_word(code: ExitCode) -> str:
    """What an exit code means."""
    return _EXIT_WORDS[code]


def scenario_label(verdict: Verdict) -> str:
    """`tunnel~dies`, or `tunnel` where there is no variant."""
    return f"{verdict.scenario}~{verdict.variant}" if verdict.variant else verdict.scenario


def run_label(verdict: Verdict) -> str:
    """`reference/tunnel~dies`."""
    return f"{verdict.client}/{scenario_label(verdict)}"


def broken(verdict: Verdict) -> tuple[Finding, ...]:
    """The findings that fail the run: failures that nothing waives, ours (SELF) first."""
    failed = [
        found for found in verdict.checks if found.status is CheckStatus.FAIL and found.check not in verdict.waived
    ]
    return tuple(sorted(failed, key=lambda found: found.level is not Level.SELF))


def unjudged(verdict: Verdict) -> tuple[Finding, ...]:
    """The findings that could not be judged."""
    return tuple(found for found in verdict.checks if found.status is CheckStatus.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Blame:
    """Whose fault it is."""

    who: str
    """`the client`, `the harness`, `nobody`, `not known`, …"""
    because: str
    """One sentence."""


def blame(verdict: Verdict) -> Blame:
    """Whose fault this run's result is, in words."""
    failed = broken(verdict)
    if verdict.exit_code is ExitCode.INTERRUPTED:
        return Blame("nobody", verdict.message or "The run was interrupted before it could be judged.")
    if verdict.exit_code is ExitCode.BAD_USAGE:
        return Blame("the command or the scenario", verdict.message or "What was asked for could not be played.")
    if verdict.status is RunStatus.ERROR:
        why = verdict.message or "; ".join(found.summary for found in failed) or "no message was left"
        return Blame("the harness", f"Fault in the harness, the proxy or the fake server, not the client's: {why}")
    if verdict.status is RunStatus.FAIL and failed:
        return Blame("the client", f"The client broke {plural(len(failed), 'required rule')}.")
    if verdict.status is RunStatus.FAIL:
        stale = ", ".join(verdict.stale)
        return Blame(
            "the baseline" if stale else "the client",
            f"Listed as known to fail, but holding now: {stale}. Take it off the list." if stale else verdict.message,
        )
    if verdict.status is RunStatus.INCONCLUSIVE:
        why = verdict.message or "; ".join(f"{found.check}: {found.summary}" for found in unjudged(verdict))
        return Blame("not known", f"Could not be judged: {why or 'evidence is missing'}")
    if verdict.status is RunStatus.SKIPPED:
        return Blame("nobody", f"Not played: {verdict.message or 'no reason given'}")
    return Blame("nobody", "Every required check holds.")


def fault_words(act: str) -> str:
    """What a fault did, in a few words; its own name where we have none."""
    return _FAULT_WORDS.get(act, f"{act} came")


def faults_in_words(journal: Journal, most: int = 2) -> str:
    """`the link went dark at 5.02 s for 8 s, then …`; empty when no fault came."""
    faults = [entry for entry in journal.entries if isinstance(entry.event, FaultInForce)]
    told: list[str] = []
    for entry in faults[:most]:
        fault = entry.event
        if isinstance(fault, FaultInForce):
            lasting = f" for {seconds(fault.for_s)}" if fault.for_s else ""
            told.append(f"{fault_words(fault.act)} at {seconds(entry.t)}{lasting}")
    if len(faults) > most:
        told.append(f"{plural(len(faults) - most, 'more fault')} came")
    return ", then ".join(told)


def story(journal: Journal, verdict: Verdict) -> str:
    """The run in one sentence: what was done to the client, and what it did."""
    happened = faults_in_words(journal)
    failed = broken(verdict)
    if failed and verdict.status in (RunStatus.FAIL, RunStatus.ERROR):
        told = _stopless(failed[0].summary) + f" ({failed[0].check})"
        if len(failed) > 1:
            told += f", and {plural(len(failed) - 1, 'more check')} failed"
    elif verdict.status is RunStatus.PASS:
        told = _came_back(verdict)
    elif verdict.status is RunStatus.INCONCLUSIVE:
        told = "the run could not be judged"
        reason = verdict.message or next((found.summary for found in unjudged(verdict)), "")
        told += f": {_stopless(reason)}" if reason else ""
    else:
        told = _stopless(verdict.message) or blame(verdict).because.rstrip(".")
    sentence = f"{happened}; {told}" if happened else told
    return visible(sentence[:1].upper() + sentence[1:] + ".", 600)


def _came_back(verdict: Verdict) -> str:
    held = sum(found.status is CheckStatus.PASS for found in verdict.checks)
    recovery = verdict.metrics.get("recovery_s")
    back = ""
    if isinstance(recovery, Sequence) and not isinstance(recovery, str) and recovery:
        times = [float(value) for value in recovery if isinstance(value, (int, float))]
        if times:
            back = f"the client was back in {seconds(max(times))}, and "
    return f"{back}{plural(held, 'check holds', 'checks hold')}"


def _stopless(sentence: str) -> str:
    return sentence.strip().rstrip(".")


def plan_of(journal: Journal) -> Mapping[str, object]:
    """The plan in the journal's first entry; empty when there is none."""
    for entry in journal.entries[:1]:
        if isinstance(entry.event, RunPlanned):
            return entry.event.plan
    return {}


def inside(value: object, *path: str) -> object:
    """The member at `path` of nested mappings; None where there is none."""
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def policy_choices(journal: Journal) -> tuple[tuple[str, str], ...]:
    """The client's choices that are not the first value, as (name, choice)."""
    client = inside(plan_of(journal), "client")
    choices = [*_differing(inside(client, "policy"), POLICY_DEFAULTS)]
    choices += [(f"sees {name}", value) for name, value in _differing(inside(client, "sees"), _SEES_DEFAULTS)]
    return tuple(choices)


def _differing(given: object, defaults: Mapping[str, object]) -> list[tuple[str, str]]:
    if not isinstance(given, Mapping):
        return []
    return [(visible(str(name)), _plain(value)) for name, value in given.items() if value != defaults.get(str(name))]


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{visible(str(name))} {_plain(member)}" for name, member in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return visible(str(value))
