"""Short names for secrets: `key-1`, `token-3`, `handle-2`. What is observed carries these, never the secret."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType


class Labels:
    """Gives every secret one label for the life of a run, in order of first sight.

    `most` bounds what is kept (a run has some hundreds): beyond it the secret seen first is forgotten, keys excepted.
    `on_new(secret, label)` is called once for each, so that whoever keeps text clean of secrets can know them.
    """

    def __init__(self, on_new: Callable[[str, str], None] | None = None, *, most: int = 200_000) -> None:
        self._most = most
        self._labels: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._on_new = on_new

    def name(self, kind: str, secret: str) -> str:
        """The label of `secret`; a new one `"{kind}-{n}"` (n from 1) when it was never seen."""
        label = self._labels.get(secret)
        if label is None:
            number = self._counts.get(kind, 0) + 1
            self._counts[kind] = number
            label = self._labels[secret] = f"{kind}-{number}"
            if len(self._labels) > self._most:
                self._forget_one()
            if self._on_new is not None:
                self._on_new(secret, label)
        return label

    def get(self, secret: str) -> str | None:
        """The label of `secret`, or None when it was never named."""
        return self._labels.get(secret)

    def _forget_one(self) -> None:
        oldest = next(iter(self._labels))
        label = self._labels.pop(oldest)
        if label.startswith("key-"):  # the server's own: it is needed as long as the server is
            self._labels[oldest] = label
            del self._labels[next(iter(self._labels))]

    @property
    def known(self) -> Mapping[str, str]:
        """All secrets and their labels, read-only."""
        return MappingProxyType(self._labels)
