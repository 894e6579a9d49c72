"""What every driven client needs, whatever it decides: commands in, events out, and the token call of its backend.

The standard library alone: JSON lines on stdin and stdout, as the contract has them in section 4.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import traceback
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeAlias
from urllib.parse import urlsplit

Message: TypeAlias = dict[str, Any]


class TokenCallFailedError(Exception):
    """The app's own backend gave no token."""


class Program:
    """A program that obeys lines. Subclasses say what each command means."""

    name = "client"
    can: Sequence[str] = ()
    policy: Mapping[str, object] = {}

    def __init__(self) -> None:
        self._chores: set[asyncio.Task[None]] = set()

    async def obey(self, command: Message) -> None:
        """Carry out one command; unknown ones are passed over."""
        raise NotImplementedError

    async def leave(self) -> None:
        """Let go of everything, at once."""

    async def run(self) -> None:
        """Read commands until told to quit, or until there is nobody left to tell."""
        self.tell("hello", client=self.name, version="1", can=list(self.can), policy=dict(self.policy))
        lines = asyncio.StreamReader(limit=2**20)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while line := await lines.readline():
            command = parse(line)
            if command.get("do") == "quit":
                break
            await self.obey(command)
        await self.leave()

    def tell(self, event: str, **data: object) -> None:
        """Write one event line."""
        print(json.dumps({"event": event, **data}), flush=True)

    def do(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start something on the side; if it fails, so does the program."""
        task = asyncio.create_task(work)
        self._chores.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._chores.discard(task)
        if not task.cancelled() and (problem := task.exception()) is not None:
            traceback.print_exception(problem)
            raise SystemExit(1)


def parse(data: str | bytes) -> Message:
    """The JSON object in `data`; empty for anything else, so that what nobody can read is passed over."""
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


async def fetch_token(token_url: str, tls: ssl.SSLContext | None) -> str:
    """Ask the app's backend for one ephemeral token.

    `tls` is used for an `https` URL. Raises `TokenCallFailedError` for an answer without a token, `OSError` for none.
    """
    url = urlsplit(token_url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port, ssl=tls if url.scheme == "https" else None)
    try:
        path = url.path + (f"?{url.query}" if url.query else "")
        writer.write(f"POST {path} HTTP/1.0\r\nHost: {url.netloc}\r\nContent-Length: 0\r\n\r\n".encode())
        head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
        if head.split(b" ", 2)[1:2] != [b"200"]:
            raise TokenCallFailedError(head.split(b"\r\n")[0].decode(errors="replace") or "no answer")
        token = parse(body).get("token")
        if not isinstance(token, str) or not token:
            raise TokenCallFailedError("the answer holds no token")
        return token
    finally:
        writer.transport.abort()
