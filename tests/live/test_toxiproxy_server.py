"""The real server program: its version, how it is started and stopped, and what happens when it dies or is not ours."""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import requests

from fake_server.clock import SystemClock
from harness.proxy import toxiproxy_calls
from harness.proxy.choose import check_proxy, open_proxy
from harness.proxy.locate import VERSION, locate, module_version
from harness.proxy.port import ClientClosed, Dialled, Fault, FaultKind, ProxyError
from harness.proxy.toxiproxy import ToxiproxyProxy
from harness.proxy.toxiproxy_server import ToxiproxyServer, start_server
from tests.live.proxy_fixtures import RawServer, dial

pytestmark = [pytest.mark.live, pytest.mark.toxiproxy]


@pytest.fixture
def program() -> Path:
    found = locate(os.environ)
    if found is None or found.program is None:
        reason = "no Toxiproxy server program was found: `harness doctor --install-toxiproxy` fetches one"
        if os.environ.get("HARNESS_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found.program


@pytest.fixture
async def proxy(program: Path) -> AsyncIterator[ToxiproxyProxy]:
    made, _ = await open_proxy("toxiproxy", seed=1, clock=SystemClock(), server=str(program))
    assert isinstance(made, ToxiproxyProxy)
    yield made
    await made.close()


@pytest.fixture
async def upstream() -> AsyncIterator[RawServer]:
    made = RawServer()
    yield made
    await made.close()


def module_by_go(program: Path) -> list[str]:
    said = subprocess.run(["go", "version", "-m", str(program)], capture_output=True, text=True, check=True).stdout
    return next(line.split()[1:3] for line in said.splitlines() if line.split()[:1] == ["mod"])


def proxies(url: str) -> list[str]:
    return list(requests.get(f"{url}/proxies", timeout=5).json())


def create(url: str, name: str, upstream_port: int) -> None:
    body = {"name": name, "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{upstream_port}"}
    requests.post(f"{url}/proxies", json=body, timeout=5).raise_for_status()


def remove(url: str, name: str) -> None:
    requests.delete(f"{url}/proxies/{name}", timeout=5).raise_for_status()


async def test_it_is_the_pinned_release(proxy: ToxiproxyProxy, program: Path) -> None:
    # Release files say their number; a build by `go install` says `git`, and Go's own record says which release.
    assert proxy.version in (VERSION, "git")
    recorded = module_version(program)
    if proxy.version == "git":
        assert recorded == VERSION
    if shutil.which("go"):
        assert module_by_go(program) == ["github.com/Shopify/toxiproxy/v2", f"v{recorded}"]


async def test_why_says_what_was_taken(program: Path) -> None:
    made, why = await open_proxy("auto", seed=1, clock=SystemClock(), environ={"TOXIPROXY_SERVER": str(program)})
    await made.close()
    assert made.kind == "toxiproxy"
    assert str(program) in why
    assert "TOXIPROXY_SERVER in the environment" in why
    assert "\n" not in why


async def test_killed_in_the_run_it_is_a_proxy_error_at_once(proxy: ToxiproxyProxy, upstream: RawServer) -> None:
    link = await proxy.open_link("live", upstream.port)
    client = await dial(link.port)
    await link.apply(Fault(FaultKind.STALL))
    assert proxy.server_pid is not None
    os.kill(proxy.server_pid, signal.SIGKILL)
    assert await client.end() in ("fin", "rst")
    start = time.monotonic()
    with pytest.raises(ProxyError, match=r"ended \(killed by signal 9\)"):
        await link.apply(Fault(FaultKind.CUT))
    with pytest.raises(ProxyError, match="ended"):
        await link.lift(Fault(FaultKind.STALL))
    with pytest.raises(ProxyError, match="ended"):
        await proxy.open_link("backend", upstream.port)
    with pytest.raises(ProxyError, match="ended"):
        await check_proxy(proxy)
    await link.close()
    await proxy.close()
    assert time.monotonic() - start < 3
    await client.close()


def stop(pid: int) -> None:
    """Returns when every thread of it stands still."""
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)


async def test_stopped_in_the_run_it_is_a_proxy_error_in_bounded_time(
    proxy: ToxiproxyProxy, upstream: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = await proxy.open_link("live", upstream.port)
    monkeypatch.setattr(toxiproxy_calls, "CALL_DEADLINE_S", 0.4)
    assert proxy.server_pid is not None
    stop(proxy.server_pid)
    start = time.monotonic()
    with pytest.raises(ProxyError, match=r"no answer within 0\.4 s"):
        await link.apply(Fault(FaultKind.SLOW))
    await proxy.close()
    assert time.monotonic() - start < 6
    with pytest.raises(ProcessLookupError):
        os.kill(proxy.server_pid, 0)


@pytest.fixture
async def foreign(program: Path) -> AsyncIterator[ToxiproxyServer]:
    server = await start_server(program, seed=3, clock=SystemClock())
    yield server
    await server.stop()


async def test_in_somebody_elses_server_only_ours_is_removed(foreign: ToxiproxyServer, upstream: RawServer) -> None:
    create(foreign.url, "theirs", upstream.port)
    made, why = await open_proxy("auto", seed=1, clock=SystemClock(), environ={"TOXIPROXY_URL": foreign.url})
    assert f"running at {foreign.url} (TOXIPROXY_URL in the environment)" in why
    for name in ("live", "backend"):
        await (await made.open_link(name, upstream.port, label="run 1/ü")).apply(Fault(FaultKind.STALL))
    assert len(proxies(foreign.url)) == 3
    await made.close()
    assert proxies(foreign.url) == ["theirs"]
    assert foreign.why_dead() is None


async def test_two_servers_in_one_process_do_not_mix(
    foreign: ToxiproxyServer, proxy: ToxiproxyProxy, upstream: RawServer
) -> None:
    other, _ = await open_proxy("toxiproxy", seed=1, clock=SystemClock(), server=foreign.url)
    await asyncio.gather(*(one.open_link("live", upstream.port) for one in (proxy, other) for _ in range(4)))
    assert len(proxies(foreign.url)) == 4
    await other.close()
    await check_proxy(proxy)


async def test_a_proxy_removed_by_somebody_is_an_error_and_close_is_quiet(
    proxy: ToxiproxyProxy, upstream: RawServer
) -> None:
    link = await proxy.open_link("live", upstream.port)
    for name in proxies(proxy.server_url):
        remove(proxy.server_url, name)
    with pytest.raises(ProxyError, match="proxy not found"):
        await link.apply(Fault(FaultKind.STALL))
    await link.close()


async def test_whose_connection_was_closed_is_known_among_many(proxy: ToxiproxyProxy, upstream: RawServer) -> None:
    """Two links to one server, connections of both in mixed order: each close names its own connection."""
    facts: list[ClientClosed | Dialled] = []
    told = asyncio.Event()

    def observe(fact: ClientClosed | Dialled) -> None:
        facts.append(fact)
        told.set()

    links = [await proxy.open_link(name, upstream.port, observe) for name in ("live", "backend")]
    clients = []
    for number in range(6):
        client = await dial(links[number % 2].port)
        server = await upstream.number(number)
        await client.send(b"x")
        await server.gets(b"x")
        clients.append((client, server))
    for link in links:
        await link.apply(Fault(FaultKind.STALL))
    expected: list[ClientClosed | Dialled] = []
    for number in (3, 0, 5):
        client, server = clients[number]
        await client.close()
        async with asyncio.timeout(5):
            while len(facts) == len(expected):
                told.clear()
                await told.wait()
        expected.append(ClientClosed(links[number % 2].name, server.peer_port))
    known = [fact for fact in facts if isinstance(fact, ClientClosed) and fact.upstream_port is not None]
    assert [fact.link for fact in facts if isinstance(fact, ClientClosed)] == ["backend", "live", "backend"]
    assert all(fact in expected for fact in known)
    assert len(known) >= 2, "a connection that cannot be told apart is allowed, but not the rule"
    for client, _ in clients:
        await client.close()


HOLDER = """
import asyncio, sys
from fake_server.clock import SystemClock
from harness.proxy.choose import open_proxy

async def main():
    proxy, _ = await open_proxy("toxiproxy", seed=1, clock=SystemClock(), server=sys.argv[1])
    try:
        print(proxy.server_pid, flush=True)
        await asyncio.Event().wait()
    finally:
        await proxy.close()

try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
"""


@pytest.mark.skipif(sys.platform != "linux", reason="watches the process by a file descriptor of Linux")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_no_server_outlives_its_harness(program: Path, end: signal.Signals) -> None:
    harness = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(program)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert harness.stdout is not None
    server = os.pidfd_open(int(harness.stdout.readline()))
    try:
        harness.send_signal(end)
        harness.wait(10)
        assert select.select([server], [], [], 5)[0], "the server still runs"
    finally:
        os.close(server)
        harness.stdout.close()


async def test_a_program_that_is_no_server_is_a_clear_error(tmp_path: Path) -> None:
    script = tmp_path / "server"
    script.write_text("#!/bin/sh\necho I am no server\nexit 7\n")
    with pytest.raises(ProxyError, match=r"server: .*no such executable file"):
        await open_proxy("auto", seed=1, clock=SystemClock(), server=str(script))
    script.chmod(0o755)
    with pytest.raises(ProxyError, match=r"exit code 7.*I am no server.*--proxy builtin"):
        await open_proxy("auto", seed=1, clock=SystemClock(), server=str(script))


async def test_an_address_that_is_no_toxiproxy_is_a_clear_error(upstream: RawServer) -> None:
    nobody = RawServer()
    await nobody.close()
    with pytest.raises(ProxyError, match="no Toxiproxy server answers there"):
        await open_proxy("auto", seed=1, clock=SystemClock(), server=f"http://127.0.0.1:{nobody.port}")
