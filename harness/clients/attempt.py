"""One dial of the reference client, and what its end means: which refusals can heal, and what they name."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

PROVED_AFTER_S = 10.0


@dataclass
class Attempt:
    """One dial and what became of it."""

    handle: str | None = None
    phase: str = "token call"
    """How far it got: `token call`, `dial`, `setup`, `session`."""
    code: int | None = None
    """Close code or HTTP status that ended it; None: the link just died."""
    reason: str = ""
    began_s: float = field(default_factory=lambda: time.monotonic())
    carried_content: bool = False

    @property
    def proved(self) -> bool:
        """A session that did something: only after such a one do the delays start again from the shortest."""
        lived_s = time.monotonic() - self.began_s
        return self.phase == "session" and (self.carried_content or lived_s >= PROVED_AFTER_S)

    @property
    def refuses_handle(self) -> bool:
        """The service says that it does not know, or no longer honours, the handle."""
        words = ("session handle", "session not found", "session expired", "Requested entity was not found")
        return bool(self.handle) and self.code in (1007, 1008) and any(word in self.reason for word in words)

    @property
    def not_now(self) -> bool:
        """The resume came too early, or hit a passing fault: the handle itself may be as good as before."""
        return bool(self.handle) and self.phase == "setup" and self.code == 1011 and not self.names_token

    @property
    def names_token(self) -> bool:
        """The token is refused; the next dial has another anyway."""
        return self.code == 401 or (self.code == 1011 and "oken" in self.reason)

    @property
    def over_quota(self) -> bool:
        """Asking again at once makes it worse."""
        return self.code == 429 or (self.code == 1011 and "quota" in self.reason)

    @property
    def cannot_heal(self) -> bool:
        """What we ask for is wrong: the same request will be refused again."""
        if self.names_token or self.over_quota or self.refuses_handle:
            return False
        return (self.phase == "setup" and self.code in (1007, 1008)) or (
            self.phase == "dial" and self.code is not None and 400 <= self.code < 500
        )
