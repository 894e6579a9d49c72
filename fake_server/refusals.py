"""Every way in which the service says no: one table (protocol, sections 2.3, 6.2, 6.3 and 7).

The reasons are quoted exactly, since clients match on them; `{braces}` stand for what differs from case to case.
HTTP refusals of the upgrade were never captured from the real service: they are here as faults to inject.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

Phase: TypeAlias = Literal["upgrade", "setup", "after_setup", "session"]
Names: TypeAlias = Literal["credential", "token", "handle", "request", "quota", "nothing"]

MAX_REASON_BYTES = 123
"""A close frame's payload is 125 bytes, two of them the code; the service cuts its reasons there, mid-word."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One row of the table."""

    name: str
    code: int
    """Close code (1000 and above), or the HTTP status of a refused upgrade."""
    template: str
    """The reason in the service's words, whole; `{model}` and the like are filled in by `reason()`."""
    phase: Phase
    """`upgrade` (by HTTP), `setup` (instead of setupComplete), `after_setup` (just after it), `session` (any time)."""
    names: Names
    """What the refusal is about: what a client must not present again unchanged."""
    heals: bool
    """True: the same request may be accepted later, so that waiting helps."""
    retry_after_s: float | None = None
    """By HTTP alone: what the answer's Retry-After says; None: it has none. A scenario sets it, no row does."""

    @property
    def is_http(self) -> bool:
        """True for a refusal by HTTP status, False for one by close frame."""
        return self.code < 1000

    def fill(self, **values: str) -> str:
        """The reason with its placeholders filled in, not cut. What is not given is filled with an example."""
        return _PLACEHOLDER.sub(lambda found: values.get(found[1], _EXAMPLES[found[1]]), self.template)

    def reason(self, **values: str) -> str:
        """The reason as it goes on the wire: filled in, and cut at 123 bytes."""
        return truncate_reason(self.fill(**values))

    def matches(self, code: int, reason: str) -> bool:
        """True if `reason`, cut or whole, may be this row's."""
        if code != self.code:
            return False
        cut = len(reason.encode()) > MAX_REASON_BYTES - 4  # a cut never splits a character: up to 3 bytes shorter
        literals = _PLACEHOLDER.split(self.template)[::2]
        if not reason.startswith(literals[0]):
            return cut and literals[0].startswith(reason)
        position = len(literals[0])
        for literal in literals[1:]:
            found = reason.find(literal, position)
            if found < 0:
                return cut
            position = found + len(literal)
        return position == len(reason) or not literals[-1]


class UnknownRefusalError(ValueError):
    """No row has this name; the text says which is nearest."""


_PLACEHOLDER = re.compile(r"\{(\w+)\}")

_EXAMPLES: Mapping[str, str] = {
    "field": "unknownField",
    "path": "setup",
    "detail": "Unexpected token.",
    "type": "TYPE_STRING",
    "value": "0",
    "modalities": "TEXT",
    "model": "models/unknown-model",
    "version": "v1beta",
    "trace": "0",
}
"""For a refusal that a scenario orders by its name alone."""

_INVALID_ARGUMENT = "Request contains an invalid argument."
_INTERNAL = "Internal error encountered."
_GO_AWAY = (
    "Connection aborted because the client failed to close the connection after receiving a GoAway signal "
    "once the session duration was reached."
)
_UNREGISTERED = (
    "Method doesn't allow unregistered callers (callers without established identity). "
    "Please use API Key or other form of API consumer identity to call this API."
)
_QUOTA = (
    "You exceeded your current quota, please check your plan and billing details. "
    "For more information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits."
)

_ROWS: tuple[Refusal, ...] = (
    # By HTTP, on the upgrade: injected faults (and the answer of token rules with `refuse: http_401`).
    Refusal("http_401", 401, "Request had invalid authentication credentials.", "upgrade", "credential", False),
    Refusal("http_403", 403, "The caller does not have permission", "upgrade", "credential", False),
    Refusal("http_404", 404, "Requested entity was not found.", "upgrade", "request", False),
    Refusal("http_429", 429, "Resource has been exhausted (e.g. check quota).", "upgrade", "quota", True),
    Refusal("http_503", 503, "The service is currently unavailable.", "upgrade", "nothing", True),
    # Credentials.
    Refusal("api_key_invalid", 1007, "API key not valid. Please pass a valid API key.", "setup", "credential", False),
    Refusal("api_key_expired", 1007, "API key expired. Please renew the API key.", "setup", "credential", False),
    Refusal("unregistered_caller", 1008, _UNREGISTERED, "setup", "credential", False),
    Refusal(
        "location_not_supported", 1007, "User location is not supported for the API use.", "setup", "nothing", False
    ),
    # Ephemeral tokens. The text for a window that has passed was never recorded: the expired text is the likely one.
    Refusal("token_used_up", 1011, "Token has been used too many times", "setup", "token", False),
    Refusal("token_expired", 1011, "Token has expired", "setup", "token", False),
    Refusal("new_session_window_passed", 1011, "Token has expired", "setup", "token", False),
    Refusal("token_expired_in_flight", 1011, "auth token has expired", "session", "token", False),
    Refusal(
        "token_project_scoped",
        1007,
        "token-based requests cannot use project-scoped features such as tuned models",
        "setup",
        "request",
        False,
    ),
    # The request itself.
    Refusal("invalid_argument", 1007, _INVALID_ARGUMENT, "setup", "request", False),
    Refusal("context_exhausted", 1007, _INVALID_ARGUMENT, "session", "nothing", False),
    Refusal(
        "unknown_field",
        1007,
        "Invalid JSON payload received. Unknown name \"{field}\" at '{path}': Cannot find field.",
        "setup",
        "request",
        False,
    ),
    Refusal("unparsable", 1007, "Invalid JSON payload received. {detail}", "session", "request", False),
    Refusal("invalid_value", 1007, "Invalid value at '{path}' ({type}), {value}", "session", "request", False),
    Refusal(
        "several_messages",
        1007,
        "Invalid value (oneof), oneof field 'message_type' is already set. Cannot set '{field}'",
        "session",
        "request",
        False,
    ),
    Refusal(
        "setup_first_only", 1007, "setup must be the first message and only the first", "session", "request", False
    ),
    Refusal(
        "explicit_activity",
        1007,
        "Explicit activity control is not supported when automatic activity detection is enabled.",
        "session",
        "request",
        False,
    ),
    Refusal(
        "modality_not_supported",
        1007,
        "The requested combination of response modalities ({modalities}) is not supported by the model. {model}",
        "setup",
        "request",
        False,
    ),
    Refusal("voices_without_audio", 1007, "Cannot extract voices from a non-audio request.", "setup", "request", False),
    Refusal("voice_not_found", 1007, "No matching speaker voice found", "setup", "request", False),
    Refusal("precondition_failed", 1007, "Precondition check failed.", "setup", "request", False),
    Refusal(
        "model_not_found",
        1008,
        "{model} is not found for API version {version}, or is not supported for bidiGenerateContent. "
        "Call ListModels to see the list of available models and their supported methods.",
        "setup",
        "request",
        False,
    ),
    Refusal(
        "publisher_model_not_found",
        1008,
        "Publisher Model `{model}` was not found or your project does not have access to it.",
        "setup",
        "request",
        False,
    ),
    Refusal(
        "not_implemented",
        1008,
        "Operation is not implemented, or supported, or enabled.",
        "session",
        "request",
        False,
    ),
    # Resumption handles.
    Refusal("invalid_handle", 1007, "Invalid session handle", "setup", "handle", False),
    Refusal("session_not_found", 1008, "BidiGenerateContent session not found", "setup", "handle", False),
    Refusal("session_expired", 1008, "BidiGenerateContent session expired", "setup", "handle", False),
    Refusal("entity_not_found", 1008, "Requested entity was not found.", "session", "handle", False),
    # Limits and trouble on the service's side. A quota already spent still gets its setupComplete (section 7.1).
    Refusal("quota", 1011, _QUOTA, "after_setup", "quota", True),
    Refusal("resource_exhausted", 1011, "Resource has been exhausted (e.g. check quota).", "session", "quota", True),
    Refusal("internal_error", 1011, _INTERNAL, "setup", "nothing", True),
    Refusal("dead_client", 1011, _INTERNAL, "session", "nothing", True),
    Refusal("internal_error_occurred", 1011, "Internal error occurred.", "session", "nothing", True),
    Refusal("unavailable", 1011, "The service is currently unavailable.", "setup", "nothing", True),
    Refusal("deadline_expired", 1011, "Deadline expired before operation could complete.", "session", "nothing", True),
    Refusal(
        "deadline_exceeded_2024",
        1011,
        "Request trace id: {trace}, [ORIGINAL ERROR] RPC::DEADLINE_EXCEEDED: ",
        "session",
        "nothing",
        True,
    ),
    Refusal("idle", 1008, "The operation was aborted.", "session", "nothing", True),
    # What the real service does when no setup comes is unknown; this is the text of its other time-out.
    Refusal("setup_timeout", 1008, "The operation was aborted.", "setup", "request", True),
    Refusal("go_away_ignored", 1008, _GO_AWAY, "session", "nothing", True),
    Refusal("frame_too_large", 1009, "", "session", "request", False),
)

REFUSALS: Mapping[str, Refusal] = MappingProxyType({row.name: row for row in _ROWS})
"""The table, by name, in the order of the rows."""


def find_refusal(name: str) -> Refusal:
    """The row called `name`; raises `UnknownRefusalError`, which suggests the nearest name."""
    row = REFUSALS.get(name)
    if row is not None:
        return row
    near = difflib.get_close_matches(name, REFUSALS, n=1, cutoff=0.5)
    way_out = f"did you mean {near[0]!r}?" if near else f"the refusals are: {', '.join(REFUSALS)}"
    raise UnknownRefusalError(f"{name!r} is no refusal of the service; {way_out}")


def refusals_by_close(code: int, reason: str) -> tuple[Refusal, ...]:
    """All rows that may have closed with `code` (or HTTP status) and `reason`, whole or cut; empty: none known."""
    return tuple(row for row in _ROWS if row.matches(code, reason))


def truncate_reason(text: str) -> str:
    """At most the first 123 UTF-8 bytes of `text`, cut where the service cuts: mid-word, never mid-character."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= MAX_REASON_BYTES:
        return encoded.decode()
    return encoded[:MAX_REASON_BYTES].decode("utf-8", "ignore")
