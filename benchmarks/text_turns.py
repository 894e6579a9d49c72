"""The load: callers who say one text turn after the other, each as soon as the last one is answered.

    python benchmarks/text_turns.py PORT PATH MODEL MODALITY CONNECTIONS SECONDS

One thread, raw sockets and ready-made frames, so that the server and not this program is what is measured. After a
second of warming up it prints `go`; after the measured time one JSON object: seconds, turns, bytes, and its own CPU.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time

WARM_UP_S = 1.0
_MASKED_BY_NOTHING = b"\0\0\0\0"
"""A legal mask that leaves the payload as it is: the server has the same work with it."""
_END = b'"turnComplete"'
_LONGEST_END = 2048
"""A last frame is never as long as this."""
_BUFFER = bytearray(1 << 18)


def frame(text: str) -> bytes:
    payload = text.encode()
    size = len(payload)
    head = bytes((0x81, 0x80 | size)) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
    return head + _MASKED_BY_NOTHING + payload


def setup(model: str, modality: str) -> dict[str, object]:
    config = {"responseModalities": [modality]}
    return {"setup": {"model": f"models/{model}", "generationConfig": config, "sessionResumption": {}}}


def turn(caller: int, number: int) -> str:
    """A user turn. No two are the same text, and all are of the same length."""
    text = (
        f"This is caller {caller:04} at turn {number:06}: the weather is fine here, tell me something about yourself."
    )
    content = f'{{"turns":[{{"role":"user","parts":[{{"text":"{text}"}}]}}],"turnComplete":true}}'
    return f'{{"clientContent":{content}}}'


class Caller:
    """One connection."""

    def __init__(self, number: int, port: int, path: str, model: str, modality: str) -> None:
        self.number = number
        self.turns = 0
        self.bytes = 0
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._left = b""
        """The beginning of a frame of which the rest has not come."""
        self._skip = 0
        """Bytes of a long frame that have not come."""
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._receive_until(b"\r\n\r\n")
        self.socket.sendall(frame(json.dumps(setup(model, modality))))
        self._receive_until(b"}\n")

    def _receive_until(self, end: bytes) -> None:
        got = b""
        while not got.endswith(end):
            more = self.socket.recv(65536)
            if not more:
                raise SystemExit(f"caller {self.number} was refused: {got[:200]!r}")
            got += more

    def say(self) -> None:
        self.turns += 1
        self.socket.sendall(frame(turn(self.number, self.turns)))

    def hear(self) -> bool:
        """Take what has come; True when the answer is whole."""
        count = self.socket.recv_into(_BUFFER)
        if not count:
            raise SystemExit(f"caller {self.number}: the server ended the connection")
        self.bytes += count
        if self._skip >= count:
            self._skip -= count
            return False
        data = self._left + _BUFFER[self._skip : count]
        self._left, self._skip = b"", 0
        at = 0
        over = False
        while at < len(data):
            if len(data) - at < 10:
                self._left = data[at:]
                break
            head, size = at + 2, data[at + 1]
            if size == 126:
                head, size = at + 4, int.from_bytes(data[at + 2 : at + 4], "big")
            elif size == 127:
                head, size = at + 10, int.from_bytes(data[at + 2 : at + 10], "big")
            end = head + size
            if size < _LONGEST_END:
                if end > len(data):
                    self._left = data[at:]
                    break
                over = over or data.find(_END, head, end) >= 0
            at = end
        self._skip = max(0, at - len(data))
        return over


def hang_up(callers: list[Caller]) -> None:
    """End in good order: no server is left writing to a socket that is gone."""
    for caller in callers:
        caller.socket.settimeout(5.0)
        while not caller.hear():
            pass
        caller.socket.sendall(b"\x88\x82\0\0\0\0\x03\xe8")
    for caller in callers:
        while caller.socket.recv_into(_BUFFER):
            pass
        caller.socket.close()


def talk(callers: list[Caller], seconds: float) -> tuple[int, float]:
    """Turns that were answered, and the seconds that it took."""
    with selectors.DefaultSelector() as selector:
        for caller in callers:
            selector.register(caller.socket, selectors.EVENT_READ, caller)
        answered = 0
        begin_s = now_s = time.monotonic()
        while now_s < begin_s + seconds:
            for key, _ in selector.select(1.0):
                if key.data.hear():
                    answered += 1
                    key.data.say()
            now_s = time.monotonic()
        return answered, now_s - begin_s


def main(port: int, path: str, model: str, modality: str, connections: int, seconds: float) -> None:
    callers = [Caller(number, port, path, model, modality) for number in range(connections)]
    for caller in callers:
        caller.say()
    talk(callers, WARM_UP_S)
    print("go", flush=True)
    bytes_before, cpu_before_s = sum(caller.bytes for caller in callers), time.process_time()
    turns, wall_s = talk(callers, seconds)
    result = {
        "wall_s": wall_s,
        "turns": turns,
        "bytes": sum(caller.bytes for caller in callers) - bytes_before,
        "load_cpu_s": time.process_time() - cpu_before_s,
    }
    print(json.dumps(result), flush=True)
    hang_up(callers)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]), float(sys.argv[6]))
