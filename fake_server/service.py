"""What all connections of one server share: tokens, handles, sessions, and the refusals that a scenario ordered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from fake_server.acts import FailTokenCalls, Refuse, SlowTokenCalls
from fake_server.behaviour import Behaviour
from fake_server.clock import Clock
from fake_server.credentials import Presented
from fake_server.effects import Effect, Tell
from fake_server.events import HandlePresented
from fake_server.history import History
from fake_server.labels import Labels
from fake_server.model import FakeModel
from fake_server.profiles import Method, ModelProfile, profile_of
from fake_server.refusals import Refusal, find_refusal
from fake_server.resumption import Handles, Rejected
from fake_server.setup_rules import check_setup
from fake_server.token_calls import NEW_KEY_PREFIX, KeyState
from fake_server.tokens import Admitted, TokenLedger, TokenRefused
from fake_server.wire.payload import handle_label


class ActError(RuntimeError):
    """An act found nothing to act on; the text says what is missing."""


class Secrets(Protocol):
    """Makes the secrets of one server."""

    api_key: str

    def token_part(self) -> str:
        """The opaque part of a token's name."""
        ...

    def handle(self) -> str:
        """36 characters."""
        ...


class Owner(Protocol):
    """The connection that carries a session now."""

    def snapshot(self) -> History:
        """The session's past, now."""
        ...

    def detach(self, now_s: float) -> list[Effect]:
        """The session goes on elsewhere."""
        ...


@dataclass(slots=True)
class ServiceSession:
    """One session at the service: it may live on over several connections."""

    label: str
    started_s: float
    owner: Owner | None = None
    saved: History = field(default_factory=History)
    """The past, as it was when the last connection ended."""
    answered_turn: int = 0
    """The newest turn whose answer came to an end (or was interrupted)."""
    video_since_s: float | None = None
    """When the first picture came; None: there was none."""

    def past(self) -> History:
        """All of it, up to now."""
        return self.owner.snapshot() if self.owner is not None else self.saved


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks for a session."""

    connection: int
    socket: int
    listener: str
    service: Literal["developer", "vertex"]
    version: str
    method: Method
    credential: Presented | None
    """None: an unregistered caller."""


@dataclass(frozen=True, slots=True)
class Admission:
    """A setup that is accepted."""

    session: ServiceSession
    setup: Mapping[str, Any]
    """As it counts: the token's constraints applied."""
    profile: ModelProfile
    past: History | None
    """What a resume restores; None: a fresh session."""
    resumed_with: str | None
    """Handle label."""
    token: Admitted | None
    effects: tuple[Effect, ...]


@dataclass(frozen=True, slots=True)
class Denied:
    """A setup that is refused."""

    row: Refusal
    reason: str
    deliberate: bool
    effects: tuple[Effect, ...] = ()


@dataclass(slots=True)
class _Ordered:
    """A refusal that a scenario ordered for coming dials."""

    act: Refuse
    row: Refusal
    until_s: float | None
    left: int | None


@dataclass(slots=True)
class _OrderedTokenFault:
    act: FailTokenCalls | SlowTokenCalls
    until_s: float | None
    left: int | None


class Service:
    """The pure heart of a server. Times that are arguments are monotonic; token times are the clock's wall times."""

    def __init__(self, behaviour: Behaviour, *, clock: Clock, labels: Labels, secrets: Secrets) -> None:
        self.behaviour = behaviour
        self.clock = clock
        self.labels = labels
        self.api_key = secrets.api_key
        self.model = FakeModel(behaviour.facts, behaviour.script.replies)
        self.tokens = TokenLedger(
            behaviour.tokens,
            new_secret=secrets.token_part,
            dialect=behaviour.dialect,
            unknown_fields=behaviour.unknown_fields,
            bounds=behaviour.bounds,
        )
        self.handles: Handles[History] = Handles(
            behaviour.resumption, new_handle=secrets.handle, bounds=behaviour.bounds
        )
        self._sessions: dict[str, ServiceSession] = {}
        self._sessions_begun = 0
        self._turns = 0
        self._ordered: list[_Ordered] = []
        self._token_faults: list[_OrderedTokenFault] = []

    @property
    def sessions_held(self) -> int:
        """Sessions that a connection carries now."""
        return sum(session.owner is not None for session in self._sessions.values())

    @property
    def sessions_known(self) -> int:
        """Sessions that a connection carries, or that a handle may still name."""
        return len(self._sessions)

    def leave(self, session: ServiceSession) -> None:
        """The connection that carried the session does so no longer."""
        session.owner = None
        if not self.handles.knows(session.label):
            self._sessions.pop(session.label, None)

    def _forget(self, now_s: float) -> None:
        """Let the sessions go that no handle names any more."""
        for label in self.handles.forget(now_s):
            if self._sessions[label].owner is None:  # else it goes when that one leaves it
                del self._sessions[label]

    def next_turn(self) -> int:
        """A number for one more user turn."""
        self._turns += 1
        return self._turns

    def key_state(self, key: str) -> KeyState:
        """What an API key is worth here."""
        if not key:
            return "missing"
        if key == self.api_key:
            return "valid"
        return "wrong_new_format" if key.startswith(NEW_KEY_PREFIX) else "wrong"

    def wall_to_monotonic_s(self, wall_s: float) -> float:
        """The monotonic time of a wall time."""
        return wall_s - self.clock.wall_s() + self.clock.monotonic_s()

    # ---- dials

    def refusal_at_upgrade(self, caller: Caller, now_s: float) -> tuple[Refusal, bool] | None:
        """The row by which an upgrade is refused by HTTP, and whether the scenario ordered it; None: 101."""
        ordered = self._take_ordered("upgrade", None, now_s)
        if ordered is not None:
            return ordered, True
        if caller.credential is not None and caller.credential.kind == "token":
            refused = self.tokens.refused_at_upgrade(caller.credential.secret, now_s=self.clock.wall_s())
            if refused is not None:
                return find_refusal(refused.refusal), False
        return None

    def admit(self, caller: Caller, setup: Mapping[str, Any], now_s: float) -> Admission | Denied:
        """Judge a well-formed setup, and do all that accepting it means."""
        self._forget(now_s)
        handle = _handle_of(setup)
        ordered = self._take_ordered("setup", bool(handle), now_s)
        if ordered is not None:
            told = self._handle_presented(caller, handle, ordered.name)
            return Denied(ordered, ordered.reason(**_reason_values(caller, setup)), True, told)
        credential = caller.credential
        admitted: Admitted | None = None
        effective = setup
        by_token = credential is not None and credential.kind == "token"
        if credential is not None and credential.kind == "key" and credential.secret != self.api_key:
            return self._deny("api_key_invalid")
        if credential is not None and by_token:
            # Whether this resumes is for the setup that counts to say: a token may take the client's handle away.
            effective = self.tokens.apply_constraints(credential.secret, setup)
            resume = bool(_handle_of(effective))
            judged = self.tokens.admit(credential.secret, resume=resume, now_s=self.clock.wall_s())
            if isinstance(judged, TokenRefused):
                return self._deny(judged.refusal, effects=self._handle_presented(caller, handle, judged.refusal))
            admitted = judged
        refused = check_setup(
            effective,
            service=caller.service,
            version=caller.version,
            served=(self.behaviour.model,),
            by_token=by_token,
            any_voice=self.behaviour.voices == "any",
        )
        if refused is not None:
            self._give_back(admitted)
            told = self._handle_presented(caller, handle, refused.refusal)
            return Denied(find_refusal(refused.refusal), refused.reason, False, told)
        return self._admit_session(caller, effective, _handle_of(effective), admitted, now_s)

    def _admit_session(
        self, caller: Caller, setup: Mapping[str, Any], handle: str | None, token: Admitted | None, now_s: float
    ) -> Admission | Denied:
        profile = profile_of(setup["model"])
        if not handle:
            self._sessions_begun += 1
            session = ServiceSession(f"session-{self._sessions_begun}", now_s)
            self._sessions[session.label] = session
            effects = self._handle_presented(caller, handle, None)
            return Admission(session, setup, profile, None, None, token, effects)
        found = self.handles.look_up(handle, now_s=now_s)
        if isinstance(found, Rejected):
            self._give_back(token)
            return self._deny(found.refusal, effects=self._handle_presented(caller, handle, found.refusal))
        session = self._sessions[found.session]
        past = session.past() if found.whole_session or found.content is None else found.content
        if found.forgotten:
            past = past.emptied()
        if past.unanswered is not None and past.unanswered.number <= session.answered_turn:
            past = _without_unanswered(past)
        told = self._handle_presented(caller, handle, None)
        if session.owner is not None:
            session.saved = session.owner.snapshot()
            told = (*told, *session.owner.detach(now_s))
        return Admission(session, setup, profile, past, self.labels.name("handle", handle), token, told)

    def refusal_after_setup(self, admission: Admission, now_s: float) -> Refusal | None:
        """The refusal that comes right after setupComplete, where one is ordered."""
        return self._take_ordered("after_setup", admission.past is not None, now_s)

    def _handle_presented(self, caller: Caller, handle: str | None, refusal: str | None) -> tuple[Effect, ...]:
        if handle is None:
            return ()
        return (Tell(HandlePresented(caller.connection, handle_label(handle, self.labels), refusal)),)

    def _give_back(self, token: Admitted | None) -> None:
        if token is not None:
            self.tokens.give_back(token)

    def _deny(self, refusal: str, *, effects: tuple[Effect, ...] = ()) -> Denied:
        row = find_refusal(refusal)
        return Denied(row, row.reason(), False, effects)

    # ---- what a scenario orders

    def order_refusal(self, act: Refuse, now_s: float) -> None:
        """Coming dials are refused."""
        until_s = None if act.for_s is None else now_s + act.for_s
        row = replace(find_refusal(act.refusal), retry_after_s=act.retry_after_s)
        self._ordered.append(_Ordered(act, row, until_s, act.times))

    def order_token_fault(self, act: FailTokenCalls | SlowTokenCalls, now_s: float) -> None:
        """Coming token calls fail, or are slow; without any bound until the order is lifted."""
        until_s = None if act.for_s is None else now_s + act.for_s
        left = act.times if isinstance(act, FailTokenCalls) else None
        self._token_faults.append(_OrderedTokenFault(act, until_s, left))

    def lift(self, act: object) -> bool:
        """End an order before its time; False: it is none of these, or was over."""
        for orders in (self._ordered, self._token_faults):
            for order in orders:
                if order.act is act or order.act == act:
                    orders.remove(order)  # type: ignore[arg-type]
                    return True
        return False

    def token_faults(self, now_s: float) -> tuple[FailTokenCalls | None, float]:
        """What befalls a token call that comes in now: a failure (or None), and a delay in seconds before either."""
        failure: FailTokenCalls | None = None
        delay_s = 0.0
        for fault in list(self._token_faults):
            if fault.until_s is not None and now_s >= fault.until_s:
                self._token_faults.remove(fault)
            elif isinstance(fault.act, SlowTokenCalls):
                delay_s = max(delay_s, fault.act.delay_s)
            elif failure is None:
                failure = fault.act
                if fault.left is not None:
                    fault.left -= 1
                    if fault.left <= 0:
                        self._token_faults.remove(fault)
        return failure, delay_s

    def _take_ordered(self, stage: str, resume: bool | None, now_s: float) -> Refusal | None:
        for order in list(self._ordered):
            if order.until_s is not None and now_s >= order.until_s:
                self._ordered.remove(order)
                continue
            if _stage(order.row) != stage:
                continue
            if resume is not None and order.act.only not in ("any", "resume" if resume else "fresh"):
                continue
            if order.left is not None:
                order.left -= 1
                if order.left <= 0:
                    self._ordered.remove(order)
            return order.row
        return None


def _stage(row: Refusal) -> str:
    if row.is_http:
        return "upgrade"
    return "after_setup" if row.phase == "after_setup" else "setup"


def _handle_of(setup: Mapping[str, Any]) -> str | None:
    handle: str | None = (setup.get("sessionResumption") or {}).get("handle")
    return handle


def _reason_values(caller: Caller, setup: Mapping[str, Any]) -> dict[str, str]:
    model = setup.get("model")
    return {"model": model if isinstance(model, str) else "", "version": caller.version}


def _without_unanswered(past: History) -> History:
    return replace(past, unanswered=None)
