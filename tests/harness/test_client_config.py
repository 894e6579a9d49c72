"""client.yaml and `--client`: what is understood, what is refused and where, and programs that are not there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.client_config import (
    ClientConfig,
    from_command_line,
    load_client_config,
    reference_client,
    resolve_command,
)
from harness.errors import UserMistake
from harness.policy import ClientProfile, GapSpeechTail, GivesUpAttempts, Waiver

WHOLE = """
name: my-app
command: node app.js --token "a b"
cwd: app
env: {NODE_ENV: test}
driven: false
can: [audio, state]
tls: off
start_within: 30s
stop_within: 500ms
sees: {http_status: false, close_reason: true}
policy:
  credential: key
  refused_handle: {keep_trying: 4s, then: give_up}
  gives_up: {attempts: 3}
  gap_speech: {tail: 2s}
waive: [{check: GOAWAY-3, because: "next sprint", until: 2027-03-01}]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "client.yaml"
    path.write_text(text)
    return path


def test_every_key_of_the_contract_is_read(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    client = load_client_config(write(tmp_path, WHOLE))
    assert client.name == "my-app"
    assert client.command == ("node", "app.js", "--token", "a b")
    assert client.cwd == (tmp_path / "app").resolve()
    assert client.env == {"NODE_ENV": "test"}
    profile = client.profile
    assert type(profile) is ClientProfile
    assert (profile.driven, profile.can, profile.tls) == (False, frozenset({"audio", "state"}), "off")
    assert (profile.start_within, profile.stop_within) == (30.0, 0.5)
    assert (profile.sees.http_status, profile.sees.close_reason) == (False, True)
    assert (profile.policy.credential, profile.policy.refused_handle.then) == ("key", "give_up")
    assert profile.policy.gives_up == GivesUpAttempts(attempts=3)
    assert isinstance(profile.policy.gap_speech, GapSpeechTail)
    assert profile.policy.gap_speech.tail == 2.0
    assert client.waivers == (Waiver(check="GOAWAY-3", because="next sprint", until="2027-03-01"),)
    # The plan holds the profile as JSON, and checks read it back from there.
    assert ClientProfile.model_validate(profile.model_dump(mode="json")) == profile


def test_what_is_left_out_is_the_contracts_default_and_known_as_not_set(tmp_path: Path) -> None:
    client = load_client_config(write(tmp_path, "name: x\ncommand: [./app]\npolicy: {redial: manual}\n"))
    assert client.profile == ClientProfile(policy=client.profile.policy)
    assert client.profile.model_fields_set == {"policy"}
    assert client.profile.policy.model_fields_set == {"redial"}
    assert (client.cwd, client.env, client.waivers) == (tmp_path.resolve(), {}, ())


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("name: x\ncommand: y\ncolour: red\n", "3:1", "unknown key `colour`"),
        ("name: x\ncommand: y\npolicy: {redail: eager}\n", "3:10", 'did you mean "redial"?'),
        ("name: x\ncommand: y\nstart_within: 20\n", "3:15", "has no unit"),
        ("name: x\ncommand: y\ntls: maybe\n", "3:6", "tls"),
        ("name: x\ncommand: 'node \"app'\n", "2:10", "quotation mark is never closed"),
        ("name: x\ncommand: []\n", "2:10", "no program"),
        ("name: x\ncommand: ' '\n", "2:10", "no program"),
        ("name: ../../etc\ncommand: y\n", "1:7", "pattern"),
        ("name: x\n", "1:1", "lacks `command`"),
        ("name: x\ncommand: y\nwaive: [{check: A-1, because: b, until: soon}]\n", "3:8", "is no day"),
        ("name: x\ncommand: y\nenv: {A: 1}\n", "3:10", "must be a text"),
    ],
)
def test_mistakes_are_told_with_their_place_and_the_way_out(tmp_path: Path, text: str, where: str, what: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UserMistake) as caught:
        load_client_config(path)
    assert str(caught.value).startswith(f"{path}:{where}: ")
    assert what in str(caught.value)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserMistake) as caught:
        load_client_config(write(tmp_path, "name: x\ncommand: y\ndriven: often\ncan: [fly]\nstop_within: 5\n"))
    assert len(caught.value.messages) == 3


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserMistake, match="no such file"):
        load_client_config(tmp_path / "client.yaml")


# --- --client --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "words", "name"),
    [
        ("node app.js", ("node", "app.js"), "app"),
        ("python -m my.client --x", ("python", "-m", "my.client", "--x"), "my.client"),
        ("'./my app/run it.sh'", ("./my app/run it.sh",), "run-it"),
        ("cargo", ("cargo",), "cargo"),
        ("x ../..", ("x", "../.."), "client"),
    ],
)
def test_a_command_line_is_a_client_with_the_default_profile(command: str, words: tuple[str, ...], name: str) -> None:
    client = from_command_line(command)
    assert client == ClientConfig(name=name, command=words, cwd=Path.cwd(), profile=ClientProfile())


@pytest.mark.parametrize(("command", "what"), [("", "is empty"), ("  ", "is empty"), ("node 'app", "never closed")])
def test_a_command_line_that_cannot_be_read(command: str, what: str) -> None:
    with pytest.raises(UserMistake, match=what):
        from_command_line(command)


def test_the_reference_client_is_there() -> None:
    client = reference_client()
    assert client.name == "reference"
    assert client.resolved_command == (sys.executable, "-m", "harness.clients.reference")
    assert (client.cwd / "harness" / "clients" / "reference.py").is_file()


# --- programs --------------------------------------------------------------------------------------------------------


def program(folder: Path, name: str, mode: int = 0o755) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def test_programs_are_found_on_path_and_from_cwd(tmp_path: Path) -> None:
    on_path = program(tmp_path / "bin", "my-client")
    local = program(tmp_path, "run")
    env = {"PATH": str(tmp_path / "bin")}
    assert resolve_command(("my-client", "a"), tmp_path, env) == (str(on_path), "a")
    assert resolve_command(("./run",), tmp_path, env) == (str(local),)
    assert resolve_command((str(local),), tmp_path / "bin", env) == (str(local),)
    assert resolve_command(("{python}", "{python}/x"), tmp_path) == (sys.executable, f"{sys.executable}/x")


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("my-cleint", "is not on PATH; did you mean 'my-client'?"),
        ("zzzzzzzzzzzz", "install it, or write the path to it"),
        ("here", r"write `\./here`"),
        ("./gone", "is not there"),
        ("./bin", "is a folder"),
        ("./plain", r"may not be executed; run `chmod \+x`"),
    ],
)
def test_a_program_that_cannot_be_run_is_told_with_the_way_out(tmp_path: Path, command: str, what: str) -> None:
    program(tmp_path / "bin", "my-client")
    program(tmp_path, "here")
    program(tmp_path, "plain", 0o644)
    with pytest.raises(UserMistake, match=what):
        resolve_command((command,), tmp_path, {"PATH": str(tmp_path / "bin")})


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserMistake, match="is no folder"):
        resolve_command(("sh",), tmp_path / "gone")
