"""Function calls of one connection: which the model makes, how they are named, what becomes of them. Pure.

Protocol, section 8.3. Calls themselves are part of the session's memory, so that a resume restores them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2s
from typing import Any, Literal

import orjson

from fake_server import wire
from fake_server.behaviour import ModelScript
from fake_server.history import Memory, ToolCall
from fake_server.profiles import ModelProfile
from fake_server.tools import Function, declared_functions, make_arguments


@dataclass(frozen=True, slots=True)
class Response:
    """What a client answered to one pending call."""

    call: ToolCall
    text: str
    """Its JSON."""
    scheduling: str
    """`SILENT`, `WHEN_IDLE` or `INTERRUPT`; always `WHEN_IDLE` for a blocking call, where it has no meaning."""


class Calls:
    """The functions that one client declared, and the calls of them."""

    def __init__(
        self,
        connection: int,
        setup: Mapping[str, Any],
        profile: ModelProfile,
        script: ModelScript,
        service: Literal["developer", "vertex"],
    ) -> None:
        self.functions: tuple[Function, ...] = declared_functions(setup, profile)
        self._connection = connection
        self._profile = profile
        self._script = script
        self._with_ids = script.call_ids or service == "developer"
        self._made = 0

    def declare(self, tools: Any) -> None:
        """A contextUpdate: these tools are the client's from now on; an empty list clears them."""
        self.functions = declared_functions({"tools": tools}, self._profile)

    def wanted(self, text: str, turn: int) -> Function | None:
        """The function that the session's user turn `turn` (from 1) has called: by the script, or by its name."""
        for scripted in self._script.calls:
            if scripted.turn == turn:
                return self.find(scripted.name)
        if not self._script.calls_when_named or not text:
            return None
        return next((one for one in self.functions if one.name and _names(one.name, text)), None)

    def find(self, name: str | None) -> Function | None:
        """A declared function; without a name the first. None: there is none."""
        return next((one for one in self.functions if name in (None, one.name)), None)

    def make(self, function: Function, memory: Memory, *, asked: tuple[str, ...], by_speech: bool) -> dict[str, Any]:
        """The toolCall message; the call is pending from now on."""
        self._made += 1
        call = ToolCall(self._new_id(by_speech), function.name, function.blocking, asked)
        memory.tool_calls = (*memory.tool_calls, call)
        return wire.tool_call([(call.id if self._with_ids else None, call.name, make_arguments(function.schema))])

    def take(self, body: Mapping[str, Any], memory: Memory) -> list[Response]:
        """The answers of a toolResponse that fit pending calls. Others the service takes in silence."""
        found = []
        for given in body.get("functionResponses") or ():
            call = next((call for call in memory.tool_calls if self._fits(call, given)), None)
            if call is None:
                continue
            if not given.get("willContinue") or call.blocking:
                memory.tool_calls = tuple(other for other in memory.tool_calls if other is not call)
            content = given.get("response")
            inside = content.get("scheduling") if isinstance(content, Mapping) else None  # as the pages show it
            scheduling = given.get("scheduling") or inside
            if call.blocking or scheduling not in ("SILENT", "INTERRUPT"):
                scheduling = "WHEN_IDLE"
            found.append(Response(call, orjson.dumps(content, default=str).decode(), scheduling))
        return found

    def drop_blocking(self, memory: Memory) -> None:
        """The user spoke into a blocking call: the model waits no longer, and a late answer is taken in silence."""
        memory.tool_calls = tuple(call for call in memory.tool_calls if not call.blocking)

    def cancel(self, memory: Memory) -> dict[str, Any] | None:
        """The toolCallCancellation of all pending calls; None: there are none."""
        if not memory.tool_calls:
            return None
        ids = [call.id for call in memory.tool_calls]
        memory.tool_calls = ()
        return wire.tool_call_cancellation(ids)

    def _fits(self, call: ToolCall, given: Mapping[str, Any]) -> bool:
        call_id = given.get("id")
        if not self._with_ids and not call_id:
            return call.name == given.get("name")
        return call.id == call_id

    def _new_id(self, by_speech: bool) -> str:
        """As the service names calls: long numbers, on 3.8 shorter for speech; the same for the same connection."""
        seed = b"call %d of connection %d" % (self._made, self._connection)
        number = int.from_bytes(blake2s(seed, digest_size=8).digest(), "big")
        if self._profile.call_id == "long":
            return f"function-call-{10**19 + number % 9 * 10**18 + number % 10**18}"
        if by_speech:
            return f"call_{number % 900_000 + 100_000}"
        return f"fc_{10**18 + number % (9 * 10**18)}"


def _names(name: str, text: str) -> bool:
    return name in text and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None
