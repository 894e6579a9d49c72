"""From a file to scenarios: read, fill in each variant, check all of it, and say everything that is wrong at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from harness.errors import UserMistake
from harness.problems import Path, Problem, check, nearest, show
from harness.proxy.port import Abilities
from harness.scenario.faults import NetworkFault
from harness.scenario.model import NAME, Scenario
from harness.scenario.sense import faults_of, problems_of
from harness.scenario.variants import Resolved
from harness.scenario.variants import resolve as fill_in
from harness.yaml_source import Source, load_source, parse_source


@dataclass(frozen=True, slots=True)
class LoadedScenario:
    """A file that was read and found right, in all of its variants."""

    source: Source
    path: FilePath | None
    """Its file; None: it came as text."""
    cases: Mapping[str | None, Scenario]
    """Variant → the scenario with its values; None is the only key where there are no variants."""
    _resolved: Mapping[str | None, Resolved] = field(repr=False)

    @property
    def scenario(self) -> Scenario:
        """The scenario in its first (or only) variant: name, title, why and checks are good for all."""
        return next(iter(self.cases.values()))

    @property
    def name(self) -> str:
        """Its name, without a variant."""
        return self.scenario.scenario

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of the variants, in the order of the file; empty where there are none."""
        return tuple(name for name in self.cases if name is not None)

    def resolve(self, variant: str | None) -> Scenario:
        """The scenario of one variant. Raises `UserMistake` for one that is not there."""
        found = self.cases.get(variant)
        if found is None:
            what = f"no variant `{variant}`" if variant is not None else "variants, and one must be named"
            near = nearest(str(variant), self.variants)
            known = f"its variants are {', '.join(self.variants)}" if self.variants else "it has no variants"
            raise UserMistake(
                f"{self.source.where(('variants',))}: `{self.name}` has {what}; {known}"
                + (f'; did you mean "{near}"?' if near else "")
            )
        return found

    def where(self, variant: str | None, path: Path) -> str:
        """`file:line:column` of a part of one variant's scenario."""
        return self.source.where(self._resolved[variant].in_file(path))

    def impossible_faults(self, variant: str | None, abilities: Abilities, proxy: str) -> list[str]:
        """A message for each network fault that the proxy at hand (`proxy` names it) cannot really produce.

        To be asked after `unmet_needs`: a scenario that says `needs: {proxy: builtin}` is skipped, not wrong.
        """
        from harness.translate import network_fault  # it needs what this module makes

        messages = []
        for path, fault in faults_of(self.cases[variant]):
            if isinstance(fault, NetworkFault) and not abilities.can(network_fault(fault)):
                messages.append(
                    f"{self.where(variant, path)}: {proxy} cannot produce `{fault.network}` with direction "
                    f"{fault.direction} and scope {fault.scope}; write `needs: {{proxy: builtin}}`, "
                    "or run with --proxy builtin"
                )
        return messages


def load_scenario(path: FilePath | str) -> LoadedScenario:
    """Read a scenario's file. Raises `UserMistake` with everything that is wrong, as `file:line:column: message`."""
    return _load(load_source(path), FilePath(path))


def parse_scenario(text: str, name: str = "scenario.yaml") -> LoadedScenario:
    """Read a scenario from text; `name` stands for its file. Raises `UserMistake`."""
    return _load(parse_source(text, name), None)


def unknown_checks(loaded: LoadedScenario, known: Mapping[str, object]) -> list[str]:
    """A message for each check of `checks:` that is not in the catalogue `known`."""
    messages: dict[str, None] = {}
    for variant, scenario in loaded.cases.items():
        for index, name in enumerate(scenario.checks):
            if name not in known:
                near = nearest(name, known)
                hint = f'did you mean "{near}"?' if near else "see `harness list checks`"
                messages[f'{loaded.where(variant, ("checks", index))}: "{name}" is no check; {hint}'] = None
    return list(messages)


def _load(source: Source, path: FilePath | None) -> LoadedScenario:
    data = source.data
    if not isinstance(data, dict):
        raise UserMistake(
            f"{source.where()}: a scenario is a mapping, not {show(data)}; begin with `scenario: my_name`"
        )
    found: dict[Problem, None] = dict.fromkeys(_variant_problems(data))
    resolved: dict[str | None, Resolved] = {}
    cases: dict[str | None, Scenario] = {}
    used: set[str] = set()
    for variant, values in _values(data).items():
        filled = resolved[variant] = fill_in(data, variant, values)
        used |= filled.used
        found |= dict.fromkeys(filled.problems)
        scenario, problems = check(Scenario, filled.data)
        if scenario is not None:
            cases[variant] = scenario
            problems = problems_of(scenario)
        undefined = {problem.path for problem in filled.problems}
        for problem in problems:
            if not any(problem.path[: len(bad)] == bad for bad in undefined):
                found[Problem(filled.in_file(problem.path), problem.message, problem.key)] = None
    found |= dict.fromkeys(_unused(data, used))
    if found:
        raise UserMistake(_messages(source, found))
    return LoadedScenario(source, path, cases, resolved)


def _messages(source: Source, problems: Mapping[Problem, None]) -> list[str]:
    placed = sorted((source.position(one.path, one.key), one.message) for one in problems)
    return [f"{source.name}:{line}:{column}: {message}" for (line, column), message in dict.fromkeys(placed)]


def _values(data: Mapping[str, object]) -> dict[str | None, Mapping[str, object]]:
    variants = data.get("variants")
    if not isinstance(variants, dict) or not variants:
        return {None: {}}
    return {name: values if isinstance(values, dict) else {} for name, values in variants.items()}


def _variant_problems(data: Mapping[str, object]) -> list[Problem]:
    problems: list[Problem] = []
    variants = data.get("variants", {})
    if not isinstance(variants, dict):
        example = "`variants: {dies: {for: 8s}}`"
        return [
            Problem(("variants",), f"variants = {show(variants)}: it must be a mapping of mappings; write {example}")
        ]
    for name, values in variants.items():
        if not re.match(NAME, name):
            problems.append(
                Problem(
                    ("variants", name),
                    f"variants.{name}: a name has small letters, digits, _ and -, and begins with a letter; rename it",
                    True,
                )
            )
        if not isinstance(values, dict):
            text = f"variants.{name} = {show(values)}: a variant is a mapping of names to values; write {{for: 8s}}"
            problems.append(Problem(("variants", name), text))
    verdicts = data.get("do_nothing")
    if isinstance(verdicts, dict):
        for name in verdicts:
            if name not in variants:
                near = nearest(name, variants)
                hint = f'did you mean "{near}"?' if near else f"the variants are {', '.join(variants) or 'none'}"
                problems.append(Problem(("do_nothing", name), f"do_nothing: `{name}` is no variant; {hint}", True))
        problems.extend(
            Problem(("do_nothing",), f"do_nothing lacks the variant `{name}`; write {name}: fail, or pass", True)
            for name in variants
            if name not in verdicts
        )
    return problems


def _unused(data: Mapping[str, object], used: set[str]) -> list[Problem]:
    return [
        Problem(
            ("variants", str(variant), name),
            f"variants.{variant}.{name}: nothing refers to it; write ${name} where its value belongs",
            True,
        )
        for variant, values in _values(data).items()
        for name in values
        if name not in used
    ]
