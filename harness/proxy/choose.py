"""Which fault proxy a call of the harness gets, and why."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

from fake_server.clock import Clock
from harness.proxy.locate import INSTALL_HINT, URL_VARIABLE, Located, locate, module_version
from harness.proxy.port import FaultProxy, ProxyError

Kind = Literal["auto", "toxiproxy", "builtin"]


async def open_proxy(
    kind: Kind, *, seed: int, clock: Clock, server: str | None = None, environ: Mapping[str, str] | None = None
) -> tuple[FaultProxy, str]:
    """Open the proxy that `kind` asks for; returns it with one line that says what was taken and why.

    `auto` takes Toxiproxy where one is found, else the built-in relay. `server` names one explicitly: the URL of a
    running server or the path of a program; None looks in `environ` (None: the process's), PATH and our cache folder.
    `seed` is given to a server that we start, and to the relay's jitter. Raises `ProxyError` when `toxiproxy` is asked
    for and there is none, and whenever one was found that does not work: it is never silently replaced.
    """
    found = None if kind == "builtin" else locate(os.environ if environ is None else environ, server)
    if found is not None:
        return await _open_toxiproxy(found, seed, clock)
    if kind == "toxiproxy":
        raise ProxyError(f"proxy `toxiproxy` was asked for, and no Toxiproxy server was found; {INSTALL_HINT}")
    from harness.proxy.relay import BuiltinProxy

    why = "as asked for" if kind == "builtin" else "no Toxiproxy server was found (see `harness doctor`)"
    return BuiltinProxy(seed=seed, clock=clock), f"built-in relay, {why}"


async def check_proxy(proxy: FaultProxy) -> None:
    """Raises `ProxyError`, within a deadline, when the proxy has died; to be called before a run is judged."""
    from harness.proxy.toxiproxy import ToxiproxyProxy

    if isinstance(proxy, ToxiproxyProxy):
        await proxy.check()


async def _open_toxiproxy(found: Located, seed: int, clock: Clock) -> tuple[FaultProxy, str]:
    # Imported here, since `requests` costs 60 ms that a run on the relay need not pay.
    from harness.proxy.toxiproxy import ToxiproxyProxy
    from harness.proxy.toxiproxy_calls import ToxiproxyCalls
    from harness.proxy.toxiproxy_server import start_server

    own = None
    built = ""
    if found.program is not None:
        own = await start_server(found.program, seed=seed, clock=clock)
        url = own.url
        module = module_version(found.program)
        built = f" (built from v{module})" if module else ""
    else:
        url = check_url(found.url or "")
    calls = ToxiproxyCalls(url, own.why_dead if own else lambda: None)
    try:
        version = await calls.version()
        await calls.warm_up()
    except BaseException as error:
        await calls.close()
        if own is not None:
            await own.stop()
        elif isinstance(error, ProxyError):
            # The words of a call in mid-run would say that it died.
            reason = error.__cause__ if isinstance(error.__cause__, OSError) else error
            raise ProxyError(
                f"{found}: no Toxiproxy server answers there ({reason}); start one, correct or unset the address, or "
                "use `--proxy builtin`"
            ) from error
        raise
    how = "started from" if own else "running at"
    return ToxiproxyProxy(calls, version, own), f"Toxiproxy {version}{built}, {how} {found}"


def check_url(url: str) -> str:
    """The address of a running server's API, without path; raises `ProxyError` for one that cannot serve us.

    It must be on this machine: clients dial its links on 127.0.0.1, and it dials the fake server there.
    """
    rule = f"{URL_VARIABLE}={url!r}: expected http://127.0.0.1:PORT, a Toxiproxy server on this machine"
    way_out = "correct or unset it, or use `--proxy builtin`"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 8474
    except ValueError as error:
        raise ProxyError(f"{rule} ({error}); {way_out}") from error
    if parts.scheme != "http" or not host:
        raise ProxyError(f"{rule}; {way_out}")
    if host != "localhost":
        try:
            local = ipaddress.ip_address(host).is_loopback
        except ValueError:
            local = False
        if not local:
            raise ProxyError(f"{rule}; for one elsewhere, run the harness there, or use `--proxy builtin`")
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
