"""From server messages to the bytes of WebSocket frames, and to what is told of them: each rendered once."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import orjson

from fake_server import wire
from fake_server.behaviour import FrameRules
from fake_server.effects import Send, SendRaw
from fake_server.events import FrameSent, Payload
from fake_server.labels import Labels
from fake_server.wire.order import FrameOrder

_OPCODES = {"text": 0x1, "binary": 0x2, "close": 0x8, "pong": 0xA}
_MOST_KEPT = 1024
_LARGEST_BYTES = 2**20
"""Clients close a link on which more comes at once (protocol, section 0)."""
_MIDDLE_HEAD = struct.Struct("!BBH")
_LONG_HEAD = struct.Struct("!BBQ")


_Pressed: TypeAlias = tuple[Mapping[str, Any], bytes, str, tuple[str, ...], int, Payload, str | None]
"""The message itself (kept, so that its identity stays its own), its frame, and what a `FrameSent` says of it."""


class FramePress:
    """Makes frames by one server's rules; messages that come again and again are made once."""

    def __init__(self, rules: FrameRules, service: Literal["developer", "vertex"], labels: Labels) -> None:
        self._pretty = rules.pretty
        self._opcode = _OPCODES[rules.opcode]
        self._service = service
        self._labels = labels
        self._kept: dict[int, _Pressed] = {}

    def press(self, effect: Send, connection: int, index: int, order: FrameOrder) -> tuple[bytes, FrameSent]:
        """The frame's bytes, and what to tell of it. `index` is 1 for the connection's first frame.

        `order` has judged all frames of this connection before; what a scenario made odd is not its business.
        """
        kept = effect.constant and index > 1
        pressed = self._kept.get(id(effect.message)) if kept else None
        if pressed is None:
            pressed = self._press(effect.message, first=index == 1, kept=kept)
            if kept:
                if len(self._kept) >= _MOST_KEPT:
                    self._kept.clear()
                self._kept[id(effect.message)] = pressed
        _, data, message, parts, size_bytes, payload, invalid = pressed
        if invalid is None and not effect.deliberate:
            invalid = order.judge(effect.message)
        sent = FrameSent(connection, index, message, parts, size_bytes, payload, invalid, effect.deliberate)
        return data, sent

    def press_raw(self, effect: SendRaw, connection: int, index: int) -> tuple[bytes, FrameSent]:
        """The same for a frame that is broken on purpose."""
        message, parts = wire.what_is(effect.document)
        frame = framed(self._opcode, effect.data)
        size = len(effect.data)
        return frame, FrameSent(connection, index, message, parts, size, effect.document, effect.form, True)

    def _press(self, message: Mapping[str, Any], *, first: bool, kept: bool) -> _Pressed:
        """`kept`: the frame will be told again and again, so its payload is encoded for the journal once, too."""
        rendered = wire.render(message, self._pretty)
        name, parts = wire.what_is(message)
        payload = wire.journal_payload_sent(message, rendered, self._pretty, self._labels)
        if kept:
            payload = orjson.Fragment(orjson.dumps(payload))
        invalid = wire.invalid_reason(message, first=first, service=self._service)
        if len(rendered) > _LARGEST_BYTES:
            invalid = invalid or f"a frame of {len(rendered)} bytes: the service sends some ten thousand at most"
        return message, framed(self._opcode, rendered), name, parts, len(rendered), payload, invalid


def framed(opcode: int, payload: bytes) -> bytes:
    """One unmasked, unfragmented frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65536:
        return _MIDDLE_HEAD.pack(0x80 | opcode, 126, size) + payload
    return _LONG_HEAD.pack(0x80 | opcode, 127, size) + payload


def close_frame(code: int, reason: str) -> bytes:
    """A close frame; the reason has at most 123 bytes."""
    return framed(_OPCODES["close"], struct.pack("!H", code) + reason.encode())


def pong_frame(payload: bytes) -> bytes:
    """The answer to a ping."""
    return framed(_OPCODES["pong"], payload)
