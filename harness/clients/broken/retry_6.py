"""RETRY-6: takes the end of a call that the user hung up for a drop, and dials again."""

from harness.clients.reference import LiveClient, main


class CallsBack(LiveClient):
    """Does not know a hang-up from a drop."""

    name = "calls-back"

    async def hang_up(self) -> None:
        """Wrong: closes the socket, and does not note why; a retry that is pending stays so."""
        if self.socket is not None:
            await self.socket.close()


if __name__ == "__main__":
    main(CallsBack)
