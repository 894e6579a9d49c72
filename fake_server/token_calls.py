"""The REST call that makes ephemeral tokens: its path, its body, its errors (protocol, section 2). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import orjson

from fake_server.constraints import UNCONSTRAINED, Constraints, article_setup, read_field_mask
from fake_server.refusals import find_refusal
from fake_server.wire import read_message

KeyState: TypeAlias = Literal["valid", "missing", "wrong", "wrong_new_format"]
"""The caller's API key: `wrong` looks like `AIza…`, `wrong_new_format` like `AQ.…` (they are refused differently)."""

UnknownFields: TypeAlias = Literal["warn", "refuse"]

NEW_KEY_PREFIX = "AQ."
MAX_BODY_BYTES = 1024 * 1024
"""Of one token call; far above what any setup needs."""


@dataclass(frozen=True, slots=True)
class TokenPath:
    """A token call's path, understood."""

    call: Literal["auth_tokens", "article"]
    """`article`: `ephemeralTokens:create`, which the real service does not have."""
    version: str
    """`v1`, `v1beta` or `v1alpha`: some fields of a setup are known on some of them only."""


_CALL_PATH = re.compile(r"/(v1|v1beta|v1alpha)/(?:(auth_tokens)|ephemeralTokens:create)/?\Z")


def match_token_path(path: str) -> TokenPath | None:
    """Which token call a POST to this path is (after any prefix, repeated slashes as one); None: neither."""
    found = _CALL_PATH.search(re.sub("/{2,}", "/", path))
    if found is None:
        return None
    return TokenPath("auth_tokens" if found[2] else "article", found[1])


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


NO_SUCH_METHOD = CallRefused(
    404,
    "NOT_FOUND",
    "The Gemini API has no method ephemeralTokens:create. Ephemeral tokens are created by "
    "POST /{version}/auth_tokens, with the flat AuthToken resource as the body "
    "(uses, expireTime, newSessionExpireTime, bidiGenerateContentSetup, fieldMask).",
)
"""The article's call, in the real service's dialect: 404, with a hint."""

BODY_TOO_LARGE = CallRefused(
    400, "INVALID_ARGUMENT", f"Request payload size exceeds the limit: {MAX_BODY_BYTES} bytes."
)


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A token call whose body could be read. Its values are not yet judged."""

    uses: int | None = None
    """None: not given; 0: without limit."""
    expires_at_s: float | None = None
    """Wall time; None: not given."""
    window_until_s: float | None = None
    """Wall time; None: not given."""
    constraints: Constraints = UNCONSTRAINED
    problems: tuple[str, ...] = ()
    """What the service may refuse, but only we do not know."""


def read_token_call(body: bytes, *, version: str, unknown_fields: UnknownFields) -> TokenRequest | CallRefused:
    """Read the body of `POST …/auth_tokens`; an empty one is allowed."""
    given = _read_json(body)
    if isinstance(given, CallRefused):
        return given
    # At the top the message is known whole, so there an unknown name is always refused.
    return _read_request(given, version, unknown_fields, strict_at="auth_token")


def read_article_call(body: bytes, *, version: str) -> TokenRequest | CallRefused:
    """Read the body of the article's call: a flat resource or one in `config`, with `liveConnectConstraints`."""
    given = _read_json(body)
    if isinstance(given, CallRefused):
        return given
    wrapped = given.get("config")
    request = dict(wrapped) if isinstance(wrapped, dict) else given
    constraints = request.pop("liveConnectConstraints", None)
    if isinstance(constraints, dict):
        request["bidiGenerateContentSetup"] = article_setup(constraints)
    return _read_request(request, version, "warn", strict_at=None)


def refuse_key(key: KeyState) -> CallRefused | None:
    """What the service says to a caller with this key; None: the key is good."""
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


def refuse_request(message: str, path: str | None = None) -> CallRefused:
    """400 for a request that is no good; `path` names the field that is at fault."""
    details: tuple[Mapping[str, Any], ...] = ()
    if path is not None:
        violation = {"field": path, "description": message}
        details = ({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]},)
    return CallRefused(400, "INVALID_ARGUMENT", message, details)


_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)\Z", re.ASCII)


def parse_timestamp_s(text: str) -> float | None:
    """Seconds since 1970 of an RFC 3339 time with `Z` or an offset; None: it is none."""
    if _TIMESTAMP.match(text) is None:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def format_timestamp(at_s: float) -> str:
    """RFC 3339 in UTC, to the millisecond: `2027-01-15T08:00:00.000Z`."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _read_json(body: bytes) -> dict[str, Any] | CallRefused:
    if not body.strip():
        return {}
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        return refuse_request(find_refusal("unparsable").fill(detail="Unexpected token."))
    if not isinstance(given, dict):
        return refuse_request(find_refusal("unparsable").fill(detail="Root element must be a message."))
    return given


def _read_request(
    given: Mapping[str, Any], version: str, unknown_fields: UnknownFields, *, strict_at: str | None
) -> TokenRequest | CallRefused:
    request, problems = read_message("AuthToken", given, "auth_token", version=version, unknown_fields=unknown_fields)
    for problem in problems:
        if problem.fatal or problem.path == strict_at:
            return refuse_request(problem.text, problem.path)
    times: dict[str, float | None] = {}
    for member, snake in (("expireTime", "expire_time"), ("newSessionExpireTime", "new_session_expire_time")):
        written = request.get(member)
        times[member] = None if written is None else parse_timestamp_s(written)
        if written is not None and times[member] is None:
            type_name = "type.googleapis.com/google.protobuf.Timestamp"
            shown = orjson.dumps(written[:200]).decode()
            text = find_refusal("invalid_value").fill(path=f"auth_token.{snake}", type=type_name, value=shown)
            return refuse_request(text, f"auth_token.{snake}")
    return TokenRequest(
        uses=request.get("uses"),
        expires_at_s=times["expireTime"],
        window_until_s=times["newSessionExpireTime"],
        constraints=Constraints(request.get("bidiGenerateContentSetup"), read_field_mask(request.get("fieldMask", ""))),
        problems=tuple(problem.text for problem in problems),
    )
