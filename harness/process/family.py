"""All processes that one client is made of: its group, its descendants, and those that left both."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from harness.process import linux

_KILL_ROUNDS = 60
_KILL_PAUSE_S = 0.005
"""Between two rounds of `kill_now`: at most 0.3 s in all."""


@dataclass(frozen=True, slots=True)
class LeftOver:
    """A process of an earlier run that is still there."""

    pid: int
    run_id: str
    command: str


class Family:
    """The processes of one client, found again at every look.

    On Linux, those are: the members of its process group, its descendants, what was either of these at an earlier
    look, and what carries the run's id in its environment; all of them only among our own descendants, to whom
    orphans are added because we are their subreaper. A process that left the group, gave itself a new environment
    and was orphaned, all between two looks, is not found. Elsewhere it is the process group alone.
    """

    _leaders: ClassVar[set[int]] = set()
    """Clients of this harness that are being watched: one's sweep spares the others."""

    def __init__(self, leader: int, run_id: str) -> None:
        self.leader = leader
        self.run_id = run_id
        self._known: dict[int, int] = {}
        """Pid → start of every member ever seen."""
        self._leaders.add(leader)

    def forget(self) -> None:
        """The client is stopped: its pid may be another's soon."""
        self._leaders.discard(self.leader)

    def signal_group(self, number: signal.Signals) -> None:
        """Signal the process group; only while the leader is not reaped is its number surely ours."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.leader, number)

    def look(self) -> list[linux.Process]:
        """Members that run now, the leader too if it does; those that have ended are reaped. Empty off Linux."""
        if not linux.AVAILABLE:
            return []
        table = linux.processes()
        below_us = linux.descendants(os.getpid(), table)
        ours = linux.descendants(self.leader, table) | {self.leader}
        others = self._leaders - {self.leader}
        theirs = others.union(*(linux.descendants(other, table) for other in others))
        members = [table[pid] for pid in sorted(below_us - theirs) if pid in ours or self._is_member(table[pid])]
        self._known.update((member.pid, member.started_ticks) for member in members)
        linux.reap(m.pid for m in members if m.zombie and m.parent == os.getpid() and m.pid != self.leader)
        return [member for member in members if not member.zombie]

    def _is_member(self, process: linux.Process) -> bool:
        return (
            process.group == self.leader
            or self._known.get(process.pid) == process.started_ticks
            or linux.mark_of(process.pid) == self.run_id
        )

    def signal_all(self, members: list[linux.Process], number: signal.Signals) -> None:
        """Signal each member by itself."""
        for member in members:
            linux.send_signal(member, number)

    def kill_now(self) -> None:
        """Kill all of it without waiting for anything; takes 0.3 s at most."""
        if not linux.AVAILABLE:
            self.signal_group(signal.SIGKILL)
            return
        for _ in range(_KILL_ROUNDS):
            members = self.look()
            if not members:
                return
            self.signal_all(members, signal.SIGKILL)
            time.sleep(_KILL_PAUSE_S)


def left_over() -> list[LeftOver]:
    """Processes on this machine that carry a run's id, and whose harness is gone."""
    if not linux.AVAILABLE:
        return []
    table = linux.processes()
    found = []
    for process in table.values():
        run_id = linux.mark_of(process.pid)
        if (
            run_id is not None
            and not process.zombie
            and not _is_there(linux.variable_of(process.pid, linux.OWNER), table)
        ):
            found.append(LeftOver(process.pid, run_id, linux.command_line(process.pid)))
    return found


def _is_there(owner: str | None, table: Mapping[int, linux.Process]) -> bool:
    """True for a harness that runs; False for a process that does not say whose it is."""
    pid, _, started = (owner or "").partition(":")
    harness = table.get(int(pid)) if pid.isdigit() else None
    return harness is not None and str(harness.started_ticks) == started and not harness.zombie
