"""The plan of one run: everything that is settled before it begins, and all that checks are told beside the events.

Pure and deterministic: the same scenario, variant, seed, client, proxy and versions give the same plan, to the byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.facts import WORDS_PER_S, draw_facts, draw_small_talk
from harness.policy import ClientProfile
from harness.proxy.port import Abilities
from harness.scenario.faults import GoAwayFault
from harness.scenario.model import Ask, Say, Scenario, Speak, Step, Teach

CONTRACT = 1
SAMPLE_RATE_HZ = 16_000
QUIET_SAMPLES = 24_000
"""Coded quiet at the end of every utterance: 1.5 s, so that voice detection sees an end."""
CHUNK_SAMPLES = 1_600
"""Spoken turns are a whole number of these (100 ms)."""
PROBE_TEXT = "Are you still there?"


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlannedUtterance(_Frozen):
    """One WAV that the client will stream."""

    number: int = Field(ge=1)
    """What the position code of its samples names; from 1, in the order of the story."""
    text: str
    speech_samples: int
    """Samples (16 kHz) that carry the words."""
    total_samples: int
    """With the coded quiet at the end."""


class PlannedTurn(_Frozen):
    """What the person says in one step."""

    step: int = Field(ge=1)
    """1 for the first step of the story; the probe has the number after the last."""
    verb: Literal["teach", "say", "speak", "ask", "probe"]
    how: Literal["text", "speech"]
    text: str
    teaches: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    utterance: int | None = None
    """Number of the utterance; None for text."""
    probe: bool = False


class ProxyInfo(_Frozen):
    """The proxy of the run."""

    kind: str
    """`toxiproxy` or `builtin`."""
    version: str
    abilities: tuple[str, ...] = ()
    """`blackhole/both/all`: kind, direction and scope of every fault that it can really produce, sorted."""

    @classmethod
    def of(cls, kind: str, version: str, abilities: Abilities) -> ProxyInfo:
        """What a proxy says of itself, as it stands in a plan."""
        return cls(kind=kind, version=version, abilities=tuple(sorted("/".join(one) for one in abilities.faults)))


class Plan(_Frozen):
    """See the module. `model_dump(mode="json")` is the journal's first line; `model_validate` reads it back."""

    contract: int = CONTRACT
    scenario: Scenario
    """With the variant's values in it."""
    variant: str | None
    seed: int
    facts: dict[str, str]
    utterances: tuple[PlannedUtterance, ...]
    turns: tuple[PlannedTurn, ...]
    """In order; the probe comes last, and is missing where the user hangs up."""
    client: ClientProfile
    proxy: ProxyInfo
    versions: dict[str, str]
    needs_builtin: bool
    """The scenario asks for the built-in relay."""

    @property
    def name(self) -> str:
        """`tunnel~dies`, or the bare name of a scenario without variants."""
        return self.scenario.scenario if self.variant is None else f"{self.scenario.scenario}~{self.variant}"

    def turn(self, step: int) -> PlannedTurn | None:
        """What is said in a step (from 1); None where nothing is."""
        return next((turn for turn in self.turns if turn.step == step), None)

    def utterance(self, number: int) -> PlannedUtterance:
        """One utterance; raises `LookupError` for a number that the plan does not have."""
        for utterance in self.utterances:
            if utterance.number == number:
                return utterance
        raise LookupError(
            f"number={number}: the plan has {len(self.utterances)} utterances, from 1; ask for one of them"
        )

    def go_away_time_left_s(self, fault: GoAwayFault) -> float:
        """Seconds from that goAway to the server's close."""
        return self.scenario.session.limits.go_away_time_left if fault.time_left is None else fault.time_left


def make_plan(
    scenario: Scenario,
    variant: str | None,
    seed: int,
    client: ClientProfile,
    proxy: ProxyInfo,
    versions: Mapping[str, str],
) -> Plan:
    """Settle everything that a run needs to know. `scenario` has its variant's values in it already."""
    facts = draw_facts(seed, _fact_names(scenario))
    can_text = "text" in client.can
    turns: list[PlannedTurn] = []
    utterances: list[PlannedUtterance] = []

    def take(turn: PlannedTurn, speech_samples: int) -> None:
        if turn.how == "speech":
            number = len(utterances) + 1
            total = speech_samples + QUIET_SAMPLES
            utterances.append(
                PlannedUtterance(number=number, text=turn.text, speech_samples=speech_samples, total_samples=total)
            )
            turn = turn.model_copy(update={"utterance": number})
        turns.append(turn)

    for number, step in enumerate(scenario.story, start=1):
        turn = _turn_of(number, step, seed, facts, can_text=can_text)
        if turn is not None:
            exact_s = step.speak if isinstance(step, Speak) else None
            take(turn, _samples(turn.text) if exact_s is None else round(exact_s * SAMPLE_RATE_HZ))
    if not any(step.verb == "hang_up" for step in scenario.story):
        how: Literal["text", "speech"] = "text" if can_text else "speech"
        take(
            PlannedTurn(step=len(scenario.story) + 1, verb="probe", how=how, text=PROBE_TEXT, probe=True),
            _samples(PROBE_TEXT),
        )
    return Plan(
        scenario=scenario,
        variant=variant,
        seed=seed,
        facts=facts,
        utterances=tuple(utterances),
        turns=tuple(turns),
        client=client,
        proxy=proxy,
        versions=dict(versions),
        needs_builtin=needs_builtin(scenario),
    )


def for_client(plan: Plan, client: ClientProfile) -> Plan:
    """The same run, for a client that has said something else of itself than was planned for."""
    return make_plan(plan.scenario, plan.variant, plan.seed, client, plan.proxy, plan.versions)


def needs_builtin(scenario: Scenario) -> bool:
    """True when the scenario asks for the built-in relay."""
    return scenario.needs.proxy == "builtin"


def _fact_names(scenario: Scenario) -> list[str]:
    """Facts in the order in which they are first told."""
    return list(dict.fromkeys(name for step in scenario.story if isinstance(step, Teach) for name in step.teach))


def _turn_of(number: int, step: Step, seed: int, facts: Mapping[str, str], *, can_text: bool) -> PlannedTurn | None:
    how: Literal["text", "speech"] = "text" if can_text else "speech"
    match step:
        case Teach():
            text = " ".join(f"My {name} is {facts[name]}." for name in step.teach)
            return PlannedTurn(step=number, verb="teach", how=how, text=text, teaches=step.teach)
        case Ask():
            text = " ".join(f"What is my {name}?" for name in step.ask)
            return PlannedTurn(step=number, verb="ask", how=how, text=text, asks=step.ask)
        case Say():
            return PlannedTurn(step=number, verb="say", how=how, text=step.say)
        case Speak():
            words = max(1, round(step.speak * WORDS_PER_S))
            text = draw_small_talk(seed, f"step {number}", words, list(facts.values()))
            return PlannedTurn(step=number, verb="speak", how="speech", text=text)
        case _:
            return None


def _samples(text: str) -> int:
    """How long it takes to say `text`, in samples, rounded up to whole chunks."""
    exact = len(text.split()) / WORDS_PER_S * SAMPLE_RATE_HZ
    return max(1, -(-int(exact) // CHUNK_SAMPLES)) * CHUNK_SAMPLES
