"""Every way in which a client may present a credential, and which method takes which kind (protocol, section 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fake_server.events import Credential
from fake_server.labels import Labels
from fake_server.profiles import Method

TOKEN_PREFIX = "auth_tokens/"
"""All SDKs tell a token by this prefix alone (protocol, section 2.3)."""

Kind: TypeAlias = Literal["key", "token", "bearer"]

_TAKES: Mapping[Method, frozenset[Kind]] = {
    "plain": frozenset({"key"}),
    "constrained": frozenset({"token"}),
    "vertex": frozenset({"key", "bearer"}),
}


@dataclass(frozen=True, slots=True)
class Presented:
    """One credential on an upgrade; holds the secret itself."""

    kind: Kind
    where: str
    """As in `fake_server.events.Credential`."""
    secret: str

    def told(self, labels: Labels) -> Credential:
        """The same without the secret."""
        label = labels.get(self.secret) or labels.name("unknown-credential", self.secret)
        return Credential(self.kind, self.where, label)


def find_credentials(query: Mapping[str, str], headers: Mapping[str, str]) -> tuple[Presented, ...]:
    """All credentials of a request, in the order in which they count (protocol, section 11).

    `headers` must look names up without regard to case. Python's newer SDKs show a token in two headers at once.
    """
    found: list[Presented] = []
    scheme, _, value = headers.get("Authorization", "").strip().partition(" ")
    value = value.strip()
    if value:
        is_token = scheme.lower() == "token"
        found.append(Presented(_kind(value, "token") if is_token else "bearer", "header.authorization", value))
    elif scheme:
        found.append(Presented(_kind(scheme, "bearer"), "header.authorization", scheme))
    for where, value, otherwise in (
        ("query.access_token", query.get("access_token", ""), "bearer"),
        ("query.key", query.get("key", ""), "key"),
        ("header.x-goog-api-key", headers.get("x-goog-api-key", ""), "key"),
    ):
        if value:
            found.append(Presented(_kind(value, otherwise), where, value))
    return tuple(found)


def counted_credential(presented: tuple[Presented, ...], method: Method) -> Presented | None:
    """The credential that a method goes by; None: an unregistered caller, also by showing the wrong kind."""
    if presented and presented[0].kind in _TAKES[method]:
        return presented[0]
    return None


def _kind(value: str, otherwise: str) -> Kind:
    if value.startswith(TOKEN_PREFIX):
        return "token"
    if value.startswith(("AIza", "AQ.")):
        return "key"
    return "key" if otherwise == "key" else "token" if otherwise == "token" else "bearer"
