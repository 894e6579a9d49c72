"""One connection as a state machine: (state, event, now) gives a new state and effects.

Every method that takes `now_s` (monotonic seconds, never going back) returns what is to be done, in order. Call
`tick` when `next_deadline_s` has come. The legal moves stand in `fake_server.moves`.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping
from typing import Any

from fake_server import acts, wire
from fake_server.conversation import Conversation, HeardAudio
from fake_server.effects import Abort, Close, EchoClose, Effect, HangUp, Send, Tell
from fake_server.events import (
    CloseReceived,
    FrameReceived,
    HandleIssued,
    ServerEvent,
    SessionStarted,
    SpeechRange,
    TokenSpent,
)
from fake_server.history import History
from fake_server.moves import PHASE_MOVES, Phase, Step, move
from fake_server.odd_frames import malformed_frame, unknown_message
from fake_server.outlet import Outlet
from fake_server.profiles import SERVICES
from fake_server.refusals import Refusal, find_refusal, truncate_reason
from fake_server.resumption import Cadence, cadence
from fake_server.service import ActError, Admission, Caller, Denied, Service
from fake_server.speech import SpeechRecogniser
from fake_server.wire import ClientFrame

CLOSE_WAIT_S = 2.0
"""After our close frame the client's own is waited for so long; then the link is dropped."""


class Timer(enum.Enum):
    """What a connection waits for."""

    __hash__ = object.__hash__

    SETUP = "setup from the client"
    SETUP_COMPLETE = "setupComplete"
    UPDATE = "sessionResumptionUpdate"
    GO_AWAY = "goAway"
    GO_AWAY_OVER = "end of goAway's time"
    IDLE = "idle limit"
    DEAD_CLIENT = "dead client limit"
    TOKEN_EXPIRY = "token expiry"
    SESSION_LENGTH = "session length"
    CLOSE_WAIT = "close frame from the client"


class Session:
    """One connection, from its upgrade to its end. `phase` and `caller` are for reading."""

    def __init__(self, caller: Caller, service: Service, now_s: float) -> None:
        self.caller = caller
        self.phase = Phase.AWAITING_SETUP
        self._service = service
        self._limits = service.behaviour.limits
        self._due: dict[Timer, float] = {}
        self._out = Outlet()
        self._received_frames = 0
        self._recogniser = SpeechRecogniser()
        self._early: list[tuple[ClientFrame, list[HeardAudio]]] = []
        self._admission: Admission | None = None
        self._conversation: Conversation | None = None
        self._cadence: Cadence | None = None
        self._idle_s: float | None = None
        self._last_input_s = self._last_traffic_s = now_s
        self._set(Timer.SETUP, self._limits.setup_within_s, now_s)
        self._set(Timer.GO_AWAY, self._limits.go_away_after_s, now_s)

    # ---- what others may ask

    @property
    def live(self) -> bool:
        """SetupComplete went out, and nothing has ended or moved the session since."""
        return self.phase is Phase.LIVE

    @property
    def token(self) -> str | None:
        """Name (a secret) of the token that this connection runs on."""
        credential = self.caller.credential
        return credential.secret if credential is not None and credential.kind == "token" else None

    @property
    def next_deadline_s(self) -> float:
        """When to call `tick`; infinite when nothing is awaited."""
        due_s = min(self._due.values(), default=math.inf)
        due_s = min(due_s, self._out.due_s)
        if self.phase is Phase.LIVE and self._conversation is not None:
            due_s = min(due_s, self._conversation.speaker.due_s)
        return due_s

    def snapshot(self) -> History:
        """See `fake_server.service.Owner`."""
        return self._conversation.memory.snapshot() if self._conversation is not None else History()

    # ---- events from the client and the network

    def opened(self, now_s: float) -> list[Effect]:
        """The upgrade was answered by 101."""
        if self.caller.credential is None:
            self._refuse(_UNREGISTERED, now_s)
        return self._out.take()

    def received(self, data: bytes | str, now_s: float) -> list[Effect]:
        """A frame came."""
        self._received_frames += 1
        self._last_traffic_s = now_s
        caller = self.caller
        frame = wire.parse_client_frame(
            data,
            service=caller.service,
            version=caller.version,
            unknown_fields=self._service.behaviour.unknown_fields,
        )
        heard: list[HeardAudio] = []
        speech: tuple[SpeechRange, ...] = ()
        unrecognised = 0
        for chunk in frame.audio:
            found = self._recogniser.feed(chunk.pcm)
            heard.append((found.ranges, chunk.pcm))
            speech += found.ranges
            unrecognised += found.unrecognised_samples
        objection = self._objection(frame)
        problems = tuple(problem.text for problem in frame.problems)
        if objection is not None:
            problems = (*problems, objection.reason())
        payload = wire.journal_payload(frame, self._service.labels)
        self._tell(
            FrameReceived(
                caller.connection,
                self._received_frames,
                frame.message,
                frame.parts,
                frame.size_bytes,
                payload,
                problems,
                speech,
                unrecognised,
            )
        )
        if self.phase not in _DEAF:
            fatal = frame.fatal
            if fatal is not None:
                self._close(fatal.close_code, truncate_reason(fatal.text), fatal.refusal, False, now_s)
            elif objection is not None:
                self._refuse(objection, now_s)
            elif self.phase is Phase.AWAITING_SETUP:
                self._setup(frame.body, now_s)
            elif self.phase is Phase.SETTING_UP:
                self._early.append((frame, heard))
            else:
                self._converse(frame, heard, now_s)
        return self._out.take()

    def pinged(self, payload: bytes, now_s: float) -> list[Effect]:
        """A WebSocket ping came."""
        self._last_traffic_s = now_s
        if self.phase is not Phase.ENDED:
            self._out.pong(payload, now_s)
        return self._out.take()

    def close_received(self, code: int | None, reason: str, now_s: float) -> list[Effect]:
        """A close frame came."""
        self._tell(CloseReceived(self.caller.connection, code, reason))
        if self.phase not in (Phase.CLOSING, Phase.ENDED):
            self._out.put(EchoClose())
        self._end(now_s)
        self._out.put(HangUp())
        return self._out.take()

    def link_ended(self, now_s: float) -> list[Effect]:
        """The TCP link is gone, in whatever way."""
        self._end(now_s, dropped=True)
        return self._out.take()

    def peer_closed(self, now_s: float) -> None:
        """The client is known to have closed its own end, though this end cannot see it yet."""
        self._release(now_s, dropped=True)

    def tick(self, now_s: float) -> list[Effect]:
        """Do what is due by now, in order of time."""
        while (at_s := self.next_deadline_s) <= now_s:
            if self._out.due_s <= at_s:
                self._out.fire(at_s)
            elif self.phase is Phase.LIVE and self._talk().speaker.due_s <= at_s:
                self._talk().fire(at_s)
                self._flush()
            else:
                timer = min(self._due, key=self._due.__getitem__)
                del self._due[timer]
                _ON_TIMER[timer](self, at_s)
        return self._out.take()

    # ---- what a scenario orders

    def order(self, act: acts.Act, now_s: float) -> list[Effect]:
        """Carry out an act on this connection. Raises `ActError` where there is nothing to act on."""
        carry_out = _ON_ACT.get(type(act))
        if carry_out is None:
            raise ActError(f"{type(act).__name__} does not act on a connection")
        if self.phase in (Phase.CLOSING, Phase.ENDED):
            raise ActError(f"{type(act).__name__}: connection {self.caller.connection} is closed")
        carry_out(self, act, now_s)
        return self._out.take()

    def lift(self, act: acts.Act, now_s: float) -> list[Effect] | None:
        """End a lasting act before its time; None: it is not in force here."""
        if isinstance(act, acts.SendUpdate) and self._admission is not None and self.live:
            self._service.handles.hold_back(self._admission.session.label, until_s=now_s)
        elif not self._out.lift(act):
            return None
        return self._out.take()

    def refuse(self, refusal: str, now_s: float, *, deliberate: bool) -> list[Effect]:
        """Close with a row of the table of refusals."""
        self._refuse(find_refusal(refusal), now_s, deliberate=deliberate)
        return self._out.take()

    def detach(self) -> list[Effect]:
        """See `fake_server.service.Owner`: nothing is sent here any more, and what comes in is ignored."""
        if self.phase not in (Phase.SETTING_UP, Phase.LIVE):
            return []
        self.phase = move(PHASE_MOVES, self.phase, Step.RESUMED_ELSEWHERE)
        self._due.clear()
        self._out.shut()
        self._out.put_all(self._talk().cut())
        return self._out.take()

    def _order_go_away(self, act: acts.GoAway, now_s: float) -> None:
        left_s = self._limits.go_away_time_left_s if act.time_left_s is None else act.time_left_s
        odd = act.raw_time_left is not None or bool(act.extra)
        message = wire.go_away(act.time_left_s, raw_time_left=act.raw_time_left, extra=act.extra)
        self._out.put(Send(message, deliberate=odd))
        self._due.pop(Timer.GO_AWAY, None)
        self._due[Timer.GO_AWAY_OVER] = now_s + left_s

    def _order_close(self, act: acts.Close, now_s: float) -> None:
        self._close(act.code, truncate_reason(act.reason), None, True, now_s)

    def _order_abort(self, act: acts.Abort, now_s: float) -> None:
        self._end(now_s)
        self._out.put(Abort())

    def _order_silence(self, act: acts.Silence, now_s: float) -> None:
        self._out.silence(act, now_s)

    def _order_slow_pong(self, act: acts.SlowPong, now_s: float) -> None:
        self._out.slow_pong(act, now_s)

    def _order_update(self, act: acts.SendUpdate, now_s: float) -> None:
        self._must_be_live(act)
        if not act.resumable and act.for_s is not None:
            self._service.handles.hold_back(self._admitted().session.label, until_s=now_s + act.for_s)
        self._update(now_s, resumable=act.resumable)

    def _order_interrupt(self, act: acts.Interrupt, now_s: float) -> None:
        self._must_be_live(act)
        if not self._talk().interrupt():
            raise ActError("Interrupt: the model is not at a turn; order it while one goes on")
        self._flush()

    def _order_call(self, act: acts.CallTool, now_s: float) -> None:
        self._must_be_live(act)
        declared = self._talk().functions
        function = next((one for one in declared if act.name in (None, one.name)), None)
        if function is None:
            names = ", ".join(one.name for one in declared) or "none"
            raise ActError(f"CallTool: name={act.name!r} was not declared by the client (declared: {names})")
        self._talk().call(function)
        self._flush()

    def _order_cancel(self, act: acts.CancelTool, now_s: float) -> None:
        self._must_be_live(act)
        if not self._talk().cancel_calls():
            raise ActError("CancelTool: no function call is pending; order CallTool first")
        self._flush()

    def _order_malformed(self, act: acts.SendMalformed, now_s: float) -> None:
        self._out.put(malformed_frame(act.form))

    def _order_unknown(self, act: acts.SendUnknown, now_s: float) -> None:
        self._out.put(Send(unknown_message(), deliberate=True))

    def _must_be_live(self, act: acts.Act) -> None:
        if not self.live:
            raise ActError(f"{type(act).__name__}: connection {self.caller.connection} has no live session")

    # ---- setup

    def _objection(self, frame: ClientFrame) -> Refusal | None:
        """What the order of frames, or the setup, forbids."""
        if (frame.message == "setup") is not (self.phase is Phase.AWAITING_SETUP):
            return _SETUP_FIRST_ONLY
        return self._conversation.objection(frame) if self._conversation is not None else None

    def _setup(self, body: Mapping[str, Any], now_s: float) -> None:
        judged = self._service.admit(self.caller, body, now_s)
        self._out.put_all(judged.effects)
        if isinstance(judged, Denied):
            self._close(judged.row.code, judged.reason, judged.row.name, judged.deliberate, now_s)
            return
        self.phase = move(PHASE_MOVES, self.phase, Step.SETUP_ACCEPTED)
        self._due.pop(Timer.SETUP, None)
        self._admission = judged
        self._conversation = Conversation(self.caller, judged, self._service)
        judged.session.owner = self
        wait_s = self._service.behaviour.script.setup_complete_after_s
        if wait_s > 0:
            self._due[Timer.SETUP_COMPLETE] = now_s + wait_s
        else:
            self._complete_setup(now_s)

    def _complete_setup(self, at_s: float) -> None:
        admission = self._admitted()
        session, token = admission.session, admission.token
        self.phase = move(PHASE_MOVES, self.phase, Step.SETUP_COMPLETED)
        self._service.handles.session_connected(session.label, connection=self.caller.connection)
        label = self._service.labels.get(token.name) if token is not None else None
        told: list[ServerEvent] = []
        if token is not None and token.spent and label is not None:
            told.append(TokenSpent(label, self.caller.connection, token.uses_left))
        facts = self._talk().memory.facts
        told.append(SessionStarted(self.caller.connection, session.label, admission.resumed_with, label, facts))
        session_id = session.label if SERVICES[self.caller.service].session_id else None
        self._out.put(Send(wire.setup_complete(session_id), tuple(told)))
        self._start_timers(admission, at_s)
        refused = self._service.refusal_after_setup(at_s)
        if refused is not None:
            self._refuse(refused, at_s, deliberate=True)
            return
        self._talk().start(at_s)
        self._flush()
        early, self._early = self._early, []
        for frame, heard in early:
            objection = self._objection(frame)
            if objection is not None:
                self._refuse(objection, at_s)
            if self.live:
                self._converse(frame, heard, at_s)

    def _start_timers(self, admission: Admission, at_s: float) -> None:
        rules = self._service.behaviour.resumption
        self._cadence = cadence(rules, admission.profile, resumed=admission.past is not None)
        if self._cadence is not None:
            self._due[Timer.UPDATE] = at_s + self._cadence.first_after_s
        self._idle_s = self._limits.idle_s if self._limits.idle_s is not None else admission.profile.idle_s
        self._last_input_s = at_s
        self._set(Timer.IDLE, self._idle_s, at_s)
        self._set(Timer.DEAD_CLIENT, self._limits.dead_client_s, at_s)
        if "contextWindowCompression" not in admission.setup and self._limits.session_s is not None:
            self._due[Timer.SESSION_LENGTH] = max(at_s, admission.session.started_s + self._limits.session_s)
        expires_at_s = self._service.tokens.expires_at_s(admission.token.name) if admission.token is not None else None
        if expires_at_s is not None:
            self._due[Timer.TOKEN_EXPIRY] = self._service.wall_to_monotonic_s(expires_at_s)

    # ---- a live session

    def _converse(self, frame: ClientFrame, heard: list[HeardAudio], now_s: float) -> None:
        self._last_input_s = now_s
        refused = self._talk().take(frame, heard, now_s)
        self._flush()
        if refused is not None:
            self._refuse(refused, now_s)

    def _update(self, at_s: float, *, resumable: bool = True) -> None:
        session = self._admitted().session
        talk = self._talk()
        update = self._service.handles.next_update(
            session.label, talk.memory.snapshot(), now_s=at_s, busy=talk.busy, resumable=resumable
        )
        transparent = bool((self._admitted().setup.get("sessionResumption") or {}).get("transparent"))
        index = self._received_frames if transparent else None
        message = wire.session_resumption_update(update.handle, resumable=update.resumable, last_consumed_index=index)
        label = self._service.labels.name("handle", update.handle) if update.handle is not None else None
        facts = talk.memory.facts if label is not None else ()
        told = HandleIssued(self.caller.connection, session.label, label, update.resumable, facts)
        self._out.put(Send(message, (told,)))

    # ---- timers

    def _set(self, timer: Timer, after_s: float | None, from_s: float) -> None:
        if after_s is not None:
            self._due[timer] = from_s + after_s

    def _on_update(self, at_s: float) -> None:
        self._update(at_s)
        if self._cadence is not None:
            self._set(Timer.UPDATE, self._cadence.every_s, at_s)

    def _on_go_away(self, at_s: float) -> None:
        time_left_s = self._limits.go_away_time_left_s
        self._out.put(Send(wire.go_away(time_left_s)))
        self._due[Timer.GO_AWAY_OVER] = at_s + time_left_s

    def _on_idle(self, at_s: float) -> None:
        self._on_limit(Timer.IDLE, self._idle_s, self._last_input_s, "idle", at_s)

    def _on_dead_client(self, at_s: float) -> None:
        self._on_limit(Timer.DEAD_CLIENT, self._limits.dead_client_s, self._last_traffic_s, "dead_client", at_s)

    def _on_limit(self, timer: Timer, limit_s: float | None, since_s: float, refusal: str, at_s: float) -> None:
        """Close, unless something has come since the timer was set: then it is set anew."""
        if limit_s is not None and since_s + limit_s > at_s:
            self._due[timer] = since_s + limit_s
        else:
            self._refuse(find_refusal(refusal), at_s)

    def _on_close_wait(self, at_s: float) -> None:
        self._end(at_s)
        self._out.put(HangUp())

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
        if self.phase is Phase.SETTING_UP and admission.token is not None:
            self._service.tokens.give_back(admission.token)
        if admission.session.owner is self:
            admission.session.saved = self.snapshot()
            admission.session.owner = None
        if self.phase is Phase.LIVE:
            self._out.put_all(self._talk().cut())

    def _release(self, now_s: float, *, dropped: bool) -> None:
        """The client holds this socket no longer, so that its session may be resumed."""
        if self._admission is not None:
            idle_drop = dropped and self.live and not self._talk().speaker.busy
            self._service.handles.client_end_closed(
                self._admission.session.label,
                now_s=now_s,
                model_idle=idle_drop,
                connection=self.caller.connection,
            )

    # ---- helpers

    def _tell(self, event: ServerEvent) -> None:
        self._out.put(Tell(event))

    def _flush(self) -> None:
        talk = self._talk()
        effects, talk.out = talk.out, []
        self._out.put_all(effects)

    def _admitted(self) -> Admission:
        if self._admission is None:
            raise AssertionError("no setup was accepted on this connection")
        return self._admission

    def _talk(self) -> Conversation:
        if self._conversation is None:
            raise AssertionError("no setup was accepted on this connection")
        return self._conversation


_DEAF = (Phase.DETACHED, Phase.CLOSING, Phase.ENDED)
_SETUP_FIRST_ONLY = find_refusal("setup_first_only")
_UNREGISTERED = find_refusal("unregistered_caller")


def _refuses(refusal: str) -> Callable[[Session, float], None]:
    row = find_refusal(refusal)
    return lambda session, at_s: session._refuse(row, at_s)


_ON_TIMER: Mapping[Timer, Callable[[Session, float], None]] = {
    Timer.SETUP: _refuses("setup_timeout"),
    Timer.SETUP_COMPLETE: Session._complete_setup,
    Timer.UPDATE: Session._on_update,
    Timer.GO_AWAY: Session._on_go_away,
    Timer.GO_AWAY_OVER: _refuses("go_away_ignored"),
    Timer.IDLE: Session._on_idle,
    Timer.DEAD_CLIENT: Session._on_dead_client,
    Timer.TOKEN_EXPIRY: _refuses("token_expired_in_flight"),
    Timer.SESSION_LENGTH: _refuses("context_exhausted"),
    Timer.CLOSE_WAIT: Session._on_close_wait,
}

_ON_ACT: Mapping[type, Callable[[Session, Any, float], None]] = {
    acts.GoAway: Session._order_go_away,
    acts.Close: Session._order_close,
    acts.Abort: Session._order_abort,
    acts.Silence: Session._order_silence,
    acts.SlowPong: Session._order_slow_pong,
    acts.SendUpdate: Session._order_update,
    acts.Interrupt: Session._order_interrupt,
    acts.CallTool: Session._order_call,
    acts.CancelTool: Session._order_cancel,
    acts.SendMalformed: Session._order_malformed,
    acts.SendUnknown: Session._order_unknown,
}
