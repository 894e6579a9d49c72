"""RESUME-3: is one handle behind: resumes with the one before the newest."""

from harness.clients.program import Message
from harness.clients.reference import LiveClient, main


class OneHandleBehind(LiveClient):
    """Always one handle late."""

    name = "one-handle-behind"
    newest: str | None = None

    def take_update(self, update: Message) -> None:
        """Wrong: an update moves the handle before it into place."""
        if update.get("resumable") and update.get("newHandle"):
            self.handle, self.newest = self.newest or update["newHandle"], update["newHandle"]


if __name__ == "__main__":
    main(OneHandleBehind)
