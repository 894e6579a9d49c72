"""Made quickly, but in every other way an ordinary frozen dataclass."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError, dataclass, fields, replace
from typing import ClassVar

import pytest

from fake_server.quick import made_quickly


@dataclass(frozen=True)
class Ordinary:
    kind: ClassVar[str] = "thing"
    name: str
    parts: tuple[str, ...] = ()
    size: int | None = None


Quick = made_quickly(
    dataclass(frozen=True)(
        type("Ordinary", (), {"__annotations__": Ordinary.__annotations__, "parts": (), "size": None})
    )
)


def test_objects_are_the_same_however_they_are_made() -> None:
    for arguments, named in ((("a",), {}), (("a", ("b",)), {}), (("a",), {"size": 3}), ((), {"name": "a", "size": 0})):
        quick, ordinary = Quick(*arguments, **named), Ordinary(*arguments, **named)
        assert vars(quick) == vars(ordinary)
        assert list(vars(quick)) == [field.name for field in fields(Quick)]
        assert repr(quick) == repr(ordinary)
    assert list(inspect.signature(Quick).parameters) == list(inspect.signature(Ordinary).parameters)


def test_they_are_frozen_and_compared_and_replaced_by_value() -> None:
    one = Quick("a", ("b",))
    assert one == Quick("a", ("b",))
    assert hash(one) == hash(Quick("a", ("b",)))
    assert replace(one, name="c") == Quick("c", ("b",))
    with pytest.raises(FrozenInstanceError):
        one.name = "other"


@pytest.mark.parametrize(("arguments", "named"), [((), {}), (("a", (), 1, 2), {}), (("a",), {"weight": 1})])
def test_what_the_ordinary_one_refuses_is_refused(arguments: tuple[object, ...], named: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        Quick(*arguments, **named)
