"""Turns pydantic's errors into what a person can act on: all of them, each with its place, the rule and the way out.

Pure: it knows data and models, no files. `harness.yaml_source` adds the lines and columns.
"""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

Model = TypeVar("Model", bound=BaseModel)
Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with some data."""

    path: Path
    """Where in the data; empty for the whole of it."""
    message: str
    key: bool = False
    """True: the key at `path` is what is wrong, not its value."""


def check(model_class: type[Model], data: object) -> tuple[Model | None, list[Problem]]:
    """`data` as a model, or None and everything that is wrong with it, in the order of the data's own parts."""
    try:
        return model_class.model_validate(data), []
    except ValidationError as error:
        placed = [_Placed.of(one, data) for one in error.errors(include_url=False)]
    problems = [_problem(one, model_class) for one in _choose_members(placed)]
    return None, list(dict.fromkeys(problems))


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The one of `words` that `word` was most likely meant to be; None when none is near."""
    by_lower = {known.lower(): known for known in words}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.55)
    return by_lower[near[0]] if near else None


def unknown_word(given: object, words: Sequence[str], what: str, *, at: Path = (), key: bool = False) -> Exception:
    """The error to raise in a validator for a word that is none of `words`; `at` leads on to where it stands."""
    text = f'"{given}" is no {what}' if isinstance(given, str) else f"{show(given)} is no {what}"
    return rule_broken(f"{text}; {_choices(given, words)}", at=at, key=key)


def rule_broken(message: str, *, at: Path = (), key: bool = False) -> Exception:
    """The error to raise in a validator when `message` says it all."""
    return PydanticCustomError("rule", "{message}", {"message": message, "at": list(at), "key": key})


def show(given: object) -> str:
    """A value as it would stand in YAML, short."""
    match given:
        case None:
            return "nothing"
        case bool():
            return "true" if given else "false"
        case str():
            return f'"{given}"' if len(given) <= 60 else f'"{given[:57]}…"'
        case Mapping():
            keys = ", ".join(str(key) for key in list(given)[:4])
            return f"a mapping ({keys})" if keys else "an empty mapping"
        case list() | tuple():
            return "a list"
        case _:
            return repr(given)[:60]


def dotted(path: Path) -> str:
    """`story[1].meanwhile.do`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


@dataclass(frozen=True, slots=True)
class _Placed:
    """One pydantic error and where it belongs in the data."""

    error: ErrorDetails
    path: Path
    union_at: Path | None
    """Where a union without a discriminator stands, if the error comes from one of its members."""
    member: str | None
    given: object

    @classmethod
    def of(cls, error: ErrorDetails, data: object) -> _Placed:
        path: list[str | int] = []
        node: object = data
        above: object = None
        union_at, member = None, None
        parts = error["loc"][:-1] if error["type"] == "missing" else error["loc"]
        for part in parts:
            if _holds(node, part):
                above, node = node, node[part]  # type: ignore[index]  # _holds has looked
                path.append(part)
            elif isinstance(part, str) and not part.startswith("<") and _holds(above, part):
                # A key that the model moved down from beside it (`for` beside `do`).
                node = above[part]  # type: ignore[index]  # as above
                path[-1] = part
            elif isinstance(part, str) and not part.startswith("<") and part != "[key]" and union_at is None:
                union_at, member = tuple(path), part
        return cls(error, tuple(path), union_at, member, node)


def _holds(node: object, part: str | int) -> bool:
    if isinstance(node, dict):
        return isinstance(part, str) and part in node
    return isinstance(node, list) and isinstance(part, int) and part < len(node)


_SHAPE = re.compile(r"_type$|^literal_error$|^enum$|^value_error$|_parsing$")


def _choose_members(placed: list[_Placed]) -> list[_Placed]:
    """Of the errors from a plain union, those of the member that was most likely meant; or one for all of them."""
    chosen: list[_Placed] = []
    done: set[Path] = set()
    for one in placed:
        if one.union_at is None:
            chosen.append(one)
            continue
        if one.union_at in done:
            continue
        done.add(one.union_at)
        members: dict[str, list[_Placed]] = {}
        for other in placed:
            if other.union_at == one.union_at and other.member is not None:
                members.setdefault(other.member, []).append(other)
        fitting = [
            errors
            for errors in members.values()
            if not any(e.path == one.union_at and _SHAPE.search(e.error["type"]) for e in errors)
        ]
        chosen.extend(sorted(fitting, key=len)[0] if fitting else [one])
    return chosen


def _problem(placed: _Placed, model_class: type[BaseModel]) -> Problem:
    error, path = placed.error, placed.path
    kind, context = error["type"], error.get("ctx", {})
    here = f"{dotted(path)} = {show(placed.given)}" if path else "the file"
    if kind == "rule":
        at = tuple(context["at"])
        where = dotted((*path, *at))
        return Problem((*path, *at), f"{where}: {context['message']}" if where else context["message"], context["key"])
    if kind == "extra_forbidden":
        name = str(error["loc"][-1])
        known = _keys_at(model_class, error["loc"][:-1])
        inside = f" in {dotted(path[:-1])}" if path[:-1] else ""
        return Problem(path, f"unknown key `{name}`{inside}; {_choices(name, known)}", True)
    if kind == "missing":
        inside = dotted(path) or "the file"
        return Problem(path, f"{inside} lacks `{error['loc'][-1]}`, which it must have; add it")
    if kind in {"literal_error", "enum"}:
        words = re.findall(r"'([^']*)'", str(context["expected"]))
        if not words:
            return Problem(path, f"{here}: it must be {context['expected']}; write that")
        return Problem(path, f"{here}: {_choices(placed.given, words)}")
    if kind == "value_error":
        text = str(context["error"])
        return Problem(path, f"{dotted(path)}: {text}" if text.startswith(repr(placed.given)) else f"{here}: {text}")
    if kind in {"model_type", "dict_type", "mapping_type", "model_attributes_type"}:
        keys = _keys_at(model_class, error["loc"])
        hint = f"write a mapping, with {', '.join(keys)}" if keys else "write {key: value}"
        return Problem(path, f"{here}: it must be a mapping; {hint}")
    return Problem(path, f"{here}: {_rule_of_type(kind, context, error['msg'])}")


def _rule_of_type(kind: str, context: Mapping[str, Any], message: str) -> str:
    if kind.startswith(("int", "finite_int")):
        return "it must be a whole number; write it without quotes or a fraction, as in 3"
    if kind.startswith("bool"):
        return "it must be true or false; write one of them"
    if kind.startswith(("float", "decimal")):
        return "it must be a number; write it without quotes, as in 1.5"
    if kind.startswith("string_type"):
        return "it must be a text; put it in quotes"
    if kind.startswith(("tuple_type", "list_type", "set_type", "frozen_set_type", "iterable_type")):
        return "it must be a list; write [a, b]"
    if kind == "greater_than_equal":
        return f"it must be {context['ge']} or more; write a larger number"
    if kind == "greater_than":
        return f"it must be more than {context['gt']}; write a larger number"
    if kind == "less_than_equal":
        return f"it must be {context['le']} or less; write a smaller number"
    if kind == "string_pattern_mismatch":
        return f"it must fit the pattern {context['pattern']}; write it so"
    if kind == "too_long":
        return f"it holds more than {context['max_length']}; split it into several scenarios"
    if kind in {"too_short", "string_too_short"}:
        return "it may not be empty; give at least one"
    return f"{message[:1].lower()}{message[1:]}; see the language reference"


_SHORT_LIST = 16
"""Longer lists are only printed where no word of them is near."""


def _choices(given: object, words: Sequence[str]) -> str:
    """What may be written instead of `given`, and what was most likely meant."""
    if not words:
        return "nothing may stand here; take it away"
    near = nearest(str(given), words)
    if near is None:
        return f"known are {', '.join(words)}"
    known = f"known are {', '.join(words)}; " if len(words) <= _SHORT_LIST else ""
    return f'{known}did you mean "{near}"?'


def _keys_at(model_class: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """The keys that the model (or the models of a union) at `loc` of a pydantic error takes."""
    candidates: list[tuple[str | None, Any]] = [(None, model_class)]
    for part in loc:
        named = [(tag, kind) for tag, kind in candidates if part in {tag, getattr(kind, "__name__", None)}]
        if named:
            candidates = [(None, kind) for _, kind in named]
            continue
        inner: list[tuple[str | None, Any]] = []
        for _, kind in candidates:
            inner.extend(_step_into(kind, part))
        candidates = inner or candidates
    keys: dict[str, None] = {}
    for _, kind in candidates:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            keys |= dict.fromkeys(field.alias or name for name, field in kind.model_fields.items())
    return list(keys)


def _step_into(kind: Any, part: str | int) -> list[tuple[str | None, Any]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            if part in {name, field.alias}:
                return _members(field.annotation)
        return []
    arguments = get_args(kind)
    if isinstance(part, int):
        return _members(arguments[0]) if arguments else []
    return _members(arguments[1]) if len(arguments) > 1 else []


def _members(annotation: Any, tag: str | None = None) -> list[tuple[str | None, Any]]:
    """The types that a union is made of, each with its tag; of anything else: itself."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *metadata = get_args(annotation)
        return _members(inner, next((one.tag for one in metadata if isinstance(one, Tag)), tag))
    if origin is Union or origin is types.UnionType:
        return [found for one in get_args(annotation) for found in _members(one, tag)]
    return [(tag, annotation)]
