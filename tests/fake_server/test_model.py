"""What the fake model understands, and that it answers from the history it is given alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_server.model import FakeModel


@pytest.mark.parametrize(
    ("text", "taught", "asked"),
    [
        ("My name is Ada Byron.", {"name": "Ada Byron"}, ()),
        ("My name is Ada. My lucky number is 12.5. My city is Rome!", None, ()),
        ("What is my name? What's my lucky number?", {}, ("name", "lucky number")),
        ("my CITY is St. Petersburg", {"city": "St. Petersburg"}, ()),
        ("My name is Ada … city is Rome.", {}, ()),
        ("My name is not important.", {}, ()),
        ("", {}, ()),
        ("Hello there.", {}, ()),
    ],
)
def test_what_a_text_teaches_and_asks(text: str, taught: dict[str, str] | None, asked: tuple[str, ...]) -> None:
    understood = FakeModel({"city": "St. Petersburg"}).understand(text)
    expected = {"name": "Ada", "lucky number": "12.5", "city": "Rome"} if taught is None else taught
    assert dict(understood.taught) == expected
    assert understood.asked == asked


def test_a_known_value_beside_its_name_teaches_however_it_is_phrased() -> None:
    model = FakeModel({"name": "Ada Byron", "city": "Rome"})
    assert dict(model.understand("They call me Ada Byron, that is my whole name.").taught) == {"name": "Ada Byron"}
    assert model.understand("I live in Rome.").taught == {}
    assert model.understand("The Romeo of my city").taught == {}
    assert model.understand("What is my Name?").asked == ("name",)


def test_the_answer_comes_from_the_history_alone() -> None:
    model = FakeModel({"name": "Ada Byron", "city": "Rome"})
    answer = model.answer(("name", "city"), (), {"name": "Bob"}, 1)
    assert answer.text == "Your name is Bob. I do not know your city."
    assert (answer.known, answer.missing) == (("name",), ("city",))


def test_small_talk_is_deterministic_and_short() -> None:
    model = FakeModel()
    said = [model.answer((), (), {}, turn).text for turn in range(6)]
    assert said == [model.answer((), (), {}, turn).text for turn in range(6)]
    assert all(0 < len(text) < 40 for text in said)
    assert model.answer((), ("name",), {}, 1).text != said[1]


words = st.from_regex(r"[A-Z][a-z]{1,9}( [A-Z][a-z]{1,9})?", fullmatch=True)


@given(st.dictionaries(st.sampled_from(["name", "city", "phone number", "pet"]), words, min_size=1))
def test_what_is_taught_can_be_asked_and_its_answer_teaches_it_again(facts: dict[str, str]) -> None:
    model = FakeModel(facts)
    taught = model.understand(" ".join(f"My {name} is {value}." for name, value in facts.items())).taught
    assert dict(taught) == facts
    asked = model.understand(" ".join(f"What is my {name}?" for name in facts)).asked
    assert asked == tuple(facts)
    answer = model.answer(asked, (), taught, 1)
    assert answer.missing == ()
    assert dict(FakeModel().understand(answer.text).taught) == facts
