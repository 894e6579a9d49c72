"""Reads a YAML file into plain data that still knows where everything stood.

YAML 1.2: `on` and `no` are words, dates stay as written, a key that comes twice is an error. What is read is
bounded in size, depth and number of values, so that no file can hurt.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError, YAMLStreamError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from harness.errors import UserMistake
from harness.problems import Model, Path, check

MAX_FILE_BYTES = 1024 * 1024
MAX_DEPTH = 32
"""Scenarios nest seven deep."""
MAX_VALUES = 50_000
"""Values after all aliases are written out: what makes a bomb of nested aliases harmless."""

Position: TypeAlias = tuple[int, int]
_WORDS: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT = re.compile(r"^[-+]?[0-9]{1,300}$", re.ASCII)
_BASED_INT = re.compile(r"^0(o[0-7]{1,300}|x[0-9a-fA-F]{1,300})$", re.ASCII)
_FLOAT = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$", re.ASCII)


@dataclass(frozen=True, slots=True)
class Source:
    """One YAML file, read."""

    name: str
    """As the user wrote it: what messages begin with."""
    data: object
    """Mappings, lists, str, int, float, bool and None only."""
    _values: dict[Path, Position] = field(default_factory=dict, repr=False)
    _keys: dict[Path, Position] = field(default_factory=dict, repr=False)

    def position(self, path: Path, key: bool = False) -> Position:
        """Line and column, both from 1, of the value at `path`, or with `key` of the key that leads to it.

        For a path that is not there: of the nearest part that is.
        """
        while path:
            found = (self._keys.get(path) if key else None) or self._values.get(path)
            if found is not None:
                return found
            path = path[:-1]
        return self._values.get((), (1, 1))

    def where(self, path: Path = (), key: bool = False) -> str:
        """`file:line:column` of `path`; see `position`."""
        line, column = self.position(path, key)
        return f"{self.name}:{line}:{column}"


def load_source(path: FilePath | str) -> Source:
    """Read one YAML file. Raises `UserMistake` (`file:line:column: message`) for whatever cannot be read."""
    return parse_source(_read_text(FilePath(path), str(path)), str(path))


def parse_source(text: str, name: str) -> Source:
    """Read YAML from `text`; `name` stands for the file in messages. Raises `UserMistake`."""
    reader = YAML(typ="safe", pure=True)
    builder = _Builder(name)
    try:
        builder.read(reader.parse(text))
    except ReaderError as error:
        line, column = _line_and_column(text, error.position)
        raise UserMistake(
            f"{name}:{line}:{column}: the character U+{int(error.character):04X} may not stand in a YAML file; "
            "delete it, or write it as an escape in double quotes"
        ) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if error.context_mark is not None and "end of stream" in str(error.problem):
            mark = error.context_mark  # where the thing that never ends begins
        line, column = (mark.line + 1, mark.column + 1) if isinstance(mark, StringMark) else (1, 1)
        raise UserMistake(f"{name}:{line}:{column}: not valid YAML: {_syntax_message(error)}") from None
    except (YAMLError, YAMLStreamError) as error:
        raise UserMistake(f"{name}:1:1: not valid YAML: {error}") from None
    if builder.root is _NOTHING:
        raise UserMistake(f"{name}:1:1: the file is empty; it must hold a YAML mapping (`key: value`)")
    return Source(name, builder.root, builder.values, builder.keys)


def validate(model_class: type[Model], source: Source) -> Model:
    """`source` as a `model_class`. Raises `UserMistake` with every error, each as `file:line:column: message`."""
    model, problems = check(model_class, source.data)
    if model is None:
        raise UserMistake([f"{source.where(found.path, found.key)}: {found.message}" for found in problems])
    return model


def _read_text(path: FilePath, name: str) -> str:
    try:
        if path.is_dir():
            raise UserMistake(f"{name}:1:1: this is a folder; name a YAML file in it")
        size_bytes = path.stat().st_size
        if size_bytes > MAX_FILE_BYTES:
            raise UserMistake(
                f"{name}:1:1: the file has {size_bytes / 1e6:.1f} MB; the limit is {MAX_FILE_BYTES / 1e6:.1f} MB, "
                "and scenarios have a few kB: is this the right file?"
            )
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise UserMistake(f"{name}:1:1: no such file; check the path") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserMistake(f"{name}:1:1: the file cannot be read: {reason}") from None
    if len(raw) > MAX_FILE_BYTES:
        raise UserMistake(f"{name}:1:1: over {MAX_FILE_BYTES / 1e6:.1f} MB came out of it; is this the right file?")
    raw = raw.removeprefix(codecs.BOM_UTF8)
    try:
        text = raw.decode("utf-8")
        bad_at = raw.find(b"\0")
    except UnicodeDecodeError as error:
        bad_at = error.start
        bad_at = min(at for at in (raw.find(b"\0"), error.start) if at >= 0)
        text = raw[:bad_at].decode("utf-8")
    if bad_at >= 0:
        line, column = _line_and_column(text, len(raw[:bad_at].decode("utf-8")))
        raise UserMistake(
            f"{name}:{line}:{column}: the byte 0x{raw[bad_at]:02x} is no UTF-8 text: a binary file, or text in another "
            "encoding; save it as UTF-8"
        )
    return text


def _line_and_column(text: str, position: int) -> Position:
    before = text[:position]
    return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1


def _syntax_message(error: MarkedYAMLError) -> str:
    parts = [part for part in (error.context, error.problem) if part]
    text = ": ".join(parts) or "it cannot be understood"
    if error.problem and "\\t" in error.problem:
        return f"{text}; indent with spaces, never with tabs"
    if error.problem and "mapping values are not allowed" in error.problem:
        return f"{text}; put a text that holds `: ` in quotes, and check the indentation"
    return f"{text}; check quotes, brackets and indentation around here"


class _Nothing:
    """Marks a document that has not begun."""


_NOTHING = _Nothing()


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not been read."""

    value: dict[str, object] | list[object]
    path: Path
    anchor: str | None
    key: str | None = None
    """Of a mapping: the key that waits for its value."""


@dataclass(slots=True)
class _Builder:
    """Turns YAML events into data and positions, without recursion."""

    name: str
    root: object = _NOTHING
    values: dict[Path, Position] = field(default_factory=dict)
    keys: dict[Path, Position] = field(default_factory=dict)
    _stack: list[_Open] = field(default_factory=list)
    _anchors: dict[str, object] = field(default_factory=dict)
    _documents: int = 0

    def read(self, events: Iterator[Event]) -> None:
        for event in events:
            match event:
                case DocumentStartEvent():
                    self._documents += 1
                    if self._documents > 1:
                        raise self._mistake(event, "a second document begins here; keep one document in a file")
                case ScalarEvent():
                    self._scalar(event)
                case AliasEvent():
                    self._alias(event)
                case MappingStartEvent():
                    self._start(event, {})
                case SequenceStartEvent():
                    self._start(event, [])
                case MappingEndEvent() | SequenceEndEvent():
                    closed = self._stack.pop()
                    if closed.anchor is not None:
                        self._anchors[closed.anchor] = closed.value
                case _:
                    pass
        if self._documents == 1 and self.root is None and self.values.get(()) is not None:
            # A document without content (`---`, or comments alone) reads as null.
            self.root = _NOTHING

    def _mistake(self, event: Event, message: str) -> UserMistake:
        line, column = _event_position(event)
        return UserMistake(f"{self.name}:{line}:{column}: {message}")

    def _path_of_next(self, event: Event) -> Path:
        """Where the next value belongs; raises `UserMistake` where only a key may come."""
        if not self._stack:
            return ()
        top = self._stack[-1]
        if isinstance(top.value, list):
            return (*top.path, len(top.value))
        if top.key is None:
            raise self._mistake(event, "a key must be a plain text; write `key: value`")
        return (*top.path, top.key)

    def _put(self, event: Event, value: object) -> Path:
        path = self._path_of_next(event)
        if len(self.values) >= MAX_VALUES:
            raise self._mistake(event, f"the file holds more than {MAX_VALUES} values; is this the right file?")
        self.values[path] = _event_position(event)
        if not self._stack:
            self.root = value
        else:
            top = self._stack[-1]
            if isinstance(top.value, list):
                top.value.append(value)
            elif top.key is not None:
                top.value[top.key] = value
                top.key = None
        return path

    def _start(self, event: MappingStartEvent | SequenceStartEvent, value: dict[str, object] | list[object]) -> None:
        if event.tag is not None:
            raise self._mistake(event, f"the tag {event.tag} is not allowed; write plain YAML")
        if len(self._stack) >= MAX_DEPTH:
            raise self._mistake(event, f"nested more than {MAX_DEPTH} deep; nothing here needs that")
        path = self._put(event, value)
        self._stack.append(_Open(value, path, event.anchor))

    def _scalar(self, event: ScalarEvent) -> None:
        top = self._stack[-1] if self._stack else None
        if top is not None and isinstance(top.value, dict) and top.key is None:
            self._key(event, top, top.value)
            return
        value = self._plain(event)
        path = self._put(event, value)
        if value is None and not event.value and path in self.keys:
            self.values[path] = self.keys[path]  # nothing was written: the event stands at whatever comes next
        if event.anchor is not None:
            self._anchors[event.anchor] = value

    def _key(self, event: ScalarEvent, top: _Open, mapping: dict[str, object]) -> None:
        key = str(event.value)
        path = (*top.path, key)
        if key in mapping:
            line, _ = self.keys[path]
            raise self._mistake(event, f"the key `{key}` comes twice, first in line {line}; keep one of them")
        self.keys[path] = _event_position(event)
        top.key = key

    def _plain(self, event: ScalarEvent) -> object:
        if event.tag is not None:
            raise self._mistake(event, f"the tag {event.tag} is not allowed; write plain YAML")
        plain, _quoted = event.implicit
        return _plain_scalar(str(event.value)) if plain else str(event.value)

    def _alias(self, event: AliasEvent) -> None:
        if event.anchor not in self._anchors:
            if any(one.anchor == event.anchor for one in self._stack):
                raise self._mistake(event, f"`*{event.anchor}` stands inside of what it repeats; write the values out")
            raise self._mistake(
                event, f"`*{event.anchor}` repeats nothing; write `&{event.anchor}` before what it repeats"
            )
        self._copy(event, self._anchors[event.anchor])

    def _copy(self, event: AliasEvent, value: object) -> None:
        """Write an alias out; every copied value stands where the alias does."""
        path = self._path_of_next(event)
        copied = self._put_copy(event, path, value, 0)
        self._put(event, copied)

    def _put_copy(self, event: AliasEvent, path: Path, value: object, depth: int) -> object:
        if len(self.values) >= MAX_VALUES or len(self._stack) + depth >= MAX_DEPTH:
            raise self._mistake(event, "aliases grow without measure here; write the values out")
        self.values[path] = _event_position(event)
        if isinstance(value, dict):
            for key in value:
                self.keys[(*path, key)] = _event_position(event)
            return {key: self._put_copy(event, (*path, key), inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._put_copy(event, (*path, index), inner, depth + 1) for index, inner in enumerate(value)]
        return value


def _plain_scalar(text: str) -> object:
    """An unquoted scalar by YAML 1.2's core schema; dates and times stay text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.match(text):
        return int(text)
    if _BASED_INT.match(text):
        return int(text, 0)
    if _FLOAT.match(text):
        return float(text)
    return text


def _event_position(event: Event) -> Position:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
