from __future__ import annotations

import re

import pytest

from fake_server.resumption import HANDLE_LENGTH
from fake_server.secret_values import SecretValues, seeded_secrets


def test_secrets_look_like_the_real_ones_and_share_a_marker() -> None:
    secrets = SecretValues(seeded_secrets(1))
    assert re.fullmatch(r"[0-9a-f]{8}", secrets.marker)
    assert re.fullmatch(r"AIza[0-9a-f]{35}", secrets.api_key)
    assert re.fullmatch(r"[0-9a-f]{64}", secrets.token_part())
    assert len(secrets.handle()) == HANDLE_LENGTH
    for secret in (secrets.api_key, secrets.token_part(), secrets.handle()):
        assert secrets.marker in secret


@pytest.mark.parametrize("make", [SecretValues.token_part, SecretValues.handle])
def test_each_is_another_one(make: object) -> None:
    secrets = SecretValues(seeded_secrets(1))
    assert len({make(secrets) for _ in range(200)}) == 200  # type: ignore[operator]


def test_the_same_seed_gives_the_same_secrets() -> None:
    def some(seed: int) -> list[str]:
        secrets = SecretValues(seeded_secrets(seed))
        return [secrets.api_key, secrets.token_part(), secrets.handle()]

    assert some(1) == some(1)
    assert not set(some(1)) & set(some(2))
