"""What a person who serves by hand is shown."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from fake_server.behaviour import Behaviour
from fake_server.events import Credential, FrameReceived, FrameSent, HandleIssued, UpgradeReceived
from fake_server.serving import Address, greeting, log_line


def test_the_greeting_has_what_each_sdk_needs() -> None:
    text = "\n".join(greeting(Address("127.0.0.1", 8080, 8443), Path("/ca.pem"), "AIzaKey", Behaviour(model="m-1")))
    assert "model m-1" in text
    assert "wss://127.0.0.1:8443/ws/google.ai.generativelanguage.v1beta." in text
    python = next(line for line in text.splitlines() if "SSL_CERT_FILE" in line)
    node = next(line for line in text.splitlines() if "NODE_EXTRA_CA_CERTS" in line)
    for line in (python, node):
        assert "GOOGLE_GEMINI_BASE_URL=https://127.0.0.1:8443 GEMINI_API_KEY=AIzaKey" in line
        assert "/ca.pem" in line
    assert "GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:8080" in text
    assert "careful" not in text


@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("::1", False), ("localhost", False), ("box", True)])
def test_an_address_that_others_can_reach_is_pointed_out(host: str, warned: bool) -> None:
    lines = list(greeting(Address(host, 1, 2), Path("/ca.pem"), "k", Behaviour()))
    assert any("careful" in line for line in lines) is warned
    assert any(f"http://[{host}]:1" in line for line in lines) is (":" in host)


def test_a_fact_is_one_short_line() -> None:
    long = FrameSent(1, 2, "server_content", ("audio",), 9, {"serverContent": {"x": "y" * 500}}, None, False)
    assert log_line(long).startswith("frame.sent")
    assert len(log_line(long)) < 400
    assert "deliberate" not in log_line(long)
    raw = FrameReceived(1, 1, "setup", (), 2, orjson.Fragment(b'{"setup":{}}'), (), (), 0)
    assert 'payload={"setup":{}}' in log_line(raw)
    assert "handle" not in log_line(HandleIssued(1, "session-1", None, False, ())).replace("handle.issued", "")
    upgrade = UpgradeReceived(1, 1, "live", "v1", "plain", (Credential("key", "query.key", "key-1"),))
    assert '"label":"key-1"' in log_line(upgrade)
