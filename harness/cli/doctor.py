"""`harness doctor`: what is installed, which proxy will be used and why, ports, TLS, left-over processes."""

from __future__ import annotations

import asyncio
import os
import platform
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import click

from harness.errors import HarnessFault

_PACKAGES = ("aiohttp", "websockets", "pydantic", "ruamel.yaml", "toxiproxy-python", "faker", "trustme", "orjson")
_ENOUGH_FILES = 256
"""A run needs about 30 open files; four at once, and their clients' pipes."""

_BUILT_BY_GO = "git"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at."""

    subject: str
    good: bool
    said: str
    hint: str = ""
    """What to do about it; empty: nothing."""


@click.command()
@click.option(
    "--install-toxiproxy", is_flag=True, help="Fetch the pinned Toxiproxy server into our cache folder first."
)
def doctor(install_toxiproxy: bool) -> int:
    """Say what is installed, which fault proxy will be used and why, and whether ports, TLS and files are in order.

    Exit code 0: all that a run needs is there; 3: something is not.
    """
    if install_toxiproxy:
        from harness.proxy.install import InstallError, install

        try:
            install(os.environ, lambda step: click.echo(f"  {step}"))
        except InstallError as error:
            raise HarnessFault(str(error)) from error
    all_good = True
    for look in (_python, _packages, _proxy, _ports, _tls, _files, _tools, _left_over):
        for line in look():
            all_good = all_good and line.good
            click.echo(f"{'ok     ' if line.good else 'PROBLEM'}  {line.subject}: {line.said}")
            if line.hint:
                click.echo(f"         hint: {line.hint}")
    return 0 if all_good else 3


def _python() -> Iterator[Line]:
    version = platform.python_version()
    good = sys.version_info >= (3, 11)
    yield Line(
        "Python", good, f"{version} on {platform.system()} {platform.machine()}", "" if good else "3.11 or newer"
    )


def _packages() -> Iterator[Line]:
    found, missing = [], []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    yield Line("packages", not missing, ", ".join(found))
    if missing:
        yield Line("packages", False, f"missing: {', '.join(missing)}", "install the harness again with pip")


def _proxy() -> Iterator[Line]:
    from fake_server.clock import SystemClock
    from harness.proxy.choose import check_proxy, open_proxy
    from harness.proxy.locate import VERSION, cached_program, locate
    from harness.proxy.port import ProxyError

    async def try_out() -> tuple[str, str, str]:
        proxy, why = await open_proxy("auto", seed=0, clock=SystemClock())
        try:
            link = await proxy.open_link("live", 9)
            await check_proxy(proxy)
            await link.close()
            return proxy.kind, proxy.version, why
        finally:
            await proxy.close()

    try:
        kind, version, why = asyncio.run(try_out())
    except ProxyError as error:
        yield Line("proxy", False, str(error), "mend or unset what names it, or use `--proxy builtin`")
        return
    hint = ""
    if kind == "builtin" and locate(os.environ) is None:
        hint = f"`harness doctor --install-toxiproxy` fetches Toxiproxy {VERSION} to {cached_program(os.environ)}"
    elif kind == "toxiproxy" and version not in (VERSION, _BUILT_BY_GO):
        hint = f"faults were measured with {VERSION}; other versions may differ"
    yield Line("proxy", True, why, hint)


def _ports() -> Iterator[Line]:
    from harness.proxy.port_holder import PortHolder

    holders: list[PortHolder] = []
    try:
        holders.extend(PortHolder() for _ in range(8))
    except OSError as error:
        yield Line("ports", False, f"none can be had on 127.0.0.1: {error}", "does the loopback interface exist?")
        return
    finally:
        for holder in holders:
            holder.close()
    yield Line("ports", True, f"free ones on 127.0.0.1, such as {holders[0].port}")


def _tls() -> Iterator[Line]:
    import ssl

    from harness.tls import make_authority

    try:
        with tempfile.TemporaryDirectory() as folder:
            bundle = make_authority(Path(folder)).bundle_file.read_text(encoding="utf-8", errors="replace")
    except (ImportError, OSError, ssl.SSLError, ValueError) as error:
        yield Line("TLS", False, f"no test authority can be made: {error}", "use `--tls off`, or install `trustme`")
        return
    system = bundle.count("BEGIN CERTIFICATE") - 1
    hint = "" if system else "a client's other hosts will not be trusted: is a `ca-certificates` package installed?"
    yield Line("TLS", True, f"{ssl.OPENSSL_VERSION}; test authority made, beside {system} of the system's", hint)


def _files() -> Iterator[Line]:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    good = soft == resource.RLIM_INFINITY or soft >= _ENOUGH_FILES
    yield Line("open files", good, f"at most {soft}", "" if good else f"`ulimit -n {_ENOUGH_FILES}` or more")


def _tools() -> Iterator[Line]:
    found = [f"{name} ({path})" for name in ("go", "node", "allure") if (path := shutil.which(name))]
    yield Line("optional tools", True, ", ".join(found) or "none found (go, node, allure)")


def _left_over() -> Iterator[Line]:
    from harness.process.family import left_over

    found = [(one.pid, f"of run {one.run_id}", one.command) for one in left_over()]
    found += [(pid, "a Toxiproxy server of a harness that is gone", command) for pid, command in _lost_servers()]
    for pid, whose, command in found:
        yield Line("left-over process", False, f"{pid}, {whose}: {command[:120]}", f"`kill {pid}`")
    if not found:
        known = "" if sys.platform == "linux" else " (they can be found on Linux only)"
        yield Line("left-over processes", True, f"none{known}")


def _lost_servers(alive: Callable[[int], bool] | None = None) -> list[tuple[int, str]]:
    """Toxiproxy servers that a harness started which is no more: pid and command line."""
    from harness.process.linux import command_line
    from harness.proxy.toxiproxy_server import OWNER_VARIABLE

    proc = Path("/proc")
    if not proc.is_dir():
        return []
    lost = []
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        for entry in environment.split(b"\0"):
            name, _, owner = entry.partition(b"=")
            if name == OWNER_VARIABLE.encode() and owner.isdigit() and not (alive or _alive)(int(owner)):
                lost.append((int(folder.name), command_line(int(folder.name))))
    return lost


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
