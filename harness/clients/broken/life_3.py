"""LIFE-3: does not leave when told to, by any means short of SIGKILL."""

import asyncio
import signal

from harness.clients.reference import LiveClient, main


class Stays(LiveClient):
    """Cannot be told to go."""

    name = "stays"

    async def leave(self) -> None:
        """Wrong: hangs up, and stays."""
        await super().leave()
        await asyncio.Event().wait()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    main(Stays)
