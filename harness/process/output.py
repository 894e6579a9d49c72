"""One output stream of a client: kept clean of secrets, kept bounded on disk, cut into lines."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.redaction import Redactor, StreamRedactor

FILE_LIMIT_BYTES = 16 * 1024 * 1024
"""So much of a stream is kept on disk; the rest is counted."""
LONGEST_LINE_BYTES = 1024 * 1024
CUT_LINE_MARK = " [harness: line cut here, at 1 MiB]"
CUT_FILE_MARK = b"\n[harness: this file ends here, at 16 MiB; what came after it was not kept]\n"
_READ_BYTES = 32 * 1024
"""At once, then others have their turn: a noisy client must not make the harness late."""
_DRAIN_BYTES = 2 * 1024 * 1024
"""More than a pipe holds."""

OnLine = Callable[[str, str], None]
"""`(stream, text)`: `stdout` or `stderr`, and a line without its end."""


class LineCutter:
    """Cuts a stream into lines of text. What is no UTF-8 is replaced; a line over 1 MiB is cut and marked."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._skipping = False
        """In the rest of a line that was cut."""

    def feed(self, data: bytes) -> Iterator[str]:
        """The lines that `data` completes."""
        *ends, rest = data.split(b"\n")
        for end in ends:
            if self._skipping:
                self._skipping = False
                continue
            if self._pending:
                end = bytes(self._pending + end)
                self._pending.clear()
            yield self._text(end)
        if self._skipping:
            return
        self._pending += rest
        if len(self._pending) > LONGEST_LINE_BYTES:
            yield self._text(bytes(self._pending))
            self._pending.clear()
            self._skipping = True

    def flush(self) -> Iterator[str]:
        """The last line, if it had no end."""
        if self._pending:
            yield self._text(bytes(self._pending))
            self._pending.clear()

    def _text(self, line: bytes) -> str:
        if len(line) > LONGEST_LINE_BYTES:
            return line[:LONGEST_LINE_BYTES].decode("utf-8", "replace") + CUT_LINE_MARK
        return line.removesuffix(b"\r").decode("utf-8", "replace")


class Output:
    """Reads one pipe on the running loop until it ends or `close` is called.

    Secrets are replaced before anything is written or told. When the file has reached its limit, `on_line` is told
    only what may be an event: lines of standard output that begin with a brace.
    """

    def __init__(self, stream: str, fd: int, path: Path, redactor: Redactor, on_line: OnLine, *, append: bool) -> None:
        self.stream = stream
        self.received_bytes = 0
        self.error: OSError | None = None
        """Why the file is not complete (disk full); None while all is well."""
        self._fd = fd
        self._redactor = StreamRedactor(redactor)
        self._lines = LineCutter()
        self._on_line = on_line
        self._ended = False
        self._closed = False
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_APPEND if append else os.O_TRUNC)
        self._file = os.open(path, flags, 0o644)
        self._file_bytes = os.fstat(self._file).st_size
        self._full = self._file_bytes >= FILE_LIMIT_BYTES
        os.set_blocking(fd, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(fd, self._read)

    def drain(self) -> None:
        """Take what the pipe holds at this moment."""
        left_bytes = _DRAIN_BYTES
        while not self._ended and left_bytes > 0:
            got = self._read()
            if not got:
                return
            left_bytes -= got

    def close(self) -> None:
        """Take what is still there, and let go of pipe and file; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self.drain()
        self._end()
        os.close(self._file)

    def _read(self) -> int:
        """How many bytes came; 0: none for now, or the end."""
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""
        if not data:
            self._end()
            return 0
        self.received_bytes += len(data)
        self._take(self._redactor.feed(data))
        return len(data)

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._loop.remove_reader(self._fd)
        self._take(self._redactor.flush())
        for line in self._lines.flush():
            self._tell(line)

    def _take(self, clean: bytes) -> None:
        if not clean:
            return
        self._keep(clean)
        for line in self._lines.feed(clean):
            self._tell(line)

    def _tell(self, line: str) -> None:
        if not self._full or (self.stream == "stdout" and line.startswith("{")):
            self._on_line(self.stream, line)

    def _keep(self, clean: bytes) -> None:
        if self._full or self.error is not None:
            return
        room_bytes = FILE_LIMIT_BYTES - self._file_bytes
        if len(clean) > room_bytes:
            clean = clean[:room_bytes] + CUT_FILE_MARK
            self._full = True
        self._file_bytes += len(clean)
        view = memoryview(clean)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            self.error = error
