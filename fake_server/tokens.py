"""The ledger of ephemeral tokens: minted, presented, spent, expired (protocol, section 2). Pure: time is an argument.

What one token can do is two tables: `MOVES` says what it becomes, `ANSWERS` what a setup that shows it gets. All times
are wall times in seconds since 1970 (`Clock.wall_s`), since that is what tokens carry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from heapq import heappop, heappush
from types import MappingProxyType
from typing import Any, Literal

from fake_server.behaviour import Bounds, TokenRules
from fake_server.constraints import Constraints
from fake_server.refusals import find_refusal
from fake_server.token_calls import (
    NO_SUCH_METHOD,
    CallRefused,
    KeyState,
    TokenRequest,
    UnknownFields,
    format_timestamp,
    read_article_call,
    read_token_call,
    refuse_key,
    refuse_request,
)

NAME_PREFIX = "auth_tokens/"
"""All SDKs know a token by this prefix alone."""

MAX_LIFETIME_S = 20 * 3600.0

NO_ROOM = CallRefused(429, "RESOURCE_EXHAUSTED", find_refusal("resource_exhausted").template)
"""A token call while the ledger is full of tokens that are still good."""


class TokenState(Enum):
    """What one token can still do."""

    USABLE = "usable"
    """Starts new sessions and resumes."""
    USED_UP = "used_up"
    """No uses left: resumes only, where a resume spends none."""
    WINDOW_PASSED = "window_passed"
    """Too late for a new session: resumes only."""
    SPENT_AND_PASSED = "spent_and_passed"
    """No uses left, and too late."""
    EXPIRED = "expired"
    """Good for nothing; live sessions end."""


class TokenEvent(Enum):
    """What happens to a token."""

    LAST_USE_SPENT = "last_use_spent"
    USE_GIVEN_BACK = "use_given_back"
    WINDOW_PASSES = "window_passes"
    EXPIRES = "expires"


class Ask(Enum):
    """What a setup asks of its token."""

    START = "start"
    """A new session: takes a use."""
    RESUME = "resume"
    """A resume where that takes no use."""
    RESUME_FOR_A_USE = "resume_for_a_use"
    """A resume under `resume_spends_use`."""


_S, _E = TokenState, TokenEvent
MOVES: Mapping[tuple[TokenState, TokenEvent], TokenState] = MappingProxyType(
    {
        (_S.USABLE, _E.LAST_USE_SPENT): _S.USED_UP,
        (_S.USABLE, _E.USE_GIVEN_BACK): _S.USABLE,
        (_S.USABLE, _E.WINDOW_PASSES): _S.WINDOW_PASSED,
        (_S.USABLE, _E.EXPIRES): _S.EXPIRED,
        (_S.USED_UP, _E.USE_GIVEN_BACK): _S.USABLE,
        (_S.USED_UP, _E.WINDOW_PASSES): _S.SPENT_AND_PASSED,
        (_S.USED_UP, _E.EXPIRES): _S.EXPIRED,
        (_S.WINDOW_PASSED, _E.LAST_USE_SPENT): _S.SPENT_AND_PASSED,  # by a resume, where that spends a use
        (_S.WINDOW_PASSED, _E.USE_GIVEN_BACK): _S.WINDOW_PASSED,
        (_S.WINDOW_PASSED, _E.EXPIRES): _S.EXPIRED,
        (_S.SPENT_AND_PASSED, _E.USE_GIVEN_BACK): _S.WINDOW_PASSED,
        (_S.SPENT_AND_PASSED, _E.EXPIRES): _S.EXPIRED,
        (_S.EXPIRED, _E.USE_GIVEN_BACK): _S.EXPIRED,
    }
)
"""Every legal move of one token."""

ANSWERS: Mapping[tuple[TokenState, Ask], str | None] = MappingProxyType(
    {
        (_S.USABLE, Ask.START): None,
        (_S.USABLE, Ask.RESUME): None,
        (_S.USABLE, Ask.RESUME_FOR_A_USE): None,
        (_S.USED_UP, Ask.START): "token_used_up",
        (_S.USED_UP, Ask.RESUME): None,
        (_S.USED_UP, Ask.RESUME_FOR_A_USE): "token_used_up",
        (_S.WINDOW_PASSED, Ask.START): "new_session_window_passed",
        (_S.WINDOW_PASSED, Ask.RESUME): None,
        (_S.WINDOW_PASSED, Ask.RESUME_FOR_A_USE): None,
        (_S.SPENT_AND_PASSED, Ask.START): "token_used_up",
        (_S.SPENT_AND_PASSED, Ask.RESUME): None,
        (_S.SPENT_AND_PASSED, Ask.RESUME_FOR_A_USE): "token_used_up",
        (_S.EXPIRED, Ask.START): "token_expired",
        (_S.EXPIRED, Ask.RESUME): "token_expired",
        (_S.EXPIRED, Ask.RESUME_FOR_A_USE): "token_expired",
    }
)
"""The refusal that each asking gets in each state; None: it is granted."""


class IllegalTokenMoveError(RuntimeError):
    """An event came in a state that does not know it: a fault of ours."""


@dataclass(frozen=True, slots=True)
class Minted:
    """A token was made."""

    name: str
    """`auth_tokens/<opaque>`: a secret."""
    uses: int
    """0: without limit."""
    new_session_window_s: float
    lifetime_s: float
    expires_at_s: float
    """Wall time."""
    response: dict[str, Any]
    """The HTTP 200's body."""
    problems: tuple[str, ...] = ()
    """What the call held that the service may refuse, in its words: taken, and warned of."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A setup may go ahead with its token."""

    name: str
    spent: bool
    """True: this took one use (tell it as `TokenSpent`)."""
    uses_left: int | None
    """None: unlimited."""
    number: int
    """Counts admissions of this ledger, so that each use is given back once at most."""


@dataclass(frozen=True, slots=True)
class TokenRefused:
    """A token is refused."""

    refusal: str
    """Name in the table of refusals."""


@dataclass(slots=True)
class _Token:
    uses_left: int | None
    """None: unlimited."""
    window_until_s: float
    expires_at_s: float
    constraints: Constraints
    state: TokenState = TokenState.USABLE
    taken: set[int] = field(default_factory=set)
    """Numbers of the admissions that took a use and did not give it back."""

    def happens(self, event: TokenEvent) -> None:
        try:
            self.state = MOVES[self.state, event]
        except KeyError:
            raise IllegalTokenMoveError(f"a token that is {self.state.value} knows no {event.value}") from None

    def advance(self, now_s: float) -> TokenState:
        """Let the time pass that has passed."""
        if now_s >= self.expires_at_s:
            if self.state is not TokenState.EXPIRED:
                self.happens(TokenEvent.EXPIRES)
        elif now_s >= self.window_until_s and self.state in (TokenState.USABLE, TokenState.USED_UP):
            self.happens(TokenEvent.WINDOW_PASSES)
        return self.state

    def take_use(self, number: int) -> None:
        if self.uses_left is None:
            return
        self.taken.add(number)
        self.uses_left -= 1
        if self.uses_left == 0:
            self.happens(TokenEvent.LAST_USE_SPENT)

    def give_back(self, number: int) -> None:
        if self.uses_left is None or number not in self.taken:
            return
        self.taken.remove(number)
        self.uses_left += 1
        self.happens(TokenEvent.USE_GIVEN_BACK)


class TokenLedger:
    """All ephemeral tokens of one server."""

    def __init__(
        self,
        rules: TokenRules,
        *,
        new_secret: Callable[[], str],
        dialect: Literal["google", "article"] = "google",
        unknown_fields: UnknownFields = "warn",
        bounds: Bounds | None = None,
    ) -> None:
        """`new_secret` makes the opaque part of a name. The article's dialect implies `refuse: http_401`.

        `unknown_fields`: what becomes of a token call whose setup has fields that only we do not know.
        """
        self._dialect = dialect
        self._unknown_fields = unknown_fields
        refuse = "http_401" if dialect == "article" else rules.refuse
        self._rules = replace(rules, refuse=refuse, resume_spends_use=rules.resume_spends_use or refuse == "http_401")
        self._new_secret = new_secret
        self._bounds = bounds or Bounds()
        self._tokens: dict[str, _Token] = {}
        self._expiries: list[tuple[float, str]] = []
        """A heap of the known tokens: when each expires, as it was minted."""
        self._admissions = 0

    def __len__(self) -> int:
        """Tokens known, expired ones among them."""
        return len(self._tokens)

    @property
    def rules(self) -> TokenRules:
        """The rules in force: those given, with what the dialect and `http_401` imply."""
        return self._rules

    def mint(
        self, body: bytes, *, now_s: float, key: KeyState = "valid", version: str = "v1beta"
    ) -> Minted | CallRefused:
        """Answer `POST …/auth_tokens`. An empty body is allowed; a bad body is told before a bad key (section 2.3)."""
        request = read_token_call(body, version=version, unknown_fields=self._unknown_fields)
        if isinstance(request, CallRefused):
            return request
        return refuse_key(key) or self._mint(request, now_s)

    def mint_article(
        self, body: bytes, *, now_s: float, key: KeyState = "valid", version: str = "v1alpha"
    ) -> Minted | CallRefused:
        """Answer the article's `POST v1alpha/ephemeralTokens:create`: `{name, expireTime}`.

        Unless the dialect is `article`, 404 with a hint: the real service has no such method (section 2.4).
        """
        if self._dialect != "article":
            return NO_SUCH_METHOD
        request = read_article_call(body, version=version)
        if isinstance(request, CallRefused):
            return request
        minted = refuse_key(key) or self._mint(request, now_s)
        if isinstance(minted, CallRefused):
            return minted
        return replace(minted, response={"name": minted.name, "expireTime": format_timestamp(minted.expires_at_s)})

    def mint_by_rules(self, *, now_s: float) -> Minted:
        """A token by the rules alone, for the stand-in backend, which asks `no_room` first."""
        return self._new(TokenRequest(), now_s)

    def no_room(self, *, now_s: float) -> CallRefused | None:
        """What a token call gets where as many tokens as are kept are still good; None: there is room for one more."""
        self._forget(now_s)
        while len(self._tokens) >= self._bounds.tokens and self._expiries[0][0] <= now_s:
            del self._tokens[heappop(self._expiries)[1]]
        return NO_ROOM if len(self._tokens) >= self._bounds.tokens else None

    def refused_at_upgrade(self, name: str, *, now_s: float) -> TokenRefused | None:
        """`http_401` where the rules refuse at the upgrade, and the token is unknown, expired or spent; else None.

        A token whose window has passed may still resume, and the upgrade does not say which it is to be.
        """
        if self._rules.refuse != "http_401":
            return None
        self._forget(now_s)
        token = self._tokens.get(name)
        if token is None or ANSWERS[token.advance(now_s), Ask.RESUME_FOR_A_USE] is not None:
            return TokenRefused("http_401")
        return None

    def admit(self, name: str, *, resume: bool, now_s: float) -> Admitted | TokenRefused:
        """Judge the token of a setup, and take a use if one is due, in one step: two dials never share a use.

        `resume`: the setup that counts carries a (non-empty) handle. An unknown token is an `unregistered_caller`.
        """
        self._forget(now_s)
        token = self._tokens.get(name)
        if token is None:
            return TokenRefused("unregistered_caller")
        spends = not resume or self._rules.resume_spends_use
        ask = Ask.START if not resume else Ask.RESUME_FOR_A_USE if spends else Ask.RESUME
        refusal = ANSWERS[token.advance(now_s), ask]
        if refusal is not None:
            return TokenRefused(refusal)
        self._admissions += 1
        if spends:
            token.take_use(self._admissions)
        return Admitted(name, spends, token.uses_left, self._admissions)

    def give_back(self, admitted: Admitted) -> None:
        """Undo one `admit`: the connection ended, or was refused for something else, before setupComplete went out.

        A second time for the same admission changes nothing.
        """
        token = self._tokens.get(admitted.name)
        if token is not None:
            token.give_back(admitted.number)

    def state(self, name: str, *, now_s: float) -> TokenState | None:
        """None: never issued here, or forgotten."""
        self._forget(now_s)
        token = self._tokens.get(name)
        return None if token is None else token.advance(now_s)

    def expires_at_s(self, name: str) -> float | None:
        """Wall time at which live sessions with this token end (`token_expired_in_flight`); None: unknown token."""
        token = self._tokens.get(name)
        return None if token is None else token.expires_at_s

    def expire_all(self, *, now_s: float) -> tuple[str, ...]:
        """Every token issued so far expires now; returns the names of those that were still good."""
        expired = []
        for name, token in self._tokens.items():
            if token.advance(now_s) is not TokenState.EXPIRED:
                token.expires_at_s = now_s
                token.happens(TokenEvent.EXPIRES)
                expired.append(name)
        self._expiries = sorted((token.expires_at_s, name) for name, token in self._tokens.items())
        return tuple(expired)

    def apply_constraints(self, name: str, setup: Mapping[str, Any]) -> dict[str, Any]:
        """The setup that counts: the client's (canonical camelCase), as the token's own setup and mask change it."""
        token = self._tokens.get(name)
        return dict(setup) if token is None else token.constraints.apply(setup)

    def _mint(self, request: TokenRequest, now_s: float) -> Minted | CallRefused:
        """Make the token that is asked for, or say which value the service does not take."""
        for snake, at_s in (
            ("expire_time", request.expires_at_s),
            ("new_session_expire_time", request.window_until_s),
        ):
            if at_s is not None and at_s - now_s >= MAX_LIFETIME_S:
                return refuse_request(f"{snake} is too far in the future. Maximum lifetime is 20h")
            if at_s is not None and at_s <= now_s:  # what the service says to a past time is unknown
                return refuse_request(find_refusal("invalid_argument").template)
        if request.uses is not None and request.uses < 0:  # unknown as well
            return refuse_request(find_refusal("invalid_argument").template)
        return self.no_room(now_s=now_s) or self._new(request, now_s)

    def _forget(self, now_s: float) -> None:
        """Let those go whose expiry is long past: from now on they were never issued."""
        while self._expiries and self._expiries[0][0] + self._bounds.token_grace_s <= now_s:
            del self._tokens[heappop(self._expiries)[1]]

    def _new(self, request: TokenRequest, now_s: float) -> Minted:
        name = f"{NAME_PREFIX}{self._new_secret()}"
        if name in self._tokens:
            raise ValueError("new_secret gave the same secret twice; it must make a new one each time")
        rules = self._rules
        uses = rules.uses if request.uses is None else request.uses
        expires_at_s = now_s + rules.lifetime_s if request.expires_at_s is None else request.expires_at_s
        window_until_s = now_s + rules.new_session_window_s
        if request.window_until_s is not None:
            window_until_s = request.window_until_s
        self._tokens[name] = _Token(uses or None, window_until_s, expires_at_s, request.constraints)
        heappush(self._expiries, (expires_at_s, name))
        return Minted(
            name=name,
            uses=uses,
            new_session_window_s=min(window_until_s, expires_at_s) - now_s,
            lifetime_s=expires_at_s - now_s,
            expires_at_s=expires_at_s,
            response={"name": name},
            problems=request.problems,
        )
