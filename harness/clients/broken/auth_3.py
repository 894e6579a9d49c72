"""AUTH-3: fetches its first token too early, then gets the microphone ready: the new-session window is over by then."""

import asyncio

from harness.clients.reference import LiveClient, main

PREPARATION_S = 4.0


class FetchesTooEarly(LiveClient):
    """Lets its first token grow old."""

    name = "fetches-too-early"
    prepared = False

    async def credential(self) -> str:
        """Wrong: the token ages while the microphone is made ready, the first time."""
        token = await super().credential()
        if not self.prepared:
            self.prepared = True
            await asyncio.sleep(PREPARATION_S)
        return token

    def patience_s(self) -> float:
        """The preparation is part of the first token call."""
        return super().patience_s() + (0.0 if self.prepared else PREPARATION_S)


if __name__ == "__main__":
    main(FetchesTooEarly)
