"""Puts a variant's values in the place of `$name`, and remembers where each came from. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.problems import Path, Problem, dotted, nearest

_REFERENCE = re.compile(r"^\$([A-Za-z_][A-Za-z0-9_-]*)$")


@dataclass(slots=True)
class Resolved:
    """A scenario's data with the values of one variant in it."""

    data: object = None
    problems: list[Problem] = field(default_factory=list)
    """References to values that the variant does not have; paths are those of the file."""
    used: set[str] = field(default_factory=set)
    """Names of the values that were referred to."""
    _origins: dict[Path, Path] = field(default_factory=dict)

    def in_file(self, path: Path) -> Path:
        """Where in the file stands what is at `path` of the resolved data."""
        path = self._as_written(path)
        for length in range(len(path), -1, -1):
            origin = self._origins.get(path[:length])
            if origin is not None:
                return origin + path[length:]
        return path

    def _as_written(self, path: Path) -> Path:
        """Without the numbers of lists that were written as the one thing in them."""
        written: list[str | int] = []
        node = self.data
        for part in path:
            if isinstance(part, int) and not isinstance(node, list):
                continue
            written.append(part)
            if isinstance(node, dict):
                node = node.get(part)
            elif isinstance(node, list) and isinstance(part, int) and part < len(node):
                node = node[part]
            else:
                node = None
        return tuple(written)


def resolve(data: Mapping[str, object], variant: str | None, values: Mapping[str, object]) -> Resolved:
    """`data` (a scenario's file) with `values` (those of `variant`) for every `$name`; `variants` is left out."""
    resolved = Resolved()
    filled: dict[str, object] = {}
    for key, value in data.items():
        if key == "variants":
            continue
        if key == "do_nothing" and variant is not None and isinstance(value, Mapping):
            if variant in value:
                filled[key] = value[variant]
                resolved._origins[(key,)] = (key, variant)
            continue
        filled[key] = _fill(value, (key,), variant, values, resolved)
    resolved.data = filled
    return resolved


def _fill(value: object, path: Path, variant: str | None, values: Mapping[str, object], resolved: Resolved) -> object:
    if isinstance(value, dict):
        return {key: _fill(inner, (*path, key), variant, values, resolved) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fill(inner, (*path, index), variant, values, resolved) for index, inner in enumerate(value)]
    found = _REFERENCE.match(value) if isinstance(value, str) else None
    if found is None:
        return value
    name = found[1]
    resolved.used.add(name)
    if name in values:
        resolved._origins[path] = ("variants", str(variant), name)
        return values[name]
    where = f"{dotted(path)}: "
    if variant is None:
        rule = "no variant is there to say what it stands for"
        way_out = f"write `variants: {{a: {{{name}: …}}}}`"
    else:
        near = nearest(name, values)
        rule = f"the variant `{variant}` has no value of this name"
        way_out = f"did you mean ${near}?" if near else f"write `{name}: …` in it"
    resolved.problems.append(Problem(path, f"{where}${name}: {rule}; {way_out}"))
    return value
