"""What a dial gets, by its credential and the setup that counts (protocol, sections 1.1, 2.2 and 6.3)."""

from __future__ import annotations

from typing import Any

import pytest

from fake_server import acts
from fake_server.behaviour import DEFAULT_MODEL, ResumptionRules, TokenRules
from tests.fake_server.house import CONSTRAINED, PLAIN, Caller, House

MODEL = f"models/{DEFAULT_MODEL}"
AUDIO = {"model": MODEL, "generationConfig": {"responseModalities": ["AUDIO"]}}
MINUTE = ResumptionRules(every_s=60.0, first_after_s=0.1)


def left_session(house: House, token: str) -> str:
    """A session of this token, left with a handle; a fact was said in it."""
    caller = house.dial(token=token).set_up()
    caller.say("My name is Ada.", complete=False)
    house.advance(0.2)
    caller.hang_up()
    return caller.handles()[0]


def resumed(house: House, token: str, handle: str, **setup: Any) -> Caller:
    return house.dial(token=token).set_up(sessionResumption={"handle": handle}, **setup)


# ---- keys


@pytest.mark.parametrize(
    ("key", "state"),
    [("", "missing"), ("AIzaWrong", "wrong"), ("AQ.Wrong", "wrong_new_format"), ("auth_tokens/x", "wrong")],
)
def test_what_a_key_is_worth(key: str, state: str) -> None:
    house = House()
    assert house.control.service.key_state(key) == state
    assert house.control.service.key_state(house.secrets.api_key) == "valid"


def test_a_wrong_key_of_either_form_is_refused_by_the_setup() -> None:
    for key in ("AIzaWrong", "AQ.Wrong"):
        assert House().dial(key=key).set_up().closes() == [(1007, "api_key_invalid")]


@pytest.mark.parametrize("path", [PLAIN, CONSTRAINED])
def test_the_wrong_kind_of_credential_and_none_at_all(path: str) -> None:
    house = House()
    assert house.dial(key="", path=path).closes() == [(1008, "unregistered_caller")]
    wrong = house.dial(token=house.mint(), path=PLAIN) if path == PLAIN else house.dial(path=CONSTRAINED)
    assert wrong.closes() == [(1008, "unregistered_caller")]


# ---- the setup that counts


def test_a_token_that_pins_its_model_alone_makes_an_audio_model_refuse() -> None:
    for model, refusal in ((DEFAULT_MODEL, "voices_without_audio"), ("gemini-3.8-live", "modality_not_supported")):
        house = House()
        token = house.mint_as(bidiGenerateContentSetup={"model": f"models/{model}"})
        assert house.dial(token=token).set_up(**AUDIO).closes() == [(1007, refusal)]
        masked = house.mint_as(bidiGenerateContentSetup={"model": f"models/{model}"}, fieldMask="model")
        assert house.dial(token=masked).set_up(**AUDIO).session.live


def test_a_refused_setup_takes_no_use() -> None:
    house = House()
    token = house.mint()
    assert house.dial(token=token).set_up(model="models/nobody").closes() == [(1008, "model_not_found")]
    assert house.dial(token=token).set_up(sessionResumption={"handle": "x" * 36}).closes() == [
        (1008, "session_not_found")
    ]
    assert house.dial(token=token).set_up().session.live


def test_a_pinned_model_counts_whatever_the_client_asks_for() -> None:
    house = House()
    token = house.mint_as(bidiGenerateContentSetup={"model": MODEL}, fieldMask="model")
    assert house.dial(token=token).set_up(model="models/nobody").session.live


def test_a_token_without_a_model_and_a_client_without_one() -> None:
    house = House()
    caller = house.dial(token=house.mint())
    caller.send({"setup": {}})
    assert caller.closes() == [(1007, "token_project_scoped")]
    locked = house.dial(token=house.mint_as(bidiGenerateContentSetup=AUDIO))
    locked.send({"setup": {}})
    house.advance(0.05)
    assert locked.session.live


# ---- uses and handles


def test_a_spent_token_resumes_repeatedly_and_the_context_is_there() -> None:
    house = House(resumption=MINUTE)
    token = house.mint()
    handle = left_session(house, token)
    for _ in range(3):
        again = resumed(house, token, handle)
        (started,) = again.of("session.started")
        assert (started.token, started.facts) == ("token-1", ("name",))
        assert again.of("token.spent") == []
        again.hang_up()
    assert house.dial(token=token).set_up().closes() == [(1011, "token_used_up")]


def test_by_the_switch_a_spent_token_does_not_resume() -> None:
    house = House(resumption=MINUTE, tokens=TokenRules(resume_spends_use=True))
    token = house.mint()
    handle = left_session(house, token)
    assert resumed(house, token, handle).closes() == [(1011, "token_used_up")]
    fresh = resumed(house, house.mint(), handle)
    assert [event.uses_left for event in fresh.of("token.spent")] == [0]


def test_a_handle_is_good_with_another_token() -> None:
    house = House(resumption=MINUTE)
    handle = left_session(house, house.mint())
    (started,) = resumed(house, house.mint(), handle).of("session.started")
    assert (started.token, started.facts) == ("token-2", ("name",))


def test_where_the_token_takes_the_handle_away_a_session_starts_and_takes_a_use() -> None:
    house = House(resumption=MINUTE)
    token = house.mint_as(bidiGenerateContentSetup=AUDIO)
    other = left_session(house, house.mint())
    caller = resumed(house, token, other)
    (started,) = caller.of("session.started")
    assert (started.session, started.resumed_with, started.facts) == ("session-2", None, ())
    assert [event.uses_left for event in caller.of("token.spent")] == [0]
    caller.hang_up()
    assert resumed(house, token, other).closes() == [(1011, "token_used_up")]


def test_an_empty_handle_starts_a_session() -> None:
    house = House(resumption=MINUTE)
    token = house.mint()
    assert resumed(house, token, "").session.live
    assert resumed(house, token, "").closes() == [(1011, "token_used_up")]


def test_the_window_and_the_expiry() -> None:
    house = House(resumption=MINUTE, tokens=TokenRules(uses=3, new_session_window_s=2.0, lifetime_s=10.0))
    token = house.mint()
    handle = left_session(house, token)
    house.advance(2.0)
    assert house.dial(token=token).set_up().closes() == [(1011, "new_session_window_passed")]
    living = resumed(house, token, handle)
    house.advance(7.0)
    assert living.closes() == []
    house.advance(1.0)
    assert living.closes() == [(1011, "token_expired_in_flight")]
    assert resumed(house, token, handle).closes() == [(1011, "token_expired")]
    assert [effect.reason for effect in living.effects if hasattr(effect, "reason")] == ["auth token has expired"]


def test_at_the_upgrade_by_the_switch() -> None:
    house = House(tokens=TokenRules(refuse="http_401"))
    token = house.mint()
    assert house.dial(token=token).set_up().session.live
    refused = house.try_dial(token=token)
    assert not isinstance(refused, Caller)
    assert (refused.name, refused.code) == ("http_401", 401)


def test_two_dials_share_no_use() -> None:
    house = House()
    token = house.mint()
    first, second = house.dial(token=token), house.dial(token=token)
    for caller in (first, second):
        caller.send({"setup": {"model": MODEL}})
    assert second.closes() == [(1011, "token_used_up")]
    house.advance(0.05)
    assert first.session.live


# ---- a resume that ends before it has begun


def test_a_resume_that_ends_before_setup_complete_leaves_the_session_as_it_was() -> None:
    house = House(resumption=ResumptionRules(every_s=0.5, first_after_s=0.1, handles="session"))
    caller = house.dial().set_up()
    house.advance(0.2)
    caller.say("My name is Ada.", complete=False)
    house.act(acts.ForgetContext())
    house.advance(0.5)
    caller.drop()
    early = house.dial()
    early.send({"setup": {"model": MODEL, "sessionResumption": {"handle": caller.handles()[0]}}})
    early.drop()
    again = house.dial().set_up(sessionResumption={"handle": caller.handles()[-1]})
    assert again.of("session.started")[0].facts == ("name",)


# ---- refusals that a scenario orders


def test_a_refusal_after_setup_complete_hits_the_dials_it_names() -> None:
    house = House(resumption=MINUTE)
    handle = left_session(house, house.mint())
    house.act(acts.Refuse("quota", only="resume"))
    assert house.dial(token=house.mint()).set_up().session.live
    again = resumed(house, house.mint(), handle)
    house.advance(1.0)
    assert again.closes() == [(1011, "quota")]
