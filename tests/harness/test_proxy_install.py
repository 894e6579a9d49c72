"""`harness.proxy.install`: the ways to the pinned server, with nothing fetched and nothing built."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.proxy import install as subject
from harness.proxy.install import InstallError, UnreachableError, asset_name, install
from harness.proxy.locate import cached_program

CONTENT = b"a server program"


class Outside:
    """What there is beyond this machine."""

    def __init__(self, tmp_path: Path, *, served: bytes | None, go: bool, builds: bool = True) -> None:
        self.served = served
        self.builds = builds
        self.said: list[str] = []
        self.go_command: list[str] = []
        self.go_environ: dict[str, str] = {}
        (tmp_path / "bin").mkdir()
        if go:
            (tmp_path / "bin" / "go").write_text("#!/bin/sh\n")
            (tmp_path / "bin" / "go").chmod(0o755)
        self.environ = {
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "PATH": str(tmp_path / "bin"),
            "GOFLAGS": "-mod=vendor",
        }

    def fetch(self, url: str, target: Path) -> None:
        assert url == ("https://github.com/Shopify/toxiproxy/releases/download/v2.12.0/toxiproxy-server-linux-amd64")
        if self.served is None:
            raise UnreachableError("no route to host")
        target.write_bytes(self.served)

    def run_go(self, command: list[str], environ: Mapping[str, str]) -> tuple[int, str]:
        self.go_command, self.go_environ = command, dict(environ)
        if self.builds:
            Path(environ["GOBIN"], "server").write_bytes(CONTENT)
        return (0, "") if self.builds else (1, "module lookup disabled")

    def install(self) -> Path:
        return install(
            self.environ, self.said.append, system="Linux", machine="x86_64", fetch=self.fetch, run_go=self.run_go
        )

    def left_in_cache(self) -> list[str]:
        return [path.name for path in cached_program(self.environ).parent.iterdir()]


@pytest.fixture(autouse=True)
def pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(subject.SHA256, "toxiproxy-server-linux-amd64", hashlib.sha256(CONTENT).hexdigest())


def test_the_release_file_is_checked_and_made_executable(tmp_path: Path) -> None:
    outside = Outside(tmp_path, served=CONTENT, go=True)
    made = outside.install()
    assert made == cached_program(outside.environ)
    assert made.read_bytes() == CONTENT
    assert made.stat().st_mode & 0o111
    assert outside.go_command == []
    assert outside.left_in_cache() == [made.name]
    assert any("release file" in line for line in outside.said)
    outside.served = b"something else"
    assert outside.install() == made
    assert "there already" in outside.said[-1]


def test_a_wrong_sum_is_deleted_and_an_error_and_no_other_way_is_tried(tmp_path: Path) -> None:
    outside = Outside(tmp_path, served=b"something else", go=True)
    with pytest.raises(InstallError, match=r"SHA-256 is [0-9a-f]{64}, expected [0-9a-f]{64}; the file was deleted"):
        outside.install()
    assert outside.left_in_cache() == []
    assert outside.go_command == []


def test_out_of_reach_go_builds_the_pinned_version(tmp_path: Path) -> None:
    outside = Outside(tmp_path, served=None, go=True)
    made = outside.install()
    assert made.name == "toxiproxy-server-2.12.0"
    assert outside.go_command[1:] == ["install", "github.com/Shopify/toxiproxy/v2/cmd/server@v2.12.0"]
    assert "vendor" not in outside.go_environ["GOFLAGS"]
    assert outside.left_in_cache() == [made.name]
    assert any("no route to host" in line for line in outside.said)
    assert any("building it with Go" in line for line in outside.said)


def test_without_go_it_explains_the_ways_out(tmp_path: Path) -> None:
    outside = Outside(tmp_path, served=None, go=False)
    with pytest.raises(InstallError, match=r"no Go.*TOXIPROXY_SERVER.*--proxy builtin"):
        outside.install()
    assert outside.left_in_cache() == []


def test_a_failed_build_says_what_go_said(tmp_path: Path) -> None:
    outside = Outside(tmp_path, served=None, go=True, builds=False)
    with pytest.raises(InstallError, match=r"failed \(exit code 1\): module lookup disabled"):
        outside.install()


def test_a_cache_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    outside = Outside(tmp_path, served=CONTENT, go=False)
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(InstallError, match="cache"):
        outside.install()


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("Linux", "x86_64", "toxiproxy-server-linux-amd64"),
        ("Linux", "aarch64", "toxiproxy-server-linux-arm64"),
        ("Darwin", "arm64", "toxiproxy-server-darwin-arm64"),
        ("Darwin", "x86_64", "toxiproxy-server-darwin-amd64"),
        ("Linux", "riscv64", None),
        ("Windows", "AMD64", None),
    ],
)
def test_the_release_file_of_each_system(system: str, machine: str, name: str | None) -> None:
    assert asset_name(system, machine) == name
