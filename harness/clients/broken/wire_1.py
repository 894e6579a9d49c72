"""WIRE-1: sends a second setup on a connection that has had one, after its first turn."""

import json

from websockets.asyncio.client import ClientConnection

from harness.clients.reference import LiveClient, main


class SetsUpTwice(LiveClient):
    """Sends setup again where it was sent before."""

    name = "sets-up-twice"
    renewed = False

    async def end_turn(self, socket: ClientConnection) -> None:
        """Wrong: renews its configuration on the open connection."""
        await super().end_turn(socket)
        if not self.renewed:
            self.renewed = True
            await socket.send(json.dumps({"setup": self.setup(None)}))


if __name__ == "__main__":
    main(SetsUpTwice)
