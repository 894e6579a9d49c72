"""What the fake server is measured against: aiohttp, a JSON parser and a JSON encoder, and nothing else.

    python benchmarks/bare_server.py ANSWERS.json

`ANSWERS.json` holds a list of answers, each a list of messages. Every frame that comes is parsed; a setup is answered
by setupComplete, anything else by the messages of the next answer, each serialised anew and sent as a frame of its own.
There is no session, no check, no label, no journal. Its port is the first line of its output.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import time
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

PRETTY = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
"""As the fake server's own frames: see `fake_server.wire.render`."""


async def serve(answers: list[list[dict[str, Any]]]) -> None:
    next_answer = itertools.cycle(answers)

    async def talk(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        async for message in ws:
            document = orjson.loads(message.data)
            if "setup" in document:
                await ws.send_bytes(orjson.dumps({"setupComplete": {}}, option=PRETTY))
                continue
            for reply in next(next_answer):
                await ws.send_bytes(orjson.dumps(reply, option=PRETTY))
        return ws

    app = web.Application()
    app.router.add_get("/{path:.*}", talk)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=512).start()
    print(runner.addresses[0][1], flush=True)
    await answer_questions()
    await runner.cleanup()


async def answer_questions() -> None:
    """For each line on standard input, the CPU seconds that this process has used; returns when the input closes."""
    loop = asyncio.get_running_loop()
    closed = loop.create_future()

    def read() -> None:
        if os.read(0, 4096):
            print(time.process_time(), flush=True)
        elif not closed.done():
            closed.set_result(None)

    loop.add_reader(0, read)
    await closed
    loop.remove_reader(0)


if __name__ == "__main__":
    asyncio.run(serve(orjson.loads(Path(sys.argv[1]).read_bytes())))
