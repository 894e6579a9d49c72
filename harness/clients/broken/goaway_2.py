"""GOAWAY-2: moves on goAway, and then once more because the old socket closed: two new sessions for one warning."""

from websockets.asyncio.client import ClientConnection

from harness.clients.attempt import Attempt
from harness.clients.reference import LiveClient, main


class MovesTwice(LiveClient):
    """Reconnects for two reasons that are one."""

    name = "moves-twice"
    old_socket_closed = False

    async def on_go_away(self, socket: ClientConnection, time_left_s: float) -> None:
        """Moves in time, and leaves a note that a socket has closed."""
        await super().on_go_away(socket, time_left_s)
        self.old_socket_closed = True

    async def after_setup(self, socket: ClientConnection, attempt: Attempt) -> None:
        """Wrong: the close that it caused itself counts as one more reason to reconnect."""
        await super().after_setup(socket, attempt)
        if self.old_socket_closed:
            self.old_socket_closed = False
            await self.move_on(socket)


if __name__ == "__main__":
    main(MovesTwice)
