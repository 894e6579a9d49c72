"""How the state machines are run: the same events each time, so that they are never flaky."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

QUIET = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)


def thorough(examples: int, steps: int) -> settings:
    """For a property that is to hold: new events in every run of the suite, unless a failure is known."""
    return settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=QUIET)


def fixed(examples: int, steps: int) -> settings:
    """For a bug that is to be found: with a seed the same events in every run, and no search for the shortest."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=QUIET,
    )
