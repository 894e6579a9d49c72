"""Journals made by hand, with fixed times: a phone in a tunnel, by a client that gets nearly everything wrong."""

from __future__ import annotations

from fake_server import events as server
from harness.journal import events as ours
from harness.verdict import CheckStatus, ExitCode, Finding, Level, RunStatus, Verdict
from reports.explain import CheckText

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202egnp.exe\x00 & \"quoted\" 'too' ]]> \ud800 http://example.invalid/"

EXPLAIN = {
    "AUTH-1": CheckText(
        "Spent tokens stay spent",
        "A spent single-use token is not presented for a new session.",
        "Ask your backend for a fresh ephemeral token before each dial that starts a new session.",
        ("https://github.com/example/app/issues/12", "example/sdk#7"),
    ),
    "RESUME-2": CheckText(
        "Resume after a drop",
        "The first dial after a drop carries a handle, if a usable one was received.",
        "Keep the newest handle of a resumable update, and put it into the next setup.",
    ),
    "RETRY-1": CheckText("Comes back", "An abnormal end leads to a new dial within 30 s.", "Dial again."),
}


class Book:
    """Numbers entries as they are written."""

    def __init__(self) -> None:
        self.entries: list[ours.Entry] = []

    def at(self, t: float, event: ours.Event) -> int:
        assert not self.entries or t >= self.entries[-1].t
        self.entries.append(ours.Entry(len(self.entries) + 1, t, event))
        return len(self.entries)

    def journal(self, whole: bool = True) -> ours.Journal:
        return ours.Journal(tuple(self.entries), whole)


def audio_frame(connection: int, index: int, utterance: int, start: int, samples: int = 1600) -> server.FrameReceived:
    return server.FrameReceived(
        connection=connection,
        index=index,
        message="realtime_input",
        parts=("audio",),
        size_bytes=4300,
        payload={
            "realtimeInput": {"audio": {"mimeType": "audio/pcm;rate=16000", "bytes": samples * 2, "digest": "d1"}}
        },
        problems=(),
        speech=(server.SpeechRange(utterance, start, start + samples),),
        unrecognised_samples=0,
    )


def setup_frame(connection: int, handle: str | None) -> server.FrameReceived:
    resumption = {"handle": handle} if handle else {}
    payload = {"setup": {"model": "models/gemini-live", "sessionResumption": resumption}}
    return server.FrameReceived(connection, 1, "setup", ("session_resumption",), 180, payload, (), (), 0)


def sent(connection: int, index: int, message: str, *parts: str, payload: object = None) -> server.FrameSent:
    return server.FrameSent(connection, index, message, parts, 40, payload or {message: {}}, None, False)  # type: ignore[arg-type]


def dial(book: Book, t: float, connection: int, token: str, handle: str | None) -> tuple[int, int]:
    """A dial with a token, up to its setup; gives the numbers of the upgrade and the setup."""
    book.at(t, server.SocketAccepted(connection, "live"))
    credential = server.Credential("token", "query.access_token", token)
    upgrade = book.at(
        t + 0.01, server.UpgradeReceived(connection, connection, "live", "v1alpha", "constrained", (credential,))
    )
    book.at(t + 0.011, server.UpgradeAnswered(connection, 101, None, False))
    setup = book.at(t + 0.02, setup_frame(connection, handle))
    return upgrade, setup


def live(book: Book, t: float, connection: int, session: str, token: str, handle: str | None) -> None:
    book.at(t, sent(connection, 1, "setup_complete"))
    book.at(t, server.SessionStarted(connection, session, handle, token, ("name",) if handle else ()))


def turn(book: Book, t: float, connection: int, number: int, said: str, answer: str) -> None:
    book.at(t, server.TurnHeard(connection, number, "text", said, (), (), ()))
    book.at(t + 0.05, server.TurnAnswered(connection, number, answer, (), ()))
    book.at(t + 0.1, sent(connection, number + 1, "server_content", "output_transcription"))
    book.at(t + 0.9, server.TurnEnded(connection, number, "complete"))


PLAN = {
    "scenario": {
        "scenario": "tunnel",
        "title": "The phone enters a tunnel in the middle of a sentence",
        "why": "A mobile link goes dark without closing.",
    },
    "seed": 7,
    "client": {
        "policy": {
            "credential": "token",
            "token_per": "session",
            "refused_handle": {"keep_trying": "4s", "then": "reseed"},
            "gives_up": "never",
            "gap_speech": {"tail": "2s"},
        },
        "sees": {"http_status": False, "close_reason": True},
    },
    "proxy": {"kind": "toxiproxy", "version": "2.12.0"},
}


def tunnel() -> tuple[ours.Journal, Verdict]:
    """A failed run: goes dark at 5 s for 8 s, dials again with a spent token, resumes in the end."""
    book = Book()
    book.at(0.0, ours.RunPlanned(PLAN))
    book.at(0.2, ours.ProxyReady("toxiproxy", "2.12.0", "found on PATH"))
    book.at(0.3, ours.ClientStarted(1))
    book.at(0.5, ours.ClientEvent("hello", {"event": "hello", "client": "naive"}))
    book.at(0.6, ours.StepStarted(1, "teach", {"facts": ["name"]}))
    book.at(0.6, ours.ClientCommand({"do": "connect"}))
    book.at(0.7, server.TokenMinted("token-1", "backend", 1, 60.0, 1800.0))
    dial(book, 0.8, 1, "token-1", None)
    book.at(0.83, server.TokenSpent("token-1", 1, 0))
    live(book, 0.84, 1, "session-1", "token-1", None)
    book.at(0.9, ours.ClientEvent("state", {"event": "state", "state": "connected"}))
    book.at(1.0, ours.UserTurn(1, "text", "My name is Ada.", ("name",), (), None, 0, 0, False))
    turn(book, 1.1, 1, 1, "My name is Ada.", "Hello Ada.")
    book.at(2.0, server.HandleIssued(1, "session-1", "handle-1", True, ("name",)))
    book.at(2.1, ours.ClientEvent("reply", {"event": "reply", "text": "Hello Ada."}))
    book.at(2.2, ours.StepEnded(1, "done"))
    book.at(3.0, ours.StepStarted(2, "speak", {"for": "6s"}))
    book.at(3.0, ours.UserTurn(2, "speech", "I went to the market.", (), (), 1, 96_000, 120_000, False))
    book.at(3.0, ours.ClientCommand({"do": "speak", "wav": "utterance-1.wav", "ms": 6000}))
    book.at(3.05, server.HandleIssued(1, "session-1", "handle-2", True, ("name",)))
    for chunk in range(20):
        book.at(round(3.1 + 0.1 * chunk, 3), audio_frame(1, chunk + 3, 1, chunk * 1600))
        if chunk == 11:
            book.at(4.2, server.HandleIssued(1, "session-1", None, False, ()))
    book.at(5.0, ours.FaultDue(1, "network.blackhole", {"for": "8s"}, 2.0))
    book.at(5.004, ours.FaultInForce(1, "network.blackhole", "all", "both", "all", 8.0, 4.2))
    book.at(7.5, ours.ClientEvent("state", {"event": "state", "state": "reconnecting"}))
    book.at(7.6, ours.ClientOutput("stderr", HOSTILE))
    book.at(9.0, ours.StepEnded(2, "done"))
    book.at(13.005, ours.FaultLifted(1, "network.blackhole", 5.0))
    book.at(13.01, server.ConnectionEnded(1, "reset"))
    again, _ = dial(book, 13.4, 2, "token-1", None)
    refused = book.at(13.45, server.CloseSent(2, 1011, "Token has been used too many times", "token_spent", False))
    book.at(13.47, server.ConnectionEnded(2, "closed"))
    book.at(13.5, ours.ClientEvent("error", {"event": "error", "message": HOSTILE, "code": 1011}))
    book.at(14.2, server.TokenMinted("token-2", "backend", 1, 60.0, 1800.0))
    dial(book, 14.4, 3, "token-2", "handle-2")
    book.at(14.43, server.HandlePresented(3, "handle-2", None))
    book.at(14.44, server.TokenSpent("token-2", 3, 0))
    live(book, 14.45, 3, "session-1", "token-2", "handle-2")
    book.at(14.5, ours.ClientEvent("state", {"event": "state", "state": "connected"}))
    for chunk in range(12):
        book.at(round(14.6 + 0.02 * chunk, 3), audio_frame(3, chunk + 2, 1, 28_800 + chunk * 1600))
    book.at(15.0, ours.StepStarted(3, "probe", {}))
    turn(book, 15.2, 3, 2, "Are you there?", "Yes, I am.")
    book.at(16.15, server.HandleIssued(3, "session-1", "handle-3", True, ("name",)))
    book.at(16.2, ours.StepEnded(3, "done"))
    book.at(16.3, ours.ClientCommand({"do": "hang_up"}))
    book.at(16.4, server.CloseReceived(3, 1000, ""))
    book.at(16.41, server.ConnectionEnded(3, "closed"))
    book.at(16.6, ours.ClientExited(1, 0, None, True, True))
    book.at(16.7, ours.RunEnded("played", ""))
    verdict = Verdict(
        scenario="tunnel",
        variant="dies",
        client="naive",
        seed=7,
        status=RunStatus.FAIL,
        exit_code=ExitCode.FAILED,
        duration_s=16.7,
        checks=(
            Finding(
                "AUTH-1", Level.MUST, CheckStatus.FAIL, "dialled again with token-1, spent 12.6 s before", (again,)
            ),
            Finding(
                "RESUME-2", Level.MUST, CheckStatus.FAIL, "the first dial after the drop had no handle", (again, 9999)
            ),
            Finding("RETRY-1", Level.MUST, CheckStatus.PASS, "dialled again 0.4 s after the link was back", (again,)),
            Finding("AUTH-4", Level.SHOULD, CheckStatus.WARN, "2 tokens for 3 dials", (refused,)),
            Finding("LIFE-2", Level.MUST, CheckStatus.FAIL, "the user heard nothing for 2.5 s", ()),
            Finding("SPEECH-2", Level.MUST, CheckStatus.UNKNOWN, "the scenario sets no bounds", ()),
            Finding("GOAWAY-2", Level.MUST, CheckStatus.NOT_APPLICABLE, "no goAway came", ()),
            Finding("SELF-1", Level.SELF, CheckStatus.PASS, "every trigger was in force within 5.0 ms", ()),
        ),
        metrics={
            "connections": 3,
            "dials": 3,
            "tokens_minted": 2,
            "tokens_spent": 2,
            "refusals": 1,
            "recovery_s": [1.45],
            "speech_lost_ms": 3000,
            "speech_doubled_ms": 200,
            "detection_s": None,
            "harness_lag_ms": {"p50": 4.2, "p99": 5.0, "worst": 5.0},
        },
        reproduce="harness run scenarios/tunnel.yaml --client 'python naive.py' --seed 7",
        waived={"LIFE-2": "known; the app shows a spinner (until 2027-03-01)"},
    )
    return book.journal(), verdict


def passed() -> tuple[ours.Journal, Verdict]:
    """A short run with nothing wrong."""
    book = Book()
    book.at(0.0, ours.RunPlanned({"scenario": {"scenario": "hang_up"}}))
    dial(book, 0.4, 1, "token-1", None)
    live(book, 0.5, 1, "session-1", "token-1", None)
    book.at(1.0, server.CloseReceived(1, None, ""))
    book.at(1.01, server.ConnectionEnded(1, "closed"))
    book.at(1.2, ours.RunEnded("played", ""))
    return book.journal(), make_verdict(
        RunStatus.PASS,
        ExitCode.PASSED,
        Finding("RETRY-6", Level.MUST, CheckStatus.PASS, "no dial after hanging up"),
        Finding("RESUME-2", Level.MUST, CheckStatus.NOT_APPLICABLE, "nothing dropped"),
    )


def make_verdict(status: RunStatus, code: ExitCode, *checks: Finding, **more: object) -> Verdict:
    given: dict[str, object] = {
        "scenario": "hang_up",
        "variant": None,
        "client": "reference",
        "seed": 7,
        "duration_s": 1.2,
        "metrics": {"connections": 1},
        "reproduce": "harness run hang_up --seed 7",
    }
    given.update(more)
    return Verdict(status=status, exit_code=code, checks=checks, **given)  # type: ignore[arg-type]


def long_journal(events: int) -> ours.Journal:
    """Many thousand events: mostly audio, a goAway now and then, some hostile output."""
    book = Book()
    book.at(0.0, ours.RunPlanned(PLAN))
    dial(book, 0.1, 1, "token-1", None)
    live(book, 0.2, 1, "session-1", "token-1", None)
    for number in range(events - len(book.entries) - 1):
        t = round(0.3 + number * 0.001, 3)
        if number % 50 == 0:
            book.at(t, server.HandleIssued(1, "session-1", f"handle-{number}", True, ("name",)))
        elif number % 77 == 0:
            book.at(t, ours.ClientOutput("stdout", HOSTILE * 20))
        elif number % 9 == 0:
            book.at(t, turn_text(number))
        else:
            book.at(t, audio_frame(1, number, 1, number * 16, 16))
    book.at(round(0.3 + events * 0.001, 3), ours.RunEnded("played", ""))
    return book.journal()


def turn_text(number: int) -> server.FrameSent:
    text = {"serverContent": {"outputTranscription": {"text": f"word {number} " * 30}}}
    return sent(1, number, "server_content", "output_transcription", payload=text)
