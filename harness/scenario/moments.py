"""Points in time that a scenario names: on an event, in the user's speech, in a reply, or after so long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core.core_schema import CoreSchema, ValidationInfo

from harness.durations import PATTERN
from harness.problems import rule_broken, show, unknown_word
from harness.scenario.base import Seconds, Strict, is_duration
from harness.scenario.events import EVENTS

WITHIN_S = 15.0
"""How long `until` waits for an event that does not come, by default: as long as a turn may take."""


class OrWord:
    """Tells the JSON Schema that a text may stand for the mapping: an event's name, with `time` also a duration."""

    def __init__(self, *, time: bool = False) -> None:
        self._time = time

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Called by pydantic."""
        words: list[JsonSchemaValue] = [{"enum": list(EVENTS)}]
        if self._time:
            words.append({"type": "string", "pattern": PATTERN})
        return {"anyOf": [*words, handler(schema)]}


def _check_event(name: str) -> str:
    if name not in EVENTS:
        raise unknown_word(name, list(EVENTS), "event")
    return name


def _check_filter(given: Mapping[str, Any], info: ValidationInfo) -> Mapping[str, Any]:
    event = EVENTS.get(str(info.data.get("event", info.data.get("event_name", ""))))
    if event is not None:
        for name in given:
            if name not in event.fields:
                raise unknown_word(name, list(event.fields), f"field of `{event.name}`", at=(name,), key=True)
    return given


class _OnEvent(Strict):
    """An event and which one of them."""

    event: str = Field(json_schema_extra={"enum": list(EVENTS)})
    nth: int = Field(default=1, ge=1)
    """The how-manieth that fits, counted from when the wait begins."""
    connection: int | None = Field(default=None, ge=1)
    """Only events of this connection, counted from 1; None: of any."""
    filter: dict[str, Any] = Field(default_factory=dict)
    """Values that the event's fields must have."""

    _known = field_validator("event")(_check_event)
    _fields = field_validator("filter")(_check_filter)


class When(_OnEvent):
    """When an entry of the timeline is due."""

    every: bool = False
    """True: each such event, from the `nth` on."""
    after_s: Seconds = Field(default=0.0, alias="after")
    """Due so long after the event."""
    edge: Literal["before", "after"] = "after"
    """`before`: the server holds the frame until the fault is in force."""

    @field_validator("edge")
    @classmethod
    def _can_be_held(cls, edge: str, info: ValidationInfo) -> str:
        event = EVENTS.get(str(info.data.get("event")))
        if edge == "before" and event is not None:
            if not event.can_be_held:
                names = ", ".join(name for name, one in EVENTS.items() if one.can_be_held)
                raise rule_broken(f"`{event.name}` is no frame that the server could hold back; use one of {names}")
            if info.data.get("after_s"):
                raise rule_broken("a frame is held back or followed, not both; take `edge: before` or `after` away")
        return edge


class UntilEvent(_OnEvent):
    """An event to wait for."""

    within_s: Seconds = Field(default=WITHIN_S, alias="within")
    """When it has not come by then, the story goes on."""


class Recovered(Strict):
    """Being back: counted from the later of *known* and the link being there."""

    within_s: Seconds = Field(alias="within")


class UntilRecovered(Strict):
    """Waits for the recovery from the faults so far."""

    recovered: Recovered


_AT_KINDS = ("speech", "reply", "time", "event")
_ANY: tuple[object, ...] = (1, None, 0.0, {}, "after")


class At(Strict):
    """A point of a step."""

    speech_s: Seconds | None = Field(default=None, alias="speech")
    """So far into the words that are spoken."""
    reply_s: Seconds | None = Field(default=None, alias="reply")
    """So long after the model began to answer."""
    time_s: Seconds | None = Field(default=None, alias="time")
    """So long after the step began."""
    event_name: str | None = Field(default=None, alias="event", json_schema_extra={"enum": list(EVENTS)})
    nth: int = Field(default=1, ge=1)
    connection: int | None = Field(default=None, ge=1)
    after_s: Seconds = Field(default=0.0, alias="after")
    filter: dict[str, Any] = Field(default_factory=dict)
    edge: Literal["before", "after"] = "after"

    @field_validator("event_name")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        return None if name is None else _check_event(name)

    _fields = field_validator("filter")(_check_filter)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        named = [self.speech_s, self.reply_s, self.time_s, self.event_name]
        if sum(one is not None for one in named) != 1:
            raise rule_broken(f"a point of a step is one of {', '.join(_AT_KINDS)}; write `at: {{speech: 2s}}`")
        if self.event_name is None and (self.nth, self.connection, self.after_s, self.filter, self.edge) != _ANY:
            raise rule_broken("nth, connection, after, filter and edge go with `event` alone; take them away")
        if self.edge == "before" and not EVENTS[str(self.event_name)].can_be_held:
            raise rule_broken(f"`{self.event_name}` is no frame that the server could hold back; use `edge: after`")
        return self

    @property
    def event(self) -> When | None:
        """What it waits for; None where only time counts."""
        if self.reply_s is not None:
            return When(event="first_audio")
        if self.event_name is None:
            return None
        return When.model_construct(
            event=self.event_name,
            nth=self.nth,
            connection=self.connection,
            after_s=self.after_s,
            filter=self.filter,
            edge=self.edge,
        )

    @property
    def delay_s(self) -> float:
        """Seconds after the step's start, or after `event`'s own delay where there is one."""
        return next((one for one in (self.speech_s, self.reply_s, self.time_s) if one is not None), 0.0)


def _read_when(given: object) -> object:
    if is_duration(given):
        return {"event": "session_started", "after": given}
    return {"event": given} if isinstance(given, str) else given


def _read_at(given: object) -> object:
    if is_duration(given):
        return {"time": given}
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        raise ValueError(f"{given!r} has no unit: a time is written with ms, s, m or h; write {given!r}s")
    return {"event": given} if isinstance(given, str) else given


def _read_until(given: object) -> object:
    if isinstance(given, str):
        if is_duration(given):
            raise rule_broken(f"{show(given)} is a time, and until waits for an event; write `wait: {given}`")
        if given == "recovered":
            raise rule_broken("`recovered` must say within what time; write `until: {recovered: {within: 5s}}`")
        return {"event": given}
    return given


WhenField: TypeAlias = Annotated[When, BeforeValidator(_read_when), OrWord(time=True)]
"""`update`, `{event: update, nth: 3}`, or a time after the first session started."""
AtField: TypeAlias = Annotated[At, BeforeValidator(_read_at), OrWord(time=True)]
"""`{speech: 2s}`, `{reply: 1s}`, an event's name, `{event: …, nth: …}`, or a time after the step's start."""
read_until = BeforeValidator(_read_until)
