"""RESUME-7: resumes as it should, then starts over "to be clean": what the model knew is gone."""

from websockets.asyncio.client import ClientConnection

from harness.clients.attempt import Attempt
from harness.clients.reference import LiveClient, main


class StartsOver(LiveClient):
    """Throws a good session away."""

    name = "starts-over"
    starting_over = False

    def handle_to_present(self) -> str | None:
        """Resumes after a drop, as it should; starting over means without a handle."""
        return None if self.starting_over else super().handle_to_present()

    async def after_setup(self, socket: ClientConnection, attempt: Attempt) -> None:
        """Wrong: a resume that was accepted is given up for an empty session."""
        self.starting_over = bool(attempt.handle)
        if self.starting_over:
            self.transcript.clear()
            await self.move_on(socket)


if __name__ == "__main__":
    main(StartsOver)
