"""A scenario as it is after its file was read and its variant chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from harness.facts import FACT_NAMES
from harness.policy import Ability
from harness.problems import rule_broken, unknown_word
from harness.scenario.base import OrOne, Seconds, Strict, as_list, positive, tag_by_class
from harness.scenario.faults import Fault
from harness.scenario.moments import (
    At,
    AtField,
    OrWord,
    Recovered,
    UntilEvent,
    UntilRecovered,
    When,
    WhenField,
    read_until,
)
from harness.scenario.session import SessionSpec

NAME = r"^[a-z][a-z0-9_-]*$"
"""Of scenarios and variants: they become folder names, and `~` stands between them."""
CHECK_ID = r"^[A-Z]+-[0-9]+$"

Verdict: TypeAlias = Literal["pass", "fail"]


def _lift_for(given: Mapping[str, Any]) -> dict[str, Any]:
    """`for` beside `do` belongs to the fault."""
    entry = dict(given)
    fault = entry.get("do")
    if "for" in entry and isinstance(fault, Mapping):
        if "for" in fault:
            raise rule_broken("`for` is there twice, beside `do` and in it; keep one", at=("for",), key=True)
        entry["do"] = {**fault, "for": entry.pop("for")}
    return entry


def _allow(*names: str) -> ConfigDict:
    """Tells the JSON Schema of keys that may also stand here, one level higher than the model keeps them."""

    def extend(schema: dict[str, Any]) -> None:
        schema["properties"] |= {name: {"description": f"As {name} inside."} for name in names}

    return ConfigDict(json_schema_extra=extend)


class Meanwhile(Strict):
    """A fault that hits while a step goes on."""

    model_config = _allow("for")

    at: AtField
    do: Fault

    @model_validator(mode="before")
    @classmethod
    def _for_beside(cls, given: Any) -> Any:
        return _lift_for(given) if isinstance(given, Mapping) else given


_FLAT = ("nth", "every", "connection", "after", "filter", "edge")


class TimelineEntry(Strict):
    """A fault that is tied to no step."""

    model_config = _allow("for", *_FLAT)

    when: WhenField
    do: Fault

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        entry = _lift_for(given)
        flat = {name: entry.pop(name) for name in _FLAT if name in entry}
        if flat and "when" in entry:
            when = entry["when"]
            if isinstance(when, str):
                when = {"event": when}
            if isinstance(when, Mapping):
                twice = next((name for name in flat if name in when), None)
                if twice is not None:
                    raise rule_broken(
                        f"`{twice}` is there twice, beside `when` and in it; keep one", at=(twice,), key=True
                    )
                entry["when"] = {**when, **flat}
        return entry


class _Step(Strict):
    verb: ClassVar[str]
    meanwhile: Annotated[tuple[Meanwhile, ...], BeforeValidator(as_list), OrOne()] = ()
    """Faults that hit while the step goes on: one, or a list of them."""


def _facts(names: tuple[str, ...]) -> tuple[str, ...]:
    for index, name in enumerate(names):
        if name not in FACT_NAMES:
            raise unknown_word(name, FACT_NAMES, "fact", at=(index,))
        if name in names[:index]:
            raise rule_broken(f"`{name}` is there twice; keep one", at=(index,))
    return names


FactNames = Annotated[
    tuple[Annotated[str, Field(json_schema_extra={"enum": list(FACT_NAMES)})], ...],
    Field(min_length=1),
]


class Teach(_Step):
    """The person tells facts. Ends with the model's turn, or after 15 s."""

    verb: ClassVar[str] = "teach"
    teach: FactNames

    _known = field_validator("teach")(_facts)


class Say(_Step):
    """The person says a text. Ends with the model's turn, or after 15 s."""

    verb: ClassVar[str] = "say"
    say: str = Field(min_length=1, max_length=2000)


class Speak(_Step):
    """The person speaks for so long, always as audio. Ends when the last of it was given to the client."""

    verb: ClassVar[str] = "speak"
    speak: Seconds

    @field_validator("speak")
    @classmethod
    def _bounded(cls, seconds: float) -> float:
        if seconds > 600:
            raise rule_broken(f"{seconds:g} s is too long for one breath; speak 10m at most")
        return positive(seconds)


class Ask(_Step):
    """The person asks for facts that were told before. Ends with the model's turn, or after 15 s."""

    verb: ClassVar[str] = "ask"
    ask: FactNames

    _known = field_validator("ask")(_facts)


class Until(_Step):
    """Nothing happens until an event, or until the client is back."""

    verb: ClassVar[str] = "until"
    until: Annotated[
        Annotated[UntilEvent, Tag("<event>")] | Annotated[UntilRecovered, Tag("<recovered>")],
        Discriminator(lambda given: _until_tag(given)),
        read_until,
        OrWord(),
    ]

    @property
    def event(self) -> UntilEvent | None:
        """The event waited for; None: it is the recovery."""
        return self.until if isinstance(self.until, UntilEvent) else None

    @property
    def recovered(self) -> Recovered | None:
        """The recovery waited for; None: it is an event."""
        return self.until.recovered if isinstance(self.until, UntilRecovered) else None


def _until_tag(given: object) -> str:
    recovered = isinstance(given, UntilRecovered) or (isinstance(given, Mapping) and "recovered" in given)
    return "<recovered>" if recovered else "<event>"


class Wait(_Step):
    """Nothing happens for a time."""

    verb: ClassVar[str] = "wait"
    wait: Seconds


class HangUp(_Step):
    """The user ends the call: nothing may be dialled from here on."""

    verb: ClassVar[str] = "hang_up"
    hang_up: Annotated[Literal[True], WithJsonSchema({"enum": [True, None]})]

    @field_validator("hang_up", mode="before")
    @classmethod
    def _nothing_to_say(cls, given: object) -> object:
        if given not in (None, True):
            raise rule_broken("hang_up takes no value; write `- hang_up:`")
        return True


class Do(_Step):
    """A fault, now."""

    model_config = _allow("for")
    verb: ClassVar[str] = "do"
    do: Fault

    @model_validator(mode="before")
    @classmethod
    def _for_beside(cls, given: Any) -> Any:
        return _lift_for(given) if isinstance(given, Mapping) else given


_STEPS: Mapping[str, type[_Step]] = {kind.verb: kind for kind in (Teach, Say, Speak, Ask, Until, Wait, HangUp, Do)}
_STEP_TAGS: Mapping[type[BaseModel], str] = {kind: f"<{verb}>" for verb, kind in _STEPS.items()}


def _recognise_step(given: object) -> object:
    if given == "hang_up":
        return {"hang_up": True}
    if isinstance(given, _Step):
        return given
    if not isinstance(given, Mapping):
        raise rule_broken("a step is a mapping that begins with its verb; write one, as in `- wait: 2s`")
    verbs = [verb for verb in _STEPS if verb in given]
    if len(verbs) > 1:
        raise rule_broken(f"a step is one thing, here are {' and '.join(verbs)}; write a step for each")
    if not verbs:
        first = next((name for name in given if name != "meanwhile"), None)
        if first is None:
            raise rule_broken(f"the step lacks its verb; begin it with one of {', '.join(_STEPS)}")
        raise unknown_word(first, list(_STEPS), "verb of a step", at=(first,), key=True)
    return given


def _step_tag(given: object) -> str | None:
    if isinstance(given, Mapping):
        return next((f"<{verb}>" for verb in _STEPS if verb in given), None)
    return tag_by_class(_STEP_TAGS, given)


Step: TypeAlias = Annotated[
    Annotated[Teach, Tag("<teach>")]
    | Annotated[Say, Tag("<say>")]
    | Annotated[Speak, Tag("<speak>")]
    | Annotated[Ask, Tag("<ask>")]
    | Annotated[Until, Tag("<until>")]
    | Annotated[Wait, Tag("<wait>")]
    | Annotated[HangUp, Tag("<hang_up>")]
    | Annotated[Do, Tag("<do>")],
    Discriminator(_step_tag),
    BeforeValidator(_recognise_step),
]
"""One step of the story: its verb says which."""


class AtMost(Strict):
    """No more than so much."""

    at_most: Seconds


def _bound(given: object) -> object:
    if isinstance(given, str) and given != "as_declared":
        raise unknown_word(given, ["as_declared", "{at_most: 1500ms}"], "bound")
    return given


Bound: TypeAlias = Annotated[Literal["as_declared"] | AtMost, BeforeValidator(_bound)]
"""`as_declared`: what the client's policy says."""


class ExpectSpeech(Strict):
    """Bounds on what was said before the client could know of the fault. None: no bound."""

    lost: Bound | None = None
    doubled: Bound | None = None


class Expect(Strict):
    """Bounds that the scenario adds to the rules of the checks."""

    speech: ExpectSpeech = ExpectSpeech()


class Needs(Strict):
    """What a run cannot do without."""

    client: tuple[Ability, ...] = ()
    proxy: Literal["any", "toxiproxy", "builtin"] = "any"
    """`builtin`: it has a fault that Toxiproxy cannot produce."""
    credential: Literal["any", "token", "key", "oauth"] = "any"
    """What the client must connect with, by its policy."""


class Scenario(Strict):
    """One scenario, every `$name` of its variant filled in."""

    scenario: str = Field(pattern=NAME, max_length=60)
    """Its name."""
    title: str = Field(min_length=1)
    why: str = ""
    checks: tuple[Annotated[str, Field(pattern=CHECK_ID)], ...] = ()
    """What it is about. All other checks that apply run too."""
    session: SessionSpec = SessionSpec()
    variants: dict[Annotated[str, Field(pattern=NAME)], dict[str, Any]] = Field(default_factory=dict)
    """Of the file: name → values for `$name`. Empty once a variant is chosen."""
    story: Annotated[tuple[Step, ...], Field(max_length=200)] = ()
    timeline: tuple[TimelineEntry, ...] = ()
    expect: Expect = Expect()
    clients: int = Field(default=1, ge=1, le=100)
    """How many are started."""
    needs: Needs = Needs()
    do_nothing: Verdict | dict[str, Verdict] = "fail"
    """What a client without any reconnect code gets, or for each variant what; one verdict once a variant is chosen."""


__all__ = [
    "Ask",
    "At",
    "AtMost",
    "Bound",
    "Do",
    "Expect",
    "ExpectSpeech",
    "HangUp",
    "Meanwhile",
    "Needs",
    "Say",
    "Scenario",
    "SessionSpec",
    "Speak",
    "Step",
    "Teach",
    "TimelineEntry",
    "Until",
    "Wait",
    "When",
]
