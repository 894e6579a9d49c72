"""What the plan promises: all that checks know of scenario and client. There is no client's name in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from harness.checks.view_facts import at
from harness.policy import ClientProfile, Policy
from harness.scenario.model import AtMost, Scenario

OverSpeech = float | str | None
"""Seconds at most; `as_declared`; None: the scenario sets no bound."""


@dataclass(frozen=True, slots=True)
class Given:
    """The plan, as far as rules need it."""

    scenario: Scenario
    client: ClientProfile
    variant: str | None
    seed: int

    @property
    def policy(self) -> Policy:
        """What this client does by design."""
        return self.client.policy

    @property
    def driven(self) -> bool:
        """False: it takes no commands."""
        return self.client.driven

    @property
    def named(self) -> frozenset[str]:
        """The checks that the scenario is about."""
        return frozenset(self.scenario.checks)

    @property
    def resume_spends_use(self) -> bool:
        """True: a session start with a handle takes a use of the token, too. `http_401` implies it."""
        tokens = self.scenario.session.tokens
        return tokens.resume_spends_use or tokens.refuse == "http_401"

    @property
    def handles_are_sessions(self) -> bool:
        """True: any handle of a session restores all of it."""
        return self.scenario.session.handles == "session"

    @property
    def lost_at_most(self) -> OverSpeech:
        """Bound on speech lost from before a drop was known."""
        bound = self.scenario.expect.speech.lost
        return bound.at_most if isinstance(bound, AtMost) else bound

    @property
    def doubled_at_most(self) -> OverSpeech:
        """Bound on speech that arrives more than once."""
        bound = self.scenario.expect.speech.doubled
        return bound.at_most if isinstance(bound, AtMost) else bound

    @property
    def has_faults(self) -> bool:
        """True: something is meant to go wrong on the way."""
        story = self.scenario.story
        return bool(self.scenario.timeline) or any(step.meanwhile or step.verb == "do" for step in story)


def read_given(plan: Mapping[str, object]) -> Given | None:
    """The plan of a journal's first entry; None when it cannot be understood."""
    try:
        scenario = Scenario.model_validate(plan.get("scenario"))
        client = ClientProfile.model_validate(plan.get("client"))
    except ValidationError:
        return None
    variant, seed = plan.get("variant"), plan.get("seed")
    return Given(
        scenario,
        client,
        variant if isinstance(variant, str) else None,
        seed if isinstance(seed, int) else 0,
    )


def plan_names(plan: Mapping[str, object]) -> tuple[str, str | None, int]:
    """Scenario, variant and seed, read from a plan even where the rest of it cannot be understood."""
    scenario, variant, seed = at(plan, "scenario", "scenario"), plan.get("variant"), plan.get("seed")
    return (
        scenario if isinstance(scenario, str) else "unknown",
        variant if isinstance(variant, str) else None,
        seed if isinstance(seed, int) else 0,
    )
