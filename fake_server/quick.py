"""Frozen dataclasses whose objects are made in less than half of the time: for those that every frame makes anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

ClassT = TypeVar("ClassT", bound=type)


def made_quickly(cls: ClassT) -> ClassT:
    """Give a frozen dataclass an `__init__` that does the same in another way; used as the outer decorator.

    The ordinary one hands each field to `object.__setattr__`, this one puts it straight into the object's `__dict__`:
    so the class has no slots. Defaults are plain values, no factories; there is no `__post_init__`.
    """
    names = [field.name for field in fields(cls)]
    lines = [f"def __init__(self, {', '.join(names)}):", " values = self.__dict__"]
    made: dict[str, Callable[..., None]] = {}
    exec("\n".join([*lines, *(f" values[{name!r}] = {name}" for name in names)]), made)  # noqa: S102 - our own names
    ordinary: Any = cls.__init__  # type: ignore[misc]
    made["__init__"].__defaults__ = ordinary.__defaults__
    made["__init__"].__qualname__ = ordinary.__qualname__
    cls.__init__ = made["__init__"]  # type: ignore[misc]
    return cls
