"""SPEECH-3: sends what piled up in the gap newest first."""

from collections import deque

from harness.clients.reference import LiveClient, main


class NewestFirst(LiveClient):
    """Replays its backlog backwards."""

    name = "newest-first"

    def replay_speech(self) -> None:
        """Wrong: the backlog is a stack."""
        super().replay_speech()
        self.unheard = deque(reversed(self.unheard))


if __name__ == "__main__":
    main(NewestFirst)
