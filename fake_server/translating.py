"""The voice of a model that translates as it listens: audio goes out as long as audio comes in (protocol, section 8.1).

There are no turns in it, so nothing says that one has ended; how much is said follows from how much was heard.
"""

from __future__ import annotations

from fake_server import wire
from fake_server.answers import BYTES_PER_20_MS, quiet, tone
from fake_server.effects import Effect, Send, Tell
from fake_server.events import TurnEnded

_OUT_BYTES_PER_SAMPLE_IN = 3
"""16 kHz in, 24 kHz of two bytes out: a second for a second."""
_CHUNK_BYTES = 5 * BYTES_PER_20_MS


class Interpreter:
    """One connection's unbroken sound: a tone while a voice is heard, else silence."""

    def __init__(self) -> None:
        self._owed_bytes = 0

    def listen(self, samples: int, *, voice: bool) -> list[Effect]:
        """So many samples (16 kHz) came in, with or without a voice in them: what goes out, in chunks of 100 ms."""
        self._owed_bytes += samples * _OUT_BYTES_PER_SAMPLE_IN
        chunks, self._owed_bytes = divmod(self._owed_bytes, _CHUNK_BYTES)
        return [Send(tone(_CHUNK_BYTES) if voice else quiet(_CHUNK_BYTES), constant=True)] * chunks


def translated(text: str, *, source: bool, target: bool, ended: TurnEnded) -> list[Effect]:
    """What is told of a stretch of speech that is over: the transcriptions that the client asked for, and `ended`.

    `source`, `target`: transcriptions of the input and of the output are wanted. The fake knows no second language.
    """
    messages = []
    if text and source:
        messages.append(wire.server_content(input_transcription=text))
    if text and target:
        messages.append(wire.server_content(output_transcription=text))
    if not messages:
        return [Tell(ended)]
    return [*(Send(message) for message in messages[:-1]), Send(messages[-1], (ended,))]
