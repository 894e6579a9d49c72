"""The fake server as a run of the harness has it: its whole protocol, every fact in a journal on disk, no secret in it.

    python benchmarks/journalled_server.py MODEL AUDIO_S JOURNAL

One thing is different: there is no gate, so that frames which are ready together are written in one piece. A run of the
harness writes each by itself, since a scenario may act between any two of them.

Nothing is paced: the model answers at once. Port and API key are the first line of its output.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from functools import partial
from pathlib import Path

from bare_server import answer_questions

from fake_server.app import FakeServer, Listener
from fake_server.behaviour import Behaviour, ModelScript
from fake_server.clock import SystemClock
from fake_server.events import ServerEvent
from fake_server.labels import Labels
from harness.engine.recorder import Recorder
from harness.journal.writer import JournalWriter
from harness.redaction import Redactor


async def serve(model: str, audio_s: float, journal: Path) -> None:
    script = ModelScript(
        setup_complete_after_s=0, think_s=0, reply_audio_s=audio_s, audio_pace=0, hold_turn_complete=False
    )
    clock, redactor = SystemClock(), Redactor()
    writer = JournalWriter(journal, clock, redactor.redact)
    recorder = Recorder(writer)

    def observe(event: ServerEvent) -> None:
        recorder.record(event)

    server = FakeServer(
        Behaviour(model=model, script=script),
        clock=clock,
        observer=observe,
        labels=Labels(redactor.learn),
        seed=1,
        new_secret=partial(secrets.token_hex, 16),
    )
    redactor.mark(server.marker)
    server.on_error = lambda error: print(f"fault of the fake server: {error!r}", file=sys.stderr, flush=True)
    await server.start([Listener("live")])
    print(server.port("live"), server.api_key, flush=True)
    await answer_questions()
    await server.stop()
    writer.close()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])))
