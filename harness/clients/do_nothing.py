"""A client that does nothing about faults, as quick starts are written: it connects, talks, and never comes back.

No resumption, no reconnect, no goAway, no pings. Every scenario says what becomes of it.
"""

from websockets.asyncio.client import ClientConnection

from harness.clients.attempt import Attempt
from harness.clients.program import Message
from harness.clients.reference import LiveClient, main


class DoesNothing(LiveClient):
    """Works as long as nothing goes wrong."""

    name = "do-nothing"
    can = ("text", "audio")

    def setup(self, handle: str | None) -> Message:
        """Does not opt in to resumption."""
        setup = super().setup(None)
        del setup["sessionResumption"]
        return setup

    def comes_back(self, attempt: Attempt) -> bool:
        """The first end is the last."""
        return False

    def wake(self) -> None:
        """New input does not bring it back either."""
        self.input_waits.set()

    async def on_go_away(self, socket: ClientConnection, time_left_s: float) -> None:
        """Stays until the service closes."""

    def link_is_dead(self, waited_for_pong_s: float) -> bool:
        """Never thinks so."""
        return False


if __name__ == "__main__":
    main(DoesNothing)
