"""Fetches the pinned Toxiproxy server into our cache folder: the release file, else a build by Go."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.proxy.locate import PROGRAM, VERSION, cached_program

RELEASE_URL = f"https://github.com/Shopify/toxiproxy/releases/download/v{VERSION}"
GO_MODULE = f"github.com/Shopify/toxiproxy/v2/cmd/server@v{VERSION}"
SHA256 = {
    f"{PROGRAM}-linux-amd64": "556d891134a3c582dc1e1a3f7335fd55142e5965769855a00b944e13e48302fc",
    f"{PROGRAM}-linux-arm64": "53e770c1c3035b5a9f1bc629fce537db1f95f62b26f4ebe6e756afd701cf077c",
    f"{PROGRAM}-darwin-amd64": "9625bba4bd96117eedae49f982aba4c2f462b268dd406c9ff18186f9b1ef8afe",
    f"{PROGRAM}-darwin-arm64": "aa299966b52f16a8594f1cd0d1e9049dc2e8fe2c04a90c19860e2719b2b95d15",
}
"""Sums of the release's single files, as its publisher's own Homebrew tap pins them."""

CONNECT_DEADLINE_S = 5.0
LARGEST_BYTES = 64 * 1024 * 1024
GO_DEADLINE_S = 600.0
"""A first build fetches and compiles about 20 modules; half a minute on two cores."""

Fetch = Callable[[str, Path], None]
RunGo = Callable[[list[str], Mapping[str, str]], tuple[int, str]]


class InstallError(Exception):
    """No way to the server worked; the message says why and what to do."""


class UnreachableError(Exception):
    """The release file could not be had; another way may work."""


def asset_name(system: str, machine: str) -> str | None:
    """The release's single file for this system; None when none is pinned."""
    arch = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}.get(machine.lower())
    name = f"{PROGRAM}-{system.lower()}-{arch}"
    return name if name in SHA256 else None


def fetch(url: str, target: Path) -> None:
    """Download to `target`; raises `UnreachableError`."""
    request = urllib.request.Request(url, headers={"User-Agent": "live-api-harness"})  # noqa: S310 - https, fixed host
    try:
        with (
            urllib.request.urlopen(request, timeout=CONNECT_DEADLINE_S) as answer,  # noqa: S310
            target.open("wb") as file,
        ):
            size = 0
            while piece := answer.read(256 * 1024):
                size += len(piece)
                if size > LARGEST_BYTES:
                    raise UnreachableError(f"more than {LARGEST_BYTES} bytes came, which is no server program")
                file.write(piece)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise UnreachableError(str(getattr(error, "reason", error))) from error


def run_go(command: list[str], environ: Mapping[str, str]) -> tuple[int, str]:
    """Run Go; its exit code and what it said."""
    try:
        done = subprocess.run(
            command,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=GO_DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return -1, f"not finished within {GO_DEADLINE_S:g} s"
    except OSError as error:
        return -1, str(error)
    return done.returncode, done.stdout.decode(errors="replace").strip()


def install(
    environ: Mapping[str, str],
    say: Callable[[str], None],
    *,
    system: str | None = None,
    machine: str | None = None,
    fetch: Fetch = fetch,
    run_go: RunGo = run_go,
) -> Path:
    """Put the pinned server into our cache folder and return its path. `say` gets a line for each step.

    Raises `InstallError`: at once for a file with a wrong sum (it is deleted), else when no way worked.
    """
    target = cached_program(environ)
    if target.is_file() and os.access(target, os.X_OK):
        say(f"{target} is there already")
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # On the same file system as the target, so that the last step is an atomic rename.
        with tempfile.TemporaryDirectory(prefix=".install-", dir=target.parent) as folder:
            made = _release_file(Path(folder), system or platform.system(), machine or platform.machine(), say, fetch)
            made = made or _go_build(Path(folder), environ, say, run_go)
            made.chmod(0o755)
            made.replace(target)
    except OSError as error:
        raise InstallError(f"{error.filename or target.parent}: {error.strerror or error}") from error
    say(f"installed {target}")
    return target


def _release_file(folder: Path, system: str, machine: str, say: Callable[[str], None], fetch: Fetch) -> Path | None:
    asset = asset_name(system, machine)
    if asset is None:
        say(f"no release file is pinned for {system} on {machine}")
        return None
    url = f"{RELEASE_URL}/{asset}"
    say(f"fetching the release file {url}")
    file = folder / asset
    try:
        fetch(url, file)
    except UnreachableError as error:
        say(f"it cannot be had: {error}")
        return None
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != SHA256[asset]:
        file.unlink()
        raise InstallError(
            f"{url}: SHA-256 is {found}, expected {SHA256[asset]}; the file was deleted. "
            "Something between here and there changes downloads: try another network, or `--proxy builtin`"
        )
    say(f"its SHA-256 is the pinned one, {found}")
    return file


def _go_build(folder: Path, environ: Mapping[str, str], say: Callable[[str], None], run_go: RunGo) -> Path:
    go = shutil.which("go", path=environ.get("PATH", ""))
    if go is None:
        raise InstallError(
            f"no Toxiproxy server {VERSION} could be fetched, and there is no Go to build it. Ways out: download it "
            f"from {RELEASE_URL} where that can be reached, and set TOXIPROXY_SERVER to its path; or install Go "
            "1.23 or newer and try again; or use `--proxy builtin`, which needs nothing"
        )
    command = [go, "install", GO_MODULE]
    say(f"building it with Go: {' '.join(command)}")
    # A GOFLAGS of the user, such as -mod=vendor, would break a build outside of any module; -trimpath keeps paths out.
    code, said = run_go(command, {**environ, "GOBIN": str(folder), "GOFLAGS": "-trimpath"})
    made = folder / ("server.exe" if os.name == "nt" else "server")
    if code != 0 or not made.is_file():
        raise InstallError(
            f"`{' '.join(command)}` failed (exit code {code}): {said[-500:]}. Ways out: a Go of 1.23 or newer that "
            "reaches its module proxy (`go env GOPROXY`); TOXIPROXY_SERVER with the path of a server; `--proxy builtin`"
        )
    say("built; such a server reports its version as `git`")
    return made
