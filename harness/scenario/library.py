"""Finds scenarios: by file, by folder, or by the name of a built-in one; `name~variant` picks one variant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserMistake
from harness.problems import nearest
from harness.proxy.port import Abilities
from harness.scenario.loader import LoadedScenario, load_scenario
from harness.scenario.model import Scenario

_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Selected:
    """One scenario in one variant: what one run plays."""

    loaded: LoadedScenario
    variant: str | None
    found_as: str
    """What names its file on a command line, without the variant."""

    @property
    def label(self) -> str:
        """`tunnel~dies`, or the bare name where there are no variants: good for a folder's name."""
        return self.loaded.name if self.variant is None else f"{self.loaded.name}~{self.variant}"

    @property
    def scenario(self) -> Scenario:
        """With the variant's values in it."""
        return self.loaded.resolve(self.variant)

    @property
    def reference(self) -> str:
        """What selects just this on a command line."""
        return self.found_as if self.variant is None else f"{self.found_as}~{self.variant}"

    def impossible_faults(self, abilities: Abilities, proxy: str) -> list[str]:
        """See `LoadedScenario.impossible_faults`."""
        return self.loaded.impossible_faults(self.variant, abilities, proxy)


def builtin_folder() -> Path:
    """Where the built-in scenarios lie: inside of an installed package, else in the checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "builtin_scenarios"
    return installed if installed.is_dir() else package.parent / "scenarios"


def builtin_names() -> list[str]:
    """Names of the built-in scenarios, in order."""
    return sorted(path.stem for path in builtin_folder().glob("*.yaml"))


def load_all(argument: str) -> list[LoadedScenario]:
    """Every scenario that one argument (file, folder, built-in name) names, whatever its variant.

    Raises `UserMistake` with all that is wrong in all of them.
    """
    return list({id(one.loaded): one.loaded for one in find_scenarios(argument)}.values())


def find_scenarios(*arguments: str) -> list[Selected]:
    """Every scenario and variant that the arguments (files, folders, built-in names) name, each once, in their order.

    Raises `UserMistake` with all that is wrong in all of them.
    """
    selected: dict[tuple[Path, str | None], Selected] = {}
    mistakes: dict[str, None] = {}
    for argument in arguments:
        try:
            named = _named(argument)
        except UserMistake as mistake:
            mistakes |= dict.fromkeys(mistake.messages)
            continue
        for path, found_as in named.paths.items():
            try:
                loaded = load_scenario(path)
                chosen = (named.variant,) if named.variant is not None else tuple(loaded.cases)
                for variant in chosen:
                    loaded.resolve(variant)
                    selected.setdefault((path.resolve(), variant), Selected(loaded, variant, found_as))
            except UserMistake as mistake:
                mistakes |= dict.fromkeys(mistake.messages)
    if mistakes:
        raise UserMistake(mistakes)
    return list(selected.values())


@dataclass(frozen=True, slots=True)
class _Named:
    paths: Mapping[Path, str]
    """Files, each with what names it on a command line."""
    variant: str | None = None


def _named(argument: str) -> _Named:
    """What one argument names."""
    path = Path(argument)
    if path.is_dir():
        files = sorted(found for found in path.iterdir() if found.suffix in _SUFFIXES and found.is_file())
        if not files:
            raise UserMistake(f"{argument}:1:1: this folder holds no scenario; name one with *.yaml files in it")
        return _Named({found: str(found) for found in files})
    if path.exists():
        return _Named({path: argument})
    name, tilde, after = argument.rpartition("~") if "~" in argument else (argument, "", "")
    variant = after if tilde else None
    if Path(name).is_file() or name.endswith(_SUFFIXES) or "/" in name or "\\" in name:
        return _Named({Path(name): name}, variant)  # if it is not there, reading it says so
    builtin = builtin_folder() / f"{name}.yaml"
    if builtin.is_file():
        return _Named({builtin: name}, variant)
    near = nearest(name, builtin_names())
    hint = f'did you mean "{near}"?' if near else f"the built-in ones are {', '.join(builtin_names())}"
    raise UserMistake(f"{argument}: there is no such file, folder or built-in scenario; {hint}")
