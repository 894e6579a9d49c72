"""GOAWAY-4: takes the close that follows goAway for the end of the call: the service said so, after all."""

from websockets.asyncio.client import ClientConnection

from harness.clients.attempt import Attempt
from harness.clients.reference import LiveClient, main


class TakesLeave(LiveClient):
    """Comes back after every end but the announced one."""

    name = "takes-leave"
    announced = False

    async def on_go_away(self, socket: ClientConnection, time_left_s: float) -> None:
        """Wrong: only notes that the end is near."""
        self.announced = True

    def comes_back(self, attempt: Attempt) -> bool:
        """Wrong: an announced end is the last."""
        return not self.announced and super().comes_back(attempt)

    def wake(self) -> None:
        """New input does not bring it back either."""
        self.input_waits.set()


if __name__ == "__main__":
    main(TakesLeave)
