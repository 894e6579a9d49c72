"""What every connection has: its phase, its timers, its way out, and how it ends."""

from __future__ import annotations

import enum

from fake_server import wire
from fake_server.conversation import Conversation
from fake_server.effects import Close, Effect, Send, Tell
from fake_server.events import HandleIssued, ServerEvent
from fake_server.history import History
from fake_server.moves import PHASE_MOVES, Phase, Step, move
from fake_server.outlet import Outlet
from fake_server.refusals import Refusal
from fake_server.resumption import Meaning
from fake_server.service import Admission, Caller, Service

CLOSE_WAIT_S = 2.0
"""After our close frame the client's own is waited for so long; then the link is dropped."""


class Timer(enum.Enum):
    """What a connection waits for."""

    __hash__ = object.__hash__

    SETUP = "setup from the client"
    SETUP_COMPLETE = "setupComplete"
    REFUSAL = "a refusal that takes its time"
    UPDATE = "sessionResumptionUpdate"
    GO_AWAY = "goAway"
    GO_AWAY_OVER = "end of goAway's time"
    IDLE = "idle limit"
    DEAD_CLIENT = "dead client limit"
    TOKEN_EXPIRY = "token expiry"
    SESSION_LENGTH = "session length"
    CLOSE_WAIT = "close frame from the client"


class Connection:
    """What events from the client and orders of a scenario both work on. `phase` and `caller` are for reading."""

    def __init__(self, caller: Caller, service: Service) -> None:
        self.caller = caller
        self.phase = Phase.AWAITING_SETUP
        self._service = service
        self._limits = service.behaviour.limits
        self._due: dict[Timer, float] = {}
        self._out = Outlet()
        self._received_frames = 0
        self._admission: Admission | None = None
        self._conversation: Conversation | None = None
        self._means: Meaning | None = None
        self._idle_s: float | None = None

    # ---- what others may ask

    @property
    def live(self) -> bool:
        """`setupComplete` went out, and nothing has ended or moved the session since."""
        return self.phase is Phase.LIVE

    @property
    def says_turn_complete(self) -> bool:
        """False: the model of this connection ends its turns by generationComplete alone."""
        return self._conversation is None or self._conversation.speaker.says_turn_complete

    @property
    def token(self) -> str | None:
        """Name (a secret) of the token that this connection runs on."""
        credential = self.caller.credential
        return credential.secret if credential is not None and credential.kind == "token" else None

    @property
    def next_deadline_s(self) -> float:
        """When to call `tick`; infinite when nothing is awaited."""
        due_s = self._out.due_s
        for timer_s in self._due.values():
            if timer_s < due_s:
                due_s = timer_s
        if self._conversation is not None and self.phase is Phase.LIVE:
            speaker_s = self._conversation.speaker.due_s
            if speaker_s < due_s:
                due_s = speaker_s
        return due_s

    def snapshot(self) -> History:
        """See `fake_server.service.Owner`."""
        return self._conversation.memory.snapshot() if self._conversation is not None else History()

    def detach(self, now_s: float) -> list[Effect]:
        """See `fake_server.service.Owner`: nothing is sent here any more, and what comes in is ignored.

        So it is as idle, and as dead, as if nothing came: it is closed when those limits are over.
        """
        if self.phase not in (Phase.SETTING_UP, Phase.LIVE):
            return []
        self._give_back_token()
        self.phase = move(PHASE_MOVES, self.phase, Step.RESUMED_ELSEWHERE)
        self._due.clear()
        self._set(Timer.IDLE, self._idle_s, now_s)
        self._set(Timer.DEAD_CLIENT, self._limits.dead_client_s, now_s)
        self._out.shut()
        self._out.put_all(self._talk().cut())
        return self._out.take()

    # ---- a live session

    @property
    def _transparent(self) -> bool:
        return bool((self._admitted().setup.get("sessionResumption") or {}).get("transparent"))

    def _update(self, at_s: float, *, resumable: bool = True) -> None:
        session = self._admitted().session
        talk = self._talk()
        update = self._service.handles.next_update(
            session.label, talk.memory.snapshot(), now_s=at_s, busy=talk.busy, resumable=resumable, means=self._means
        )
        index = None
        if self._transparent and update.resumable:
            counts_setup = self._service.behaviour.resumption.counts_setup
            index = self._received_frames if counts_setup else self._received_frames - 1
        message = wire.session_resumption_update(update.handle, resumable=update.resumable, last_consumed_index=index)
        label = self._service.labels.name("handle", update.handle) if update.handle is not None else None
        facts = talk.memory.facts if label is not None else ()
        told = HandleIssued(self.caller.connection, session.label, label, update.resumable, facts)
        self._out.put(Send(message, (told,)))

    # ---- ending

    def _refuse(self, row: Refusal, now_s: float, *, deliberate: bool = False) -> None:
        self._close(row.code, row.reason(), row.name, deliberate, now_s)

    def _close(self, code: int, reason: str, refusal: str | None, deliberate: bool, now_s: float) -> None:
        if self.phase in (Phase.CLOSING, Phase.ENDED):
            return
        self._leave(now_s)
        self.phase = move(PHASE_MOVES, self.phase, Step.CLOSE)
        self._out.put(Close(code, reason, refusal, deliberate))
        self._due[Timer.CLOSE_WAIT] = now_s + CLOSE_WAIT_S

    def _end(self, now_s: float, *, dropped: bool = False) -> None:
        """The link is over; `dropped`: without a close frame from either side."""
        if self.phase is Phase.ENDED:
            return
        self._leave(now_s, dropped=dropped)
        self.phase = move(PHASE_MOVES, self.phase, Step.END)

    def _leave(self, now_s: float, *, dropped: bool = False) -> None:
        """The talk on this connection is over: its session rests, or goes on elsewhere."""
        self._due.clear()
        self._out.shut()
        self._release(now_s, dropped=dropped)
        admission = self._admission
        if admission is None:
            return
        self._give_back_token()
        if admission.session.owner is self:
            if self.live:  # a resume that ends before setupComplete leaves the session as it was
                admission.session.saved = self.snapshot()
            self._service.leave(admission.session)
        if self.phase is Phase.LIVE:
            self._out.put_all(self._talk().cut())

    def _give_back_token(self) -> None:
        """A use is taken by setupComplete alone."""
        if self.phase is Phase.SETTING_UP and self._admission is not None and self._admission.token is not None:
            self._service.tokens.give_back(self._admission.token)

    def _release(self, now_s: float, *, dropped: bool) -> None:
        """The client holds this socket no longer, so that its session may be resumed."""
        if self._admission is not None:
            idle_drop = dropped and self.live and not self._talk().speaker.busy
            self._service.handles.client_end_closed(
                self._admission.session.label,
                now_s=now_s,
                model_idle=idle_drop,
                connection=self.caller.connection,
                means=self._means,
            )

    # ---- helpers

    def _set(self, timer: Timer, after_s: float | None, from_s: float) -> None:
        if after_s is not None:
            self._due[timer] = from_s + after_s

    def _tell(self, event: ServerEvent) -> None:
        self._out.put(Tell(event))

    def _flush(self) -> None:
        talk = self._talk()
        self._out.put_all(talk.out)
        talk.out.clear()

    def _admitted(self) -> Admission:
        if self._admission is None:
            raise AssertionError("no setup was accepted on this connection")
        return self._admission

    def _talk(self) -> Conversation:
        if self._conversation is None:
            raise AssertionError("no setup was accepted on this connection")
        return self._conversation
