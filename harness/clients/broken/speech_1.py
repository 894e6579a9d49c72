"""SPEECH-1: drops what is spoken while there is no connection, and says nothing of it."""

from harness.clients.reference import LiveClient, main


class DropsTheGap(LiveClient):
    """Listens only while connected."""

    name = "drops-the-gap"

    def hear_microphone(self, chunk: bytes) -> None:
        """Wrong: with nobody connected, nobody listens."""
        if self.ready:
            super().hear_microphone(chunk)


if __name__ == "__main__":
    main(DropsTheGap)
