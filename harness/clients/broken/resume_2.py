"""RESUME-2: forgets its handle: after a drop it starts afresh, and tells the model again what was said."""

from harness.clients.reference import LiveClient, main


class ForgetsItsHandle(LiveClient):
    """Has no memory for handles, only for words."""

    name = "forgets-its-handle"

    def handle_to_present(self) -> str | None:
        """Wrong: never resumes."""
        return None


if __name__ == "__main__":
    main(ForgetsItsHandle)
