"""How much a session may hold, with contextWindowCompression and without (protocol, sections 4.1 and 6.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fake_server.history import Memory


class Window:
    """One connection's context window."""

    def __init__(self, compression: Mapping[str, Any] | None, limit_tokens: int | None) -> None:
        """`compression`: as the setup has it; None: none asked for. `limit_tokens` None: there is no limit.

        The trigger is 80 % of the limit unless the client names one, the target half of the trigger.
        """
        self._limit = limit_tokens
        self._trigger: int | None = None
        self._target = 0
        if compression is not None:
            given = compression.get("triggerTokens")
            usual = None if limit_tokens is None else limit_tokens * 8 // 10
            self._trigger = max(0, given) if given else usual
            target = (compression.get("slidingWindow") or {}).get("targetTokens")
            self._target = max(0, target) if target is not None else (self._trigger or 0) // 2

    def holds(self, memory: Memory) -> bool:
        """Whether all fits, after the oldest was let go where compression was asked for; False: the context is full."""
        if self._limit is None and self._trigger is None:
            return True
        held = memory.held_tokens
        if self._trigger is not None:
            if held > self._trigger:
                memory.shorten(self._target)
            return True
        return self._limit is None or held <= self._limit
