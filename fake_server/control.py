"""All open connections of one server, and the acts that reach them. Pure: the shell carries out what comes back."""

from __future__ import annotations

from typing import TypeAlias

from fake_server import acts
from fake_server.behaviour import Behaviour
from fake_server.clock import Clock
from fake_server.credentials import Presented, counted_credential
from fake_server.effects import Effect
from fake_server.events import UpgradeAnswered, UpgradeReceived
from fake_server.labels import Labels
from fake_server.moves import Phase
from fake_server.profiles import LivePath
from fake_server.refusals import Refusal, UnknownRefusalError, find_refusal
from fake_server.service import ActError, Caller, Secrets, Service
from fake_server.session import Session

Work: TypeAlias = list[tuple[int, list[Effect]]]
"""What is to be done, connection by connection."""

_TOO_MANY = find_refusal("http_429")


class Control:
    """The connections from 1, in order of their upgrades."""

    def __init__(self, behaviour: Behaviour, *, clock: Clock, labels: Labels, secrets: Secrets) -> None:
        self.service = Service(behaviour, clock=clock, labels=labels, secrets=secrets)
        self._upgrades = 0
        self._open: dict[int, Session] = {}

    # ---- connections come and go

    def upgrade(
        self, path: LivePath, *, socket: int, listener: str, presented: tuple[Presented, ...], now_s: float
    ) -> tuple[UpgradeReceived, UpgradeAnswered, Session | Refusal]:
        """A client asks for a WebSocket: what to tell, and the session to serve or the row to refuse by."""
        self._upgrades += 1
        number = self._upgrades
        credential = counted_credential(presented, path.method)
        caller = Caller(number, socket, listener, path.service, path.version, path.method, credential)
        told = tuple(one.told(self.service.labels) for one in presented)
        received = UpgradeReceived(number, socket, listener, path.version, path.method, told)
        refused = self.service.refusal_at_upgrade(caller, now_s)
        if refused is not None:
            row, deliberate = refused
            return received, UpgradeAnswered(number, row.code, row.name, deliberate, row.retry_after_s), row
        bounds = self.service.behaviour.bounds
        if len(self._open) >= bounds.connections + bounds.turned_away:
            return received, UpgradeAnswered(number, _TOO_MANY.code, _TOO_MANY.name, False), _TOO_MANY
        session = Session(caller, self.service, now_s, turned_away=len(self._open) >= bounds.connections)
        self._open[number] = session
        return received, UpgradeAnswered(number, 101, None, False), session

    def ended(self, connection: int) -> None:
        """The link of a connection is gone."""
        self._open.pop(connection, None)

    def client_closed(self, socket: int, now_s: float) -> None:
        """The client closed its own end of a TCP link, as somebody saw who stands nearer to it."""
        for session in self._open.values():
            if session.caller.socket == socket:
                session.peer_closed(now_s)

    # ---- acts

    def act(self, act: acts.Act, now_s: float) -> Work:
        """Carry out an act. Raises `ActError` when there is nothing to act on."""
        match act:
            case acts.FailTokenCalls() | acts.SlowTokenCalls():
                self.service.order_token_fault(act, now_s)
            case acts.ForgetHandle():
                self.service.handles.forget_handles()
            case acts.ForgetContext():
                self.service.handles.forget_context()
            case acts.ExpireTokens():
                return self._expire_tokens(now_s)
            case acts.Refuse():
                return self._refuse(act, now_s)
            case _:
                session = self._target(act.connection, act)
                return [(session.caller.connection, session.order(act, now_s))]
        return []

    def lift(self, act: acts.Act, now_s: float) -> Work:
        """End a lasting act before its own time; nothing happens when it is over already."""
        if self.service.lift(act):
            return []
        for session in self._open.values():
            effects = session.lift(act, now_s)
            if effects is not None:
                return [(session.caller.connection, effects)]
        return []

    def _expire_tokens(self, now_s: float) -> Work:
        expired = set(self.service.tokens.expire_all(now_s=self.service.clock.wall_s()))
        return [
            (session.caller.connection, session.refuse("token_expired_in_flight", now_s, deliberate=True))
            for session in self._open.values()
            if session.live and session.token in expired
        ]

    def _refuse(self, act: acts.Refuse, now_s: float) -> Work:
        try:
            row = find_refusal(act.refusal)
        except UnknownRefusalError as error:
            raise ActError(str(error)) from None
        if row.is_http and act.only != "any":
            raise ActError(
                f"Refuse: refusal={row.name!r}, only={act.only!r}: at the upgrade no setup has been seen; "
                "take only='any', or a refusal by close frame"
            )
        if row.phase == "session" and act.only == "any" and (act.connection is not None or self._newest_live()):
            session = self._target(act.connection, act)
            return [(session.caller.connection, session.refuse(row.name, now_s, deliberate=True))]
        self.service.order_refusal(act, now_s)
        return []

    def _target(self, connection: int | None, act: acts.Act) -> Session:
        session = self._newest_live() if connection is None else self._open.get(connection)
        if session is None:
            which = "no session is live" if connection is None else f"connection {connection} is not open"
            raise ActError(f"{type(act).__name__}: {which}, so there is nothing to act on")
        return session

    def _newest_live(self) -> Session | None:
        return next((one for one in reversed(self._open.values()) if one.phase is Phase.LIVE), None)
