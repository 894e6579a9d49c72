"""Reading YAML: plain data, positions, and a message with its place for whatever cannot be read."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from harness.errors import UserMistake
from harness.policy import ClientProfile
from harness.yaml_source import MAX_FILE_BYTES, Source, load_source, parse_source, validate


def mistake(text: str) -> str:
    with pytest.raises(UserMistake) as caught:
        parse_source(text, "f.yaml")
    (message,) = caught.value.messages
    return message


def test_data_is_plain_and_yaml_1_2() -> None:
    text = """\
on: no            # YAML 1.1 would make two booleans of these
until: 2027-03-01
at: 12:30:00
big: 1_000
octal: 010
quoted: '5'
list: [1, 1.5, true, null, ~, 0x1f]
nothing:
same: &anchor {a: [b]}
again: *anchor
"""
    assert parse_source(text, "f").data == {
        "on": "no",
        "until": "2027-03-01",
        "at": "12:30:00",
        "big": "1_000",
        "octal": 10,
        "quoted": "5",
        "list": [1, 1.5, True, None, None, 31],
        "nothing": None,
        "same": {"a": ["b"]},
        "again": {"a": ["b"]},
    }


def test_positions_of_keys_and_values() -> None:
    source = parse_source("a: 1\nb:\n  - c: [x, yy]\n  -  d:\n", "f.yaml")
    assert source.position(("b",)) == (3, 3)
    assert source.position(("b",), key=True) == (2, 1)
    assert source.position(("b", 0, "c", 1)) == (3, 12)
    assert source.position(("b", 1, "d")) == (4, 6), "what was not written stands at its key"
    assert source.where(("b", 0, "nothing", 3)) == "f.yaml:3:5", "the nearest part that is there"
    assert source.where() == "f.yaml:1:1"


def test_positions_inside_an_alias_are_where_the_alias_stands() -> None:
    source = parse_source("a: &x {b: {c: 1}}\nd: *x\n", "f")
    assert source.position(("d", "b", "c")) == (2, 4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "f.yaml:1:1: the file is empty"),
        ("# a comment\n", "f.yaml:1:1: the file is empty"),
        ("---\n", "f.yaml:1:1: the file is empty"),
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: the key `a` comes twice, first in line 1"),
        ("a: b: c\n", "f.yaml:1:5: not valid YAML: mapping values are not allowed"),
        ("a:\n\t- b\n", "f.yaml:2:1: not valid YAML"),
        ("a: 'never closed\nb: 1\n", "f.yaml:1:4: not valid YAML"),
        ("a: [1, 2\n", "f.yaml:2:1: not valid YAML"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document"),
        ("a: !!python/object:os.system x\n", "f.yaml:1:4: the tag"),
        ("a: *b\n", "f.yaml:1:4: `*b` repeats nothing"),
        ("a: &b [*b]\n", "f.yaml:1:8: `*b` stands inside of what it repeats"),
        ("? [a]\n: b\n", "f.yaml:1:3: a key must be a plain text"),
        ("a: 1\nb: \x07\n", "f.yaml:2:4: the character U+0007"),
        ("a: " + "[" * 100_000, "f.yaml:1:35: nested more than 32 deep"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text: str, expected: str) -> None:
    assert mistake(text).startswith(expected)


def test_a_bomb_of_aliases_is_defused() -> None:
    names = "abcdefghi"
    text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in itertools.pairwise(names)
    )
    assert "aliases grow without measure" in mistake(text)


def load_error(path: Path) -> str:
    with pytest.raises(UserMistake) as caught:
        load_source(path)
    return str(caught.value).replace(str(path), "FILE")


def test_files_that_are_none(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    assert load_error(file).startswith("FILE:1:1: no such file")
    assert load_error(tmp_path).startswith("FILE:1:1: this is a folder")
    file.write_bytes(b"a" * 10_000_000)
    assert load_error(file).startswith("FILE:1:1: the file has 10.0 MB")
    file.write_bytes(b"ok: 1\nab\x00cd")
    assert load_error(file).startswith("FILE:2:3: the byte 0x00 is no UTF-8 text")
    file.write_bytes("ok: 1\nüb".encode() + b"\xff\xfe")
    assert load_error(file).startswith("FILE:2:3: the byte 0xff is no UTF-8 text")
    file.write_bytes(b"")
    assert load_error(file).startswith("FILE:1:1: the file is empty")


def test_the_largest_file_and_a_byte_order_mark_are_fine(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\n#" + b"x" * (MAX_FILE_BYTES - 9))
    assert load_source(file).data == {"a": 1}


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["fast", "slow"]
    count: int = 1


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    inner: Inner
    others: list[Inner] = []


def errors(source: Source, model: type[BaseModel]) -> tuple[str, ...]:
    with pytest.raises(UserMistake) as caught:
        validate(model, source)
    return caught.value.messages


def test_every_error_is_told_at_once_with_the_nearest_word() -> None:
    text = "inner: {kind: sloow, cuont: 2}\nothers:\n  - {count: x}\n  - 7\n"
    assert errors(parse_source(text, "f.yaml"), Outer) == (
        'f.yaml:1:15: inner.kind = "sloow": known are fast, slow; did you mean "slow"?',
        'f.yaml:1:22: unknown key `cuont` in inner; known are kind, count; did you mean "count"?',
        "f.yaml:3:5: others[0] lacks `kind`, which it must have; add it",
        'f.yaml:3:13: others[0].count = "x": it must be a whole number; write it without quotes or a fraction, as in 3',
        "f.yaml:4:5: others[1] = 7: it must be a mapping; write a mapping, with kind, count",
    )


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("gives_up: {after: 3}", "3 has no unit"),
        ("gives_up: {attempts: 0}", "it must be 1 or more"),
        ("gap_speech: {tial: 2s}", 'did you mean "tail"?'),
        ("gap_speech: replya", 'did you mean "replay"?'),
    ],
)
def test_a_union_tells_one_error_in_words_of_the_user(policy: str, expected: str) -> None:
    messages = errors(parse_source(f"policy:\n  {policy}\n", "f"), ClientProfile)
    assert any(expected in message for message in messages)
    assert not any(word in message for message in messages for word in ("GivesUp", "literal", "validation", "model_"))


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
@settings(max_examples=150, deadline=None)
def test_any_text_is_data_or_a_mistake_of_the_user(text: str) -> None:
    try:
        source = parse_source(text, "f.yaml")
    except UserMistake as caught:
        assert all(message.startswith("f.yaml:") for message in caught.messages)  # noqa: PT017 - either way is right
    else:
        assert source.data is not None
