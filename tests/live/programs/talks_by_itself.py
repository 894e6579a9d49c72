"""An autonomous client: connects, says something every three seconds, reads no commands and writes no events."""

import asyncio
import os

from harness.clients.reference import LiveClient, Turn


class TalksByItself(LiveClient):
    """The reference client's decisions, and nobody to tell of them."""

    def tell(self, event, **data):
        """Keeps it to itself."""


async def main():
    client = TalksByItself(os.environ)
    client.start()
    for number in range(1_000):
        await asyncio.sleep(3.0)
        client.turns.append(Turn(f"This is sentence {number}."))
        client.wake()


asyncio.run(main())
