"""Functions that a client declared: found in its setup, called with arguments made from their own schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fake_server.profiles import ModelProfile

_DEEPEST = 8
_SAMPLES: Mapping[str, Any] = {"string": "example", "integer": 1, "number": 1.5, "boolean": True, "null": None}


@dataclass(frozen=True, slots=True)
class Function:
    """One declared function."""

    name: str
    schema: Mapping[str, Any]
    """Of its parameters; empty when it takes none."""
    blocking: bool
    """True: the model says nothing until it has the response."""


def declared_functions(setup: Mapping[str, Any], profile: ModelProfile) -> tuple[Function, ...]:
    """All functions of a setup (canonical camelCase), in order; none for a model that calls no functions."""
    if profile.function_mode == "none":
        return ()
    default = "BLOCKING" if profile.function_mode == "blocking" else "NON_BLOCKING"
    found = []
    for tool in setup.get("tools") or ():
        for declaration in tool.get("functionDeclarations") or ():
            schema = declaration.get("parameters") or declaration.get("parametersJsonSchema") or {}
            mode = declaration.get("behavior") if profile.other_function_mode == "taken" else None
            found.append(Function(declaration.get("name", ""), schema, (mode or default) == "BLOCKING"))
    return tuple(found)


def make_arguments(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that fit an object schema: every property, the first of any enum."""
    made = _value(schema, 0)
    return made if isinstance(made, dict) else {}


def _value(schema: object, depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return None
    choices = schema.get("enum")
    if isinstance(choices, Sequence) and choices:
        return choices[0]
    for several in ("anyOf", "oneOf"):
        options = schema.get(several)
        if isinstance(options, Sequence) and options:
            return _value(options[0], depth + 1)
    kind = schema.get("type")
    if isinstance(kind, Sequence) and not isinstance(kind, str):
        kind = next(iter(kind), "string")
    kind = str(kind or ("object" if "properties" in schema else "string")).lower()
    if kind == "object":
        properties = schema.get("properties")
        items = properties.items() if isinstance(properties, Mapping) else ()
        return {str(name): _value(part, depth + 1) for name, part in items}
    if kind == "array":
        return [_value(schema.get("items", {}), depth + 1)]
    return _SAMPLES.get(kind, "example")
