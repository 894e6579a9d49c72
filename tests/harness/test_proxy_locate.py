"""`harness.proxy.locate` and the address of a running server: where a Toxiproxy is looked for, and in what order."""

from __future__ import annotations

from pathlib import Path

import pytest

from fake_server.clock import SteppingClock
from harness.proxy.choose import check_url, open_proxy
from harness.proxy.locate import cached_program, locate, module_version
from harness.proxy.port import ProxyError


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_order_is_option_url_program_path_cache(tmp_path: Path) -> None:
    environ = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}
    assert locate(environ) is None
    cached = executable(cached_program(environ))
    steps: list[tuple[dict[str, str], str | None, str]] = [
        ({}, None, f"{cached} (in our cache folder)"),
    ]
    found = locate(environ)
    assert str(found) == steps[0][2]
    on_path = executable(tmp_path / "bin" / "toxiproxy-server")
    assert str(locate(environ)) == f"{on_path} (on PATH)"
    environ["TOXIPROXY_SERVER"] = "/x/server"
    assert str(locate(environ)) == "/x/server (TOXIPROXY_SERVER in the environment)"
    environ["TOXIPROXY_URL"] = "http://127.0.0.1:8474"
    assert str(locate(environ)) == "http://127.0.0.1:8474 (TOXIPROXY_URL in the environment)"
    assert str(locate(environ, "/y/server")) == "/y/server (as given)"
    named = locate(environ, "http://localhost:1")
    assert named is not None
    assert (named.url, named.program) == ("http://localhost:1", None)


def test_the_cache_folder_follows_xdg_and_else_the_home_folder() -> None:
    assert cached_program({"XDG_CACHE_HOME": "/c"}) == Path("/c/live-api-harness/toxiproxy-server-2.12.0")
    home = Path("/h/.cache/live-api-harness/toxiproxy-server-2.12.0")
    assert cached_program({"HOME": "/h"}) == home
    assert cached_program({"HOME": "/h", "XDG_CACHE_HOME": "relative"}) == home, "XDG: a relative path is no path"


def test_module_version_is_read_from_what_go_wrote(tmp_path: Path) -> None:
    program = tmp_path / "server"
    program.write_bytes(b"\x00ELF..mod\tgithub.com/Shopify/toxiproxy/v2\tv2.12.0\th1:abc=\ndep\t...")
    assert module_version(program) == "2.12.0"
    program.write_bytes(b"nothing of the kind")
    assert module_version(program) is None
    assert module_version(tmp_path / "absent") is None


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("http://127.0.0.1:8474", "http://127.0.0.1:8474"),
        ("http://localhost", "http://localhost:8474"),
        ("http://127.0.0.1:9/", "http://127.0.0.1:9"),
        ("http://[::1]:8474", "http://[::1]:8474"),
    ],
)
def test_addresses_of_this_machine_are_taken(given: str, taken: str) -> None:
    assert check_url(given) == taken


@pytest.mark.parametrize(
    "given",
    ["127.0.0.1:8474", "https://127.0.0.1:8474", "http://", "http://10.0.0.7:8474", "http://toxi:8474", "http://a:b"],
)
def test_other_addresses_are_refused_with_the_rule(given: str) -> None:
    with pytest.raises(ProxyError, match=r"expected http://127\.0\.0\.1:PORT"):
        check_url(given)


async def test_asked_for_and_not_there_is_an_error_with_the_way_out(tmp_path: Path) -> None:
    nowhere = {"XDG_CACHE_HOME": str(tmp_path), "PATH": ""}
    with pytest.raises(ProxyError, match=r"harness doctor --install-toxiproxy.*--proxy builtin"):
        await open_proxy("toxiproxy", seed=1, clock=SteppingClock(), environ=nowhere)


@pytest.mark.parametrize(("kind", "why"), [("auto", "no Toxiproxy server was found"), ("builtin", "as asked for")])
async def test_the_relay_is_taken_and_says_why(tmp_path: Path, kind: str, why: str) -> None:
    nowhere = {"XDG_CACHE_HOME": str(tmp_path), "PATH": ""}
    proxy, line = await open_proxy(kind, seed=1, clock=SteppingClock(), environ=nowhere)  # type: ignore[arg-type]
    assert proxy.kind == "builtin"
    assert why in line
    await proxy.close()


async def test_builtin_asked_for_beats_a_server_that_is_there() -> None:
    proxy, _ = await open_proxy(
        "builtin", seed=1, clock=SteppingClock(), environ={"TOXIPROXY_URL": "http://127.0.0.1:1"}
    )
    assert proxy.kind == "builtin"
    await proxy.close()
