"""From files to scenarios: variants, positions, sense, the library, the JSON Schema, and the built-in scenarios."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import UserMistake
from harness.proxy.port import Abilities, Direction, FaultKind, Scope
from harness.scenario import library
from harness.scenario.events import EVENTS
from harness.scenario.faults import NetworkFault, ServerFault
from harness.scenario.library import builtin_folder, builtin_names, find_scenarios, load_all
from harness.scenario.loader import LoadedScenario, load_scenario, parse_scenario, unknown_checks
from harness.scenario.model import Ask, Scenario, Speak, Teach, Until
from harness.scenario.moments import UntilEvent
from harness.scenario.schema import scenario_schema
from harness.scenario.sense import faults_of

# The example of the contract, section 5, word for word.
CONTRACT_EXAMPLE = """\
scenario: tunnel
title: The phone enters a tunnel in the middle of a sentence
why: A mobile link goes dark without closing; what the user said meanwhile must not be lost.
checks: [RETRY-1, RESUME-2, RESUME-3, RESUME-7, SPEECH-1]    # what it is about; all others that apply run too
session:                                  # how the fake service behaves
  model: gemini-2.5-flash-native-audio-preview-12-2025
  tokens: {uses: 1, new_session_window: 60s, lifetime: 30m, resume_spends_use: false}
  resumption: {every: 1s, handles: snapshot}
variants:
  dies:     {fault: {network: blackhole, for: 8s}}
  stays:    {fault: {network: stall, for: 8s}}
  handover: {fault: {network: blackhole, for: 60s, scope: existing}}     # Wi-Fi to LTE: only the open link dies
story:                                    # what the person does, in order, and what goes wrong on the way
  - teach: [name, city]                   # facts, drawn by Faker from the run's seed
  - speak: 6s
    meanwhile: {at: {speech: 2s}, do: $fault}
  - until: {recovered: {within: 5s}}      # counted from the later of known and the link being back
  - ask: [name, city]                     # asking is asserting
expect:
  speech: {lost: as_declared, doubled: {at_most: 1500ms}}
"""


def mistakes(text: str) -> tuple[str, ...]:
    with pytest.raises(UserMistake) as caught:
        parse_scenario(text, "f.yaml")
    return caught.value.messages


def test_the_contracts_example_loads_as_it_stands() -> None:
    loaded = parse_scenario(CONTRACT_EXAMPLE)
    assert loaded.variants == ("dies", "stays", "handover")
    found = {}
    for variant in loaded.variants:
        scenario = loaded.resolve(variant)
        assert scenario.variants == {}
        ((path, fault),) = faults_of(scenario)
        assert isinstance(fault, NetworkFault)
        assert path == ("story", 1, "meanwhile", 0, "do")
        found[variant] = (fault.network, fault.for_s, fault.scope)
    assert found == {
        "dies": (FaultKind.BLACKHOLE, 8.0, Scope.ALL),
        "stays": (FaultKind.STALL, 8.0, Scope.ALL),
        "handover": (FaultKind.BLACKHOLE, 60.0, Scope.EXISTING),
    }


def test_a_mistake_in_a_variant_is_told_once_and_where_it_is_written() -> None:
    text = CONTRACT_EXAMPLE.replace("network: stall", "network: stal").replace("for: 60s, scope", "for: 60, scope")
    assert mistakes(text) == (
        'f.yaml:11:31: story[1].meanwhile.do.network: "stal" is no network fault; known are cut, reset, stall, '
        'blackhole, refuse, unavailable, slow, throttle, slice; did you mean "stall"?',
        "f.yaml:12:47: story[1].meanwhile.do.for: 60 has no unit: a duration is a number with ms, s, m or h; write 60s",
    )


def test_a_mistake_common_to_all_variants_is_told_once() -> None:
    (message,) = mistakes(CONTRACT_EXAMPLE.replace("speak: 6s", "speak: 6"))
    assert message.startswith("f.yaml:15:12: story[1].speak: 6 has no unit")


def test_a_message_that_no_service_sends_is_told_where_it_is_wrong() -> None:
    head = "scenario: s\ntitle: t\nvariants: {a: {state: SPEECH}, b: {state: LOUD}}\nstory:\n  - do:\n"
    text = f"{head}      server: message\n      message:\n        serverContent: "
    (state,) = mistakes(f"{text}{{speechState: $state}}\n")
    assert state.startswith("f.yaml:3:43: story[0].do.message.serverContent.speechState: the service could not send")
    assert "take `server: malformed` or `server: unknown_message`" in state
    one = text.replace("variants: {a: {state: SPEECH}, b: {state: LOUD}}", "why: w")
    (unknown,) = mistakes(f"{one}{{speechstate: SPEECH}}\n")
    assert unknown.startswith("f.yaml:8:25: story[0].do.message.serverContent.speechstate: the service could not send")
    (nested,) = mistakes(f"{one}{{modelTurn: {{parts: [{{text: a}}, {{text: 3}}]}}}}\n")
    assert nested.startswith("f.yaml:8:63: story[0].do.message.serverContent.modelTurn.parts[1].text: the service")
    (other,) = mistakes(one.replace("serverContent: ", "usageMetadata: {trafficType: ON_DEMAND}\n"))
    assert other.startswith("f.yaml:8:9: story[0].do.message: the service of `profile: developer` could not send")


def test_references_and_values_of_variants_must_meet() -> None:
    assert mistakes(CONTRACT_EXAMPLE.replace("dies:     {fault:", "dies:     {fualt:")) == (
        "f.yaml:10:14: variants.dies.fualt: nothing refers to it; write $fualt where its value belongs",
        "f.yaml:16:39: story[1].meanwhile.do: $fault: the variant `dies` has no value of this name; "
        "did you mean $fualt?",
    )
    (message,) = mistakes("scenario: s\ntitle: t\nstory: [{do: $fault}]\n")
    assert message.startswith("f.yaml:3:14: story[0].do: $fault: no variant is there")


def test_do_nothing_is_resolved_and_must_name_every_variant() -> None:
    text = "scenario: s\ntitle: t\nvariants: {a: {x: 1s}, b: {x: 2s}}\nstory: [{wait: $x}]\ndo_nothing: "
    loaded = parse_scenario(text + "{a: pass, b: fail}")
    assert [loaded.resolve(name).do_nothing for name in loaded.variants] == ["pass", "fail"]
    assert mistakes(text + "{a: pass, c: fail}") == (
        "f.yaml:5:1: do_nothing lacks the variant `b`; write b: fail, or pass",
        "f.yaml:5:23: do_nothing: `c` is no variant; the variants are a, b",
    )
    assert parse_scenario(text + "pass").resolve("b").do_nothing == "pass"


def test_an_unknown_variant_is_a_mistake() -> None:
    loaded = parse_scenario(CONTRACT_EXAMPLE)
    for variant in ("die", None):
        with pytest.raises(UserMistake, match="its variants are dies, stays, handover"):
            loaded.resolve(variant)


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        ("[{ask: [name]}]", "f.yaml:3:16: story[0].ask: nobody has told the name before this"),
        ("[{until: {recovered: {within: 1s}}}]", "f.yaml:3:10: story[0].until: there is nothing to recover from"),
        ("[hang_up, {say: hello}]", "f.yaml:3:19: story[1].say: the user has hung up before this"),
        (
            "[{say: hi, meanwhile: {at: {speech: 1s}, do: {network: cut}}}]",
            "f.yaml:3:35: story[0].say has no speech to point into",
        ),
        (
            "[{speak: 1s, meanwhile: {at: {speech: 2s}, do: {network: cut}}}]",
            "f.yaml:3:37: story[0].speak lasts 1 s, and 2 s lies after its end",
        ),
        (
            "[{wait: 1s, meanwhile: {at: {reply: 2s}, do: {network: cut}}}]",
            "f.yaml:3:36: story[0].wait gets no reply to point into",
        ),
        ("[]", "f.yaml:1:1: nothing happens in this scenario"),
    ],
)
def test_parts_that_make_no_sense_together(story: str, expected: str) -> None:
    (message,) = mistakes(f"scenario: s\ntitle: t\nstory: {story}\n")
    assert message.startswith(expected)


def test_every_error_of_a_file_is_told_in_its_order() -> None:
    messages = mistakes("scenario: s\ntitel: t\nsession: {tokns: 3}\nstory:\n  - speek: 6s\n  - wait: 3\n")
    assert [message.split(": ", 1)[0] for message in messages] == [
        *("f.yaml:1:1", "f.yaml:2:1", "f.yaml:3:11", "f.yaml:5:5", "f.yaml:6:11"),
    ]
    assert 'did you mean "title"?' in messages[1]


@pytest.mark.parametrize("text", ["- a\n", "hello\n", "3\n"])
def test_a_file_that_is_no_mapping(text: str) -> None:
    (message,) = mistakes(text)
    assert message.startswith("f.yaml:1:1: a scenario is a mapping")


def test_checks_that_are_not_in_the_catalogue() -> None:
    loaded = parse_scenario("scenario: s\ntitle: t\nchecks: [RETRY-1, RETYR-1]\nstory: [{wait: 1s}]\n", "f.yaml")
    assert unknown_checks(loaded, {"RETRY-1": None}) == ['f.yaml:3:19: "RETYR-1" is no check; did you mean "RETRY-1"?']


def test_faults_that_the_proxy_cannot_produce_are_told_with_their_place() -> None:
    loaded = parse_scenario(CONTRACT_EXAMPLE, "f.yaml")
    able = Abilities(
        frozenset((kind, way, Scope.ALL) for kind in FaultKind for way in Direction),
    )
    assert loaded.impossible_faults("dies", able, "toxiproxy") == []
    (message,) = loaded.impossible_faults("handover", able, "toxiproxy")
    assert message.startswith("f.yaml:12:21: toxiproxy cannot produce `blackhole` with direction both and scope exis")


# --- the library ------------------------------------------------------------------------------------------------------


def test_scenarios_are_found_by_name_variant_file_and_folder(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("scenario: one\ntitle: t\nstory: [{wait: 1s}]\n")
    (tmp_path / "two.yml").write_text(CONTRACT_EXAMPLE)
    (tmp_path / "notes.txt").write_text("no scenario")
    by_folder = find_scenarios(str(tmp_path))
    assert [one.label for one in by_folder] == ["one", "tunnel~dies", "tunnel~stays", "tunnel~handover"]
    again = find_scenarios(*(one.reference for one in by_folder))
    assert [(one.label, one.variant) for one in again] == [(one.label, one.variant) for one in by_folder]
    assert [one.label for one in find_scenarios("tunnel~dies", "tunnel~dies", "drop_idle")] == [
        "tunnel~dies",
        "drop_idle",
    ]
    assert find_scenarios("tunnel~dies")[0].reference == "tunnel~dies"
    assert [loaded.name for loaded in load_all(str(tmp_path))] == ["one", "tunnel"]


def test_what_is_not_found_is_told_all_at_once(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("scenario: bad\n")
    with pytest.raises(UserMistake) as caught:
        find_scenarios("tunel", str(bad), str(tmp_path / "none.yaml"), "tunnel~die")
    first, second, *rest = caught.value.messages
    assert first == 'tunel: there is no such file, folder or built-in scenario; did you mean "tunnel"?'
    assert second == f"{bad}:1:1: the file lacks `title`, which it must have; add it"
    assert rest[0].startswith(f"{tmp_path / 'none.yaml'}:1:1: no such file")
    assert 'did you mean "dies"?' in rest[1]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserMistake, match="this folder holds no scenario"):
        find_scenarios(str(empty))


def test_an_installed_package_brings_its_own_scenarios(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "harness"
    (package / "scenario").mkdir(parents=True)
    (package / "builtin_scenarios").mkdir()
    monkeypatch.setattr(library, "__file__", str(package / "scenario" / "library.py"))
    assert builtin_folder() == (package / "builtin_scenarios").resolve()


# --- the built-in scenarios -------------------------------------------------------------------------------------------

BUILTIN = {
    "tunnel": {"dies", "stays", "handover"},
    "drop_idle": set(),
    "token_reuse": {"measured", "reported", "article", "refused"},
    "goaway_idle": {"ahead", "at_once"},
    "non_resumable": {"during", "after"},
    "hang_up": {"idle", "retrying"},
    "article": set(),
}


def builtins() -> list[LoadedScenario]:
    return [load_scenario(builtin_folder() / f"{name}.yaml") for name in builtin_names()]


def test_the_built_in_scenarios_are_all_there() -> None:
    assert {loaded.name: set(loaded.variants) for loaded in builtins()} == BUILTIN
    for loaded in builtins():
        assert loaded.source.name.endswith(f"{loaded.name}.yaml")
        assert len(loaded.scenario.why) > 60
        assert loaded.scenario.checks
        assert loaded.source.data["do_nothing"], "each says what a client without reconnect code gets"  # type: ignore[index]


@pytest.mark.parametrize("selected", find_scenarios(*sorted(BUILTIN.keys() - {"hang_up"})), ids=lambda one: one.label)
def test_a_handle_that_holds_the_facts_is_received_before_the_fault(selected: library.Selected) -> None:
    """A fault of the story comes 250 ms or more after an update that holds what was taught: else no check can judge."""
    scenario = selected.scenario
    taught = next(step.teach for step in scenario.story if isinstance(step, Teach))
    first_fault = next(i for i, s in enumerate(scenario.story) if s.verb == "do" or s.meanwhile)
    waits = [
        step.until
        for step in scenario.story[:first_fault]
        if isinstance(step, Until) and isinstance(step.until, UntilEvent) and step.until.event == "handle_issued"
    ]
    asked = [step.ask for step in scenario.story if isinstance(step, Ask)]
    assert asked == [taught]
    if waits:
        assert waits[0].filter == {"resumable": True, "facts": list(taught)}
        quiet_s = sum(step.wait for step in scenario.story[:first_fault] if step.verb == "wait")  # type: ignore[union-attr]
        assert quiet_s + sum(s.speak for s in scenario.story[:first_fault] if isinstance(s, Speak)) >= 0.4
    else:
        (meanwhile,) = scenario.story[first_fault].meanwhile
        every_s = scenario.session.resumption.every
        assert isinstance(every_s, float)
        assert meanwhile.at.delay_s >= every_s + 0.4


def test_server_faults_that_last_end_before_the_story_waits_for_recovery() -> None:
    """The engine takes the link for back only when no lasting fault is left."""
    for selected in find_scenarios(*sorted(BUILTIN)):
        for _, fault in faults_of(selected.scenario):
            if isinstance(fault, ServerFault):
                assert (fault.for_s or 0) <= 2.0


# --- the JSON Schema and the reference --------------------------------------------------------------------------------


def test_the_stored_json_schema_is_current() -> None:
    stored = json.loads((builtin_folder() / "scenario.schema.json").read_text(encoding="utf-8"))
    assert stored == scenario_schema(), "run `harness schema > scenarios/scenario.schema.json`"


def test_the_schema_knows_every_key_and_lets_variants_stand_anywhere() -> None:
    schema = scenario_schema()
    assert set(schema["properties"]) == {field.alias or name for name, field in Scenario.model_fields.items()}
    assert schema["required"] == ["scenario", "title"]
    assert {"$ref": "#/$defs/VariantValue"} in schema["$defs"]["NetworkFault"]["properties"]["for"]["anyOf"]


def test_the_language_reference_names_everything_that_there_is() -> None:
    reference = (builtin_folder() / "README.md").read_text(encoding="utf-8")
    definitions = scenario_schema()["$defs"]
    keys = {key for one in definitions.values() for key in one.get("properties", {})}
    names = {*keys, *EVENTS, *FaultKind, *BUILTIN, *(key for key in scenario_schema()["properties"])}
    assert sorted(name for name in names if f"`{name}" not in reference and f"{name}:" not in reference) == []
