"""The plan: deterministic, complete, and read back as it was written."""

from __future__ import annotations

import json

import pytest

from harness.needs import unmet_needs
from harness.plan import PROBE_TEXT, QUIET_SAMPLES, Plan, ProxyInfo, make_plan
from harness.policy import ClientProfile, Policy
from harness.proxy.port import Abilities, Direction, FaultKind, Scope
from harness.scenario.faults import GoAwayFault
from harness.scenario.library import find_scenarios
from harness.scenario.loader import parse_scenario
from harness.scenario.model import Scenario

PROXY = ProxyInfo(kind="builtin", version="0.1", abilities=("cut/both/all",))
AUDIO_ONLY = ClientProfile(can=frozenset({"audio"}))
TEXT_ONLY = ClientProfile(can=frozenset({"text"}))
ALL = Abilities(frozenset((kind, way, scope) for kind in FaultKind for way in Direction for scope in Scope))
NO_EXISTING = Abilities(frozenset(one for one in ALL.faults if one[2] is Scope.ALL))


def scenario(story: str, more: str = "") -> Scenario:
    return parse_scenario(f"scenario: s\ntitle: t\nstory: {story}\n{more}").scenario


def plan(given: Scenario, *, seed: int = 7, client: ClientProfile | None = None) -> Plan:
    return make_plan(given, None, seed, client or ClientProfile(), PROXY, {"faker": "40"})


@pytest.mark.parametrize("selected", find_scenarios("tunnel", "hang_up", "token_reuse"), ids=lambda one: one.label)
def test_the_same_inputs_give_the_same_plan_and_it_is_read_back(selected: object) -> None:
    one = find_scenarios(selected.reference)[0]  # type: ignore[attr-defined]
    first = make_plan(one.scenario, one.variant, 7, AUDIO_ONLY, PROXY, {"faker": "40"})
    second = make_plan(one.scenario, one.variant, 7, AUDIO_ONLY, PROXY, {"faker": "40"})
    written = first.model_dump(mode="json")
    assert json.dumps(written) == json.dumps(second.model_dump(mode="json"))
    again = Plan.model_validate(json.loads(json.dumps(written)))
    assert again == first
    assert again.model_dump(mode="json") == written
    assert written["name" if "name" in written else "variant"] == one.variant
    other = make_plan(one.scenario, one.variant, 8, AUDIO_ONLY, PROXY, {"faker": "40"})
    assert other.facts != first.facts


def test_turns_are_said_to_a_client_that_can_text() -> None:
    made = plan(scenario("[{teach: [name, city]}, {wait: 1s}, {say: Good morning}, {ask: [city]}]"))
    name, city = made.facts["name"], made.facts["city"]
    assert [(turn.step, turn.verb, turn.how, turn.text) for turn in made.turns] == [
        (1, "teach", "text", f"My name is {name}. My city is {city}."),
        (3, "say", "text", "Good morning"),
        (4, "ask", "text", "What is my city?"),
        (5, "probe", "text", PROBE_TEXT),
    ]
    assert made.utterances == ()
    assert (made.turns[0].teaches, made.turns[2].asks) == (("name", "city"), ("city",))
    assert [turn.probe for turn in made.turns] == [False, False, False, True]
    assert made.turn(4) == made.turns[2]
    assert made.turn(2) is None


def test_turns_are_spoken_to_one_that_has_only_audio() -> None:
    made = plan(scenario("[{teach: [name]}, {speak: 6s}, {ask: [name]}]"), client=AUDIO_ONLY)
    assert [turn.how for turn in made.turns] == ["speech"] * 4
    assert [turn.utterance for turn in made.turns] == [1, 2, 3, 4]
    for utterance, turn in zip(made.utterances, made.turns, strict=True):
        assert utterance.text == turn.text
        assert utterance.total_samples == utterance.speech_samples + QUIET_SAMPLES
        assert utterance.speech_samples % 1600 == 0
    words = len(made.turns[0].text.split())
    spoken_s = made.utterance(1).speech_samples / 16_000
    assert words / 2.5 <= spoken_s < words / 2.5 + 0.1
    with pytest.raises(LookupError, match="ask for one of them"):
        made.utterance(5)


def test_speaking_is_audio_of_the_given_length_and_tells_no_fact() -> None:
    made = plan(scenario("[{teach: [name, city, colour]}, {speak: 6s}, {speak: 50ms}]"))
    first, second = made.utterances
    assert (first.speech_samples, second.speech_samples) == (96_000, 800)
    assert made.turns[1].how == "speech"
    assert len(first.text.split()) == 15
    assert not any(value.lower() in first.text.lower() for value in made.facts.values())


def test_there_is_no_probe_after_hanging_up() -> None:
    made = plan(scenario("[{teach: [name]}, hang_up]"))
    assert [turn.verb for turn in made.turns] == ["teach"]


def test_go_away_without_a_time_takes_the_sessions() -> None:
    made = plan(scenario("[{wait: 1s}]", "session: {limits: {go_away_time_left: 3s}}"))
    assert made.go_away_time_left_s(GoAwayFault.model_validate({"server": "go_away", "time_left": "2s"})) == 2.0
    assert made.go_away_time_left_s(GoAwayFault.model_validate({"server": "go_away", "time_left": "none"})) == 3.0


def test_the_proxy_tells_its_abilities_in_order() -> None:
    info = ProxyInfo.of("toxiproxy", "2.12.0", NO_EXISTING)
    assert info.abilities[:2] == ("blackhole/both/all", "blackhole/down/all")
    assert len(info.abilities) == len(FaultKind) * 3


SPEAK = "[{speak: 1s}]"
SAY = "[{say: hi}]"
HANDOVER = "[{do: {network: stall, for: 1s, scope: existing}}]"


@pytest.mark.parametrize(
    ("story", "more", "client", "kind", "abilities", "expected"),
    [
        (SAY, "", TEXT_ONLY, "builtin", ALL, None),
        (SPEAK, "", TEXT_ONLY, "builtin", ALL, "audio"),
        (SPEAK, "", TEXT_ONLY.model_copy(update={"driven": False}), "builtin", ALL, None),
        (SAY, "", ClientProfile(can=frozenset()), "builtin", ALL, "neither text nor audio"),
        (SAY, "needs: {client: [tools, text]}", TEXT_ONLY, "builtin", ALL, "tools"),
        (SAY, "needs: {credential: token}", TEXT_ONLY, "builtin", ALL, None),
        (
            SAY,
            "needs: {credential: token}",
            TEXT_ONLY.model_copy(update={"policy": Policy(credential="key")}),
            "builtin",
            ALL,
            "the credential token",
        ),
        (HANDOVER, "", TEXT_ONLY, "toxiproxy", NO_EXISTING, None),
        (HANDOVER, "needs: {proxy: builtin}", TEXT_ONLY, "toxiproxy", NO_EXISTING, "needs the builtin proxy"),
        (HANDOVER, "needs: {proxy: builtin}", TEXT_ONLY, "builtin", ALL, None),
        (HANDOVER, "needs: {proxy: builtin}", TEXT_ONLY, "builtin", NO_EXISTING, "even that cannot produce"),
    ],
)
def test_needs_that_are_not_met_skip_a_run(
    story: str, more: str, client: ClientProfile, kind: str, abilities: Abilities, expected: str | None
) -> None:
    reason = unmet_needs(scenario(story, more), client, kind, abilities)
    if expected is None:
        assert reason is None
    else:
        assert reason is not None
        assert expected in reason


def test_needing_the_relay_is_in_the_plan() -> None:
    assert [
        one.label
        for one in find_scenarios("tunnel")
        if make_plan(one.scenario, one.variant, 1, ClientProfile(), PROXY, {}).needs_builtin
    ] == ["tunnel~handover"]
