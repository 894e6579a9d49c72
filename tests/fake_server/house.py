"""One fake server's pure parts and its callers, in memory: what the session's tests and machines play with."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from fake_server import acts, wire
from fake_server.behaviour import DEFAULT_MODEL, Behaviour, ModelScript, ResumptionRules, Utterance
from fake_server.clock import SteppingClock
from fake_server.control import Control
from fake_server.credentials import find_credentials
from fake_server.effects import Close, Effect, Send, Tell
from fake_server.events import ServerEvent
from fake_server.labels import Labels
from fake_server.profiles import match_live_path
from fake_server.refusals import Refusal
from fake_server.secret_values import SecretValues, seeded_secrets
from fake_server.session import Session
from fake_server.tokens import Minted

PLAIN = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
CONSTRAINED = PLAIN + "Constrained"
QUICK = ModelScript(setup_complete_after_s=0.05, think_s=0.3, reply_audio_s=1.0, audio_pace=4.0)
SPOKEN = Utterance(number=7, text="My name is Ada Byron. My city is Rome.", speech_samples=16_000, total_samples=40_000)
PROPERTIES = {
    "city": {"type": "STRING"},
    "unit": {"type": "STRING", "enum": ["C", "F"]},
    "days": {"type": "INTEGER"},
}
TOOLS = [{"functionDeclarations": [{"name": "look_up", "parameters": {"type": "OBJECT", "properties": PROPERTIES}}]}]


class House:
    """One server's pure parts, and what came out of them."""

    def __init__(self, **changes: Any) -> None:
        changes.setdefault("script", QUICK)
        changes.setdefault("resumption", ResumptionRules(every_s=None))
        self.clock = SteppingClock()
        self.labels = Labels()
        self.secrets = SecretValues(seeded_secrets(1))
        self.behaviour = Behaviour(**changes)
        self.control = Control(self.behaviour, clock=self.clock, labels=self.labels, secrets=self.secrets)
        self.callers: list[Caller] = []
        self.watch: Callable[[Caller, list[Effect]], None] | None = None
        """Sees everything that is to be done, as it comes."""

    def mint(self) -> str:
        """By the rules alone, as the stand-in backend does."""
        name = self.control.service.tokens.mint_by_rules(now_s=self.clock.wall_s()).name
        self.labels.name("token", name)
        return name

    def mint_as(self, **body: Any) -> str:
        """By a token call with this body."""
        minted = self.control.service.tokens.mint(orjson.dumps(body), now_s=self.clock.wall_s())
        assert isinstance(minted, Minted), minted
        self.labels.name("token", minted.name)
        return minted.name

    def dial(self, *, token: str | None = None, key: str | None = None, path: str | None = None) -> Caller:
        """A client that is answered by 101."""
        answered = self.try_dial(token=token, key=key, path=path)
        assert isinstance(answered, Caller)
        return answered

    def try_dial(
        self, *, token: str | None = None, key: str | None = None, path: str | None = None
    ) -> Caller | Refusal:
        """A client, or the row by which its upgrade was refused."""
        query = {"access_token": token} if token else {"key": key if key is not None else self.secrets.api_key}
        where = path or (CONSTRAINED if token else PLAIN)
        live_path = match_live_path(where)
        assert live_path is not None
        _, _, session = self.control.upgrade(
            live_path,
            socket=len(self.callers) + 1,
            listener="live",
            presented=find_credentials(query, {}),
            now_s=self.clock.monotonic_s(),
        )
        if isinstance(session, Refusal):
            return session
        caller = Caller(self, session)
        self.callers.append(caller)
        caller.take(session.opened(self.clock.monotonic_s()))
        return caller

    def advance(self, seconds: float) -> None:
        """Step to each deadline on the way, as the shell does."""
        end_s = self.clock.monotonic_s() + seconds
        while True:
            due = [caller for caller in self.callers if caller.session.next_deadline_s <= end_s]
            if not due:
                break
            first = min(due, key=lambda caller: caller.session.next_deadline_s)
            self.clock.advance(max(0.0, first.session.next_deadline_s - self.clock.monotonic_s()))
            first.take(first.session.tick(max(self.clock.monotonic_s(), first.session.next_deadline_s)))
        self.clock.advance(max(0.0, end_s - self.clock.monotonic_s()))

    def act(self, act: acts.Act) -> None:
        for connection, effects in self.control.act(act, self.clock.monotonic_s()):
            self.by_number(connection).take(effects)

    def lift(self, act: acts.Act) -> None:
        for connection, effects in self.control.lift(act, self.clock.monotonic_s()):
            self.by_number(connection).take(effects)

    def by_number(self, connection: int) -> Caller:
        return next(one for one in self.callers if one.session.caller.connection == connection)


class Caller:
    """A client of the session, seen from its side of the effects."""

    def __init__(self, house: House, session: Session) -> None:
        self.house = house
        self.session = session
        self.timed: list[tuple[float, Mapping[str, Any]]] = []
        self.told: list[ServerEvent] = []
        self.effects: list[Effect] = []

    def take(self, effects: list[Effect]) -> None:
        now_s = self.house.clock.monotonic_s()
        if self.house.watch is not None:
            self.house.watch(self, effects)
        for effect in effects:
            self.effects.append(effect)
            if isinstance(effect, Send):
                self.timed.append((now_s, effect.message))
                self.told.extend(effect.then)
            elif isinstance(effect, Tell):
                self.told.append(effect.event)

    def send(self, message: Mapping[str, Any] | bytes | str) -> None:
        data = message if isinstance(message, (bytes, str)) else orjson.dumps(message)
        self.take(self.session.received(data, self.house.clock.monotonic_s()))

    def set_up(self, **setup: Any) -> Caller:
        self.send({"setup": {"model": f"models/{DEFAULT_MODEL}", **setup}})
        self.house.advance(0.05)
        return self

    def say(self, text: str, *, role: str = "user", complete: bool = True) -> None:
        turns = [{"role": role, "parts": [{"text": text}]}]
        self.send({"clientContent": {"turns": turns, "turnComplete": complete}})

    def stream(self, pcm: bytes, chunk_bytes: int = 3200, step_s: float = 0.1) -> None:
        for at in range(0, len(pcm), chunk_bytes):
            data = base64.b64encode(pcm[at : at + chunk_bytes]).decode()
            self.send({"realtimeInput": {"audio": {"mimeType": "audio/pcm;rate=16000", "data": data}}})
            self.house.advance(step_s)

    def hang_up(self) -> None:
        self.take(self.session.close_received(1000, "", self.house.clock.monotonic_s()))

    def drop(self) -> None:
        self.take(self.session.link_ended(self.house.clock.monotonic_s()))

    @property
    def sent(self) -> list[Mapping[str, Any]]:
        return [message for _, message in self.timed]

    def marks(self) -> list[str]:
        """What was sent, a word a frame."""
        words = []
        for message in self.sent:
            name, parts = wire.what_is(message)
            words.append(parts[0] if name == "server_content" and parts else name)
        return words

    def transcript(self) -> str:
        contents = [message.get("serverContent", {}) for message in self.sent]
        return "".join(content.get("outputTranscription", {}).get("text", "") for content in contents)

    def closes(self) -> list[tuple[int, str | None]]:
        return [(effect.code, effect.refusal) for effect in self.effects if isinstance(effect, Close)]

    def of(self, kind: str) -> list[Any]:
        return [event for event in self.told if event.kind == kind]

    def handles(self) -> list[str]:
        updates = [message["sessionResumptionUpdate"] for message in self.sent if "sessionResumptionUpdate" in message]
        return [update["newHandle"] for update in updates if "newHandle" in update]
