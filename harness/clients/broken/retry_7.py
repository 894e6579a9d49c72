"""RETRY-7: on goAway it opens a second session, keeps the first, and sends what the user says to both."""

import os

from websockets.asyncio.client import ClientConnection

from harness.clients.attempt import Attempt
from harness.clients.program import Message
from harness.clients.reference import LiveClient, main


class KeepsBothSessions(LiveClient):
    """Has two sessions where one should be."""

    name = "keeps-both-sessions"
    second: LiveClient | None = None

    async def on_go_away(self, socket: ClientConnection, time_left_s: float) -> None:
        """Wrong: the old session stays open until the service closes it."""
        if self.second is None:
            self.second = Second(os.environ)
            self.second.start()
            self.second.transcript = list(self.transcript)

    async def obey(self, command: Message) -> None:
        """The user speaks to both."""
        await super().obey(command)
        if self.second is not None and command.get("do") != "connect":
            await self.second.obey(command)

    def comes_back(self, attempt: Attempt) -> bool:
        """Once the first is closed, the second carries on alone."""
        return self.second is None and super().comes_back(attempt)

    def wake(self) -> None:
        """With a second session there is nothing to wake."""
        if self.second is None:
            super().wake()
        else:
            self.input_waits.set()

    def tell(self, event: str, **data: object) -> None:
        """The second one speaks for both when it is there."""
        if self.second is None:
            super().tell(event, **data)


class Second(LiveClient):
    """The new session, filled with what was said so far."""


if __name__ == "__main__":
    main(KeepsBothSessions)
