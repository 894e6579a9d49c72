"""The JSON Schema of the scenario language, for editors: made from the model, so that it cannot say anything else."""

from __future__ import annotations

from typing import Any

from harness.scenario.model import Scenario

_REFERENCE = {"type": "string", "pattern": r"^\$[A-Za-z_][A-Za-z0-9_-]*$", "description": "A value of the variant"}
_TITLE = "A scenario of the Live API harness"


def scenario_schema() -> dict[str, Any]:
    """The schema as a JSON object. Every value may also be a `$name`, since that stands for a variant's value."""
    schema = Scenario.model_json_schema(by_alias=True, mode="validation")
    definitions = {name: _open(definition) for name, definition in schema.pop("$defs").items()}
    definitions["VariantValue"] = _REFERENCE
    schema["properties"]["story"]["items"]["oneOf"].append({"const": "hang_up"})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_open(schema, except_for={"scenario", "variants"}),
        "title": _TITLE,
        "$defs": dict(sorted(definitions.items())),
    }


def _open(definition: dict[str, Any], except_for: frozenset[str] | set[str] = frozenset()) -> dict[str, Any]:
    properties = definition.get("properties")
    if not isinstance(properties, dict):
        return definition
    opened = {
        name: value if name in except_for else _or_reference(_inside(value)) for name, value in properties.items()
    }
    return {**definition, "properties": opened}


def _inside(value: dict[str, Any]) -> dict[str, Any]:
    """Lists may hold references among their items."""
    if value.get("type") == "array" and isinstance(value.get("items"), dict):
        return {**value, "items": _or_reference(value["items"])}
    return value


def _or_reference(value: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {key: value[key] for key in ("title", "description", "default") if key in value}
    bare = {key: inner for key, inner in value.items() if key not in told}
    return {**told, "anyOf": [bare, {"$ref": "#/$defs/VariantValue"}]} if bare else value
