"""The ledger of ephemeral tokens: minted, presented, spent, expired (protocol, section 2). Pure: time is an argument.

All times are wall times in seconds since 1970 (`Clock.wall_s`), since that is what tokens carry.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import orjson

from fake_server.behaviour import TokenRules
from fake_server.constraints import Constraints, article_setup, read_field_mask
from fake_server.refusals import find_refusal
from fake_server.wire import read_message

KeyState: TypeAlias = Literal["valid", "missing", "wrong", "wrong_new_format"]
"""The caller's API key: `wrong` looks like `AIza…`, `wrong_new_format` like `AQ.…` (they are refused differently)."""

NAME_PREFIX = "auth_tokens/"
"""All SDKs know a token by this prefix alone."""

MAX_LIFETIME_S = 20 * 3600.0


class TokenState(Enum):
    """What one token can still do."""

    USABLE = "usable"
    """Starts new sessions and resumes."""
    USED_UP = "used_up"
    """No uses left: resumes only, where a resume spends none."""
    WINDOW_PASSED = "window_passed"
    """Too late for a new session: resumes only."""
    EXPIRED = "expired"
    """Good for nothing; live sessions end."""


class TokenEvent(Enum):
    """What happens to a token."""

    LAST_USE_SPENT = "last_use_spent"
    USE_GIVEN_BACK = "use_given_back"
    WINDOW_PASSES = "window_passes"
    EXPIRES = "expires"


_S, _E = TokenState, TokenEvent
MOVES: Mapping[tuple[TokenState, TokenEvent], TokenState] = MappingProxyType(
    {
        (_S.USABLE, _E.LAST_USE_SPENT): _S.USED_UP,
        (_S.USABLE, _E.USE_GIVEN_BACK): _S.USABLE,
        (_S.USABLE, _E.WINDOW_PASSES): _S.WINDOW_PASSED,
        (_S.USABLE, _E.EXPIRES): _S.EXPIRED,
        (_S.USED_UP, _E.USE_GIVEN_BACK): _S.USABLE,
        (_S.USED_UP, _E.EXPIRES): _S.EXPIRED,
        (_S.WINDOW_PASSED, _E.LAST_USE_SPENT): _S.WINDOW_PASSED,  # by a resume, where that spends a use
        (_S.WINDOW_PASSED, _E.USE_GIVEN_BACK): _S.WINDOW_PASSED,
        (_S.WINDOW_PASSED, _E.EXPIRES): _S.EXPIRED,
        (_S.EXPIRED, _E.USE_GIVEN_BACK): _S.EXPIRED,
    }
)
"""Every legal move of one token."""


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


@dataclass(frozen=True, slots=True)
class CallRefused:
    """A token call is answered with an error."""

    http_status: int
    status: str
    """Google's word: `INVALID_ARGUMENT`."""
    message: str
    details: tuple[Mapping[str, Any], ...] = ()

    @property
    def response(self) -> dict[str, Any]:
        """The body: Google's JSON error envelope."""
        error: dict[str, Any] = {"code": self.http_status, "message": self.message, "status": self.status}
        if self.details:
            error["details"] = [dict(detail) for detail in self.details]
        return {"error": error}


@dataclass(frozen=True, slots=True)
class Admitted:
    """A setup may go ahead with its token."""

    name: str
    spent: bool
    """True: this took one use (tell it as `TokenSpent`)."""
    uses_left: int | None
    """None: unlimited."""


@dataclass(frozen=True, slots=True)
class TokenRefused:
    """A token is refused."""

    refusal: str
    """Name in the table of refusals."""


@dataclass(slots=True)
class _Token:
    uses: int | None
    uses_left: int | None
    window_until_s: float
    expires_at_s: float
    constraints: Constraints
    state: TokenState = field(default=TokenState.USABLE)

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
        elif now_s >= self.window_until_s and self.state is TokenState.USABLE:
            self.happens(TokenEvent.WINDOW_PASSES)
        return self.state


_CALL_PATH = re.compile(r"/(?:v1|v1beta|v1alpha)/(?:(auth_tokens)|ephemeralTokens:create)/?$")


def match_token_path(path: str) -> Literal["auth_tokens", "article"] | None:
    """Which token call a POST to this path is (after any prefix, repeated slashes as one); None: neither."""
    found = _CALL_PATH.search(re.sub("/{2,}", "/", path))
    if found is None:
        return None
    return "auth_tokens" if found[1] else "article"


class TokenLedger:
    """All ephemeral tokens of one server."""

    def __init__(
        self, rules: TokenRules, *, new_secret: Callable[[], str], dialect: Literal["google", "article"] = "google"
    ) -> None:
        """`new_secret` makes the opaque part of a name. The article's dialect implies `refuse: http_401`."""
        self._dialect = dialect
        refuse = "http_401" if dialect == "article" else rules.refuse
        self._rules = replace(rules, refuse=refuse, resume_spends_use=rules.resume_spends_use or refuse == "http_401")
        self._new_secret = new_secret
        self._tokens: dict[str, _Token] = {}

    @property
    def rules(self) -> TokenRules:
        """The rules in force: those given, with what the dialect and `http_401` imply."""
        return self._rules

    def mint(self, body: bytes, *, now_s: float, key: KeyState = "valid") -> Minted | CallRefused:
        """Answer `POST …/auth_tokens`. An empty body is allowed; a bad body is told before a bad key (section 2.3)."""
        given = _read_json(body)
        if isinstance(given, CallRefused):
            return given
        request, problems = read_message("AuthToken", given, "auth_token")
        for problem in problems:
            # At the top the message is known whole, so there an unknown name is always refused.
            if problem.fatal or problem.path == "auth_token":
                return _bad_request(problem.text, problem.path)
        return _bad_key(key) or self._mint(request, now_s)

    def mint_article(self, body: bytes, *, now_s: float, key: KeyState = "valid") -> Minted | CallRefused:
        """Answer the article's `POST v1alpha/ephemeralTokens:create`: `{name, expireTime}`.

        Unless the dialect is `article`, 404 with a hint: the real service has no such method (section 2.4).
        """
        if self._dialect != "article":
            return CallRefused(
                404,
                "NOT_FOUND",
                "The Gemini API has no method ephemeralTokens:create. Ephemeral tokens are created by "
                "POST /{version}/auth_tokens, with the flat AuthToken resource as the body "
                "(uses, expireTime, newSessionExpireTime, bidiGenerateContentSetup, fieldMask).",
            )
        given = _read_json(body)
        if isinstance(given, CallRefused):
            return given
        wrapped = given.get("config")
        request = dict(wrapped) if isinstance(wrapped, dict) else given
        constraints = request.pop("liveConnectConstraints", None)
        if isinstance(constraints, dict):
            request["bidiGenerateContentSetup"] = article_setup(constraints)
        request, problems = read_message("AuthToken", request, "auth_token")
        fatal = next((problem for problem in problems if problem.fatal), None)
        if fatal is not None:
            return _bad_request(fatal.text, fatal.path)
        minted = _bad_key(key) or self._mint(request, now_s)
        if isinstance(minted, CallRefused):
            return minted
        return replace(minted, response={"name": minted.name, "expireTime": format_timestamp(minted.expires_at_s)})

    def mint_by_rules(self, *, now_s: float) -> Minted:
        """A token by the rules alone, for the stand-in backend."""
        return self._new(
            self._rules.uses,
            now_s + self._rules.new_session_window_s,
            now_s + self._rules.lifetime_s,
            Constraints(),
            now_s,
        )

    def refused_at_upgrade(self, name: str, *, now_s: float) -> TokenRefused | None:
        """`http_401` where the rules refuse at the upgrade, and the token is unknown, expired or spent; else None.

        A token whose window has passed may still resume, and the upgrade does not say which it is to be.
        """
        if self._rules.refuse != "http_401":
            return None
        token = self._tokens.get(name)
        if token is None or token.advance(now_s) is TokenState.EXPIRED or token.uses_left == 0:
            return TokenRefused("http_401")
        return None

    def admit(self, name: str, *, resume: bool, now_s: float) -> Admitted | TokenRefused:
        """Judge the token of a setup, and take a use if one is due, in one step: two dials never share a use.

        `resume`: the setup carries a (non-empty) handle. An unknown token is an `unregistered_caller`.
        """
        token = self._tokens.get(name)
        if token is None:
            return TokenRefused("unregistered_caller")
        state = token.advance(now_s)
        if state is TokenState.EXPIRED:
            return TokenRefused("token_expired")
        spends = not resume or self._rules.resume_spends_use
        if spends and token.uses_left == 0:
            return TokenRefused("token_used_up")
        if not resume and state is TokenState.WINDOW_PASSED:
            return TokenRefused("new_session_window_passed")
        if spends and token.uses_left is not None:
            token.uses_left -= 1
            if token.uses_left == 0:
                token.happens(TokenEvent.LAST_USE_SPENT)
        return Admitted(name, spends, token.uses_left)

    def give_back(self, admitted: Admitted) -> None:
        """Undo one `admit`: the connection ended, or was refused for something else, before setupComplete went out."""
        token = self._tokens.get(admitted.name)
        if token is None or not admitted.spent or token.uses_left is None or token.uses_left == token.uses:
            return
        token.uses_left += 1
        token.happens(TokenEvent.USE_GIVEN_BACK)

    def state(self, name: str, *, now_s: float) -> TokenState | None:
        """None: never issued here."""
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
        return tuple(expired)

    def apply_constraints(self, name: str, setup: Mapping[str, Any]) -> dict[str, Any]:
        """The setup that counts: the client's (canonical camelCase), as the token's own setup and mask change it."""
        token = self._tokens.get(name)
        return dict(setup) if token is None else token.constraints.apply(setup)

    def _mint(self, request: Mapping[str, Any], now_s: float) -> Minted | CallRefused:
        """Make the token that a well-formed request asks for, or say which value the service does not take."""
        times = {}
        defaults = {"expireTime": self._rules.lifetime_s, "newSessionExpireTime": self._rules.new_session_window_s}
        for member, snake, default_s in (
            ("expireTime", "expire_time", defaults["expireTime"]),
            ("newSessionExpireTime", "new_session_expire_time", defaults["newSessionExpireTime"]),
        ):
            written = request.get(member)
            at_s = now_s + default_s if written is None else parse_timestamp_s(written)
            if at_s is None:
                row = find_refusal("invalid_value")
                type_name = "type.googleapis.com/google.protobuf.Timestamp"
                text = row.fill(path=f"auth_token.{snake}", type=type_name, value=f'"{written}"')
                return _bad_request(text, f"auth_token.{snake}")
            if written is not None and at_s - now_s > MAX_LIFETIME_S:
                return _bad_request(f"{snake} is too far in the future. Maximum lifetime is 20h", None)
            if at_s <= now_s:  # what the service says to a past time is unknown
                return _bad_request(find_refusal("invalid_argument").template, None)
            times[member] = at_s
        uses = request.get("uses", self._rules.uses)
        if uses < 0:  # unknown as well
            return _bad_request(find_refusal("invalid_argument").template, None)
        setup = request.get("bidiGenerateContentSetup")
        constraints = Constraints(setup, read_field_mask(request.get("fieldMask", "")))
        return self._new(uses, times["newSessionExpireTime"], times["expireTime"], constraints, now_s)

    def _new(
        self, uses: int, window_until_s: float, expires_at_s: float, constraints: Constraints, now_s: float
    ) -> Minted:
        name = f"{NAME_PREFIX}{self._new_secret()}"
        if name in self._tokens:
            raise ValueError("new_secret gave the same secret twice; it must make a new one each time")
        self._tokens[name] = _Token(uses or None, uses or None, window_until_s, expires_at_s, constraints)
        return Minted(
            name=name,
            uses=uses,
            new_session_window_s=min(window_until_s, expires_at_s) - now_s,
            lifetime_s=expires_at_s - now_s,
            expires_at_s=expires_at_s,
            response={"name": name},
        )


def parse_timestamp_s(text: str) -> float | None:
    """Seconds since 1970 of an RFC 3339 time with `Z` or an offset; None: it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None or "T" not in text.upper():
        return None
    return moment.timestamp()


def format_timestamp(at_s: float) -> str:
    """RFC 3339 in UTC, to the millisecond: `2027-01-15T08:00:00.000Z`."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _read_json(body: bytes) -> dict[str, Any] | CallRefused:
    if not body.strip():
        return {}
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _bad_request(find_refusal("unparsable").fill(detail="Unexpected token."), None)
    if not isinstance(given, dict):
        return _bad_request(find_refusal("unparsable").fill(detail="Root element must be a message."), None)
    return given


def _bad_request(message: str, path: str | None) -> CallRefused:
    details: tuple[Mapping[str, Any], ...] = ()
    if path is not None:
        violation = {"field": path, "description": message}
        details = ({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]},)
    return CallRefused(400, "INVALID_ARGUMENT", message, details)


def _bad_key(key: KeyState) -> CallRefused | None:
    if key == "valid":
        return None
    if key == "missing":
        return CallRefused(403, "PERMISSION_DENIED", find_refusal("unregistered_caller").template)
    reason = "API_KEY_INVALID" if key == "wrong" else "ACCESS_TOKEN_TYPE_UNSUPPORTED"
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": "generativelanguage.googleapis.com"},
    }
    if key == "wrong":
        return CallRefused(400, "INVALID_ARGUMENT", find_refusal("api_key_invalid").template, (info,))
    return CallRefused(401, "UNAUTHENTICATED", find_refusal("http_401").template, (info,))
