"""`harness explain`: one check for people and for programs, and names that are none."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from harness.checks import CATALOGUE
from harness.checks.rule import Check
from harness.cli import main
from harness.cli.check_names import check_glob, checks_matching, refuse_unknown_waivers
from harness.cli.explain import explanation, lines
from harness.cli.texts import check_texts
from harness.clients.catalogue import BROKEN_CLIENTS, broken_client
from harness.errors import UserMistake
from harness.policy import Waiver


def call(*args: str) -> Result:
    return CliRunner().invoke(main, list(args))


def test_everything_that_is_known_of_a_check_is_told() -> None:
    result = call("explain", "RESUME-2")
    check = CATALOGUE["RESUME-2"]
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"RESUME-2  {check.title}\n  MUST: ")
    flowing = " ".join(result.stdout.split())
    for text in (
        check.rule,
        check.evidence,
        check.fix,
        *check.seen_in,
        "harness.clients.broken.resume_2, in drop_idle",
    ):
        assert " ".join(text.split()) in flowing
    assert "harness selftest --only RESUME-2" in flowing
    assert "tunnel~dies" in flowing
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_what_a_broken_client_may_break_besides_is_told_with_the_reason() -> None:
    client = next(client for client in BROKEN_CLIENTS if client.may_also_fail)
    flowing = " ".join(call("explain", client.check).stdout.split())
    for check, why in client.may_also_fail.items():
        assert f"it may also fail {check}: {why}" in flowing


def test_a_check_of_ours_has_no_broken_client() -> None:
    result = call("explain", "self-1")
    assert "none is made for it" in result.stdout
    assert "Try your client" not in result.stdout


def test_for_programs() -> None:
    told = json.loads(call("explain", "retry-1", "--json").stdout)
    assert (told["id"], told["level"]) == ("RETRY-1", "MUST")
    assert told["broken_client"]["module"] == "harness.clients.broken.retry_1"
    assert told["broken_client"]["may_also_fail"] == dict(broken_client("RETRY-1").may_also_fail)
    assert "drop_idle" in told["scenarios"]
    assert told["needs"] == sorted(CATALOGUE["RETRY-1"].needs)


@pytest.mark.parametrize("check", CATALOGUE.values(), ids=lambda check: check.id)
def test_every_check_can_be_explained(check: Check) -> None:
    told = explanation(check)
    assert (told.broken_client is not None) == (check.id in {client.check for client in BROKEN_CLIENTS})
    assert f"{check.id}  {check.title}" == next(lines(told))


@pytest.mark.parametrize(
    ("given", "hint"), [("RESUM-2", 'did you mean "RESUME-2"?'), ("zzzzzzzz", "`harness list checks` prints them")]
)
def test_an_unknown_check_is_exit_code_4_with_the_nearest(given: str, hint: str) -> None:
    result = call("explain", given)
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr == f'"{given}" is no check; {hint}\n'


def test_reports_get_the_texts_of_every_check() -> None:
    assert list(check_texts()) == list(CATALOGUE)
    assert check_texts()["AUTH-1"].fix == CATALOGUE["AUTH-1"].fix


def test_globs_are_good_in_small_letters_and_must_match() -> None:
    assert check_glob("resume-*", "--select") == "RESUME-*"
    assert [check.id for check in checks_matching("auth-[12]", "--only")] == ["AUTH-1", "AUTH-2"]
    with pytest.raises(UserMistake, match=r'^--only "resume_2" matches no check; did you mean "RESUME-2"\?$'):
        checks_matching("resume_2", "--only")


def test_a_waiver_that_waives_nothing_is_a_mistake() -> None:
    good, bad = (Waiver(check=check, because="x", until="2027-03-01") for check in ("RESUME-2", "RESUM-2"))
    refuse_unknown_waivers([good], "client.yaml")
    with pytest.raises(UserMistake, match=r'^client.yaml: waive\[1\].check = "RESUM-2" is no check; did you mean'):
        refuse_unknown_waivers([good, bad], "client.yaml")
