"""A server that runs for days: what it forgets, when, and what it never does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fake_server.__main__ import main
from fake_server.behaviour import Behaviour, Bounds, Limits, ResumptionRules, TokenRules
from fake_server.events import TurnEnded
from fake_server.labels import Labels
from fake_server.moves import Phase
from fake_server.refusals import Refusal
from fake_server.resumption import Accepted, Handles, Rejected
from fake_server.serving import KEPT, keeping
from fake_server.tokens import NO_ROOM, Minted, TokenLedger, TokenState
from tests.fake_server.house import CONSTRAINED, QUICK, TOOLS, Caller, House
from tests.fake_server.mints import NOW_S, at, mint, refusal

SMALL = Bounds(connections=2, turned_away=1, tokens=3, token_grace_s=100.0, handles=4, sessions=3, facts=2)
UPDATES = ResumptionRules(every_s=1.0, first_after_s=0.1, embargo_old_socket=False)


def ledger(bounds: Bounds = SMALL) -> TokenLedger:
    made = iter(range(1_000))
    return TokenLedger(TokenRules(lifetime_s=50.0), new_secret=lambda: f"t-{next(made)}", bounds=bounds)


def handles(rules: ResumptionRules = UPDATES) -> Handles[str]:
    made = iter(range(1_000))
    return Handles(rules, new_handle=lambda: f"{next(made):036d}", bounds=SMALL)


# ---- tokens


def test_an_expired_token_says_so_for_its_grace_and_is_then_unknown() -> None:
    tokens = ledger()
    name = mint(tokens).name
    for later_s, answer in (
        (49.9, None),
        (50.0, "token_expired"),
        (149.9, "token_expired"),
        (150.0, "unregistered_caller"),
    ):
        assert refusal(tokens.admit(name, resume=True, now_s=NOW_S + later_s)) == answer
    assert len(tokens) == 0
    assert tokens.state(name, now_s=NOW_S + 150.0) is None


def test_the_grace_is_longer_than_any_client_keeps_a_token() -> None:
    assert Bounds().token_grace_s > TokenRules().lifetime_s + ResumptionRules().lifetime_s


def test_a_full_ledger_forgets_expired_tokens_and_refuses_where_all_are_good() -> None:
    tokens = ledger()
    early = mint(tokens, expireTime=at(10.0)).name
    good = [mint(tokens).name for _ in range(2)]
    assert tokens.mint(b"", now_s=NOW_S) == NO_ROOM
    assert tokens.no_room(now_s=NOW_S) == NO_ROOM
    assert NO_ROOM.http_status == 429
    assert isinstance(tokens.mint(b"", now_s=NOW_S + 10.0), Minted)
    assert len(tokens) == 3
    assert tokens.state(early, now_s=NOW_S + 10.0) is None
    assert [tokens.state(name, now_s=NOW_S + 10.0) for name in good] == [TokenState.USABLE] * 2


def test_tokens_that_all_expire_at_once_make_room() -> None:
    tokens = ledger()
    names = [mint(tokens).name for _ in range(3)]
    assert set(tokens.expire_all(now_s=NOW_S + 1.0)) == set(names)
    assert isinstance(tokens.mint(b"", now_s=NOW_S + 1.0), Minted)
    assert tokens.state(names[2], now_s=NOW_S + 1.0) is TokenState.EXPIRED
    assert tokens.state(names[2], now_s=NOW_S + 101.0) is None


# ---- handles


def test_a_session_is_forgotten_after_its_lifetime_and_answers_as_before() -> None:
    known = handles()
    known.session_connected("a")
    handle = known.issue("a", "what was said")
    known.client_end_closed("a", now_s=10.0, model_idle=False)
    last_s = 10.0 + UPDATES.lifetime_s
    assert known.forget(last_s) == ()
    assert isinstance(known.look_up(handle, now_s=last_s), Accepted)
    expired = known.look_up(handle, now_s=last_s + 1.0)
    assert known.forget(last_s + 1.0) == ("a",)
    assert not known.knows("a")
    assert known.look_up(handle, now_s=last_s + 1.0) == expired == Rejected("session_not_found")
    assert len(known) == 0


def test_a_session_that_is_held_again_is_not_forgotten() -> None:
    known = handles()
    known.session_connected("a")
    handle = known.issue("a", "what was said")
    known.client_end_closed("a", now_s=10.0, model_idle=False)
    known.session_connected("a")
    assert known.forget(10.0 + 2 * UPDATES.lifetime_s) == ()
    assert isinstance(known.look_up(handle, now_s=10.0 + 2 * UPDATES.lifetime_s), Accepted)


def test_too_many_handles_and_sessions_push_out_the_oldest() -> None:
    known = handles()
    issued = [known.issue("a", str(number)) for number in range(6)]
    assert len(known) == 4
    assert [isinstance(known.look_up(one, now_s=0.0), Accepted) for one in issued] == [False] * 2 + [True] * 4
    for session in "bcdef":
        known.session_connected(session)
        known.client_end_closed(session, now_s=1.0, model_idle=False)
    assert known.forget(1.0) == ("b", "c")


def test_handles_that_were_all_forgotten_do_not_come_back_with_their_session() -> None:
    known = handles()
    known.session_connected("a")
    known.issue("a", "x")
    known.client_end_closed("a", now_s=0.0, model_idle=False)
    known.forget_handles()
    assert known.forget(UPDATES.lifetime_s + 1.0) == ("a",)


# ---- connections


def test_a_connection_too_many_gets_the_quota_close_and_further_ones_429() -> None:
    house = House(bounds=SMALL)
    held = [house.dial().set_up(), house.dial().set_up()]
    one_more = house.dial()
    assert one_more.closes() == [(1011, "quota")]
    refused = house.try_dial()
    assert isinstance(refused, Refusal)
    assert refused.code == 429
    assert all(caller.session.live for caller in held)
    house.advance(3.0)
    assert one_more.session.phase is Phase.ENDED
    held[0].hang_up()
    for caller in (held[0], one_more):
        house.control.ended(caller.session.caller.connection)
    assert house.dial().set_up().session.live


@pytest.mark.parametrize(
    ("limits", "after_s", "refusal"),
    [
        (Limits(), 480.0, "dead_client"),
        (Limits(idle_s=30.0), 30.0, "idle"),
        (Limits(dead_client_s=90.0), 90.0, "dead_client"),
    ],
)
def test_a_connection_whose_session_went_on_elsewhere_does_not_stay(
    limits: Limits, after_s: float, refusal: str
) -> None:
    house = House(resumption=UPDATES, limits=limits)
    caller = house.dial().set_up()
    house.advance(0.2)
    again = house.dial().set_up(sessionResumption={"handle": caller.handles()[0]})
    assert caller.session.phase is Phase.DETACHED
    for _ in range(9):  # what it says does not keep it
        house.advance(after_s / 10)
        caller.say("Anybody there?")
        again.say("I am.")
    assert caller.closes() == []
    house.advance(after_s / 10 + 2.5)
    assert [code_and_row[1] for code_and_row in caller.closes()] == [refusal]
    assert caller.session.phase is Phase.ENDED
    assert again.session.live


# ---- one session


def test_a_history_keeps_the_newest_facts_and_the_newest_of_a_long_draft() -> None:
    house = House(bounds=replace(SMALL, draft_chars=40))
    caller = house.dial().set_up()
    for fact in ("city is Rome", "dog is Rex", "name is Ada"):
        caller.say(f"My {fact}.", complete=False)
    caller.say("What is my name? What is my city?")
    house.advance(5.0)
    assert caller.of("turn.heard")[0].text == "What is my name? What is my city?"
    assert (caller.of("turn.answered")[0].known, caller.of("turn.answered")[0].missing) == (("name",), ("city",))


def test_snapshots_are_shared_until_something_is_learnt() -> None:
    house = House()
    caller = house.dial().set_up()
    first, second = caller.session.snapshot(), caller.session.snapshot()
    caller.say("My name is Ada.", complete=False)
    third = caller.session.snapshot()
    assert first.known is second.known
    assert (dict(second.known), dict(third.known)) == ({}, {"name": "Ada"})


def test_turns_and_calls_do_not_pile_up() -> None:
    house = House(bounds=replace(SMALL, queued_turns=3, pending_calls=2))
    caller = house.dial().set_up(
        tools=[{"functionDeclarations": [{**TOOLS[0]["functionDeclarations"][0], "behavior": "NON_BLOCKING"}]}],
        realtimeInputConfig={"activityHandling": "NO_INTERRUPTION"},
    )
    for _ in range(3):
        caller.send({"realtimeInput": {"text": "look_up"}})
        house.advance(5.0)
    assert len(caller.session.snapshot().tool_calls) == 2
    for _ in range(6):
        caller.send({"realtimeInput": {"text": "Go on."}})
    assert caller.closes() == [(1011, "resource_exhausted")]
    heard = [event.turn for event in caller.of("turn.heard")]
    assert sorted(event.turn for event in caller.told if isinstance(event, TurnEnded)) == heard


# ---- labels


def test_labels_forget_the_oldest_secret_but_no_key() -> None:
    labels = Labels(most=3)
    labels.name("key", "K")
    for number in range(1, 6):
        assert labels.name("handle", f"h{number}") == f"handle-{number}"
        assert len(labels.known) <= 3
    assert labels.get("K") == "key-1"
    assert labels.get("h1") is None
    assert labels.get("h5") == "handle-5"


# ---- days


def test_twenty_thousand_sessions_leave_no_more_than_the_lifetimes_allow() -> None:
    """A session every ten seconds, two days and more: each is resumed once, and a tenth never gets to setupComplete."""
    house = House(resumption=UPDATES, script=replace(QUICK, setup_complete_after_s=0.01))
    house.labels = house.control.service.labels = Labels(most=5_000)
    service = house.control.service
    lifetime_s = house.behaviour.resumption.lifetime_s
    most_sessions = most_handles = most_tokens = 0
    for number in range(20_000):
        caller = house.dial(token=house.mint(), path=CONSTRAINED)
        caller.send({"setup": {"model": f"models/{house.behaviour.model}"}})
        if number % 10 == 0:
            caller.drop()
        else:
            house.advance(0.2)
            caller.hang_up()
        house.control.ended(caller.session.caller.connection)
        house.callers.clear()
        house.clock.advance(9.8)
        if number % 100 == 0:
            most_sessions = max(most_sessions, service.sessions_known)
            most_handles = max(most_handles, len(service.handles))
            most_tokens = max(most_tokens, len(service.tokens))
    kept = lifetime_s / 9.8 + 1
    assert kept / 2 < most_sessions < kept
    assert kept / 2 < most_handles < kept
    assert most_tokens < (house.behaviour.bounds.token_grace_s + house.behaviour.tokens.lifetime_s) / 9.8 + 1
    assert service.sessions_held == 0
    assert len(service.labels.known) <= 5_000
    house.clock.advance(2 * lifetime_s)
    last = house.dial().set_up()
    assert (service.sessions_known, service.sessions_held) == (1, 1)
    assert isinstance(last, Caller)


def test_a_session_that_outlives_its_handles_goes_when_it_is_left() -> None:
    house = House(resumption=replace(UPDATES, lifetime_s=1.0), limits=Limits(go_away_after_s=None))
    caller = house.dial().set_up()
    house.advance(0.2)
    house.control.client_closed(1, house.clock.monotonic_s())
    house.advance(5.0)
    house.dial().set_up().hang_up()
    assert house.control.service.sessions_known == 2
    caller.drop()
    assert house.control.service.sessions_known == 1


# ---- what a person may say


def test_every_bound_can_be_said_where_a_server_is_started(capsys: pytest.CaptureFixture[str]) -> None:
    given = keeping(Behaviour(), dict.fromkeys(KEPT, 7))
    assert (given.bounds.connections, given.bounds.tokens, given.bounds.handles) == (7, 7, 7)
    assert (given.limits.sessions, given.limits.max_frame_bytes) == (7, 7)
    assert keeping(Behaviour(), dict.fromkeys(KEPT)) == Behaviour()
    assert keeping(Behaviour(), {name: default for name, (default, _) in KEPT.items()}) == Behaviour()
    with pytest.raises(SystemExit) as ended:
        main(["--max-tokens", "0"])
    assert ended.value.code == 2
    assert "--max-tokens: 0 is given; it must be 1 or more" in capsys.readouterr().err
