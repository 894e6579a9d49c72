"""Connections and dials: what one upgrade, or one attempt at it, came to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fake_server.events import (
    CloseReceived,
    CloseSent,
    ConnectionEnded,
    Credential,
    FrameReceived,
    FrameSent,
    HandlePresented,
    HttpAnswered,
    SessionStarted,
    SocketAccepted,
    UpgradeAnswered,
    UpgradeReceived,
)
from fake_server.refusals import REFUSALS
from harness.checks.view_facts import Fact, Facts, Moment, at
from harness.journal.events import ClientStarted, LinkClientClosed, LinkDial

EMPTY_HANDLE = "empty-handle"
"""The label of `""`: proto3 knows no difference between an empty text and none."""
USER_INPUT = frozenset({"client_content", "realtime_input"})
"""Messages that carry what the user says."""
CONTENT = USER_INPUT | {"tool_response", "context_update"}


@dataclass(frozen=True, slots=True)
class Connection:
    """Everything that was seen of one upgrade."""

    number: int
    upgrade: Fact[UpgradeReceived] | None = None
    accepted: Moment | None = None
    """The TCP accept that this upgrade was the first request of."""
    answer: Fact[UpgradeAnswered] | None = None
    frames: tuple[Fact[FrameReceived], ...] = ()
    go_aways: tuple[Fact[FrameSent], ...] = ()
    setup_complete: Moment | None = None
    handle: Fact[HandlePresented] | None = None
    session: Fact[SessionStarted] | None = None
    close_sent: Fact[CloseSent] | None = None
    close_received: Fact[CloseReceived] | None = None
    ended: Fact[ConnectionEnded] | None = None
    client_closed: Moment | None = None
    """The client closed its own end, as seen at the proxy."""

    @property
    def credentials(self) -> tuple[Credential, ...]:
        """What the upgrade carried."""
        return self.upgrade.event.credentials if self.upgrade is not None else ()

    @property
    def token(self) -> str | None:
        """Label of the ephemeral token that the upgrade carried; None: none."""
        return next((item.label for item in self.credentials if item.kind == "token"), None)

    @property
    def setup(self) -> Fact[FrameReceived] | None:
        """The first setup; None: none was seen."""
        return next((frame for frame in self.frames if frame.event.message == "setup"), None)

    @property
    def opted_in(self) -> bool | None:
        """True when the setup asked for resumption; None: no setup was seen, or not what it held."""
        if self.handle is not None:
            return True
        setup = self.setup
        if setup is None:
            return None
        if "session_resumption" in setup.event.parts:
            return True
        body = at(setup.event.payload, "setup")
        if isinstance(body, Mapping):
            return "sessionResumption" in body or "session_resumption" in body
        return False if setup.event.parts else None

    @property
    def handle_label(self) -> str | None:
        """The handle that its setup carried; None: none, or no setup was seen."""
        if self.handle is not None:
            return self.handle.event.handle
        setup = self.setup
        given = at(setup.event.payload, "setup", "sessionResumption", "handle") if setup is not None else None
        return given if isinstance(given, str) else None

    @property
    def starts_anew(self) -> bool:
        """True when its setup was seen and carried nothing to resume with."""
        return self.setup is not None and self.handle_label in (None, EMPTY_HANDLE)

    @property
    def started_s(self) -> float | None:
        """When its session became live; None: it had none."""
        return self.session.t if self.session is not None else None

    @property
    def first_moment(self) -> Moment | None:
        """The first that was seen of it."""
        if self.accepted is not None:
            return self.accepted
        return self.upgrade.moment if self.upgrade is not None else None


@dataclass(frozen=True, slots=True)
class Dial:
    """One attempt to reach the service."""

    n: int
    t: float
    connection: Connection | None
    """None: it never became an upgrade."""

    @property
    def failed(self) -> bool:
        """True when no session came of it."""
        return self.connection is None or self.connection.session is None


@dataclass(frozen=True, slots=True)
class Refused:
    """One refusal, in the words of the table of refusals."""

    n: int
    t: float
    connection: int
    name: str
    names: str
    """`credential`, `token`, `handle`, `request`, `quota` or `nothing`; `unknown` where the table lacks it."""
    heals: bool
    http: bool
    """True: by a status on the upgrade; False: by a close."""
    deliberate: bool

    @property
    def names_token(self) -> bool:
        """True when it says that the token itself is no good."""
        return self.names in ("credential", "token")


@dataclass(slots=True)
class _Draft:
    number: int
    upgrade: Fact[UpgradeReceived] | None = None
    accepted: Moment | None = None
    answer: Fact[UpgradeAnswered] | None = None
    frames: list[Fact[FrameReceived]] = field(default_factory=list)
    go_aways: list[Fact[FrameSent]] = field(default_factory=list)
    setup_complete: Moment | None = None
    handle: Fact[HandlePresented] | None = None
    session: Fact[SessionStarted] | None = None
    close_sent: Fact[CloseSent] | None = None
    close_received: Fact[CloseReceived] | None = None
    ended: Fact[ConnectionEnded] | None = None
    client_closed: Moment | None = None

    def freeze(self) -> Connection:
        return Connection(
            self.number,
            self.upgrade,
            self.accepted,
            self.answer,
            tuple(self.frames),
            tuple(self.go_aways),
            self.setup_complete,
            self.handle,
            self.session,
            self.close_sent,
            self.close_received,
            self.ended,
            self.client_closed,
        )


def read_connections(facts: Facts) -> Mapping[int, Connection]:
    """All connections by number, in order of number. Of what should come once, the first is kept."""
    drafts: dict[int, _Draft] = {}

    def draft(number: int) -> _Draft:
        found = drafts.get(number)
        if found is None:
            found = drafts[number] = _Draft(number)
        return found

    by_socket: dict[int, int] = {}
    for upgrade in facts.of(UpgradeReceived):
        one = draft(upgrade.event.connection)
        if one.upgrade is None:
            one.upgrade = upgrade
            by_socket.setdefault(upgrade.event.socket, one.number)
    served = {fact.event.socket for fact in facts.of(HttpAnswered)}
    for accept in facts.of(SocketAccepted):
        number = by_socket.get(accept.event.socket)
        if number is not None and accept.event.socket not in served and drafts[number].accepted is None:
            drafts[number].accepted = accept.moment
    for answer in facts.of(UpgradeAnswered):
        draft(answer.event.connection).answer = draft(answer.event.connection).answer or answer
    for frame in facts.of(FrameReceived):
        draft(frame.event.connection).frames.append(frame)
    for sent in facts.of(FrameSent):
        if sent.event.message == "go_away":
            draft(sent.event.connection).go_aways.append(sent)
        elif sent.event.message == "setup_complete":
            one = draft(sent.event.connection)
            one.setup_complete = one.setup_complete or sent.moment
    for presented in facts.of(HandlePresented):
        draft(presented.event.connection).handle = draft(presented.event.connection).handle or presented
    for started in facts.of(SessionStarted):
        draft(started.event.connection).session = draft(started.event.connection).session or started
    for closed in facts.of(CloseSent):
        draft(closed.event.connection).close_sent = draft(closed.event.connection).close_sent or closed
    for received in facts.of(CloseReceived):
        draft(received.event.connection).close_received = draft(received.event.connection).close_received or received
    for ended in facts.of(ConnectionEnded):
        draft(ended.event.connection).ended = draft(ended.event.connection).ended or ended
    for left in facts.of(LinkClientClosed):
        number = by_socket.get(left.event.socket) if left.event.socket is not None else None
        if number is not None:
            drafts[number].client_closed = drafts[number].client_closed or left.moment
    return {number: drafts[number].freeze() for number in sorted(drafts)}


def read_dials(facts: Facts, connections: Mapping[int, Connection]) -> tuple[Dial, ...]:
    """Every dial, in order of time: accepts at the `live` link, upgrades, and what the proxy itself saw and closed."""
    client_from_s = min((fact.t for fact in facts.of(ClientStarted)), default=0.0)
    requested = {fact.event.socket for fact in facts.of(UpgradeReceived)}
    requested |= {fact.event.socket for fact in facts.of(HttpAnswered)}
    dials: list[Dial] = []
    for connection in connections.values():
        moment = connection.first_moment
        if moment is not None:
            dials.append(Dial(moment.n, moment.t, connection))
    for accept in facts.of(SocketAccepted):
        if accept.event.listener == "live" and accept.event.socket not in requested and accept.t >= client_from_s:
            dials.append(Dial(accept.n, accept.t, None))
    dials += [Dial(seen.n, seen.t, None) for seen in facts.of(LinkDial) if seen.event.link == "live"]
    return tuple(sorted(dials, key=lambda dial: (dial.t, dial.n)))


def read_refusals(facts: Facts) -> tuple[Refused, ...]:
    """Every refusal of an upgrade or a session, in order of time. Refused token calls are not among them.

    A resume that was judged as refused counts also where the close that said so was not seen.
    """
    found: list[Refused] = []
    for answer in facts.of(UpgradeAnswered):
        if answer.event.refusal is not None:
            found.append(
                _refused(
                    answer.n, answer.t, answer.event.connection, answer.event.refusal, True, answer.event.deliberate
                )
            )
    for close in facts.of(CloseSent):
        if close.event.refusal is not None:
            found.append(
                _refused(close.n, close.t, close.event.connection, close.event.refusal, False, close.event.deliberate)
            )
    told = {refusal.connection for refusal in found}
    for shown in facts.of(HandlePresented):
        if shown.event.refusal is not None and shown.event.connection not in told:
            found.append(_refused(shown.n, shown.t, shown.event.connection, shown.event.refusal, False, False))
    return tuple(sorted(found, key=lambda refusal: (refusal.t, refusal.n)))


def _refused(n: int, t: float, connection: int, name: str, http: bool, deliberate: bool) -> Refused:
    row = REFUSALS.get(name)
    return Refused(
        n,
        t,
        connection,
        name,
        row.names if row is not None else "unknown",
        row.heals if row is not None else True,
        http,
        deliberate,
    )


def sessions_in_order(connections: Iterable[Connection]) -> tuple[Connection, ...]:
    """The connections that had a session, by its start."""
    return tuple(sorted((c for c in connections if c.session is not None), key=_start))


def _start(connection: Connection) -> tuple[float, int]:
    return (connection.session.t, connection.session.n) if connection.session is not None else (0.0, 0)


def dials_between(dials: Sequence[Dial], from_s: float, to_s: float) -> tuple[Dial, ...]:
    """The dials from `from_s` to `to_s`, both included."""
    return tuple(dial for dial in dials if from_s <= dial.t <= to_s)
