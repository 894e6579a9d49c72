"""One WebSocket: hands what comes in to its session, and carries out what the session says. Decides nothing."""

from __future__ import annotations

import asyncio
import math
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import ParamSpec, TypeAlias

from aiohttp import WebSocketError, WSMsgType, web

from fake_server.clock import Clock
from fake_server.effects import (
    Abort,
    Close,
    EchoClose,
    Effect,
    HangUp,
    Pong,
    Send,
    SendRaw,
    Tell,
    cut_turns,
    told_of_unsent,
)
from fake_server.events import CloseSent, ConnectionEnded, FrameSent, Observer, ServerEvent
from fake_server.frames import FramePress, close_frame, pong_frame
from fake_server.listener import WatchedHandler
from fake_server.session import Session
from fake_server.wire.order import FrameOrder

Gate: TypeAlias = Callable[[FrameSent], Awaitable[None] | None]
"""Asked before a frame is written; what it returns is awaited first, and all that follows on the connection waits."""

_P = ParamSpec("_P")

_HANG_UP_WAIT_S = 2.0
"""How long a link may take to end in order (a peer that reads nothing never lets it); then it is dropped."""
_NO_LINGER = struct.pack("ii", 1, 0)
_TOO_BIG = 1009


class Link:
    """Carries one session on one upgraded connection."""

    def __init__(
        self,
        session: Session,
        ws: web.WebSocketResponse,
        protocol: WatchedHandler,
        transport: asyncio.Transport,
        *,
        clock: Clock,
        observer: Observer,
        press: FramePress,
        gate: Gate | None,
        on_error: Callable[[Exception], None],
    ) -> None:
        self.number = session.caller.connection
        self._session = session
        self._ws = ws
        self._protocol = protocol
        self._transport = transport
        self._clock = clock
        self._observe = observer
        self._press = press
        self._gate = gate
        self._on_error = on_error
        self._loop = asyncio.get_running_loop()
        self._frames_sent = 0
        self._order = FrameOrder()
        self._outbox: deque[Effect] = deque()
        self._unwritten: list[bytes] = []
        self._untold: list[ServerEvent] = []
        self._working = False
        self._waiting: asyncio.Future[None] | None = None
        self._waiting_then: tuple[ServerEvent, ...] = ()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = math.inf
        self._close_frames = False
        self._aborted = False

    async def run(self) -> None:
        """From the 101 to the end of the TCP link."""
        now_s = self._clock.monotonic_s
        session = self._session
        try:
            self._carry_out(session.opened, now_s())
            while True:
                message = await self._ws.receive()
                kind = message.type
                if kind is WSMsgType.TEXT or kind is WSMsgType.BINARY:
                    self._carry_out(session.received, message.data, now_s())
                elif kind is WSMsgType.PING:
                    self._carry_out(session.pinged, bytes(message.data), now_s())
                elif kind is WSMsgType.CLOSE:
                    self._close_frames = True
                    self._drop_unsent()
                    self._carry_out(session.close_received, message.data or None, message.extra or "", now_s())
                    break
                elif kind is not WSMsgType.PONG:
                    self._tell_protocol_error(message.data)
                    break
        finally:
            await self._finish()

    def _tell_protocol_error(self, error: object) -> None:
        """Aiohttp has closed by itself for what no session is ever given: a frame too large, or no frame at all."""
        if isinstance(error, WebSocketError) and not self._close_frames:
            self._close_frames = True
            refusal = "frame_too_large" if error.code == _TOO_BIG else None
            self._observe(CloseSent(self.number, error.code, "", refusal, False))

    def perform(self, effects: Iterable[Effect]) -> None:
        """Carry out effects in order, after those that wait already."""
        if self._waiting is not None:
            for effect in effects:
                if isinstance(effect, Tell):
                    self._observe(effect.event)
                elif isinstance(effect, Abort):
                    self._abort()
                else:
                    self._outbox.append(effect)
            self._arm()
            return
        self._outbox.extend(effects)
        if not self._working:
            self._work()
        self._arm()

    def drop(self) -> None:
        """End the link at once, because the server stops."""
        self._aborted = True
        self._transport.abort()

    # ---- carrying out

    def _work(self) -> None:
        self._working = True
        outbox, press, gate, observe, order = self._outbox, self._press.press, self._gate, self._observe, self._order
        try:
            while outbox and self._waiting is None:
                effect = outbox.popleft()
                kind = type(effect)
                if kind is Send:
                    if not self._frames_sent:
                        order.says_turn_complete = self._session.says_turn_complete
                    data, event = press(effect, self.number, self._frames_sent + 1, order)  # type: ignore[arg-type]
                    if gate is not None:
                        self._frame(data, event, effect.then)  # type: ignore[union-attr]
                    else:
                        self._frames_sent += 1
                        self._unwritten.append(data)
                        self._untold.append(event)
                        if effect.then:  # type: ignore[union-attr]
                            self._untold.extend(effect.then)  # type: ignore[union-attr]
                    if not outbox:
                        self._write()
                elif kind is Tell:
                    if self._unwritten:
                        self._write()
                    observe(effect.event)  # type: ignore[union-attr]
                else:
                    self._control(effect)
                    if not outbox:
                        self._write()
        finally:
            self._working = False

    def _control(self, effect: Effect) -> None:
        if isinstance(effect, SendRaw):
            self._frame(*self._press.press_raw(effect, self.number, self._frames_sent + 1), ())
        elif isinstance(effect, Pong):
            self._unwritten.append(pong_frame(effect.payload))
        elif isinstance(effect, Close):
            self._close_frames = True
            self._unwritten.append(close_frame(effect.code, effect.reason))
            self._untold.append(CloseSent(self.number, effect.code, effect.reason, effect.refusal, effect.deliberate))
        elif isinstance(effect, EchoClose):
            self._unwritten.append(close_frame(1000, ""))
        elif isinstance(effect, HangUp):
            self._write()
            self._transport.close()
        elif isinstance(effect, Abort):
            self._abort()

    def _frame(self, data: bytes, event: FrameSent, then: tuple[ServerEvent, ...]) -> None:
        if self._gate is not None:
            self._write()
            wait = self._gate(event)
            if wait is not None:
                self._waiting_then = then
                self._waiting = asyncio.ensure_future(self._hold(wait, data, event, then))
                return
        self._frames_sent += 1
        self._unwritten.append(data)
        self._untold.append(event)
        self._untold.extend(then)

    async def _hold(self, wait: Awaitable[None], data: bytes, event: FrameSent, then: tuple[ServerEvent, ...]) -> None:
        try:
            await wait
        except Exception as error:  # noqa: BLE001 - whatever the gate's owner did wrong, the frame still goes out
            self._on_error(error)
        self._waiting = None
        self._frames_sent += 1
        self._unwritten.append(data)
        self._untold.extend((event, *then))
        self._write()
        self.perform(())

    def _write(self) -> None:
        """Write all frames that are ready, in one piece, and then tell of them."""
        if not self._unwritten and not self._untold:
            return
        data, self._unwritten = self._unwritten, []
        events, self._untold = self._untold, []
        if self._transport.is_closing():
            self._tell(cut_turns(events))  # nobody is there to send to: what was not written is not told
            return
        self._transport.write(data[0] if len(data) == 1 else b"".join(data))
        for event in events:
            self._observe(event)

    def _tell(self, events: Iterable[ServerEvent]) -> None:
        for event in events:
            self._observe(event)

    def _abort(self) -> None:
        """RST: the link's data is thrown away, and nothing more is written."""
        self._drop_unsent()
        self._aborted = True
        sock = self._transport.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._transport.abort()

    def _drop_unsent(self) -> None:
        unsent, untold = list(self._outbox), self._untold
        self._outbox.clear()
        self._unwritten.clear()
        self._untold = []
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
            untold = [*self._waiting_then, *untold]
        self._tell(cut_turns(untold))
        self._tell(effect.event for effect in unsent if isinstance(effect, Tell))
        self._tell(told_of_unsent(unsent))

    # ---- time

    def _arm(self) -> None:
        due_s = self._session.next_deadline_s
        if due_s == math.inf or (self._timer is not None and self._timer_s <= due_s):
            return  # an earlier timer finds nothing due and is set anew
        if self._timer is not None:
            self._timer.cancel()
        self._timer_s = due_s
        self._timer = self._loop.call_later(max(0.0, due_s - self._clock.monotonic_s()), self._ring)

    def _ring(self) -> None:
        at_s = max(self._timer_s, self._clock.monotonic_s())
        self._timer = None
        self._carry_out(self._session.tick, at_s)
        self._arm()

    def _carry_out(self, step: Callable[_P, list[Effect]], *args: _P.args, **kwargs: _P.kwargs) -> None:
        """Take one step of the session; a fault of ours is told as a close 1011, and raised to the owner."""
        try:
            self.perform(step(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - nothing of ours may reach the client as a broken socket
            self._on_error(error)
            self._broken()

    def _broken(self) -> None:
        if self._close_frames or self._transport.is_closing():
            return
        self._drop_unsent()
        effect = Close(1011, "Internal error encountered.", None, False)
        self._close_frames = True
        self._transport.write(close_frame(effect.code, effect.reason))
        self._observe(CloseSent(self.number, effect.code, effect.reason, None, False))
        self._transport.close()

    # ---- the end

    async def _finish(self) -> None:
        self._drop_unsent()
        if not self._protocol.lost.done():
            self._transport.close()
            done, _ = await asyncio.wait({self._protocol.lost}, timeout=_HANG_UP_WAIT_S)
            if not done:
                self._transport.abort()
                await asyncio.wait({self._protocol.lost}, timeout=_HANG_UP_WAIT_S)
        self._carry_out(self._session.link_ended, self._clock.monotonic_s())
        if self._timer is not None:
            self._timer.cancel()
        self._observe(ConnectionEnded(self.number, self._how_it_ended()))

    def _how_it_ended(self) -> str:
        if self._aborted:
            return "aborted"
        if self._close_frames:
            return "closed"
        error = self._protocol.lost.result() if self._protocol.lost.done() else None
        return "reset" if isinstance(error, ConnectionError) else "fin"
