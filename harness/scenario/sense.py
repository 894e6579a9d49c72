"""What no single part of a scenario can say of itself: whether the parts make sense together. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from fake_server.wire import unsendable_reason
from harness.problems import Path, Problem, dotted
from harness.scenario.faults import Fault, MessageFault
from harness.scenario.model import Ask, Do, HangUp, Say, Scenario, Speak, Teach, Until


def faults_of(scenario: Scenario) -> Iterator[tuple[Path, Fault]]:
    """Every fault of a scenario, with its path, in the order of the file."""
    for index, step in enumerate(scenario.story):
        if isinstance(step, Do):
            yield ("story", index, "do"), step.do
        for number, meanwhile in enumerate(step.meanwhile):
            yield ("story", index, "meanwhile", number, "do"), meanwhile.do
    for index, entry in enumerate(scenario.timeline):
        yield ("timeline", index, "do"), entry.do


def problems_of(scenario: Scenario) -> list[Problem]:
    """Whatever cannot be meant so."""
    return [*_empty(scenario), *_story(scenario), *_of_the_other_service(scenario)]


def _empty(scenario: Scenario) -> Iterator[Problem]:
    if not scenario.story and not scenario.timeline:
        yield Problem((), "nothing happens in this scenario; give it a `story`, or at least a `timeline`")


def _of_the_other_service(scenario: Scenario) -> Iterator[Problem]:
    service = scenario.session.profile
    for path, fault in faults_of(scenario):
        reason = unsendable_reason(fault.message, service) if isinstance(fault, MessageFault) else None
        if reason is not None:
            text = f"the service of `profile: {service}` could not send this: {reason}"
            yield Problem((*path, "message"), f"{dotted((*path, 'message'))}: {text}; correct it, or the profile")


def _story(scenario: Scenario) -> Iterator[Problem]:
    taught: set[str] = set()
    hung_up = False
    fault_before = bool(scenario.timeline)
    for index, step in enumerate(scenario.story):
        path: Path = ("story", index, step.verb)
        where = f"story[{index}].{step.verb}"
        if hung_up and isinstance(step, (Teach, Say, Ask, Speak, HangUp)):
            yield Problem(path, f"{where}: the user has hung up before this; put it before `hang_up`", True)
        fault_before = fault_before or bool(step.meanwhile)
        match step:
            case Teach():
                taught.update(step.teach)
            case Ask():
                for number, name in enumerate(step.ask):
                    if name not in taught:
                        yield Problem(
                            (*path, number),
                            f"{where}: nobody has told the {name} before this; put it into a `teach` before, "
                            "or ask for another fact",
                        )
            case HangUp():
                hung_up = True
            case Until() if step.recovered is not None and not fault_before:
                yield Problem(
                    path, f"{where}: there is nothing to recover from; hang a fault on a step before this", True
                )
            case _:
                pass
        fault_before = fault_before or isinstance(step, Do)
        for number, meanwhile in enumerate(step.meanwhile):
            at = meanwhile.at
            at_path: Path = ("story", index, "meanwhile", number, "at")
            if at.speech_s is not None:
                if not isinstance(step, Speak):
                    yield Problem(
                        at_path, f"{where} has no speech to point into; hang this on a `speak`, or give a time"
                    )
                elif at.speech_s > step.speak:
                    yield Problem(
                        at_path,
                        f"{where} lasts {step.speak:g} s, and {at.speech_s:g} s lies after its end; choose less",
                    )
            if at.reply_s is not None and not isinstance(step, (Teach, Say, Ask, Speak)):
                yield Problem(at_path, f"{where} gets no reply to point into; hang this on a turn, or give a time")
