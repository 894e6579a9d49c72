"""RESUME-4: lets an update that is not resumable erase the handle that it had."""

from harness.clients.program import Message
from harness.clients.reference import LiveClient, main


class EmptiedByAnUpdate(LiveClient):
    """Believes the newest update, and be it empty."""

    name = "emptied-by-an-update"

    def take_update(self, update: Message) -> None:
        """Wrong: takes whatever the update holds, and be it nothing."""
        self.handle = update.get("newHandle") or None


if __name__ == "__main__":
    main(EmptiedByAnUpdate)
