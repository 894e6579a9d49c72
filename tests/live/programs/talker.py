"""A client that talks to the service, and besides does what its first argument says. Tells the test's own socket."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect

from harness.clients.attempt import Attempt
from harness.clients.program import Message, fetch_token
from harness.clients.reference import LiveClient, Turn

SLEEPER = [sys.executable, "-S", "-c", "import time; time.sleep(3600)"]
DEAF_SLEEPER = [
    sys.executable,
    "-S",
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(3600)",
]


def tell_test(**facts: object) -> None:
    """One line to the socket that the test listens at."""
    port = int(os.environ.get("TEST_PORT", "0"))
    if port:
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.sendall(json.dumps({"pid": os.getpid(), "run": os.environ["HARNESS_RUN_ID"], **facts}).encode())


class Talker(LiveClient):
    """The reference client without its long pauses."""

    name = "talker"
    can = ("text",)

    def pause_before_dial_s(self, attempt: Attempt) -> float:
        return 0.05

    async def after_setup(self, socket: ClientConnection, attempt: Attempt) -> None:
        await super().after_setup(socket, attempt)
        self.on_session()

    def on_session(self) -> None:
        """Nothing."""


class Plain(Talker):
    """Tells the test when it has a session."""

    def on_session(self) -> None:
        tell_test(session=self.connections)


class Alone(Talker):
    """Takes no commands: connects and talks by itself, says one thing again and again, and leaves at SIGTERM alone."""

    async def run(self) -> None:
        self.start()
        while True:
            self.turns.append(Turn("Is it late?"))
            self.wake()
            await asyncio.sleep(0.3)


class Stays(Plain):
    """Does not leave: not at `quit`, not when its input closes, not at SIGTERM."""

    async def run(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        await super().run()
        await asyncio.Event().wait()

    async def leave(self) -> None:
        tell_test(told_to_leave=True)


class Forks(Talker):
    """Has children in its group, in another session, and one that is nobody's child and ignores SIGTERM."""

    def on_session(self) -> None:
        children = [subprocess.Popen(SLEEPER), subprocess.Popen(SLEEPER, start_new_session=True)]
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.setsid()
            orphan = subprocess.Popen(DEAF_SLEEPER, stdout=subprocess.PIPE)
            assert orphan.stdout is not None
            orphan.stdout.readline()
            os.write(writer, b"%d" % orphan.pid)
            os._exit(0)
        orphan_pid = int(os.read(reader, 20))
        os.wait()
        tell_test(children=[child.pid for child in children] + [orphan_pid])


class LeavesChild(Forks):
    """Leaves in order, while a child of its own holds its output open."""

    def on_session(self) -> None:
        child = subprocess.Popen(SLEEPER, start_new_session=True)
        tell_test(children=[child.pid])


class ClosesStdout(Talker):
    """Says nothing more from its first session on."""

    def on_session(self) -> None:
        for number in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)


class CrashesOnTurn(Talker):
    """Does not survive being spoken to."""

    async def obey(self, command: Message) -> None:
        if command.get("do") == "say":
            os.abort()
        await super().obey(command)


class Noisy(Talker):
    """Prints so many MB as its second argument says, between its first session and the first turn."""

    def on_session(self) -> None:
        if self.connections == 1:
            block = b"%s\n" % (b"noise " * 16) * 1000
            for _ in range(int(sys.argv[2]) * 1_000_000 // len(block)):
                os.write(1, block)
            print(flush=True)


class Garbage(Talker):
    """Prints bytes that are no text, lines that are no events, and an event of megabytes."""

    def on_session(self) -> None:
        sys.stdout.flush()
        os.write(1, bytes(range(256)) * 40 + b"\n\0\n\r\n" + b'{"event": "\xff"}\n{"event"\n[]\n{"event": 7}\n')
        os.write(1, b'{"event":"reply","text":"' + b"x" * 2_000_000 + b'"}\n')
        os.write(2, b"\x1b[2J\x1b]0;title\x07" * 10 + b"\n")


def forms_of(secret: str) -> list[str]:
    """What gives a secret away."""
    padded = [base64.b64encode(b"x" * n + secret.encode() + b"y" * n).decode() for n in range(3)]
    return [
        secret,
        secret.rpartition("/")[2],
        quote(secret, safe=""),
        quote(quote(secret, safe=""), safe=""),
        json.dumps({"url": f"wss://host/path?access_token={secret}&key={quote(secret)}"}),
        json.dumps(json.dumps({"token": secret})),
        *padded,
        base64.urlsafe_b64encode(secret.encode()).decode(),
        f"Authorization: Token {secret}",
        f"Basic {base64.b64encode(f':{secret}'.encode()).decode()}",
        secret[:24],
    ]


class Tattles(Talker):
    """Gives away every secret that it is given, in every form, on both streams and to the service."""

    def __init__(self, environment: dict[str, str]) -> None:
        super().__init__(environment)
        self.secrets: list[str] = []
        if os.environ.get("GEMINI_API_KEY"):
            self.url = os.environ["HARNESS_WS_URL"]

    async def credential(self) -> str:
        key = os.environ.get("GEMINI_API_KEY", "")
        secret = key or await fetch_token(self.token_url, self.tls)
        self.give_away(secret)
        return secret

    async def play_session(self, attempt: Attempt) -> None:
        if os.environ.get("GEMINI_API_KEY"):
            plain, self.url = self.url, f"{self.url}?key={os.environ['GEMINI_API_KEY']}&"
            try:
                await super().play_session(attempt)
            finally:
                self.url = plain
        else:
            await super().play_session(attempt)

    def take_update(self, update: Message) -> None:
        super().take_update(update)
        if update.get("newHandle"):
            self.give_away(update["newHandle"])

    def give_away(self, secret: str) -> None:
        self.secrets.append(secret)
        forms = forms_of(secret)
        for stream in (1, 2):
            for form in forms:
                data = f"{form}\n".encode()
                os.write(stream, data[: len(data) // 2])
                time.sleep(0.002)  # so that the two halves are read apart
                os.write(stream, data[len(data) // 2 :])
        for form in forms:
            self.tell("error", message=form, reason=form, code=secret)
            self.tell("reply", text=form)
            self.tell("state", state=form)
        self.tell(secret, anything={secret: secret})

    def on_session(self) -> None:
        print(dict(os.environ), flush=True)
        print(json.dumps(dict(os.environ)), file=sys.stderr, flush=True)

    async def send_places(self) -> None:
        """To the service: as a turn, in a path, in a header, as a handle, and in a close reason."""
        secret = self.secrets[0]
        base = os.environ["HARNESS_BASE_URL"]
        for path in (f"/v1beta/models?key={secret}", f"/{quote(secret, safe='')}", f"/x#{secret}"):
            with contextlib.suppress(Exception):
                await fetch_token(f"{base}{path}", self.tls)
        with contextlib.suppress(Exception):
            headers = {"Authorization": f"Token {secret}", "X-Goog-Api-Key": secret, "X-Other": secret}
            tls = self.tls if self.url.startswith("wss:") else None
            async with connect(f"{self.url}?key={secret}", ssl=tls, additional_headers=headers) as line:
                await line.send(json.dumps({"setup": {"model": secret, "sessionResumption": {"handle": secret}}}))
                await line.recv()
        if self.socket is not None:
            await self.socket.send(json.dumps({"realtimeInput": {"text": secret}, "odd": {secret: secret}}))

    async def obey(self, command: Message) -> None:
        if command.get("do") == "say":
            await self.send_places()
        await super().obey(command)

    async def leave(self) -> None:
        tell_test(secrets=sorted({*self.secrets, os.environ.get("GEMINI_API_KEY") or self.secrets[0]}))
        if self.socket is not None:
            await self.socket.close(4000, self.secrets[0][:100])
        await super().leave()


KINDS = {
    "plain": Plain,
    "alone": Alone,
    "stays": Stays,
    "forks": Forks,
    "leaves_child": LeavesChild,
    "closes_stdout": ClosesStdout,
    "crashes_on_turn": CrashesOnTurn,
    "noisy": Noisy,
    "garbage": Garbage,
    "tattles": Tattles,
}

if __name__ == "__main__":
    asyncio.run(KINDS[sys.argv[1]](dict(os.environ)).run())
