"""AUTH-2: dials again with the token that was just refused, before it thinks of fetching another."""

from harness.clients.attempt import Attempt
from harness.clients.reference import LiveClient, main


class InsistsOnItsToken(LiveClient):
    """Does not believe a refusal until it hears it twice."""

    name = "insists-on-its-token"
    token: str | None = None
    refusals = 0

    async def credential(self) -> str:
        """Wrong: the token stays the same until it has been refused twice."""
        self.token = self.token or await super().credential()
        return self.token

    def learn_from(self, attempt: Attempt) -> None:
        """Counts refusals of the token."""
        super().learn_from(attempt)
        if attempt.names_token:
            self.refusals += 1
            if self.refusals % 2 == 0:
                self.token = None


if __name__ == "__main__":
    main(InsistsOnItsToken)
