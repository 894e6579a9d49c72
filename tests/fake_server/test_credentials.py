"""Every way in which a credential is shown, and which method takes it (protocol, sections 1.1, 1.2 and 11)."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from fake_server.credentials import Presented, counted_credential, find_credentials
from fake_server.events import Credential
from fake_server.labels import Labels
from fake_server.profiles import Method

TOKEN = "auth_tokens/opaque"
KEY = "AIzaSomething"
AUTHORIZATION, ACCESS_TOKEN, QUERY_KEY, API_KEY = (
    "header.authorization",
    "query.access_token",
    "query.key",
    "header.x-goog-api-key",
)


def found(query: dict[str, str], headers: dict[str, str]) -> list[tuple[str, str]]:
    return [(one.kind, one.where) for one in find_credentials(query, CIMultiDict(headers))]


@pytest.mark.parametrize(
    ("query", "headers", "expected"),
    [
        # Section 1.2, row by row.
        ({}, {"X-Goog-Api-Key": KEY}, [("key", API_KEY)]),
        (
            {},
            {"x-goog-api-key": TOKEN, "Authorization": f"Token {TOKEN}"},
            [("token", AUTHORIZATION), ("token", API_KEY)],
        ),
        ({"key": KEY}, {"x-goog-api-key": KEY}, [("key", QUERY_KEY), ("key", API_KEY)]),
        ({"access_token": TOKEN}, {"x-goog-api-key": TOKEN}, [("token", ACCESS_TOKEN), ("token", API_KEY)]),
        ({}, {"authorization": "Bearer ya29.x"}, [("bearer", AUTHORIZATION)]),
        ({"key": KEY}, {}, [("key", QUERY_KEY)]),
        ({"access_token": TOKEN}, {}, [("token", ACCESS_TOKEN)]),
        ({}, {"Authorization": f"Token {TOKEN}"}, [("token", AUTHORIZATION)]),
        # Odd, but seen in hand-written clients.
        ({}, {"Authorization": f"token   {TOKEN} "}, [("token", AUTHORIZATION)]),
        ({}, {"Authorization": TOKEN}, [("token", AUTHORIZATION)]),
        ({}, {"Authorization": f"Bearer {TOKEN}"}, [("bearer", AUTHORIZATION)]),
        ({"key": TOKEN}, {}, [("token", QUERY_KEY)]),
        ({"key": "AQ.new"}, {}, [("key", QUERY_KEY)]),
        ({"access_token": KEY}, {}, [("key", ACCESS_TOKEN)]),
        ({"access_token": "ya29.x"}, {}, [("bearer", ACCESS_TOKEN)]),
        # Nothing.
        ({}, {}, []),
        ({"key": "", "access_token": ""}, {"Authorization": " ", "x-goog-api-key": ""}, []),
    ],
)
def test_what_is_shown_in_the_order_in_which_it_counts(
    query: dict[str, str], headers: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    assert found(query, headers) == expected


@pytest.mark.parametrize(
    ("kind", "methods"), [("key", {"plain", "vertex"}), ("token", {"constrained"}), ("bearer", {"vertex"})]
)
def test_each_method_takes_its_own_kinds(kind: str, methods: set[Method]) -> None:
    shown = (Presented(kind, API_KEY, "secret"),)  # type: ignore[arg-type]
    assert {method for method in ("plain", "constrained", "vertex") if counted_credential(shown, method)} == methods  # type: ignore[arg-type]


def test_only_the_first_counts() -> None:
    token, key = Presented("token", ACCESS_TOKEN, TOKEN), Presented("key", API_KEY, KEY)
    assert counted_credential((token, key), "constrained") == token
    assert counted_credential((token, key), "plain") is None
    assert counted_credential((), "plain") is None


def test_what_is_told_names_no_secret() -> None:
    labels = Labels()
    labels.name("token", TOKEN)
    assert Presented("token", ACCESS_TOKEN, TOKEN).told(labels) == Credential("token", ACCESS_TOKEN, "token-1")
    unknown = Presented("key", API_KEY, KEY).told(labels)
    assert unknown == Credential("key", API_KEY, "unknown-credential-1")
