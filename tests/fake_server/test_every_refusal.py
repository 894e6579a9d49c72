"""Each row of the table of refusals can be asked for, and comes in its phase, in its own words."""

from __future__ import annotations

import pytest

from fake_server import acts
from fake_server.effects import Close
from fake_server.refusals import REFUSALS, Refusal
from tests.fake_server.house import House

BY_CLOSE = [row for row in REFUSALS.values() if not row.is_http]


@pytest.mark.parametrize("row", BY_CLOSE, ids=lambda row: row.name)
def test_a_scenario_can_order_it(row: Refusal) -> None:
    house = House()
    caller = house.dial()
    if row.phase == "session":
        caller.set_up()
        assert caller.session.live
    house.act(acts.Refuse(row.name))
    if row.phase != "session":
        caller.set_up()
    assert caller.marks() == ([] if row.phase == "setup" else ["setup_complete"])
    if row.phase == "after_setup":
        assert caller.closes() == []
        house.advance(0.8)
    (close,) = (effect for effect in caller.effects if isinstance(effect, Close))
    assert (close.code, close.refusal, close.deliberate) == (row.code, row.name, True)
    assert len(close.reason.encode()) <= 123
    assert row.matches(close.code, close.reason)


@pytest.mark.parametrize("row", BY_CLOSE, ids=lambda row: row.name)
def test_a_resume_can_be_refused_by_it_while_fresh_starts_pass(row: Refusal) -> None:
    house = House()
    first = house.dial().set_up()
    house.act(acts.SendUpdate())
    first.hang_up()
    house.act(acts.Refuse(row.name, only="resume"))
    assert house.dial().set_up().session.live
    refused = house.dial().set_up(sessionResumption={"handle": first.handles()[0]})
    house.advance(0.8)
    assert refused.closes() == [(row.code, row.name)]
