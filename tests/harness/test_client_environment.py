"""A client's environment is the contract's table, whatever the developer's own is; and the CA files are real."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.client_environment import ClientAddresses, environment
from harness.policy import Policy
from harness.tls import make_authority


@dataclass(frozen=True)
class Files:
    ca_file: str = "/run/ca.pem"
    bundle_file: str = "/run/bundle.pem"


def made(
    base: dict[str, str] | None = None, scheme: Any = "https", credential: Any = "key", **more: Any
) -> dict[str, str]:
    return environment(
        base or {},
        plan_name="tunnel",
        seed=42,
        run_id="run-0a1b",
        model="models/x",
        policy=Policy(credential=credential),
        addresses=ClientAddresses(scheme=scheme, live_port=4001, backend_port=4002),
        api_key="AIza-fake",
        authority=Files(),
        **more,
    )


SERVICE = "google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
TABLE = {
    "HARNESS_CONTRACT": "1",
    "HARNESS_SCENARIO": "tunnel",
    "HARNESS_SEED": "42",
    "HARNESS_RUN_ID": "run-0a1b",
    "HARNESS_BASE_URL": "https://127.0.0.1:4001",
    "HARNESS_WS_URL": f"wss://127.0.0.1:4001/ws/{SERVICE}",
    "HARNESS_WS_CONSTRAINED_URL": f"wss://127.0.0.1:4001/ws/{SERVICE}Constrained",
    "HARNESS_TOKEN_URL": "https://127.0.0.1:4002/token",
    "HARNESS_MODEL": "models/x",
    "GEMINI_API_KEY": "AIza-fake",
    "GOOGLE_API_KEY": "AIza-fake",
    "GOOGLE_GEMINI_BASE_URL": "https://127.0.0.1:4001",
    "SSL_CERT_FILE": "/run/bundle.pem",
    "NODE_EXTRA_CA_CERTS": "/run/bundle.pem",
    "REQUESTS_CA_BUNDLE": "/run/bundle.pem",
    "CURL_CA_BUNDLE": "/run/bundle.pem",
    "HARNESS_CA_FILE": "/run/ca.pem",
    "NO_PROXY": "127.0.0.1,localhost",
    "PYTHONUNBUFFERED": "1",
}


def test_it_is_exactly_the_contracts_table() -> None:
    assert made() == TABLE


def test_without_tls_the_addresses_are_plain() -> None:
    plain = made(scheme="http")
    assert plain["HARNESS_BASE_URL"] == plain["GOOGLE_GEMINI_BASE_URL"] == "http://127.0.0.1:4001"
    assert plain["HARNESS_WS_URL"] == f"ws://127.0.0.1:4001/ws/{SERVICE}"
    assert plain["HARNESS_TOKEN_URL"] == "http://127.0.0.1:4002/token"
    assert plain.keys() == TABLE.keys()


def test_a_client_of_tokens_sees_no_key_not_even_the_developers_own() -> None:
    own = {"GEMINI_API_KEY": "real", "GOOGLE_API_KEY": "real", "PATH": "/bin"}
    assert made(own, credential="token") == {
        name: value for name, value in TABLE.items() if not name.endswith("_API_KEY")
    } | {"PATH": "/bin"}
    assert made(own, credential="oauth")["GEMINI_API_KEY"] == "AIza-fake"


@pytest.mark.parametrize("name", ["HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "http_proxy", "no_proxy"])
def test_proxies_of_the_developer_are_removed_in_any_casing(name: str) -> None:
    assert made({name: "http://proxy:3128"}) == TABLE
    assert made(extra={name: "http://proxy:3128"}) == TABLE


def test_the_rest_is_passed_on_and_the_contract_has_the_last_word() -> None:
    got = made({"LANG": "C", "HOME": "/root"}, extra={"LANG": "de", "HARNESS_SEED": "1", "SSL_CERT_FILE": "/other"})
    assert got == TABLE | {"LANG": "de", "HOME": "/root"}


def test_only_a_vertex_scenario_leads_an_sdk_to_vertex() -> None:
    assert made({"GOOGLE_GENAI_USE_VERTEXAI": "1", "GOOGLE_VERTEX_BASE_URL": "https://elsewhere"}) == TABLE
    vertex = made(vertex=True)
    added = {"GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_VERTEX_BASE_URL", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION"}
    assert vertex.keys() - TABLE.keys() == added
    assert vertex["GOOGLE_VERTEX_BASE_URL"] == "https://127.0.0.1:4001"
    assert "/google.cloud.aiplatform." in vertex["HARNESS_WS_URL"]


# --- harness.tls: the files that the table names ---------------------------------------------------------------------


def shake_hands(server_context: ssl.SSLContext, trusted: Path, host: str) -> str | None:
    """Both ends in memory; returns the protocol, and raises what the client would."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_context = ssl.create_default_context(cafile=str(trusted))
    client = client_context.wrap_bio(to_client, to_server, server_hostname=host)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    ends = [client, server]
    for _ in range(10):
        for end in list(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                continue
    assert not ends
    return client.version()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("file", ["ca_file", "bundle_file"])
def test_a_client_that_trusts_either_file_trusts_the_server(tmp_path: Path, host: str, file: str) -> None:
    authority = make_authority(tmp_path)
    assert shake_hands(authority.server_context, getattr(authority, file), host) in {"TLSv1.2", "TLSv1.3"}


def test_each_authority_is_its_own_and_no_other_host_is_vouched_for(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    authority, other = make_authority(tmp_path), make_authority(tmp_path / "other")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(authority.server_context, other.bundle_file, "localhost")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(authority.server_context, authority.ca_file, "example.com")


def test_the_bundle_keeps_what_the_system_trusts(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=str(authority.bundle_file))
    system = ssl.create_default_context().cert_store_stats()["x509_ca"]
    assert context.cert_store_stats()["x509_ca"] >= system + 1
    assert authority.bundle_file.read_bytes().endswith(authority.ca_file.read_bytes())
