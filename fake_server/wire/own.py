"""Which messages a scenario may have sent in the service's name: those that the real service could send."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import orjson

from fake_server.wire.building import render
from fake_server.wire.inspection import invalid_reason

LARGEST_BYTES = 2**20
"""Clients close a link on which more comes at once (protocol, section 0)."""


def unsendable_reason(message: Mapping[str, Any], service: Literal["developer", "vertex"] | None = None) -> str | None:
    """Why the service could send this message at no moment of a live session; None: it could.

    `service` None: it is enough that one of the two could. What the turn allows at the moment is not looked at. A
    reason about a member begins with its path: `serverContent.turnComplete: …`.
    """
    try:
        rendered = render(message)
        kept = orjson.loads(rendered)
    except (TypeError, ValueError) as error:
        return f"it cannot be written as JSON ({error})"
    if kept != message:
        return "it cannot be written as JSON: NaN and infinity are no numbers there"
    if len(rendered) > LARGEST_BYTES:
        return f"a frame of {len(rendered)} bytes: the service sends some ten thousand at most"
    content = message.get("serverContent")
    if type(content) is dict:  # every member by the table: the short way looks at less
        message = {**message, "serverContent": MappingProxyType(content)}
    services: tuple[Literal["developer", "vertex"], ...] = ("developer", "vertex") if service is None else (service,)
    reasons = [invalid_reason(message, service=one) for one in services]
    return None if None in reasons else reasons[0]
