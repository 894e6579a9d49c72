"""Keys, tokens and handles that look like the real ones and share one marker, so that they are found cheaply."""

from __future__ import annotations

import random
from collections.abc import Callable
from hashlib import blake2s

from fake_server.resumption import HANDLE_LENGTH

_KEY_LENGTH = 39
_KEY_PREFIX = "AIza"
_TOKEN_LENGTH = 64


class SecretValues:
    """All secrets of one server. `marker` (8 hexadecimal digits) stands in each of them."""

    def __init__(self, new_secret: Callable[[], str]) -> None:
        """`new_secret` gives another text each time it is called."""
        self._new_secret = new_secret
        self.marker = blake2s(new_secret().encode(), digest_size=4).hexdigest()
        self.api_key = (_KEY_PREFIX + self._marked())[:_KEY_LENGTH]

    def token_part(self) -> str:
        """The opaque part of a token's name."""
        return self._marked()[:_TOKEN_LENGTH]

    def handle(self) -> str:
        """A resumption handle: 36 characters."""
        return self._marked()[:HANDLE_LENGTH]

    def _marked(self) -> str:
        return self.marker + blake2s(self._new_secret().encode()).hexdigest()


def seeded_secrets(seed: int) -> Callable[[], str]:
    """The same texts for the same seed, each another one."""
    generator = random.Random(f"secrets of a fake server {seed}")
    return lambda: f"{generator.getrandbits(128):032x}"
