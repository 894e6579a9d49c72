"""What goes out on a connection, and what is held back: silences, and pongs that come late."""

from __future__ import annotations

import math
from collections.abc import Iterable

from fake_server.acts import Silence, SlowPong
from fake_server.effects import Effect, Pong, Send, SendRaw, Tell, told_of_unsent


class Outlet:
    """Collects a connection's effects in order; holds some back while a scenario says so."""

    def __init__(self) -> None:
        self._effects: list[Effect] = []
        self._silence: Silence | None = None
        self._silent_until_s = math.inf
        self._held: list[Effect] = []
        self._slow_pong: SlowPong | None = None
        self._slow_until_s = math.inf
        self._late_pongs: list[tuple[float, Pong]] = []

    @property
    def due_s(self) -> float:
        """When `fire` has something to do; infinite for never."""
        due_s = self._silent_until_s
        if self._late_pongs and self._late_pongs[0][0] < due_s:
            due_s = self._late_pongs[0][0]
        return due_s

    def put(self, effect: Effect) -> None:
        """One more effect. What is sent to the client may be held back; all else never is."""
        if self._silence is None or not self._is_silenced(effect, self._silence):
            self._effects.append(effect)
        else:
            self._held.append(effect)

    def put_all(self, effects: Iterable[Effect]) -> None:
        """More effects, in order."""
        if self._silence is None:
            self._effects.extend(effects)
        else:
            for effect in effects:
                self.put(effect)

    def pong(self, payload: bytes, now_s: float) -> None:
        """Answer a ping, at once or late."""
        if self._slow_pong is not None and now_s < self._slow_until_s:
            self._late_pongs.append((now_s + self._slow_pong.delay_s, Pong(payload)))
        else:
            self.put(Pong(payload))

    def take(self) -> list[Effect]:
        """All that is to be done now."""
        effects, self._effects = self._effects, []
        return effects

    def silence(self, act: Silence, now_s: float) -> None:
        """Hold back from now on."""
        self._silence = act
        self._silent_until_s = math.inf if act.for_s is None else now_s + act.for_s

    def slow_pong(self, act: SlowPong, now_s: float) -> None:
        """Answer pings late from now on."""
        self._slow_pong = act
        self._slow_until_s = math.inf if act.for_s is None else now_s + act.for_s

    def lift(self, act: object) -> bool:
        """End an order before its time; False: it is not in force here."""
        if self._silence is not None and self._silence == act:
            self._speak_again()
        elif self._slow_pong is not None and self._slow_pong == act:
            self._slow_pong = None
        else:
            return False
        return True

    def fire(self, at_s: float) -> None:
        """Do what is due."""
        if self._silent_until_s <= at_s:
            self._speak_again()
        while self._late_pongs and self._late_pongs[0][0] <= at_s:
            self.put(self._late_pongs.pop(0)[1])

    def shut(self) -> None:
        """Nothing that was held back will go out any more."""
        self._silence = None
        self._silent_until_s = math.inf
        self._effects.extend(Tell(event) for event in told_of_unsent(self._held))
        self._held.clear()
        self._late_pongs.clear()

    def _speak_again(self) -> None:
        self._silence = None
        self._silent_until_s = math.inf
        held, self._held = self._held, []
        self._effects.extend(held)

    @staticmethod
    def _is_silenced(effect: Effect, silence: Silence) -> bool:
        if silence.only == "all":
            return isinstance(effect, (Send, SendRaw, Pong))
        return isinstance(effect, Send) and "serverContent" in effect.message
