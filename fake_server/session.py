"""One connection as a state machine: (state, event, now) gives a new state and effects.

Every method that takes `now_s` (monotonic seconds, never going back) returns what is to be done, in order. Call
`tick` when `next_deadline_s` has come. The legal moves stand in `fake_server.moves`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fake_server import wire
from fake_server.connection import Timer
from fake_server.conversation import Conversation, HeardAudio
from fake_server.effects import EchoClose, Effect, HangUp, Send
from fake_server.events import CloseReceived, FrameReceived, ServerEvent, SessionStarted, SpeechRange, TokenSpent
from fake_server.moves import PHASE_MOVES, Phase, Step, move
from fake_server.orders import OrderedConnection
from fake_server.profiles import SERVICES, profile_of
from fake_server.refusals import Refusal, find_refusal, truncate_reason
from fake_server.resampling import RATE_HZ, Resampler, rate_hz
from fake_server.resumption import Cadence, cadence, meaning
from fake_server.service import Admission, Caller, Denied, Service
from fake_server.speech import SpeechRecogniser
from fake_server.wire import ClientFrame


class Session(OrderedConnection):
    """One connection, from its upgrade to its end."""

    def __init__(self, caller: Caller, service: Service, now_s: float, *, turned_away: bool = False) -> None:
        """`turned_away`: the server has no room for it, so it gets the quota close at once."""
        super().__init__(caller, service)
        self._turned_away = turned_away
        self._recogniser = SpeechRecogniser()
        self._resampler = Resampler()
        self._early: list[tuple[ClientFrame, list[HeardAudio]]] = []
        self._refused: tuple[Refusal, str, bool] | None = None
        self._cadence: Cadence | None = None
        self._unlimited = False
        self._last_input_s = self._last_traffic_s = self._opened_s = now_s
        self._set(Timer.SETUP, self._limits.setup_within_s, now_s)

    # ---- events from the client and the network

    def opened(self, now_s: float) -> list[Effect]:
        """The upgrade was answered by 101."""
        if self._turned_away:
            self._refuse(_QUOTA, now_s)
        elif self.caller.credential is None:
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
        problems: tuple[str, ...] = ()
        unrecognised = 0
        for chunk in frame.audio:
            rate = rate_hz(chunk.mime_type)
            if rate == RATE_HZ:
                found = self._recogniser.feed(chunk.pcm)
                heard.append((found.ranges, chunk.pcm))
                speech += found.ranges
                unrecognised += found.unrecognised_samples
            else:
                pcm = self._resampler.feed(chunk.pcm, rate)
                heard.append(((), pcm))
                unrecognised += len(pcm) // 2
        objection = self._objection(frame)
        if frame.problems:
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
        phase = self.phase
        if phase not in _DEAF:
            fatal = frame.fatal if problems else None
            if fatal is not None:
                self._close(fatal.close_code, truncate_reason(fatal.text), fatal.refusal, False, now_s)
            elif objection is not None:
                self._refuse(objection, now_s)
            elif phase is _LIVE:
                self._converse(frame, heard, now_s)
            elif phase is _AWAITING_SETUP:
                self._setup(frame.body, now_s)
            else:
                self._early.append((frame, heard))
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

    # ---- setup

    def _objection(self, frame: ClientFrame) -> Refusal | None:
        """What the order of frames, or the setup, forbids."""
        if (frame.message == "setup") is not (self.phase is _AWAITING_SETUP):
            return _SETUP_FIRST_ONLY
        return self._conversation.objection(frame) if self._conversation is not None else None

    def _setup(self, body: Mapping[str, Any], now_s: float) -> None:
        judged = self._service.admit(self.caller, body, now_s)
        self._out.put_all(judged.effects)
        if isinstance(judged, Denied):
            self._deny(judged, body, now_s)
            return
        self.phase = move(PHASE_MOVES, self.phase, Step.SETUP_ACCEPTED)
        self._due.pop(Timer.SETUP, None)
        self._admission = judged
        self._conversation = Conversation(self.caller, judged, self._service)
        rules = self._service.behaviour.resumption
        self._means = meaning(rules, judged.profile, transparent=self._transparent)
        judged.session.owner = self
        wait_s = self._service.behaviour.script.setup_complete_after_s
        if wait_s > 0:
            self._due[Timer.SETUP_COMPLETE] = now_s + wait_s
        else:
            self._complete_setup(now_s)

    def _deny(self, denied: Denied, setup: Mapping[str, Any], now_s: float) -> None:
        """Close, at once, or (an embargo on the session) when the service has thought about it."""
        wait_s = 0.0
        if denied.row.name == "internal_error" and not denied.deliberate:
            rules = self._service.behaviour.resumption
            wait_s = meaning(rules, profile_of(setup.get("model") or "")).embargo_refused_after_s
        if wait_s <= 0:
            self._close(denied.row.code, denied.reason, denied.row.name, denied.deliberate, now_s)
            return
        self.phase = move(PHASE_MOVES, self.phase, Step.SETUP_REFUSED)
        self._due.pop(Timer.SETUP, None)
        self._refused = (denied.row, denied.reason, denied.deliberate)
        self._due[Timer.REFUSAL] = now_s + wait_s

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
        self._refuse_soon(admission, at_s)
        self._talk().start(at_s)
        self._flush()
        early, self._early = self._early, []
        for frame, heard in early:
            objection = self._objection(frame)
            if objection is not None:
                self._refuse(objection, at_s)
            if self.live:
                self._converse(frame, heard, at_s)

    def _refuse_soon(self, admission: Admission, at_s: float) -> None:
        """Where the quota is spent, the session lives for a moment all the same (protocol, section 7.1)."""
        ordered = self._service.refusal_after_setup(admission, at_s)
        most = self._limits.sessions
        if ordered is not None or (most is not None and self._service.sessions_held > most):
            row = ordered or _QUOTA
            self._refused = (row, row.reason(), ordered is not None)
            self._due[Timer.REFUSAL] = at_s + self._limits.quota_close_after_s

    def _start_timers(self, admission: Admission, at_s: float) -> None:
        rules = self._service.behaviour.resumption
        self._cadence = cadence(rules, admission.profile, resumed=admission.past is not None)
        if self._cadence is not None:
            self._due[Timer.UPDATE] = at_s + self._cadence.first_after_s
        self._idle_s = admission.profile.idle_s if self._limits.idle_s == "model" else self._limits.idle_s
        self._last_input_s = at_s
        if self._limits.go_away_after_s is not None:  # counted from the dial, but nothing comes before setupComplete
            self._due[Timer.GO_AWAY] = max(at_s, self._opened_s + self._limits.go_away_after_s)
        self._set(Timer.IDLE, self._idle_s, at_s)
        self._set(Timer.DEAD_CLIENT, self._limits.dead_client_s, at_s)
        self._unlimited = "contextWindowCompression" in admission.setup
        if not self._unlimited and self._limits.session_s is not None:
            self._due[Timer.SESSION_LENGTH] = max(at_s, admission.session.started_s + self._limits.session_s)
        self._watch_video(at_s)
        expires_at_s = self._service.tokens.expires_at_s(admission.token.name) if admission.token is not None else None
        if expires_at_s is not None:
            self._due[Timer.TOKEN_EXPIRY] = self._service.wall_to_monotonic_s(expires_at_s)

    # ---- a live session

    def _converse(self, frame: ClientFrame, heard: list[HeardAudio], now_s: float) -> None:
        self._last_input_s = now_s
        session = self._admitted().session
        if session.video_since_s is None and "video" in frame.parts:
            session.video_since_s = now_s
            self._watch_video(now_s)
        refused = self._talk().take(frame, heard, now_s)
        self._flush()
        if refused is _CONTEXT_EXHAUSTED:
            self._on_session_over(now_s)
        elif refused is not None:
            self._refuse(refused, now_s)

    def _watch_video(self, now_s: float) -> None:
        """A session with video is over sooner."""
        since_s, limit_s = self._admitted().session.video_since_s, self._limits.video_session_s
        if since_s is None or limit_s is None or self._unlimited:
            return
        due_s = max(now_s, since_s + limit_s)
        self._due[Timer.SESSION_LENGTH] = min(due_s, self._due.get(Timer.SESSION_LENGTH, due_s))

    # ---- timers

    def _on_update(self, at_s: float) -> None:
        self._update(at_s)
        if self._cadence is not None:
            self._set(Timer.UPDATE, self._cadence.every_s, at_s)

    def _on_go_away(self, at_s: float) -> None:
        time_left_s = self._limits.go_away_time_left_s
        self._out.put(Send(wire.go_away(time_left_s)))
        self._due[Timer.GO_AWAY_OVER] = at_s + time_left_s

    def _on_refusal(self, at_s: float) -> None:
        if self._refused is not None:
            row, reason, deliberate = self._refused
            self._close(row.code, reason, row.name, deliberate, at_s)

    def _on_session_over(self, at_s: float) -> None:
        """The session has no room left, and no handle brings it back."""
        self._service.handles.invalidate(self._admitted().session.label)
        self._refuse(_CONTEXT_EXHAUSTED, at_s)

    def _on_idle(self, at_s: float) -> None:
        self._on_limit(Timer.IDLE, self._idle_s, self._last_input_s, "idle", at_s)

    def _on_dead_client(self, at_s: float) -> None:
        self._on_limit(Timer.DEAD_CLIENT, self._limits.dead_client_s, self._last_traffic_s, "dead_client", at_s)

    def _on_limit(self, timer: Timer, limit_s: float | None, since_s: float, refusal: str, at_s: float) -> None:
        """Close, unless something has come since the timer was set: then it is set anew.

        What comes for a session that went on elsewhere does not count.
        """
        if self.live and limit_s is not None and since_s + limit_s > at_s:
            self._due[timer] = since_s + limit_s
        else:
            self._refuse(find_refusal(refusal), at_s)

    def _on_close_wait(self, at_s: float) -> None:
        self._end(at_s)
        self._out.put(HangUp())


# Looking up a member of an enum costs more than a call does on Python 3.11: for every frame, these are kept at hand.
_AWAITING_SETUP, _LIVE = Phase.AWAITING_SETUP, Phase.LIVE
_DEAF = (Phase.REFUSED, Phase.DETACHED, Phase.CLOSING, Phase.ENDED)
_SETUP_FIRST_ONLY = find_refusal("setup_first_only")
_UNREGISTERED = find_refusal("unregistered_caller")
_QUOTA = find_refusal("quota")
_CONTEXT_EXHAUSTED = find_refusal("context_exhausted")


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
    Timer.SESSION_LENGTH: Session._on_session_over,
    Timer.REFUSAL: Session._on_refusal,
    Timer.CLOSE_WAIT: Session._on_close_wait,
}
