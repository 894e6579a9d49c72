"""One suite over both proxies: what a client sees of every fault, tried on a quiet link and while bytes stream."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from fake_server.clock import SystemClock
from harness.proxy.choose import check_proxy, open_proxy
from harness.proxy.locate import locate
from harness.proxy.port import (
    INSTANT,
    ClientClosed,
    Dialled,
    Direction,
    Fault,
    FaultKind,
    FaultProxy,
    Link,
    ProxyError,
    Scope,
)
from tests.live.proxy_fixtures import CHATTER_BYTES, Peer, RawServer, dial

pytestmark = pytest.mark.live

UP, DOWN, BOTH = Direction.UP, Direction.DOWN, Direction.BOTH
PROXIES = ["builtin", pytest.param("toxiproxy", marks=pytest.mark.toxiproxy)]
DIRECTIONS = [UP, DOWN, BOTH]
SERVER = locate(os.environ)


@dataclass
class World:
    proxy: FaultProxy
    link: Link
    server: RawServer
    facts: list[Dialled | ClientClosed] = field(default_factory=list)
    callers: list[Peer] = field(default_factory=list)
    told: asyncio.Event = field(default_factory=asyncio.Event)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def observe(self, fact: Dialled | ClientClosed) -> None:
        self.facts.append(fact)
        self.told.set()

    async def dial(self) -> Peer:
        caller = await dial(self.link.port)
        self.callers.append(caller)
        return caller

    async def pair(self) -> tuple[Peer, Peer]:
        """A new connection: the client's end, the server's end."""
        number = len(self.server.accepted)
        client = await self.dial()
        return client, await self.server.number(number)

    async def works(self, client: Peer, server: Peer) -> None:
        """Bytes pass in both directions."""
        number = next(self.numbers)
        await client.send(b"<ask %d>" % number)
        await server.gets(b"<ask %d>" % number)
        await server.send(b"<answer %d>" % number)
        await client.gets(b"<answer %d>" % number)

    async def new_dial_works(self) -> None:
        await self.works(*await self.pair())

    async def until_told(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.facts) < count:
                self.told.clear()
                await self.told.wait()


@pytest.fixture(params=PROXIES)
def kind(request: pytest.FixtureRequest) -> str:
    if request.param == "toxiproxy" and SERVER is None:
        reason = "no Toxiproxy server was found: `harness doctor --install-toxiproxy` fetches one"
        if os.environ.get("HARNESS_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return str(request.param)


@pytest.fixture
async def world(kind: str) -> AsyncIterator[World]:
    proxy, _ = await open_proxy(kind, seed=7, clock=SystemClock())  # type: ignore[arg-type]
    server = RawServer()
    made = World(proxy, None, server)  # type: ignore[arg-type]
    made.link = await proxy.open_link("live", server.port, made.observe, label="test")
    yield made
    for caller in made.callers:
        await caller.close()
    await made.link.close()
    await proxy.close()
    await server.close()


@pytest.fixture(params=["idle", "busy"])
async def call(world: World, request: pytest.FixtureRequest) -> tuple[Peer, Peer]:
    """A connection in use: quiet, or with both ends talking all the time."""
    client, server = await world.pair()
    await world.works(client, server)
    if request.param == "busy":
        client.chatter()
        server.chatter()
        await client.until(lambda: len(client.received) > 2000)
        await server.until(lambda: len(server.received) > 2000)
    return client, server


def hits(direction: Direction, way: Direction) -> bool:
    return direction in (way, BOTH)


def ways(client: Peer, server: Peer) -> list[tuple[Direction, Peer, Peer]]:
    """Each way with its sender and its receiver."""
    return [(UP, client, server), (DOWN, server, client)]


def orderly(world: World, peer: Peer) -> set[str]:
    """How a link that is cut may end.

    A socket closed with a byte unread sends RST: the relay reads first, Toxiproxy does not, and under load it happens.
    """
    return {"fin", "rst"} if peer.talks and world.proxy.kind == "toxiproxy" else {"fin"}


async def marks(*peers: Peer) -> None:
    for peer in peers:
        await peer.send(b"<mark>")


# -- what is offered ---------------------------------------------------------------------------------------------


async def test_what_a_proxy_cannot_do_is_refused_and_absent_from_its_abilities(world: World) -> None:
    refused = set()
    for combination in itertools.product(FaultKind, Direction, Scope):
        fault = Fault(*combination)
        if not world.proxy.abilities.can(fault):
            refused.add(combination)
            with pytest.raises(ValueError, match=f"{fault.kind.value}.*{world.proxy.kind} proxy cannot"):
                await world.link.apply(fault)
    on_dials = {
        (kind, direction, scope)
        for kind in (FaultKind.REFUSE, FaultKind.UNAVAILABLE)
        for direction, scope in itertools.product(Direction, Scope)
        if (direction, scope) != (BOTH, Scope.ALL)
    }
    if world.proxy.kind == "builtin":
        assert refused == on_dials
    else:
        assert {c for c in refused if c[0] is FaultKind.RESET} == set(
            itertools.product([FaultKind.RESET], Direction, Scope)
        )
        assert on_dials < refused
        assert (FaultKind.STALL, BOTH, Scope.EXISTING) in refused
        assert (FaultKind.CUT, BOTH, Scope.EXISTING) not in refused
    await world.new_dial_works()


# -- faults that end links ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", Scope)
async def test_cut_is_a_fin_and_the_next_dial_works_at_once(
    world: World, call: tuple[Peer, Peer], scope: Scope
) -> None:
    client, server = call
    port = world.link.port
    fault = Fault(FaultKind.CUT, scope=scope)
    await world.link.apply(fault)
    fresh_client, fresh_server = await world.pair()
    assert await client.end() in orderly(world, client)
    assert await server.end() in orderly(world, server)
    await world.works(fresh_client, fresh_server)
    await world.link.lift(fault)
    await world.works(fresh_client, fresh_server)
    assert world.link.port == port


async def test_cut_again_and_again(world: World) -> None:
    for _ in range(5):
        client, server = await world.pair()
        await world.works(client, server)
        await world.link.apply(Fault(FaultKind.CUT))
        assert await client.end() == "fin"
    assert len(world.server.accepted) == 5


@pytest.mark.parametrize("kind", ["builtin"])
async def test_reset_is_a_true_rst_on_both_ends(world: World, call: tuple[Peer, Peer]) -> None:
    client, server = call
    await world.link.apply(Fault(FaultKind.RESET))
    assert await client.end() == "rst"
    assert await server.end() == "rst"
    await world.new_dial_works()


@pytest.mark.parametrize("kind", ["builtin"])
@pytest.mark.parametrize("direction", [UP, DOWN])
@pytest.mark.parametrize(("fault_kind", "end"), [(FaultKind.RESET, "rst"), (FaultKind.CUT, "fin")])
async def test_half_an_end_leaves_the_other_side_alone(
    world: World, call: tuple[Peer, Peer], fault_kind: FaultKind, direction: Direction, end: str
) -> None:
    client, server = call
    hit, spared = (server, client) if direction is UP else (client, server)
    await world.link.apply(Fault(fault_kind, direction))
    assert await hit.end() == end
    assert spared.ended is None
    if fault_kind is FaultKind.CUT:
        await hit.send(b"<still open this way>")
        await spared.gets(b"<still open this way>")
    await hit.close()
    await spared.hush()
    await spared.close()
    await world.new_dial_works()


async def test_refuse_cuts_and_refuses_then_the_same_port_works(world: World, call: tuple[Peer, Peer]) -> None:
    client, server = call
    port = world.link.port
    fault = Fault(FaultKind.REFUSE)
    await world.link.apply(fault)
    assert await client.end() in orderly(world, client)
    assert await server.end() in orderly(world, server)
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            await dial(port)
    await world.link.lift(fault)
    assert world.link.port == port
    await world.new_dial_works()
    assert not [fact for fact in world.facts if isinstance(fact, Dialled)]


async def test_unavailable_accepts_closes_and_tells_of_every_dial(world: World, call: tuple[Peer, Peer]) -> None:
    client, server = call
    fault = Fault(FaultKind.UNAVAILABLE)
    await world.link.apply(fault)
    assert await client.end() in orderly(world, client)
    assert await server.end() in orderly(world, server)
    world.facts.clear()
    for _ in range(4):
        caller = await world.dial()
        assert await caller.end() == "fin"
    await world.until_told(4)
    assert [fact for fact in world.facts if isinstance(fact, Dialled)] == [Dialled("live")] * 4
    assert len(world.server.accepted) == 1
    await world.link.lift(fault)
    await world.new_dial_works()


async def test_a_caller_who_speaks_first_is_turned_away_too(world: World) -> None:
    fault = Fault(FaultKind.UNAVAILABLE)
    await world.link.apply(fault)
    caller = await world.dial()
    await caller.send(b"x" * 500)
    assert await caller.end() in ("fin", "rst")
    assert caller.received == b""
    await world.until_told(1)
    await world.link.lift(fault)


# -- faults that hold or drop bytes ------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_stall_holds_every_byte_and_delivers_them_in_order(
    world: World, call: tuple[Peer, Peer], direction: Direction
) -> None:
    client, server = call
    fault = Fault(FaultKind.STALL, direction)
    await world.link.apply(fault)
    for way, sender, receiver in ways(client, server):
        if hits(direction, way):
            await receiver.settles()
        before = len(receiver.received)
        await sender.send(b"<during>")
        if hits(direction, way):
            assert await receiver.hears_nothing()
        else:
            await receiver.until(lambda r=receiver, b=before: b"<during>" in r.received[b:])
    await world.link.lift(fault)
    await world.works(client, server)
    await client.hush()
    await server.hush()
    for _, sender, receiver in ways(client, server):
        await receiver.until(lambda s=sender, r=receiver: len(r.received) >= len(s.sent))
        assert receiver.received == sender.sent
        assert receiver.ended is None


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_stall_holds_new_dials_and_lets_them_go_on(world: World, direction: Direction) -> None:
    fault = Fault(FaultKind.STALL, direction)
    await world.link.apply(fault)
    client, server = await world.pair()
    await marks(client, server)
    for way, _, receiver in ways(client, server):
        if hits(direction, way):
            assert await receiver.hears_nothing()
            assert receiver.received == b""
        else:
            await receiver.gets(b"<mark>")
    await world.link.lift(fault)
    await world.works(client, server)
    assert client.received.startswith(b"<mark>")
    assert server.received.startswith(b"<mark>")


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_blackhole_drops_bytes_and_closes_when_it_lifts(
    world: World, call: tuple[Peer, Peer], direction: Direction
) -> None:
    client, server = call
    fault = Fault(FaultKind.BLACKHOLE, direction)
    await world.link.apply(fault)
    for way, sender, receiver in ways(client, server):
        if hits(direction, way):
            await receiver.settles()
        await sender.send(b"<during>")
        if hits(direction, way):
            assert await receiver.hears_nothing()
        else:
            await receiver.gets(b"<during>")
    fresh_client, fresh_server = await world.pair()
    await fresh_client.send(b"<hello>")
    await fresh_server.send(b"<hello>")
    for way, _, receiver in ways(fresh_client, fresh_server):
        if not hits(direction, way):
            await receiver.gets(b"<hello>")
    await client.hush()
    await server.hush()
    await world.link.lift(fault)
    for way, _, receiver in ways(client, server):
        assert await receiver.end() == "fin"
        assert (b"<during>" in receiver.received) is not hits(direction, way)
    for way, _, receiver in ways(fresh_client, fresh_server):
        assert await receiver.end() == "fin"
        assert (b"<hello>" in receiver.received) is not hits(direction, way)
    await world.new_dial_works()


@pytest.mark.parametrize("fault_kind", [FaultKind.STALL, FaultKind.BLACKHOLE])
async def test_the_clients_own_end_is_told_and_the_server_keeps_a_ghost(
    world: World, call: tuple[Peer, Peer], fault_kind: FaultKind
) -> None:
    client, server = call
    other_client, other_server = await world.pair()
    await world.works(other_client, other_server)
    fault = Fault(fault_kind)
    await world.link.apply(fault)
    await client.send(b"<into the dark>")
    await client.close()
    await world.until_told(1)
    assert world.facts == [ClientClosed("live", server.peer_port)]
    await server.settles()
    await server.hush()
    assert server.ended is None
    await world.link.lift(fault)
    assert await server.end() in ("fin", "rst")
    assert (b"<into the dark>" in server.received) is (fault_kind is FaultKind.STALL)
    if fault_kind is FaultKind.STALL:
        await world.works(other_client, other_server)


@pytest.mark.parametrize("finish", [True, False])
@pytest.mark.parametrize("fault_kind", sorted(set(FaultKind) - INSTANT - {FaultKind.REFUSE, FaultKind.UNAVAILABLE}))
async def test_lifting_is_quick_when_the_client_has_gone(world: World, fault_kind: FaultKind, finish: bool) -> None:
    """Toxiproxy, left to itself, stands still for 5 s for each piece that it holds for a client that is gone."""
    client, server = await world.pair()
    fault = Fault(fault_kind, latency_ms=1500, rate_bytes_per_s=1000)
    await world.link.apply(fault)
    server.chatter()
    while len(server.sent) < 50 * CHATTER_BYTES:
        await client.hears_nothing(0.02)
    await client.close(finish=finish)
    await world.until_told(1)
    start = time.monotonic()
    await world.link.lift(fault)
    await world.link.apply(fault)
    await world.link.lift(fault)
    assert time.monotonic() - start < 2
    assert await server.end() in ("fin", "rst")
    assert world.facts == [ClientClosed("live", server.peer_port)]
    await world.new_dial_works()


@pytest.mark.parametrize("fault_kind", [FaultKind.STALL, FaultKind.BLACKHOLE])
async def test_a_server_that_closes_in_the_dark_is_not_seen_until_light(world: World, fault_kind: FaultKind) -> None:
    client, server = await world.pair()
    await world.works(client, server)
    fault = Fault(fault_kind)
    await world.link.apply(fault)
    await server.close()
    assert await client.hears_nothing()
    await world.link.lift(fault)
    assert await client.end() == "fin"
    assert world.facts == []


@pytest.mark.parametrize("kind", ["builtin"])
@pytest.mark.parametrize("fault_kind", [FaultKind.STALL, FaultKind.BLACKHOLE])
async def test_scope_existing_spares_the_next_link(
    world: World, call: tuple[Peer, Peer], fault_kind: FaultKind
) -> None:
    client, server = call
    fault = Fault(fault_kind, scope=Scope.EXISTING)
    await world.link.apply(fault)
    await client.settles()
    fresh_client, fresh_server = await world.pair()
    await world.works(fresh_client, fresh_server)
    await server.send(b"<old>")
    assert await client.hears_nothing()
    await world.link.lift(fault)
    await world.works(fresh_client, fresh_server)
    if fault_kind is FaultKind.STALL:
        await client.gets(b"<old>")
    else:
        assert await client.end() == "fin"


# -- faults that shape -------------------------------------------------------------------------------------------


async def seconds_for(sender: Peer, receiver: Peer, mark: bytes) -> float:
    start = time.perf_counter()
    await sender.send(mark)
    await receiver.gets(mark)
    return time.perf_counter() - start


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_slow_is_late_in_its_direction_and_loses_nothing(
    world: World, call: tuple[Peer, Peer], direction: Direction
) -> None:
    client, server = call
    fault = Fault(FaultKind.SLOW, direction, latency_ms=250, jitter_ms=20)
    await world.link.apply(fault)
    for way, sender, receiver in ways(client, server):
        late_s = await seconds_for(sender, receiver, b"<late?>")
        if hits(direction, way):
            assert late_s > 0.2
        else:
            assert late_s < 0.2
    await world.link.lift(fault)
    await client.hush()
    await server.hush()
    for _, sender, receiver in ways(client, server):
        await receiver.until(lambda s=sender, r=receiver: len(r.received) >= len(s.sent))
        assert receiver.received == sender.sent


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_throttle_lets_no_more_than_its_rate_pass(
    world: World, call: tuple[Peer, Peer], direction: Direction
) -> None:
    client, server = call
    await client.hush()
    await server.hush()
    fault = Fault(FaultKind.THROTTLE, direction, rate_bytes_per_s=20_000)
    await world.link.apply(fault)
    for way, sender, receiver in ways(client, server):
        start = time.perf_counter()
        for _ in range(8):
            await sender.send(b"x" * 1000)
        took_s = time.perf_counter() - start + await seconds_for(sender, receiver, b"<last>")
        if hits(direction, way):
            assert took_s > 0.3
        else:
            assert took_s < 0.3
    await world.link.lift(fault)
    assert await seconds_for(client, server, b"x" * 40_000 + b"<quick>") < 1.0
    await world.works(client, server)
    assert server.received == client.sent


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_slice_delivers_in_pieces(world: World, call: tuple[Peer, Peer], direction: Direction) -> None:
    client, server = call
    await client.hush()
    await server.hush()
    await client.settles()
    await server.settles()
    fault = Fault(FaultKind.SLICE, direction, slice_bytes=64, slice_delay_ms=30)
    await world.link.apply(fault)
    for way, sender, receiver in ways(client, server):
        reads = len(receiver.reads)
        await sender.send(b"y" * 634 + b"<last>")
        await receiver.gets(b"<last>")
        pieces = receiver.reads[reads:]
        if hits(direction, way):
            assert len(pieces) >= 3
            assert pieces[0] <= 64
        else:
            assert len(pieces) <= 2
    await world.link.lift(fault)
    await world.works(client, server)
    assert server.received == client.sent
    assert client.received == server.sent


# -- together, and the end ---------------------------------------------------------------------------------------


async def test_faults_overlap_on_one_link(world: World) -> None:
    client, server = await world.pair()
    slow = Fault(FaultKind.SLOW, latency_ms=60)
    stall = Fault(FaultKind.STALL)
    await world.link.apply(slow)
    await world.link.apply(stall)
    await world.link.apply(stall)
    await marks(client, server)
    assert await client.hears_nothing()
    await world.link.lift(stall)
    assert await client.hears_nothing()
    await world.link.lift(slow)
    await world.link.lift(stall)
    await client.gets(b"<mark>")
    await server.gets(b"<mark>")
    await world.works(client, server)
    refuse = Fault(FaultKind.REFUSE)
    await world.link.apply(stall)
    await world.link.apply(refuse)
    await world.link.apply(Fault(FaultKind.CUT))
    assert await client.end() == "fin"
    with pytest.raises(ConnectionRefusedError):
        await dial(world.link.port)
    await world.link.lift(stall)
    await world.link.lift(refuse)
    await world.new_dial_works()


async def test_lifting_what_was_never_applied_does_nothing(world: World) -> None:
    client, server = await world.pair()
    for kind in set(FaultKind) - INSTANT:
        await world.link.lift(Fault(kind))
    await world.works(client, server)


async def test_two_links_fail_apart(world: World) -> None:
    second = await world.proxy.open_link("backend", world.server.port, world.observe, label="test")
    assert second.port != world.link.port
    client, server = await world.pair()
    await second.apply(Fault(FaultKind.REFUSE))
    await world.works(client, server)
    await second.close()
    await second.close()
    with pytest.raises(ConnectionRefusedError):
        await dial(second.port)
    with pytest.raises(ProxyError, match=r"backend.*closed"):
        await second.apply(Fault(FaultKind.STALL))
    await world.works(client, server)


async def test_a_client_that_is_not_read_from_meets_a_full_pipe(world: World) -> None:
    client, server = await world.pair()
    await world.link.apply(Fault(FaultKind.STALL))

    async def flood() -> None:
        for _ in range(2000):
            await client.send(b"z" * 65536)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(flood(), 1.5)
    await world.link.close()
    assert await server.end() in ("fin", "rst")


async def test_nothing_is_left_after_close(kind: str) -> None:
    tasks = asyncio.all_tasks()
    proxy, why = await open_proxy(kind, seed=1, clock=SystemClock())  # type: ignore[arg-type]
    assert "\n" not in why
    server = RawServer()
    link = await proxy.open_link("live", server.port)
    client = await dial(link.port)
    peer = await server.number(0)
    await link.apply(Fault(FaultKind.STALL))
    await check_proxy(proxy)
    pid: Any = getattr(proxy, "server_pid", None)
    await proxy.close()
    assert await client.end() in ("fin", "rst")
    assert await peer.end() in ("fin", "rst")
    with pytest.raises(ConnectionRefusedError):
        await dial(link.port)
    if kind == "toxiproxy":
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    await client.close()
    await server.close()
    assert asyncio.all_tasks() == tasks
