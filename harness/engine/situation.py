"""What is going on at this moment of a run, folded from its entries: pure, and the engine's only memory of the past."""

from __future__ import annotations

from dataclasses import dataclass, field

from fake_server import events as server
from harness.journal import events as journal

_LATE_STATES = frozenset({"gave_up"})


@dataclass(slots=True)
class Situation:
    """Fed every entry in order by `take`."""

    now_s: float = 0.0
    first_session_s: float | None = None
    """When the first setupComplete went out: the zero of a scenario's own times."""
    live: dict[int, float] = field(default_factory=dict)
    """Connections with a live session → when it started. Ghosts that the client has closed are not among them."""
    sockets: dict[int, int] = field(default_factory=dict)
    """Socket number → connection number."""
    last_session_s: float | None = None
    last_input_s: float | None = None
    """When client content last arrived in a live session."""
    dials_s: list[float] = field(default_factory=list)
    gave_up: bool = False
    unsupported: str | None = None
    """The client's reason for not playing this scenario; None: it plays."""
    hello: journal.ClientEvent | None = None
    """What the client said of itself before its first session; None: nothing."""
    client_alive: bool = False
    hung_up: bool = False
    heard_turns: dict[int, server.TurnHeard] = field(default_factory=dict)

    def take(self, entry: journal.Entry) -> None:
        """Fold one entry in."""
        self.now_s = entry.t
        match entry.event:
            case server.FrameReceived(connection=connection, message=message):
                if message in {"realtime_input", "client_content"} and connection in self.live:
                    self.last_input_s = entry.t
            case server.UpgradeReceived(connection=connection, socket=socket):
                self.sockets[socket] = connection
                self.dials_s.append(entry.t)
            case journal.LinkDial():
                self.dials_s.append(entry.t)
            case server.SessionStarted(connection=connection):
                self.live[connection] = entry.t
                self.last_session_s = entry.t
                if self.first_session_s is None:
                    self.first_session_s = entry.t
            case (
                server.CloseSent(connection=connection)
                | server.CloseReceived(connection=connection)
                | server.ConnectionEnded(connection=connection)
            ):
                self.live.pop(connection, None)
            case journal.LinkClientClosed(socket=int(socket)):
                self.live.pop(self.sockets.get(socket, 0), None)
            case server.TurnHeard(turn=turn):
                self.heard_turns[turn] = entry.event
            case journal.ClientStarted():
                self.client_alive = True
            case journal.ClientExited(asked=False):
                # One that we ended ourselves is started again, or the story is over.
                self.client_alive = False
            case journal.ClientEvent(event="hello"):
                if self.hello is None and self.first_session_s is None:
                    self.hello = entry.event
            case journal.ClientEvent(event="state", data=data):
                if data.get("state") in _LATE_STATES:
                    self.gave_up = True
            case journal.ClientEvent(event="unsupported", data=data):
                self.unsupported = str(data.get("reason") or "the client gave no reason")
            case journal.StepStarted(verb="hang_up"):
                self.hung_up = True
            case _:
                pass

    @property
    def last_dial_gap_s(self) -> float:
        """Seconds between the last two dials; 0 with fewer than two."""
        return self.dials_s[-1] - self.dials_s[-2] if len(self.dials_s) > 1 else 0.0
