"""LIFE-1: a drop is an exception that nobody catches."""

from harness.clients.attempt import Attempt
from harness.clients.reference import LiveClient, main


class CrashesOnADrop(LiveClient):
    """Dies of the first drop."""

    name = "crashes-on-a-drop"

    def learn_from(self, attempt: Attempt) -> None:
        """Wrong: takes it for granted that somebody else handles this."""
        raise ConnectionError(f"the connection ended in {attempt.phase}")


if __name__ == "__main__":
    main(CrashesOnADrop)
