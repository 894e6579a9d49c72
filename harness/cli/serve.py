"""`harness serve`: the fake server for testing by hand, with links that fail on command where they are wanted."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import click

from harness.errors import HarnessFault

if TYPE_CHECKING:
    from fake_server.behaviour import Behaviour
    from fake_server.serving import Address

_COUNT = click.IntRange(min=1)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Plain port; 0 takes any free one.")
@click.option("--tls-port", type=click.IntRange(0, 65535), default=0, help="TLS port; 0 takes any free one.")
@click.option("--model", default=None, help="Model id to serve.")
@click.option("--dialect", type=click.Choice(["google", "article"]), default="google", help="Of the token calls.")
@click.option("--seed", type=int, default=0, help="What keys and tokens are drawn from.")
@click.option("--max-connections", type=_COUNT, default=None, help="Connections open at once.  [default: 1000]")
@click.option("--max-sessions", type=_COUNT, default=None, help="Live sessions at once.  [default: no limit]")
@click.option("--max-tokens", type=_COUNT, default=None, help="Tokens known at once.  [default: 10000]")
@click.option("--max-handles", type=_COUNT, default=None, help="Resumption handles known at once.  [default: 50000]")
@click.option("--max-frame-bytes", type=_COUNT, default=None, help="Size of one client frame.  [default: 16777216]")
@click.option(
    "--proxy",
    type=click.Choice(["auto", "toxiproxy", "builtin"]),
    is_flag=False,
    flag_value="auto",
    default=None,
    help="Put a link that can fail before each port, on ports of its own; faults are then typed in.  [alone: auto]",
)
def serve(
    host: str,
    port: int,
    tls_port: int,
    model: str | None,
    dialect: str,
    seed: int,
    max_connections: int | None,
    max_sessions: int | None,
    max_tokens: int | None,
    max_handles: int | None,
    max_frame_bytes: int | None,
    proxy: str | None,
) -> int:
    """Run the fake Live API server until Ctrl-C: prints its addresses, what SDKs need, and a live log.

    With --proxy a fault is typed in as a scenario has it, one a line: `network: blackhole, for: 8s`, `network: cut`,
    `server: go_away, time_left: 5s`, `tokens: fail, with: 503, for: 10s`.
    """
    # The server's libraries are slow to import.
    from fake_server.behaviour import DEFAULT_MODEL, Behaviour
    from fake_server.serving import Address, keeping

    behaviour = keeping(
        Behaviour(model=model or DEFAULT_MODEL, dialect=cast("Literal['google', 'article']", dialect)),
        {
            "connections": max_connections,
            "sessions": max_sessions,
            "tokens": max_tokens,
            "handles": max_handles,
            "frame-bytes": max_frame_bytes,
        },
    )
    address = Address(host, port, tls_port)
    try:
        if proxy is None:
            from fake_server.__main__ import serve_until_interrupted

            serve_until_interrupted(behaviour, address, seed)
        else:
            _serve_behind_links(behaviour, address, seed, cast("Literal['auto', 'toxiproxy', 'builtin']", proxy))
    except BrokenPipeError:
        raise  # whoever read the log has left
    except OSError as error:
        raise HarnessFault(
            f"cannot listen at {host}: {error.strerror or error}; choose another address or port, or port 0"
        ) from error
    return 0


def _serve_behind_links(
    behaviour: Behaviour, address: Address, seed: int, proxy: Literal["auto", "toxiproxy", "builtin"]
) -> None:
    from harness.hand_testing import HandTest
    from harness.proxy.port import ProxyError

    with tempfile.TemporaryDirectory(prefix="live-api-harness-") as folder:
        try:
            asyncio.run(HandTest(behaviour, address, seed, Path(folder), click.echo).run(proxy))
        except ProxyError as error:
            raise HarnessFault(str(error)) from error
