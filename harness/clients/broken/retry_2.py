"""RETRY-2: dials again without any pause."""

from harness.clients.attempt import Attempt
from harness.clients.reference import LiveClient, main


class HammersTheService(LiveClient):
    """Knows no backoff."""

    name = "hammers-the-service"

    def pause_before_dial_s(self, attempt: Attempt) -> float:
        """Wrong: at once, every time."""
        return 0.0


if __name__ == "__main__":
    main(HammersTheService)
