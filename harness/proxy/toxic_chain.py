"""Keeps the toxics of one direction of one Toxiproxy link as the faults in force want them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from harness.proxy.port import Direction, Fault
from harness.proxy.toxics import NEUTRAL, Attributes, Slot, toxic, wanted
from harness.proxy.toxiproxy_calls import ToxiproxyCalls


class ToxicChain:
    """See `harness.proxy.toxics` for the slots and why they are updated, not removed."""

    def __init__(self, calls: ToxiproxyCalls, proxy_name: str, direction: Direction) -> None:
        """`direction` is `up` or `down`."""
        self.direction = direction
        self._calls = calls
        self._proxy_name = proxy_name
        self._lock = asyncio.Lock()
        self._there: dict[Slot, Attributes] = {}

    async def open(self) -> None:
        """Put in the two slots that every chain begins with; raises `ProxyError`."""
        for slot in (Slot.GATE, Slot.END):
            await self._set(slot, NEUTRAL[slot])

    async def bring_to(self, faults: Collection[Fault]) -> None:
        """Returns when the direction is as these faults want it; raises `ProxyError`."""
        slots = wanted(faults, self.direction)
        async with self._lock:
            changed = [slot for slot, attributes in slots.items() if self._differs(slot, attributes)]
            if Slot.END in changed and slots[Slot.END] == NEUTRAL[Slot.END]:
                # Before the gate opens, and before a black hole closes the link: nothing moves in it yet.
                changed.remove(Slot.END)
                await self._set(Slot.END, slots[Slot.END])
            await asyncio.gather(*(self._set(slot, slots[slot]) for slot in changed))

    def _differs(self, slot: Slot, attributes: Attributes | None) -> bool:
        return attributes != self._there.get(slot, NEUTRAL[slot])

    async def _set(self, slot: Slot, attributes: Attributes | None) -> None:
        if attributes is None:
            await self._calls.remove(self._proxy_name, toxic(slot, self.direction, self._there.pop(slot)))
            return
        known = slot in self._there
        self._there[slot] = attributes
        put = self._calls.update if known else self._calls.add
        await put(self._proxy_name, toxic(slot, self.direction, attributes))
