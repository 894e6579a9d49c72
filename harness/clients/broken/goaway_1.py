"""GOAWAY-1: does not listen to goAway: it stays until the service closes."""

from websockets.asyncio.client import ClientConnection

from harness.clients.reference import LiveClient, main


class IgnoresGoAway(LiveClient):
    """Deaf to the warning."""

    name = "ignores-go-away"

    async def on_go_away(self, socket: ClientConnection, time_left_s: float) -> None:
        """Wrong: does nothing."""


if __name__ == "__main__":
    main(IgnoresGoAway)
