"""What a scenario may order of a connection: the acts that work on one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fake_server import acts, wire
from fake_server.connection import Connection, Timer
from fake_server.effects import Abort, Effect, Send
from fake_server.moves import Phase
from fake_server.odd_frames import malformed_frame, unknown_message
from fake_server.refusals import find_refusal, truncate_reason
from fake_server.service import ActError


class OrderedConnection(Connection):
    """A connection that takes orders."""

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

    def _order_go_away(self, act: acts.GoAway, now_s: float) -> None:
        self._must_be_live(act)
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

    def _order_message(self, act: acts.SendMessage, now_s: float) -> None:
        self._must_be_live(act)
        reason = wire.unsendable_reason(act.message, self.caller.service)
        if reason is not None:
            raise ActError(
                f"SendMessage: {reason}; the service of connection {self.caller.connection} "
                f"({self.caller.service}) could not send it: order SendMalformed or SendUnknown for what is odd"
            )
        self._out.put(Send(act.message, deliberate=True))

    def _order_malformed(self, act: acts.SendMalformed, now_s: float) -> None:
        self._out.put(malformed_frame(act.form))

    def _order_unknown(self, act: acts.SendUnknown, now_s: float) -> None:
        self._out.put(Send(unknown_message(), deliberate=True))

    def _must_be_live(self, act: acts.Act) -> None:
        if not self.live:
            raise ActError(f"{type(act).__name__}: connection {self.caller.connection} has no live session")


_ON_ACT: Mapping[type, Callable[[OrderedConnection, Any, float], None]] = {
    acts.GoAway: OrderedConnection._order_go_away,
    acts.Close: OrderedConnection._order_close,
    acts.Abort: OrderedConnection._order_abort,
    acts.Silence: OrderedConnection._order_silence,
    acts.SlowPong: OrderedConnection._order_slow_pong,
    acts.SendUpdate: OrderedConnection._order_update,
    acts.Interrupt: OrderedConnection._order_interrupt,
    acts.CallTool: OrderedConnection._order_call,
    acts.CancelTool: OrderedConnection._order_cancel,
    acts.SendMessage: OrderedConnection._order_message,
    acts.SendMalformed: OrderedConnection._order_malformed,
    acts.SendUnknown: OrderedConnection._order_unknown,
}
