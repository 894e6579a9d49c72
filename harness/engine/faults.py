"""Puts faults in force and lifts them, and writes down how late each of our own moves was."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from fake_server.app import ActError, FakeServer
from harness.engine.recorder import Recorder
from harness.errors import UserMistake
from harness.journal.events import FaultDue, FaultFailed, FaultInForce, FaultLifted, Note
from harness.proxy.port import INSTANT, Link, ProxyError, Scope
from harness.scenario.faults import ClientFault, Fault, NetworkFault, RefusalFault, ServerFault, TokenFault
from harness.translate import network_fault, server_act

UNDER_WAY_S = 5.0
"""At the end of a run: a fault is in force, or lifted, within milliseconds of being due."""

_Move = Callable[[], Awaitable[None]]
ClientControl = Callable[[ClientFault], Awaitable[_Move | None]]
"""Suspends, resumes or kills the program, and returns when that is done: what is left to do after it (starting the
program again), or None."""


@dataclass(frozen=True, slots=True)
class _Applied:
    """A fault that is in force."""

    lift: _Move | None = None
    """None: there is nothing to lift."""
    then: _Move | None = None
    """What belongs to the fault and comes after it; None: nothing."""
    hits_new_dials: bool = False


@dataclass(slots=True)
class _Running:
    number: int
    fault: Fault
    lift: _Move
    ends_at_s: float | None
    """Loop time at which it is to be lifted; None: at the end of the run."""
    hits_new_dials: bool
    timer: asyncio.TimerHandle | None = None
    lifting: bool = False


class FaultRunner:
    """One run's faults. Every fault that was put in force is lifted, by its own time or by `lift_all`."""

    def __init__(
        self, recorder: Recorder, links: Mapping[str, Link], server: FakeServer, control_client: ClientControl
    ) -> None:
        self._recorder = recorder
        self._links = links
        self._server = server
        self._control_client = control_client
        self._count = 0
        self._running: dict[int, _Running] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.newest: Fault | None = None
        """The fault that came into force last; None: none yet."""
        self.last_in_force_s: float | None = None
        """Journal time of that; None: none yet."""
        self.link_back_s: float | None = None
        """Journal time since when new dials work again after the newest fault; None: they do not, or no fault yet."""

    def due(self, fault: Fault, *, after_s: float = 0.0, late_s: float = 0.0) -> asyncio.Task[None]:
        """The fault is due now (`late_s` after it should have been): begin it. The task ends when it is in force."""
        self._count += 1
        task = asyncio.get_running_loop().create_task(self._begin(self._count, fault, after_s, late_s))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _begin(self, number: int, fault: Fault, after_s: float, late_s: float) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time() - late_s
        self._recorder.record(FaultDue(number, fault.act, fault.model_dump(mode="json", exclude_none=True), after_s))
        try:
            applied = await self._apply(fault)
        except ActError as error:
            # The client has no live session to act on: that is something about the client, not about us.
            self._recorder.record(Note(f"{fault.act} found nothing to act on: {error}"))
            return
        except Exception as error:  # noqa: BLE001 - nobody else looks at how this task ends
            self._recorder.record(FaultFailed(number, fault.act, _reason(error)))
            return
        lag_ms = (loop.time() - began_s) * 1000
        entry = self._recorder.record(
            FaultInForce(
                number,
                fault.act,
                fault.link if isinstance(fault, NetworkFault) else None,
                str(fault.direction) if isinstance(fault, NetworkFault) else None,
                str(fault.scope) if isinstance(fault, NetworkFault) else None,
                fault.for_s,
                round(lag_ms, 3),
            )
        )
        self.newest, self.last_in_force_s = fault, entry.t
        if applied.lift is not None:
            ends_at_s = None if fault.for_s is None else loop.time() + fault.for_s
            running = _Running(number, fault, applied.lift, ends_at_s, applied.hits_new_dials)
            self._running[number] = running
            if ends_at_s is not None:
                running.timer = loop.call_at(ends_at_s, self._start_lift, number)
        self.link_back_s = None if self.holding else entry.t
        if applied.then is not None:
            try:
                await applied.then()
            except Exception as error:  # noqa: BLE001 - as above
                self._recorder.record(FaultFailed(number, fault.act, _reason(error)))

    async def _apply(self, fault: Fault) -> _Applied:
        """Put it in force."""
        match fault:
            case NetworkFault():
                wanted = network_fault(fault)
                links = [link for name, link in self._links.items() if fault.link in {"all", name}]
                await asyncio.gather(*(link.apply(wanted) for link in links))
                if wanted.kind in INSTANT:
                    return _Applied()

                async def lift_links() -> None:
                    await asyncio.gather(*(link.lift(wanted) for link in links))

                return _Applied(lift_links, hits_new_dials=wanted.scope is Scope.ALL)
            case ServerFault() | TokenFault():
                act = server_act(fault)
                self._server.act(act)
                if fault.for_s is None:
                    return _Applied()

                async def lift_act() -> None:
                    self._server.lift(act)

                return _Applied(lift_act, hits_new_dials=isinstance(fault, RefusalFault | TokenFault))
            case ClientFault():
                then = await self._control_client(fault)
                if fault.for_s is None:
                    return _Applied(then=then)

                async def wake_client() -> None:
                    await self._control_client(ClientFault(client="resume"))

                return _Applied(wake_client, hits_new_dials=True)

    def _start_lift(self, number: int) -> None:
        task = asyncio.get_running_loop().create_task(self._lift(number))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _lift(self, number: int) -> None:
        running = self._running.get(number)
        if running is None or running.lifting:
            return
        running.lifting = True
        if running.timer is not None:
            running.timer.cancel()
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        should_s = now_s if running.ends_at_s is None else min(now_s, running.ends_at_s)
        try:
            await running.lift()
        except Exception as error:  # noqa: BLE001 - as above
            self._recorder.record(FaultFailed(number, running.fault.act, f"could not be lifted: {_reason(error)}"))
        else:
            lag_ms = (loop.time() - should_s) * 1000
            lifted = FaultLifted(number, running.fault.act, round(lag_ms, 3))
            del self._running[number]
            entry = self._recorder.record(lifted)
            if not self.holding:
                self.link_back_s = entry.t
        finally:
            self._running.pop(number, None)

    @property
    def existing_only(self) -> bool:
        """True when the newest fault hit only the links that lived when it began."""
        return isinstance(self.newest, NetworkFault) and self.newest.scope is Scope.EXISTING

    @property
    def holding(self) -> bool:
        """True while any fault is in force that hits new dials."""
        return any(running.hits_new_dials for running in self._running.values())

    async def wait_for_links(self) -> None:
        """Until no fault that hits new dials is in force; faults without an end of their own are lifted now."""
        for running in list(self._running.values()):
            if running.hits_new_dials and running.ends_at_s is None:
                await self._lift(running.number)
        while self.holding:
            waiting = [r.ends_at_s for r in self._running.values() if r.hits_new_dials and r.ends_at_s is not None]
            if not waiting:
                return
            loop = asyncio.get_running_loop()
            await asyncio.sleep(max(0.005, max(waiting) - loop.time()))

    async def lift_all(self) -> None:
        """Lift every fault that is still in force, now; what is under way has `UNDER_WAY_S` to come to its end."""
        tasks = list(self._tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=UNDER_WAY_S)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for number in list(self._running):
            await self._lift(number)


def _reason(error: Exception) -> str:
    expected = isinstance(error, ProxyError | UserMistake | ActError | ValueError | OSError)
    return str(error) if expected else f"{type(error).__name__}: {error}"
