"""SPEECH-2: never notes what has arrived, so that a reconnect says everything once more from the beginning."""

from harness.clients.reference import LiveClient, main


class SaysItAllAgain(LiveClient):
    """Repeats what has long arrived."""

    name = "says-it-all-again"

    def acknowledge(self, chunks: int) -> None:
        """Wrong: a pong means nothing to it."""


if __name__ == "__main__":
    main(SaysItAllAgain)
