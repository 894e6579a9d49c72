"""RETRY-1: never reconnects."""

from harness.clients.attempt import Attempt
from harness.clients.reference import LiveClient, main


class NeverComesBack(LiveClient):
    """Gives up at the first end."""

    name = "never-comes-back"

    def comes_back(self, attempt: Attempt) -> bool:
        """Wrong: the first end is the last."""
        return False

    def wake(self) -> None:
        """Neither does new input bring it back."""
        self.input_waits.set()


if __name__ == "__main__":
    main(NeverComesBack)
