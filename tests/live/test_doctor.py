"""`harness doctor` on this machine, and on one where something is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli.doctor import doctor

pytestmark = pytest.mark.live


def test_it_says_which_proxy_would_be_used_and_why(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        doctor, env={"XDG_CACHE_HOME": str(tmp_path), "PATH": "", "TOXIPROXY_URL": "", "TOXIPROXY_SERVER": ""}
    )
    assert "proxy: built-in relay, no Toxiproxy server was found" in result.output
    assert "hint: `harness doctor --install-toxiproxy` fetches Toxiproxy 2.12.0" in result.output
    for subject in ("Python", "packages", "ports", "TLS", "open files", "left-over process"):
        assert f"  {subject}" in result.output


def test_a_server_that_is_named_but_not_there_is_a_problem() -> None:
    result = CliRunner().invoke(
        doctor, env={"TOXIPROXY_URL": "", "TOXIPROXY_SERVER": "/nowhere/server"}, standalone_mode=False
    )
    assert result.return_value == 3
    assert "PROBLEM  proxy: /nowhere/server" in result.output
    assert "Traceback" not in result.output
