"""AUTH-1: keeps its token until it is refused, as if a single-use token were good for more than one session."""

from harness.clients.attempt import Attempt
from harness.clients.reference import LiveClient, main


class KeepsItsToken(LiveClient):
    """Spends a token once more than it may."""

    name = "keeps-its-token"
    token: str | None = None

    async def credential(self) -> str:
        """Wrong: a spent token is tried once more."""
        self.token = self.token or await super().credential()
        return self.token

    def learn_from(self, attempt: Attempt) -> None:
        """A token that has been refused is let go."""
        super().learn_from(attempt)
        if attempt.names_token:
            self.token = None


if __name__ == "__main__":
    main(KeepsItsToken)
