"""Frames that no service would send, and one that no client can know: for scenarios that ask for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fake_server import wire
from fake_server.effects import SendRaw

_TOO_LARGE_BYTES = 1_100_000  # over 1 MiB: Python's SDK closes with 1009 (protocol, section 0)


def malformed_frame(form: str) -> SendRaw:
    """A frame that is broken in one of the forms of `fake_server.acts.SendMalformed`."""
    document = _DOCUMENTS.get(form)
    return SendRaw(_DATA[form](), form.replace("_", " "), document)


def unknown_message() -> dict[str, Any]:
    """A message of a type that no client can know."""
    return {"futureMessage": {"kind": "FUTURE_KIND_1", "weight": 1}}


def _too_large() -> bytes:
    return wire.render({"serverContent": {}, "padding": "x" * _TOO_LARGE_BYTES})


_DATA: Mapping[str, Callable[[], bytes]] = {
    "not_json": lambda: b"this is not JSON\n",
    "two_documents": lambda: wire.render({"serverContent": {}}) + wire.render({"serverContent": {}}),
    "empty_object": lambda: b"{}\n",
    "empty_frame": lambda: b"",
    "too_large": _too_large,
    "truncated": lambda: wire.render(wire.server_content(text="This sentence is cut"))[:-14],
}
_DOCUMENTS: Mapping[str, Mapping[str, Any]] = {"empty_object": {}}
