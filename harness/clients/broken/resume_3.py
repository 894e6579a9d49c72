"""RESUME-3: resumes with the oldest of the last three handles, "so that the service has surely stored it"."""

from collections import deque

from harness.clients.program import Message
from harness.clients.reference import LiveClient, main


class PrefersOldHandles(LiveClient):
    """Always some handles late."""

    name = "prefers-old-handles"

    def begin(self) -> None:
        """A conversation starts without handles."""
        super().begin()
        self.handles: deque[str] = deque(maxlen=3)

    def take_update(self, update: Message) -> None:
        """Wrong: the newest handle waits until two more have come."""
        if update.get("resumable") and update.get("newHandle"):
            self.handles.append(update["newHandle"])
            self.handle = self.handles[0]


if __name__ == "__main__":
    main(PrefersOldHandles)
