"""WIRE-2: does not wait for setupComplete before it sends, the first time."""

import json

from websockets.asyncio.client import ClientConnection

from harness.clients.attempt import Attempt
from harness.clients.program import parse
from harness.clients.reference import LiveClient, main


class DoesNotWait(LiveClient):
    """Speaks before it is its turn, once."""

    name = "does-not-wait"
    hurried = False

    async def open_session(self, socket: ClientConnection, attempt: Attempt) -> None:
        """Wrong: what was left in the microphone goes out right behind the setup."""
        if self.hurried:
            return await super().open_session(socket, attempt)
        self.hurried = True
        await socket.send(json.dumps({"setup": self.setup(attempt.handle)}))
        await socket.send(json.dumps({"realtimeInput": {"audioStreamEnd": True}}))
        while "setupComplete" not in parse(await socket.recv()):
            pass
        return None


if __name__ == "__main__":
    main(DoesNotWait)
