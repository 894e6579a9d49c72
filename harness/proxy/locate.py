"""Where a Toxiproxy server is to be found on this machine, and where we keep the one that we installed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

VERSION = "2.12.0"
PROGRAM = "toxiproxy-server"
URL_VARIABLE = "TOXIPROXY_URL"
PROGRAM_VARIABLE = "TOXIPROXY_SERVER"
INSTALL_HINT = "install one with `harness doctor --install-toxiproxy`, or use `--proxy builtin`"


@dataclass(frozen=True, slots=True)
class Located:
    """A server: a running one (`url`) or a program to start (`program`); the other is None."""

    why: str
    """Where it was found, in a few words."""
    url: str | None = None
    program: Path | None = None

    def __str__(self) -> str:
        return f"{self.url or self.program} ({self.why})"


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Our own folder for fetched programs; it may not exist yet."""
    base = environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if base and Path(base).is_absolute() else Path(environ.get("HOME") or Path.home()) / ".cache"
    return root / "live-api-harness"


def cached_program(environ: Mapping[str, str]) -> Path:
    """Where `harness doctor --install-toxiproxy` puts the server."""
    return cache_folder(environ) / f"{PROGRAM}-{VERSION}"


def locate(environ: Mapping[str, str], explicit: str | None = None) -> Located | None:
    """The first server of: `explicit` (a URL or a path), the environment, PATH, our cache folder. None: there is none.

    What is named in so many words is taken without a look whether it is there: a mistake in it must be told, not
    covered by another server.
    """
    if explicit:
        if explicit.startswith(("http://", "https://")):
            return Located("as given", url=explicit)
        return Located("as given", program=Path(explicit).expanduser())
    if url := environ.get(URL_VARIABLE):
        return Located(f"{URL_VARIABLE} in the environment", url=url)
    if program := environ.get(PROGRAM_VARIABLE):
        return Located(f"{PROGRAM_VARIABLE} in the environment", program=Path(program).expanduser())
    if found := shutil.which(PROGRAM, path=environ.get("PATH", "")):
        return Located("on PATH", program=Path(found))
    cached = cached_program(environ)
    if cached.is_file():
        return Located("in our cache folder", program=cached)
    return None


def module_version(program: Path) -> str | None:
    """The release that a server program was built from, as Go wrote it into the file; None when it does not say.

    One built by `go install` reports the version `git`, as release flags are not applied: this tells more.
    """
    marker = b"\tgithub.com/Shopify/toxiproxy/v2\tv"
    try:
        content = program.read_bytes()
    except OSError:
        return None
    start = content.find(marker)
    if start < 0:
        return None
    rest = content[start + len(marker) : start + len(marker) + 40]
    return rest.split(b"\t")[0].split(b"\n")[0].decode(errors="replace")
