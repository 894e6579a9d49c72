"""`harness serve` as a program: what it prints, a turn through its links, a fault that is typed, and its end."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import ClientConnection, connect

COMMAND = [sys.executable, "-c", "from harness.cli import main; main()", "serve"]
PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"

pytestmark = pytest.mark.live


@pytest.fixture
def served(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*COMMAND, *request.param], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        yield process
        process.kill()


def lines_until(process: subprocess.Popen[str], word: str) -> list[str]:
    """Everything up to the line with `word` in it, which must come."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if word in line:
            return lines
    raise AssertionError(f"{word!r} never came: {''.join(lines)}")


def hear_to_the_end(socket: ClientConnection) -> None:
    while True:
        socket.recv(timeout=30)


@pytest.mark.parametrize("served", [["--proxy", "builtin"]], indirect=True)
def test_a_turn_goes_through_the_link_until_a_typed_fault_cuts_it(served: subprocess.Popen[str]) -> None:
    greeting = "".join(lines_until(served, "Type a fault"))
    plain = re.search(r"plain +http://(\S+)", greeting)
    key = re.search(r"GEMINI_API_KEY=(\S+)", greeting)
    assert plain is not None
    assert key is not None
    with urllib.request.urlopen(urllib.request.Request(f"http://{plain[1]}/token", method="POST", data=b"")) as answer:
        assert json.load(answer)["token"].startswith("auth_tokens/")
    with connect(f"ws://{plain[1]}{PATH}?key={key[1]}") as socket:
        model = re.search(r"model (\S+)", greeting)
        assert model is not None
        setup = {"model": f"models/{model[1]}", "generationConfig": {"responseModalities": ["AUDIO"]}}
        socket.send(json.dumps({"setup": setup}))
        assert "setupComplete" in json.loads(socket.recv())
        assert served.stdin is not None
        served.stdin.write("network: cut\n")
        served.stdin.flush()
        with pytest.raises(ConnectionClosedError):
            hear_to_the_end(socket)
    lines_until(served, "fault.in_force")
    served.send_signal(signal.SIGINT)
    assert served.wait(timeout=30) == 0


@pytest.mark.parametrize("served", [[]], indirect=True)
def test_sigterm_ends_it_like_ctrl_c(served: subprocess.Popen[str]) -> None:
    lines_until(served, "Ctrl-C ends it")
    served.terminate()
    assert served.wait(timeout=30) == 0


@pytest.mark.parametrize("proxy", [[], ["--proxy", "builtin"]])
def test_an_address_that_cannot_be_had_is_exit_code_3(proxy: list[str]) -> None:
    ended = subprocess.run([*COMMAND, "--host", "192.0.2.1", *proxy], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 3
    assert "cannot listen at 192.0.2.1" in ended.stderr
    assert "Traceback" not in ended.stderr
