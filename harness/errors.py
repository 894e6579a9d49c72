"""The two ways in which a call of ours ends early: the user's mistake, or our own fault."""

from __future__ import annotations

from collections.abc import Iterable


class UserMistake(Exception):  # noqa: N818 - it names whose it is, which is what decides the exit code
    """Something that the user gave cannot be used: exit code 4, and the messages as they stand, without a traceback.

    Every message says what was given, the rule, and the way out.
    """

    def __init__(self, messages: str | Iterable[str]) -> None:
        self.messages: tuple[str, ...] = (messages,) if isinstance(messages, str) else tuple(messages)
        super().__init__("\n".join(self.messages))


class HarnessFault(Exception):  # noqa: N818 - as above
    """The harness, the proxy or the fake server failed: exit code 3. Never the client's doing."""
