"""RESUME-5: begins a conversation with a handle that this service never gave it, left over from somewhere else."""

from harness.clients.reference import LiveClient, main

LEFT_OVER = "5b0c8f5e-3d0f-4a52-9d43-0d8e6a1c7b21"


class PresentsALeftOverHandle(LiveClient):
    """Carries a handle over from another conversation."""

    name = "presents-a-left-over-handle"

    def begin(self) -> None:
        """Wrong: a new conversation starts with an old handle."""
        super().begin()
        self.handle = LEFT_OVER


if __name__ == "__main__":
    main(PresentsALeftOverHandle)
