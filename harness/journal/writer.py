"""Writes a journal: one line a fact, encoded once, on disk at most 50 ms later; a kill costs no line that is there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from harness.journal.events import Entry, Event
from harness.journal.registry import encode_lines

FLUSH_WITHIN_S = 0.05
"""A fact is at most this far behind on disk, while an event loop runs."""
_FLUSH_BYTES = 256 * 1024
"""So much is written at once without waiting: bounds memory, also where no loop runs."""
_ENCODED_TOGETHER = 32
"""Facts become lines so many at a time: quicker than one by one between other work. Bounds memory as well."""


class JournalError(Exception):
    """The journal cannot be written (disk full, folder gone, closed): exit code 3, never the client's fault."""


class MonotonicClock(Protocol):
    """The part of the one clock that a journal needs."""

    def monotonic_s(self) -> float:
        """Seconds since an arbitrary start; never goes back."""
        ...


class JournalWriter:
    """Appends facts to one file. Belongs to one thread.

    `redact` is given whole lines (several at once) just before they reach the disk; None: they are free of secrets.
    `on_failed` is called once, when the disk first refuses a write.

    A file that is there already is begun anew. Raises `JournalError` when it cannot be created.
    """

    def __init__(
        self,
        path: Path,
        clock: MonotonicClock,
        redact: Callable[[bytes], bytes] | None = None,
        on_failed: Callable[[JournalError], None] | None = None,
    ) -> None:
        self.path = path
        self._monotonic_s = clock.monotonic_s
        self._redact = redact
        self._on_failed = on_failed
        self._failed: JournalError | None = None
        self._closed = False
        self._count = 0
        self._entries: list[Entry] = []
        """Not lines yet; facts are never changed once they are told."""
        self._buffer: list[bytes] = []
        self._buffered_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise JournalError(f"{path}: cannot create the journal: {error.strerror}") from error
        self._start_s = self._monotonic_s()

    @property
    def failed(self) -> JournalError | None:
        """Why facts are missing on disk; None while all is well. What was written before stays as it is."""
        return self._failed

    @property
    def count(self) -> int:
        """Facts appended so far: the `n` of the newest entry."""
        return self._count

    def now_s(self) -> float:
        """The journal's time now: seconds since the writer was made."""
        return self._monotonic_s() - self._start_s

    def append(self, event: Event) -> Entry:
        """Stamp `event` and queue its line.

        Never raises for a disk that refuses (see `failed`); raises `JournalError` after `close`.
        """
        if self._closed:
            raise JournalError(f"{self.path}: {event.kind} came after the journal was closed; close it last")
        self._count = n = self._count + 1
        # Whole microseconds, so that the time read back is equal to this one.
        entry = Entry(n, int((self._monotonic_s() - self._start_s) * 1e6 + 0.5) / 1e6, event)
        if self._failed is None:
            self._entries.append(entry)
            if self._timer is None:
                self._arm()
            if len(self._entries) >= _ENCODED_TOGETHER:
                self._encode()
                if self._buffered_bytes >= _FLUSH_BYTES:
                    self.flush()
        return entry

    def flush(self) -> None:
        """Hand all queued lines to the operating system now. Never raises; see `failed`."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._failed is not None:
            return
        if self._entries:
            self._encode()
        if not self._buffer:
            return
        data = b"".join(self._buffer)
        self._buffer.clear()
        self._buffered_bytes = 0
        if self._redact is not None:
            data = self._redact(data)
        try:
            self._write(data)
        except OSError as error:
            self._fail(error)

    def close(self) -> None:
        """Write what is queued and close the file; a second call does nothing. Never raises; see `failed`."""
        if self._closed:
            return
        self.flush()
        self._closed = True
        try:
            os.close(self._fd)
        except OSError as error:
            self._fail(error)

    def _encode(self) -> None:
        lines = encode_lines(self._entries)
        self._entries.clear()
        self._buffer.append(lines)
        self._buffered_bytes += len(lines)

    def _arm(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no loop: the caller flushes
            return
        self._timer = loop.call_later(FLUSH_WITHIN_S, self.flush)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def _fail(self, error: OSError) -> None:
        self._failed = JournalError(f"{self.path}: the journal cannot be written: {error.strerror}")
        self._entries.clear()
        self._buffer.clear()
        self._buffered_bytes = 0
        if self._on_failed is not None:
            self._on_failed(self._failed)
