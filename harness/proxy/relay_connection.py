"""One dialled connection through the built-in relay: two sockets, a `Lane` each way, and the faults on them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from random import Random

from fake_server.clock import Clock
from harness.proxy import sockets
from harness.proxy.port import Direction, Fault, FaultKind
from harness.proxy.shaping import End, Lane, Wait

DIAL_DEADLINE_S = 5.0
"""For the relay's own dial of the fake server, on the same machine."""

ORDERLY_CLOSE_S = 5.0
"""How long a cut connection is read on, so that late bytes of an end that has not noticed yet cause no RST."""

FULL_CHECK_S = 0.025
"""How often a sender that is not read from, since the lane is full, is checked for having closed."""


class RelayConnection:
    """Runs until both ends are through with each other, or a fault ends it."""

    def __init__(
        self,
        client: socket.socket,
        upstream_port: int,
        faults: list[Fault],
        *,
        clock: Clock,
        seed: int,
        on_client_closed: Callable[[int | None], None],
    ) -> None:
        """`client` was just accepted; `run` dials `upstream_port` on 127.0.0.1; `faults` are in force already."""
        self.faults = faults
        self._client = client
        self._upstream = ("127.0.0.1", upstream_port)
        self._server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        for sock in (self._client, self._server):
            sock.setblocking(False)
            with contextlib.suppress(OSError):  # a client that has reset its dial already
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._clock = clock
        self._on_client_closed = on_client_closed
        self._client_close_told = False
        self._upstream_port: int | None = None
        self._lanes = {d: Lane(d, Random(f"{seed}:{d.value}")) for d in (Direction.UP, Direction.DOWN)}
        self._news = {d: asyncio.Event() for d in self._lanes}
        self._room = {d: asyncio.Event() for d in self._lanes}
        self._delivered: set[Direction] = set()
        self._failed: set[socket.socket] = set()
        self._over = asyncio.Event()
        self._orderly = True
        self.failure: BaseException | None = None
        """Why it carries nothing, when that is the relay's own doing; None while all is well."""
        self._set_lane_faults()

    # -- what the link asks for -------------------------------------------------------------------------------

    def begin(self, fault: Fault) -> None:
        """A lasting fault is in force on this connection from now on."""
        self.faults.append(fault)
        self._set_lane_faults()

    def end(self, fault: Fault) -> None:
        """The fault is lifted; a connection that lived through a black hole has lost bytes, and is closed."""
        if fault not in self.faults:
            return
        self.faults.remove(fault)
        if fault.kind is FaultKind.BLACKHOLE:
            self.cut(Direction.BOTH)
        else:
            self._set_lane_faults()

    def cut(self, direction: Direction) -> None:
        """FIN now: to the server (`up`), to the client (`down`), or both; queued bytes are lost."""
        for lane in self._hit(direction):
            lane.sever()
            self._wake(lane.direction)
            sockets.end_sending(self._sink(lane.direction))
        if direction is Direction.BOTH:
            self._over.set()

    def reset(self, direction: Direction) -> None:
        """RST now: to the server (`up`), to the client (`down`), or both. The end that is spared sees silence."""
        for lane in self._hit(direction):
            lane.sever()
            sink = self._sink(lane.direction)
            self._failed.add(sink)
            if direction is not Direction.BOTH:
                self._leave_alone(sink)
                self._delivered.update(other for other in self._lanes if other is not direction)
            sockets.abort(sink)
        if direction is Direction.BOTH:
            self._orderly = False
            self._over.set()

    # -- its life -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Dial the server, carry bytes until the end, close both sockets. Never raises but for cancellation."""
        workers: list[asyncio.Task[None]] = []
        try:
            if await self._dial():
                workers = [
                    asyncio.create_task(work(direction))
                    for direction in self._lanes
                    for work in (self._take_in, self._give_out)
                ]
                for worker in workers:
                    worker.add_done_callback(self._on_worker_end)
                await self._over.wait()
                await _stop(workers)
            if self._orderly:
                await self._close_orderly()
        finally:
            await _stop(workers)
            self._client.close()
            self._server.close()

    async def _dial(self) -> bool:
        """False when the server cannot be reached (see `failure`) or a fault ended the connection meanwhile."""
        try:
            async with asyncio.timeout(DIAL_DEADLINE_S):
                await asyncio.get_running_loop().sock_connect(self._server, self._upstream)
            self._upstream_port = self._server.getsockname()[1]
        except (OSError, TimeoutError) as error:
            if not self._over.is_set():
                self.failure = error
            return False
        return not self._over.is_set()

    def _on_worker_end(self, worker: asyncio.Task[None]) -> None:
        if not worker.cancelled() and (error := worker.exception()) is not None:
            self.failure = self.failure or error
            self._over.set()

    async def _take_in(self, direction: Direction) -> None:
        lane, source = self._lanes[direction], self._source(direction)
        loop = asyncio.get_running_loop()
        end = End.FIN
        while True:
            while lane.full:
                if direction is Direction.UP and sockets.peer_ended(source):
                    self._tell_client_closed()
                await _wait(self._room[direction], FULL_CHECK_S)
            try:
                data = await loop.sock_recv(source, sockets.READ_BYTES)
            except OSError:
                end = End.RST
                break
            if not data:
                # After a failed send the system has reported the reset already, and a read finds a plain end.
                end = End.RST if source in self._failed else End.FIN
                break
            lane.receive(data, self._clock.monotonic_s())
            self._news[direction].set()
        if direction is Direction.UP:
            self._tell_client_closed()
        if lane.severed:
            self._deliver_end(direction, end)
        lane.receive_end(end, self._clock.monotonic_s())
        self._news[direction].set()

    async def _give_out(self, direction: Direction) -> None:
        lane, sink = self._lanes[direction], self._sink(direction)
        while True:
            self._news[direction].clear()
            step = lane.next(self._clock.monotonic_s())
            if isinstance(step, Wait):
                await _wait(self._news[direction], step.seconds)
            elif isinstance(step, End):
                self._deliver_end(direction, step)
            else:
                try:
                    lane.sent(sink.send(step), self._clock.monotonic_s())
                except BlockingIOError:
                    await sockets.until_writable(sink)
                except OSError as error:
                    if isinstance(error, ConnectionResetError):  # but EPIPE: a plain end came first, still to be read
                        self._failed.add(sink)
                    lane.sever()
                if not lane.full:
                    self._room[direction].set()

    def _deliver_end(self, direction: Direction, end: End) -> None:
        if end is End.RST:
            self._orderly = False
            sockets.abort(self._sink(direction))
            self._over.set()
            return
        sockets.end_sending(self._sink(direction))
        self._delivered.add(direction)
        if len(self._delivered) == len(self._lanes):
            self._over.set()

    async def _close_orderly(self) -> None:
        for sock in (self._client, self._server):
            sockets.end_sending(sock)
        closed, _ = await asyncio.gather(
            sockets.read_away(self._client, ORDERLY_CLOSE_S), sockets.read_away(self._server, ORDERLY_CLOSE_S)
        )
        if closed:
            self._tell_client_closed()

    # -- small things -------------------------------------------------------------------------------------------

    def _leave_alone(self, sock: socket.socket) -> None:
        """Stop watching a socket that is about to be closed under its reader."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(sock.fileno())
        loop.remove_writer(sock.fileno())

    def _tell_client_closed(self) -> None:
        if not self._client_close_told:
            self._client_close_told = True
            self._on_client_closed(self._upstream_port)

    def _set_lane_faults(self) -> None:
        for direction, lane in self._lanes.items():
            lane.set_faults(self.faults)
            self._wake(direction)

    def _wake(self, direction: Direction) -> None:
        self._news[direction].set()
        self._room[direction].set()

    def _hit(self, direction: Direction) -> list[Lane]:
        return [lane for lane in self._lanes.values() if direction in (lane.direction, Direction.BOTH)]

    def _source(self, direction: Direction) -> socket.socket:
        return self._client if direction is Direction.UP else self._server

    def _sink(self, direction: Direction) -> socket.socket:
        return self._server if direction is Direction.UP else self._client


async def _wait(event: asyncio.Event, seconds: float | None) -> None:
    """Until the event is set, for at most `seconds`; leaves it cleared."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
    event.clear()


async def _stop(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
