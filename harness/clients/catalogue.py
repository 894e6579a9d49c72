"""Which broken client trips which check, and where: what `harness selftest` plays.

Every check is proved twice: the reference client passes it in every built-in scenario, and the client named here
fails it, and nothing but what the same wrong decision cannot help breaking. A name of a scenario is that of its file,
with the variant behind a `~`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

REFERENCE_MODULE = "harness.clients.reference"
DO_NOTHING_MODULE = "harness.clients.do_nothing"


@dataclass(frozen=True, slots=True)
class BrokenClient:
    """One broken client: what it is for, where it is played, what it may break."""

    check: str
    """The check that it is made for: it fails in each of `scenarios`."""
    module: str
    """Run as `python -m MODULE`."""
    scenarios: tuple[str, ...]
    may_also_fail: Mapping[str, str] = field(default_factory=dict)
    """Other checks that may fail in them, each with the reason why the one wrong decision brings it with it."""

    @property
    def allowed(self) -> frozenset[str]:
        """Every check that may fail: anything else is a fault of a check, of the fake, or of this client."""
        return frozenset({self.check, *self.may_also_fail})


def _broken(check: str, scenarios: tuple[str, ...], **may_also_fail: str) -> BrokenClient:
    module = f"harness.clients.broken.{check.lower().replace('-', '_')}"
    return BrokenClient(check, module, scenarios, {name.replace("_", "-"): why for name, why in may_also_fail.items()})


BROKEN_CLIENTS: tuple[BrokenClient, ...] = (
    _broken("AUTH-1", ("token_reuse~reported", "token_reuse~article", "article")),
    _broken(
        "AUTH-2",
        ("token_reuse~reported", "token_reuse~article", "token_reuse~refused"),
        AUTH_1="the token is refused because it is spent: to show it again is to show a spent token",
    ),
    _broken("AUTH-3", ("hang_up~idle",)),
    _broken("RESUME-1", ("drop_idle",)),
    _broken("RESUME-2", ("drop_idle",)),
    _broken("RESUME-3", ("drop_idle",)),
    _broken(
        "RESUME-4",
        ("non_resumable~during", "non_resumable~after"),
        RESUME_2="an erased handle is not presented: what RESUME-4 calls the cause is the effect that RESUME-2 sees",
    ),
    _broken("RESUME-5", ("drop_idle",)),
    _broken("RESUME-7", ("drop_idle",)),
    _broken("GOAWAY-1", ("goaway_idle~ahead",)),
    _broken("GOAWAY-2", ("goaway_idle~ahead",)),
    _broken(
        "GOAWAY-4",
        ("goaway_idle~ahead", "goaway_idle~at_once"),
        GOAWAY_1="who waits for the close cannot be back before it",
    ),
    _broken("RETRY-1", ("drop_idle",)),
    _broken("RETRY-2", ("hang_up~retrying",)),
    _broken("RETRY-6", ("hang_up~idle", "hang_up~retrying")),
    _broken("RETRY-7", ("goaway_idle~ahead",)),
    _broken("SPEECH-1", ("tunnel~dies",)),
    _broken("SPEECH-2", ("tunnel~stays",)),
    _broken("SPEECH-3", ("tunnel~dies", "tunnel~stays", "tunnel~handover")),
    _broken("WIRE-1", ("drop_idle",)),
    _broken("WIRE-2", ("drop_idle",)),
    _broken("LIFE-1", ("drop_idle",), RETRY_1="a program that is gone does not dial"),
    _broken("LIFE-3", ("hang_up~idle",)),
)
"""In the order of the catalogue of checks. SELF-1 is ours, not a client's: the engine's own tests trip it."""


def broken_client(check: str) -> BrokenClient:
    """The client made for `check`; raises `KeyError` for a check without one."""
    for client in BROKEN_CLIENTS:
        if client.check == check:
            return client
    raise KeyError(check)
