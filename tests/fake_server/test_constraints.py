"""The three readings of a token's setup and field mask (protocol, sections 2.1 and 2.2)."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_server.constraints import UNCONSTRAINED, Constraints, article_setup, read_field_mask

HANDLE = "h" * 36
CLIENT: dict[str, Any] = {
    "model": "models/mine",
    "generationConfig": {"temperature": 1.0, "topK": 9.0},
    "systemInstruction": {"parts": [{"text": "be rude"}]},
    "sessionResumption": {"handle": HANDLE},
}
SETUP: dict[str, Any] = {
    "model": "models/theirs",
    "generationConfig": {"temperature": 0.1, "responseModalities": ["AUDIO"]},
    "sessionResumption": {},
}


def applied(setup: dict[str, Any] | None, mask: str = "", client: dict[str, Any] = CLIENT) -> dict[str, Any]:
    before = copy.deepcopy((setup, client))
    result = Constraints(setup, read_field_mask(mask)).apply(client)
    assert (setup, client) == before
    return result


# ---- no setup, no mask


def test_without_setup_and_mask_the_clients_setup_counts() -> None:
    assert UNCONSTRAINED.apply(CLIENT) == CLIENT
    assert applied(None) == CLIENT


# ---- a setup alone


def test_a_setup_alone_replaces_the_clients_but_for_its_handle() -> None:
    assert applied(SETUP) == SETUP | {"sessionResumption": {"handle": HANDLE}}
    assert applied(SETUP, client={"model": "models/mine"}) == SETUP
    assert applied(SETUP, client={}) == SETUP


def test_where_the_tokens_setup_has_no_resumption_the_clients_handle_goes_too() -> None:
    pinned = {key: value for key, value in SETUP.items() if key != "sessionResumption"}
    assert applied(pinned) == pinned


def test_a_handle_of_the_tokens_own_stands() -> None:
    own = SETUP | {"sessionResumption": {"handle": "t" * 36}}
    assert applied(own) == own


@pytest.mark.parametrize("config", [None, {}, {"temperature": 0.5}, {"responseModalities": []}])
def test_a_setup_alone_without_a_modality_falls_to_text(config: dict[str, Any] | None) -> None:
    pinned: dict[str, Any] = {"model": "models/theirs"}
    if config is not None:
        pinned["generationConfig"] = config
    expected = {"model": "models/theirs", "generationConfig": {**(config or {}), "responseModalities": ["TEXT"]}}
    assert applied(pinned) == expected


def test_an_empty_setup_pins_that_there_is_no_model() -> None:
    assert "model" not in applied({})


# ---- a mask


@pytest.mark.parametrize(
    "mask",
    [
        "model,generationConfig.temperature,sessionResumption",
        "session_resumption,generation_config.temperature,model",
        "generationConfig.temperature,model,session_resumption",
        " model , temperature,sessionResumption,",
    ],
)
def test_a_mask_takes_only_what_it_names_in_any_casing_and_order(mask: str) -> None:
    assert applied(SETUP, mask) == {
        "model": "models/theirs",
        "generationConfig": {"temperature": 0.1, "topK": 9.0},
        "systemInstruction": {"parts": [{"text": "be rude"}]},
        "sessionResumption": {"handle": HANDLE},
    }


def test_a_masked_field_that_the_token_has_not_is_unset() -> None:
    result = applied(None, "temperature,systemInstruction.parts,output_audio_transcription")
    assert result == CLIENT | {"generationConfig": {"topK": 9.0}, "systemInstruction": {}}
    assert "sessionResumption" not in applied({"model": "models/theirs"}, "model,sessionResumption")


def test_a_masked_modality_is_not_the_pinned_setups() -> None:
    assert applied({"model": "models/theirs"}, "model")["generationConfig"] == CLIENT["generationConfig"]


@pytest.mark.parametrize(
    ("written", "paths"),
    [
        ("", ()),
        (" , ,", ()),
        ("model", (("model",),)),
        ("temperature", (("generationConfig", "temperature"),)),
        ("top_k,topP", (("generationConfig", "topK"), ("generationConfig", "topP"))),
        ("response_schema", (("generationConfig", "responseSchema"),)),
        ("generation_config.speech_config", (("generationConfig", "speechConfig"),)),
        ("generationConfig..temperature", (("generationConfig", "temperature"),)),
        ("system_instruction.parts", (("systemInstruction", "parts"),)),
        ("something_new", (("somethingNew",),)),
    ],
)
def test_reading_a_mask(written: str, paths: tuple[tuple[str, ...], ...]) -> None:
    assert read_field_mask(written) == paths


# ---- any client, any token, any mask, against the rule itself

_LEAVES: dict[str, st.SearchStrategy[Any]] = {
    "generationConfig": st.dictionaries(
        st.sampled_from(["temperature", "topK", "responseModalities"]), st.integers(0, 3), max_size=3
    ),
    "systemInstruction": st.dictionaries(st.sampled_from(["parts", "role"]), st.integers(0, 3), max_size=2),
    "model": st.sampled_from(["models/a", "models/b"]),
    "tools": st.lists(st.integers(0, 3), max_size=2),
}
_SETUPS = st.fixed_dictionaries({}, optional=_LEAVES)
_PATHS = [
    ("model",),
    ("tools",),
    ("generationConfig",),
    ("generationConfig", "temperature"),
    ("generationConfig", "topK"),
    ("systemInstruction", "parts"),
    ("systemInstruction",),
]
_MISSING = object()


def value_at(setup: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        setup = setup.get(name, _MISSING) if isinstance(setup, dict) else _MISSING
    return setup


def snake(name: str) -> str:
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in name)


@given(
    client=_SETUPS,
    token=st.none() | _SETUPS,
    paths=st.lists(st.sampled_from(_PATHS), min_size=1, unique=True),
    casing=st.booleans(),
    data=st.data(),
)
def test_what_is_masked_is_the_tokens_and_all_else_the_clients(
    client: dict[str, Any],
    token: dict[str, Any] | None,
    paths: list[tuple[str, ...]],
    casing: bool,
    data: st.DataObject,
) -> None:
    written = ",".join(".".join(snake(name) if casing else name for name in path) for path in paths)
    result = applied(token, written, client)
    shuffled = data.draw(st.permutations(paths))
    assert Constraints(token, tuple(shuffled)).apply(client) == result
    for path in paths:
        assert value_at(result, path) == value_at(token or {}, path)
    inner = [(outer, name) for outer in ("generationConfig", "systemInstruction") for name in
             ("temperature", "topK", "responseModalities", "parts", "role")]  # fmt: skip
    for path in [("model",), ("tools",), *inner]:
        if path not in paths and path[:1] not in paths:
            assert value_at(result, path) == value_at(client, path)


# ---- the article


def test_the_articles_constraints_become_a_setup_as_sdks_convert_them() -> None:
    config = {"responseModalities": ["AUDIO"], "temperature": 0.5, "session_resumption": {}, "odd": 1}
    assert article_setup({"model": "gemini-x", "config": config}) == {
        "model": "models/gemini-x",
        "generationConfig": {"responseModalities": ["AUDIO"], "temperature": 0.5},
        "sessionResumption": {},
    }
    nested = {"seed": 1, "generationConfig": {"seed": 2, "topK": 3}}
    assert article_setup({"config": nested}) == {"generationConfig": {"seed": 2, "topK": 3}}
    assert article_setup({"model": "models/x", "config": "odd"}) == {"model": "models/x"}
    assert article_setup({"model": 3, "config": {"seed": 1, "generation_config": "odd"}}) == {
        "generationConfig": {"seed": 1}
    }
