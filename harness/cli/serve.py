"""`harness serve`: the fake server for testing by hand."""

from __future__ import annotations

import click


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Plain port; 0 takes any free one.")
@click.option("--tls-port", type=click.IntRange(0, 65535), default=0, help="TLS port; 0 takes any free one.")
@click.option("--model", default=None, help="Model id to serve.")
@click.option("--dialect", type=click.Choice(["google", "article"]), default="google", help="Of the token calls.")
@click.option("--seed", type=int, default=0, help="What keys and tokens are drawn from.")
def serve(host: str, port: int, tls_port: int, model: str | None, dialect: str, seed: int) -> int:
    """Run the fake Live API server until Ctrl-C: prints its addresses, what SDKs need, and a live log."""
    from fake_server.__main__ import main  # the server's libraries are slow to import

    arguments = ["--host", host, "--port", str(port), "--tls-port", str(tls_port), "--dialect", dialect]
    arguments += ["--seed", str(seed), *(["--model", model] if model else [])]
    return main(arguments)
