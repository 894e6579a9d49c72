"""Faults that are typed into `harness serve --proxy`."""

from __future__ import annotations

import pytest

from harness.errors import UserMistake
from harness.hand_testing import parse_fault
from harness.scenario.faults import GoAwayFault, MessageFault, NetworkFault


def test_a_fault_is_typed_as_a_scenario_has_it_with_or_without_braces() -> None:
    fault = parse_fault("network: blackhole, for: 8s")
    assert isinstance(fault, NetworkFault)
    assert (fault.network, fault.for_s) == ("blackhole", 8.0)
    assert parse_fault("  {network: blackhole, for: 8s} ") == fault
    warning = parse_fault("server: go_away, time_left: 5s")
    assert isinstance(warning, GoAwayFault)
    assert warning.time_left == 5.0
    own = parse_fault("server: message, message: {serverContent: {waitingForInput: true}}")
    assert isinstance(own, MessageFault)
    assert own.message == {"serverContent": {"waitingForInput": True}}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("network: blakhole", 'did you mean "blackhole"'),
        ("network: stall, for: 8", "has no unit"),
        ("server: message, message: {serverContent: {waitingForInput: false}}", "serverContent.waitingForInput"),
        ("cut", "cut"),
        ("network: [", "not valid YAML"),
        ("client: suspend", "no program here"),
        ("network: cut, link: backend", "leave it out"),
    ],
)
def test_what_is_no_fault_here_is_refused_in_words(line: str, told: str) -> None:
    with pytest.raises(UserMistake) as refused:
        parse_fault(line)
    assert told in str(refused.value)
    assert "line:" not in str(refused.value), "there is but one line"
