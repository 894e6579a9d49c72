"""Tokens, in any sequence of events: no use is spent twice, no window is overrun, nothing outlives its expiry."""

from __future__ import annotations

from collections import Counter

import orjson
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fake_server.behaviour import TokenRules
from fake_server.token_calls import format_timestamp
from fake_server.tokens import Admitted, Minted, TokenLedger, TokenState
from tests.fake_server.machines import thorough
from tests.fake_server.mints import NOW_S, ledger, refusal

TWICE = "a use was spent twice"
ANSWER = "a token was not judged by its uses and times"
UPGRADE = "an upgrade was not refused as its token deserves"
LEFT = "the uses that are said to be left are not those that are"
SPENT = "a setup was said to take a use that it does not take, or the other way round"
STATE = "a token is not in the state that its uses and times make"
EXPIRY = "a token does not end when it should"


class Minting(RuleBasedStateMachine):
    """The ledger against the plainest model of it: a count of sessions and two deadlines a token."""

    kind: type[TokenLedger] = TokenLedger
    """A planted bug is a subclass."""

    @initialize(by=st.sampled_from(["close_1011", "close_1011", "close_1011", "spending", "http_401", "article"]))
    def start(self, by: str) -> None:
        self.now_s = NOW_S
        self.at_upgrade = by in ("http_401", "article")
        self.resume_spends = by != "close_1011"
        rules = TokenRules(
            uses=2,
            new_session_window_s=8,
            lifetime_s=16,
            resume_spends_use=by == "spending",
            refuse="http_401" if by == "http_401" else "close_1011",
        )
        self.tokens = ledger(rules, "article" if by == "article" else "google", kind=self.kind)
        self.uses: dict[str, int] = {}
        self.window: dict[str, float] = {}
        self.expiry: dict[str, float] = {}
        self.spent: Counter[str] = Counter()
        self.pending: list[Admitted] = []
        """Setups that are accepted: each may yet be given back."""
        self.over: list[Admitted] = []
        """Setups that were given back."""
        self.mint(1, 10, 20)
        self.mint_by_rules()

    def keep(self, minted: Minted, uses: int, window_s: float, lifetime_s: float) -> None:
        self.uses[minted.name] = uses
        self.window[minted.name] = self.now_s + window_s
        self.expiry[minted.name] = self.now_s + lifetime_s
        assert minted.uses == uses
        assert minted.expires_at_s == self.expiry[minted.name], EXPIRY

    @rule(uses=st.integers(0, 3), window_s=st.integers(1, 20), lifetime_s=st.integers(1, 40))
    def mint(self, uses: int, window_s: int, lifetime_s: int) -> None:
        body = {
            "uses": uses,
            "expireTime": format_timestamp(self.now_s + lifetime_s),
            "new_session_expire_time": format_timestamp(self.now_s + window_s),
        }
        minted = self.tokens.mint(orjson.dumps(body), now_s=self.now_s)
        assert isinstance(minted, Minted)
        self.keep(minted, uses, window_s, lifetime_s)

    @rule()
    def mint_by_rules(self) -> None:
        self.keep(self.tokens.mint_by_rules(now_s=self.now_s), 2, 8, 16)

    @precondition(lambda self: self.uses)
    @rule(data=st.data(), resume=st.booleans())
    def present(self, data: st.DataObject, resume: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.uses)))
        expired = self.now_s >= self.expiry[name]
        used_up = bool(self.uses[name]) and self.spent[name] >= self.uses[name]
        spends = not resume or self.resume_spends
        at_upgrade = self.tokens.refused_at_upgrade(name, now_s=self.now_s)
        assert (at_upgrade is not None) == (self.at_upgrade and (expired or used_up)), UPGRADE
        answer = self.tokens.admit(name, resume=resume, now_s=self.now_s)
        if isinstance(answer, Admitted):
            self.spent[name] += answer.spent
            self.pending.append(answer)
            assert not self.uses[name] or self.spent[name] <= self.uses[name], TWICE
        if expired:
            assert refusal(answer) == "token_expired", ANSWER
        elif spends and used_up:
            assert refusal(answer) == "token_used_up", ANSWER
        elif not resume and self.now_s >= self.window[name]:
            assert refusal(answer) == "new_session_window_passed", ANSWER
        else:
            assert isinstance(answer, Admitted), ANSWER
            assert answer.spent == spends, SPENT
            assert answer.uses_left == (self.uses[name] - self.spent[name] if self.uses[name] else None), LEFT

    @precondition(lambda self: self.pending)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        admitted = self.pending.pop(data.draw(st.integers(0, len(self.pending) - 1)))
        self.tokens.give_back(admitted)
        self.spent[admitted.name] -= admitted.spent
        self.over.append(admitted)

    @precondition(lambda self: self.over)
    @rule(data=st.data())
    def give_back_again(self, data: st.DataObject) -> None:
        self.tokens.give_back(data.draw(st.sampled_from(self.over)))

    @rule(seconds=st.sampled_from([1, 3, 9]))
    def wait(self, seconds: int) -> None:
        self.now_s += seconds

    @rule(really=st.integers(0, 2))
    def expire_all(self, really: int) -> None:
        if really:
            return
        expired = self.tokens.expire_all(now_s=self.now_s)
        assert set(expired) == {name for name, until_s in self.expiry.items() if until_s > self.now_s}, EXPIRY
        for name in expired:
            self.expiry[name] = self.now_s

    @invariant()
    def every_token_is_what_its_uses_and_times_make_it(self) -> None:
        for name, uses in getattr(self, "uses", {}).items():
            state = self.tokens.state(name, now_s=self.now_s)
            assert self.tokens.expires_at_s(name) == self.expiry[name], EXPIRY
            if self.now_s >= self.expiry[name]:
                assert state is TokenState.EXPIRED, EXPIRY
                continue
            used_up, passed = bool(uses) and self.spent[name] == uses, self.now_s >= self.window[name]
            expected = {
                (False, False): TokenState.USABLE,
                (True, False): TokenState.USED_UP,
                (False, True): TokenState.WINDOW_PASSED,
                (True, True): TokenState.SPENT_AND_PASSED,
            }
            assert state is expected[used_up, passed], STATE


TestMinting = Minting.TestCase
TestMinting.settings = thorough(examples=60, steps=30)
