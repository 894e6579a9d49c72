"""`python -m fake_server`: the fake Live API on its own."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from fake_server.behaviour import DEFAULT_MODEL, Behaviour
from fake_server.serving import KEPT, Address, keeping, make_trust, serve


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted; 0 then, 3 when the addresses cannot be had."""
    parser = argparse.ArgumentParser(prog="fake_server", description="A fake Gemini Live API server.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="plain port (default: any free one)")
    parser.add_argument("--tls-port", type=int, default=0, help="TLS port (default: any free one)")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="model id to serve (default: %(default)s)")
    parser.add_argument("--dialect", choices=("google", "article"), default="google", help="of the token calls")
    parser.add_argument("--seed", type=int, default=0, help="what keys and tokens are drawn from (default: 0)")
    for name, (default, text) in KEPT.items():
        parser.add_argument(f"--max-{name}", type=_at_least_one, default=default, metavar="N", help=text)
    given = parser.parse_args(arguments)
    kept = {name: getattr(given, "max_" + name.replace("-", "_")) for name in KEPT}
    behaviour = keeping(Behaviour(model=given.model, dialect=given.dialect), kept)
    address = Address(given.host, given.port, given.tls_port)
    try:
        serve_until_interrupted(behaviour, address, given.seed)
    except OSError as error:
        print(f"cannot listen at {given.host}: {error.strerror or error}; choose another port, or 0", file=sys.stderr)
        return 3
    return 0


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is given; it must be 1 or more")
    return number


def serve_until_interrupted(behaviour: Behaviour, address: Address, seed: int) -> None:
    """Serve until SIGINT or SIGTERM. Raises `OSError` when the addresses cannot be had."""
    with tempfile.TemporaryDirectory(prefix="fake-live-api-") as folder:
        asyncio.run(_run(behaviour, address, Path(folder), seed))


async def _run(behaviour: Behaviour, address: Address, folder: Path, seed: int) -> None:
    trust = make_trust(folder, address.host)
    task = asyncio.ensure_future(serve(behaviour, address, trust, _say, seed))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
