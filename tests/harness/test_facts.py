"""Facts and small talk: the same seed gives the same words, and no word of one turns up in another."""

from __future__ import annotations

import itertools
import re

import pytest

from harness.facts import FACT_NAMES, draw_facts, draw_small_talk


def test_the_same_seed_gives_the_same_facts_whatever_is_drawn_beside_them() -> None:
    assert draw_facts(7, FACT_NAMES) == draw_facts(7, FACT_NAMES)
    assert draw_facts(7, ["city"])["city"] == draw_facts(7, ["city", "name"])["city"]
    assert draw_facts(7, ["name"]) != draw_facts(8, ["name"])


@pytest.mark.parametrize("seed", range(12))
def test_values_are_plain_words_and_none_is_found_in_another(seed: int) -> None:
    facts = draw_facts(seed, FACT_NAMES)
    assert tuple(facts) == FACT_NAMES
    for value in facts.values():
        assert re.fullmatch(r"[A-Za-z0-9 ]+", value)
        assert not {"my", "is", "what"} & set(value.lower().split())
    for one, other in itertools.permutations(facts.values(), 2):
        assert one.lower() not in other.lower()


def test_small_talk_has_its_length_and_tells_no_fact() -> None:
    sentence = draw_small_talk(3, "step 2", 15, [])
    assert len(sentence.split()) == 15
    assert sentence == draw_small_talk(3, "step 2", 15, [])
    word = sentence.split()[4]
    without = draw_small_talk(3, "step 2", 15, [word])
    assert word.lower() not in without.lower()
    assert len(without.split()) == 15
    assert len(draw_small_talk(3, "x", 1, []).split()) == 1


def test_what_cannot_be_drawn_is_an_error() -> None:
    with pytest.raises(ValueError, match="use another seed"):
        draw_small_talk(3, "x", 5, ["e", "a", "i", "o", "u"])
