"""The facts of a run and its small talk, drawn by Faker from the seed: the same seed, the same words. Pure.

A seed is stable for one release of Faker, since its word lists grow: the plan carries what was drawn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faker import Faker

_ANIMALS = (
    "badger", "beaver", "cormorant", "dormouse", "falcon", "ferret", "gecko", "hedgehog", "heron", "ibex", "jackdaw",
    "kestrel", "lemur", "lynx", "marmot", "newt", "ocelot", "otter", "panda", "puffin", "quokka", "raven", "salamander",
    "tapir", "toad", "urchin", "viper", "walrus", "wombat", "yak", "zebra",
)  # fmt: skip
_FOODS = (
    "apricots", "baguette", "bouillabaisse", "couscous", "dumplings", "falafel", "gazpacho", "goulash", "hummus",
    "kimchi", "lasagne", "moussaka", "mulligatawny", "omelette", "paella", "pierogi", "ratatouille", "risotto",
    "sauerkraut", "strudel", "tiramisu", "waffles",
)  # fmt: skip
_COLOURS = (
    "amber", "aquamarine", "beige", "burgundy", "cerulean", "charcoal", "coral", "crimson", "emerald", "fuchsia",
    "indigo", "ivory", "lavender", "magenta", "maroon", "mauve", "ochre", "olive", "orange", "purple", "salmon",
    "scarlet", "sepia", "teal", "turquoise", "ultramarine", "vermilion", "violet",
)  # fmt: skip

_DRAW: Mapping[str, Callable[[Faker], str]] = {
    "name": lambda fake: f"{fake.first_name()} {fake.last_name()}",
    "city": lambda fake: fake.city(),
    "country": lambda fake: fake.country(),
    "street": lambda fake: fake.street_name(),
    "company": lambda fake: fake.company(),
    "job": lambda fake: fake.job(),
    "colour": lambda fake: fake.random_element(_COLOURS),
    "color": lambda fake: fake.random_element(_COLOURS),
    "animal": lambda fake: fake.random_element(_ANIMALS),
    "food": lambda fake: fake.random_element(_FOODS),
    "number": lambda fake: fake.numerify("%###"),
    "phone": lambda fake: fake.numerify("555 %### ###"),
}

FACT_NAMES: tuple[str, ...] = tuple(_DRAW)
"""What `teach` and `ask` may name."""

_PLAIN = re.compile(r"^[A-Za-z0-9]+( [A-Za-z0-9]+){0,3}$")
_CARRIER_WORDS = frozenset({"my", "your", "what", "is", "i", "do", "not", "know", "are", "you", "still", "there"})
_MAX_DRAWS = 1000
WORDS_PER_S = 2.5
"""How fast the person speaks."""


def draw_facts(seed: int, names: Iterable[str]) -> dict[str, str]:
    """A value for each of `names` (of `FACT_NAMES`): plain words, none of them found in another or in a question.

    A fact's value depends on the seed, and on the names before it only where two would be alike.
    """
    fake = _faker()
    drawn: dict[str, str] = {}
    for name in names:
        fake.seed_instance(f"{seed}/{name}")
        drawn[name] = _draw(name, lambda one=name: _DRAW[one](fake), drawn.values())  # type: ignore[misc]  # a default
    return drawn


def draw_small_talk(seed: int, label: str, words: int, avoid: Sequence[str]) -> str:
    """A sentence of exactly `words` words (1 or more) that holds none of the values in `avoid`."""
    fake = _faker()
    fake.seed_instance(f"{seed}/{label}")
    for _ in range(_MAX_DRAWS):
        sentence = str(fake.sentence(nb_words=words, variable_nb_words=False))
        if not any(_contains(sentence, value) for value in avoid):
            return sentence
    raise ValueError(f"words={words}: no sentence without the values {avoid!r} was found; use another seed")


def _draw(name: str, draw: Callable[[], str], taken: Iterable[str]) -> str:
    others = list(taken)
    for _ in range(_MAX_DRAWS):
        value = draw()
        if not _PLAIN.match(value) or _CARRIER_WORDS & set(value.lower().split()) or value.lower() in FACT_NAMES:
            continue
        if not any(_contains(value, other) or _contains(other, value) for other in others):
            return value
    raise ValueError(f"name={name!r}: no value unlike {others!r} was found; teach fewer facts or use another seed")


def _contains(text: str, part: str) -> bool:
    return part.lower() in text.lower()


def _faker() -> Faker:
    from faker import Faker  # 130 ms that loading a scenario need not wait for

    return Faker("en_US")
