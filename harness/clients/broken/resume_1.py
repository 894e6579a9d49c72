"""RESUME-1: does not opt in to resumption in its first setup, only once it has a handle."""

from harness.clients.program import Message
from harness.clients.reference import LiveClient, main


class OptsInLate(LiveClient):
    """Asks for resumption when it is too late."""

    name = "opts-in-late"

    def setup(self, handle: str | None) -> Message:
        """Wrong: without a handle there is no `sessionResumption` at all."""
        setup = super().setup(handle)
        if not handle:
            del setup["sessionResumption"]
        return setup


if __name__ == "__main__":
    main(OptsInLate)
