"""The environment that a client under test is given: exactly the contract's table (section 4). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from harness.contract import VERSION
from harness.policy import Policy

HOST = "127.0.0.1"
TOKEN_PATH = "/token"
"""Where the stand-in for the app's own backend answers `POST`."""
_SERVICE = "google.ai.generativelanguage.{version}.GenerativeService.{method}"
_VERTEX_SERVICE = "google.cloud.aiplatform.{version}.LlmBidiService/BidiGenerateContent"
VERTEX_PROJECT = "harness-project"
VERTEX_LOCATION = "us-central1"
_KEYS = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
_REMOVED_IN_ANY_CASING = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"})
_REMOVED = frozenset(
    # The developer's own: they would lead an unmodified SDK past us, or show us a real key.
    {*_KEYS, "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_ENTERPRISE", "GOOGLE_VERTEX_BASE_URL"}
)


class CertificateFiles(Protocol):
    """The files of a run's certificate authority (`harness.tls.Authority`)."""

    @property
    def ca_file(self) -> object:
        """The test CA alone."""
        ...

    @property
    def bundle_file(self) -> object:
        """The system's CAs and the test CA."""
        ...


@dataclass(frozen=True, slots=True)
class ClientAddresses:
    """Where a client finds the links."""

    scheme: Literal["http", "https"]
    live_port: int
    backend_port: int
    version: str = "v1beta"
    """Of the WebSocket methods; v1beta is the one that takes keys and tokens both (protocol, section 1.1)."""

    @property
    def base_url(self) -> str:
        """Of the live link, without a slash at its end."""
        return f"{self.scheme}://{HOST}:{self.live_port}"

    @property
    def ws_url(self) -> str:
        """Of BidiGenerateContent."""
        return self._ws_url(_SERVICE.format(version=self.version, method="BidiGenerateContent"))

    @property
    def ws_constrained_url(self) -> str:
        """Of the method that takes ephemeral tokens."""
        return self._ws_url(_SERVICE.format(version=self.version, method="BidiGenerateContentConstrained"))

    @property
    def ws_vertex_url(self) -> str:
        """Of Vertex's own method."""
        return self._ws_url(_VERTEX_SERVICE.format(version="v1beta1"))

    @property
    def token_url(self) -> str:
        """Of the stand-in for the app's own backend."""
        return f"{self.scheme}://{HOST}:{self.backend_port}{TOKEN_PATH}"

    def _ws_url(self, service: str) -> str:
        return f"{'wss' if self.scheme == 'https' else 'ws'}://{HOST}:{self.live_port}/ws/{service}"


def environment(
    base: Mapping[str, str],
    *,
    plan_name: str,
    seed: int,
    run_id: str,
    model: str,
    policy: Policy,
    addresses: ClientAddresses,
    api_key: str,
    authority: CertificateFiles,
    extra: Mapping[str, str] | None = None,
    vertex: bool = False,
) -> dict[str, str]:
    """`base` (the harness's own) and `extra` (`env` of client.yaml), and over both the contract's variables.

    The keys are absent when the policy says `credential: token`, the developer's own real ones too.
    """
    given = {**base, **(extra or {})}
    made = {
        name: value
        for name, value in given.items()
        if name not in _REMOVED and name.upper() not in _REMOVED_IN_ANY_CASING
    }
    made |= {
        "HARNESS_CONTRACT": str(VERSION),
        "HARNESS_SCENARIO": plan_name,
        "HARNESS_SEED": str(seed),
        "HARNESS_RUN_ID": run_id,
        "HARNESS_BASE_URL": addresses.base_url,
        "HARNESS_WS_URL": addresses.ws_vertex_url if vertex else addresses.ws_url,
        "HARNESS_WS_CONSTRAINED_URL": addresses.ws_constrained_url,
        "HARNESS_TOKEN_URL": addresses.token_url,
        "HARNESS_MODEL": model,
        "GOOGLE_GEMINI_BASE_URL": addresses.base_url,
        "SSL_CERT_FILE": str(authority.bundle_file),
        "NODE_EXTRA_CA_CERTS": str(authority.bundle_file),
        "REQUESTS_CA_BUNDLE": str(authority.bundle_file),
        "CURL_CA_BUNDLE": str(authority.bundle_file),
        "HARNESS_CA_FILE": str(authority.ca_file),
        "NO_PROXY": "127.0.0.1,localhost",
        "PYTHONUNBUFFERED": "1",
    }
    if policy.credential != "token":
        made |= dict.fromkeys(_KEYS, api_key)
    if vertex:
        made |= {
            "GOOGLE_GENAI_USE_VERTEXAI": "true",
            "GOOGLE_VERTEX_BASE_URL": addresses.base_url,
            "GOOGLE_CLOUD_PROJECT": VERTEX_PROJECT,
            "GOOGLE_CLOUD_LOCATION": VERTEX_LOCATION,
        }
    return made
