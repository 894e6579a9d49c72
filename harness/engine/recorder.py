"""The one way into the journal while a run plays: write the fact, then tell whoever waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from harness.journal.events import Entry, Event
from harness.journal.writer import JournalWriter

Listener = Callable[[Entry], None]
Predicate = Callable[[Entry], bool]


class Recorder:
    """Writes events and hands each entry, in order, to listeners and to those who wait for one like it."""

    def __init__(self, writer: JournalWriter) -> None:
        self._writer = writer
        self._listeners: list[Listener] = []
        self._waiting: list[tuple[Predicate, asyncio.Future[Entry]]] = []
        self._closed = False

    def listen(self, listener: Listener) -> None:
        """Call `listener` with every entry from now on; it must not raise."""
        self._listeners.append(listener)

    def record(self, event: Event) -> Entry:
        """Write one fact. Its time is now. After `close` it is dropped: an echo of a part that is stopped."""
        if self._closed:
            return Entry(0, self._writer.now_s(), event)
        entry = self._writer.append(event)
        for listener in self._listeners:
            listener(entry)
        if self._waiting:
            self._wake(entry)
        return entry

    def _wake(self, entry: Entry) -> None:
        still_waiting = []
        for predicate, future in self._waiting:
            if future.done():
                continue
            try:
                fits = predicate(entry)
            except Exception as error:  # noqa: BLE001 - it belongs to who waits, not to who tells
                future.set_exception(error)
                continue
            if fits:
                future.set_result(entry)
            else:
                still_waiting.append((predicate, future))
        self._waiting = still_waiting

    def close(self) -> None:
        """The last fact is written."""
        self._closed = True

    def now_s(self) -> float:
        """The time that an entry written now would carry."""
        return self._writer.now_s()

    async def wait_for(self, predicate: Predicate, timeout_s: float) -> Entry | None:
        """The first entry from now on that fits, or None when `timeout_s` has passed without one."""
        future: asyncio.Future[Entry] = asyncio.get_running_loop().create_future()
        self._waiting.append((predicate, future))
        try:
            async with asyncio.timeout(max(0.0, timeout_s)):
                return await future
        except TimeoutError:
            return None
        finally:
            future.cancel()
