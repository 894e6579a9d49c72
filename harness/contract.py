"""The client contract's lines: commands that go to a driven client, events that come from one (contract, section 4).

Pure. What a client writes is not trusted: nothing that it prints can raise here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal, TypeAlias, get_args

import orjson
from pydantic import ValidationError

from harness.journal.events import ClientEvent
from harness.policy import Ability, ClientProfile, Policy

VERSION = 1
"""`HARNESS_CONTRACT`."""
Command: TypeAlias = dict[str, object]
LONGEST_LINE = 1024 * 1024
"""A line of more characters is no event."""
_LONGEST_NAME = 64
HELLO_ABILITIES = frozenset({"text", "audio", "tools", "resume"})
"""What a hello's `can` speaks of; of all else it says nothing by leaving it out."""


# --- out -------------------------------------------------------------------------------------------------------------


def connect() -> Command:
    """Open the session."""
    return {"do": "connect"}


def say(text: str) -> Command:
    """One user turn as text."""
    return {"do": "say", "text": text}


def speak(wav: str, ms: int) -> Command:
    """Stream the WAV at `wav` (16 kHz, mono, 16-bit) in real time; `ms` is its length."""
    return {"do": "speak", "wav": wav, "ms": ms}


def hang_up() -> Command:
    """The user ends the call: no reconnect after this."""
    return {"do": "hang_up"}


def background() -> Command:
    """The app goes to the background."""
    return {"do": "background"}


def foreground() -> Command:
    """The app comes back."""
    return {"do": "foreground"}


def network(state: Literal["lost", "changed"]) -> Command:
    """What the phone's system tells the app of its network."""
    return {"do": "network", "state": state}


def leave() -> Command:
    """Leave; standard input closing means the same."""
    return {"do": "quit"}


def encode_command(command: Mapping[str, object]) -> bytes:
    """One JSON line."""
    return orjson.dumps(dict(command), option=orjson.OPT_APPEND_NEWLINE)


def for_journal(command: Mapping[str, object]) -> Command:
    """`command` with file paths cut to their last part: no machine's folders in a result."""
    return {key: PurePath(str(value)).name if key == "wav" else value for key, value in command.items()}


# --- in --------------------------------------------------------------------------------------------------------------


def parse_line(text: str | bytes) -> ClientEvent | None:
    """The event in one line of standard output; None for a line that is kept as log. Never raises."""
    text = text.strip()
    if not 2 <= len(text) <= LONGEST_LINE or text[:1] not in ("{", b"{"):
        return None
    try:
        data = orjson.loads(text)
        if not isinstance(data, dict):
            return None
        name = data.get("event")
        if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME:
            return None
        orjson.dumps(data)  # nested so deep that no journal could hold it
    except (ValueError, TypeError):
        return None
    return ClientEvent(name, data)


@dataclass(frozen=True, slots=True)
class Hello:
    """What a client said of itself, as far as it could be understood."""

    client: str
    version: str
    can: frozenset[Ability] | None
    """None: it said nothing of it."""
    policy: Mapping[str, object]
    """Values of `Policy` fields, validated, by field name."""
    problems: tuple[str, ...]
    """What could not be understood, for a note in the journal."""


def parse_hello(event: ClientEvent) -> Hello:
    """A hello read leniently: what is unknown or wrong is left out and named in `problems`."""
    problems: list[str] = []
    can = event.data.get("can")
    known: frozenset[Ability] = frozenset(get_args(Ability))
    abilities: frozenset[Ability] | None = None
    if isinstance(can, list):
        abilities = frozenset(ability for ability in known if ability in can)
        problems += [
            f"can: {_short(word)} is not known" for word in can if not isinstance(word, str) or word not in known
        ]
    elif can is not None:
        problems.append(f"can: {_short(can)} is no list")
    return Hello(
        client=_text(event.data.get("client")),
        version=_text(event.data.get("version")),
        can=abilities,
        policy=_policy_values(event.data.get("policy"), problems),
        problems=tuple(problems),
    )


def with_hello(profile: ClientProfile, hello: Hello) -> ClientProfile:
    """`profile` completed by what the client says of itself: what its configuration sets outright stays as it is."""
    update: dict[str, object] = {}
    if hello.can is not None and "can" not in profile.model_fields_set:
        update["can"] = hello.can | {ability for ability in profile.can if ability not in HELLO_ABILITIES}
    set_outright = profile.policy.model_fields_set if "policy" in profile.model_fields_set else set()
    said = {name: value for name, value in hello.policy.items() if name not in set_outright}
    if said:
        update["policy"] = profile.policy.model_copy(update=said)
    return profile.model_copy(update=update)


def _policy_values(given: object, problems: list[str]) -> dict[str, object]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        problems.append(f"policy: {_short(given)} is no object")
        return {}
    values: dict[str, object] = {}
    for name, value in given.items():
        if name not in Policy.model_fields:
            problems.append(f"policy: {_short(name)} is not known")
            continue
        try:
            values[name] = getattr(Policy.model_validate({name: value}), name)
        except ValidationError:
            problems.append(f"policy: {name}: {_short(value)} is not understood")
    return values


def _text(given: object) -> str:
    return given[:200] if isinstance(given, str) else ""


def _short(given: object) -> str:
    return orjson.dumps(given).decode()[:80]
