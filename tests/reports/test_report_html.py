"""report.html and index.html: what is on them, and that nothing hostile can act."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from types import ModuleType

import pytest

from fake_server.events import UpgradeAnswered
from harness.policy import ClientProfile
from harness.verdict import CheckStatus, ExitCode, Finding, Level, RunStatus
from reports.describe import Lane, describe
from reports.html import MOST_EVENTS, choose_entries, render_report
from reports.index import render_index
from reports.model import build_timeline
from reports.summary import RunRecord
from reports.words import POLICY_DEFAULTS, policy_choices, story

VOID = {"meta", "link", "input", "br", "hr", "img", "path", "rect", "circle"}


class Page(HTMLParser):
    """A page as a browser would take it apart: tags, attributes, text by element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.unbalanced: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.texts.setdefault(tag, []).append(data)

    def text(self, tag: str = "body") -> str:
        return "".join(self.texts.get(tag, []))

    def all(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attrs for name, attrs in self.tags if name == tag)


@pytest.fixture(scope="module")
def failed(sample: ModuleType) -> str:
    journal, verdict = sample.tunnel()
    return render_report(journal, verdict, sample.EXPLAIN)


def check_is_closed(text: str, *, evidence: tuple[str, ...] = ()) -> Page:
    """Well-formed, self-contained, and only our own script and style may run."""
    page = Page(text)
    assert page.unbalanced == []
    assert page.open == []
    policy = next(
        attrs["content"] or "" for attrs in page.all("meta") if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        (body,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.S)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    for tag, attrs in page.tags:
        assert tag not in ("iframe", "object", "embed", "img", "link", "form", "base")
        assert not [name for name in attrs if name.startswith("on") or name in ("src", "style", "srcset")], (tag, attrs)
        assert (attrs.get("href") or "#").startswith(("#", "./"))
    without_evidence = text
    for piece in evidence:
        without_evidence = without_evidence.replace(piece, "")
    assert "http://" not in without_evidence
    assert "https://" not in without_evidence
    assert "xmlns" not in text
    assert not re.search(r"url\((?!#)", text)
    assert re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text) is None
    return page


def test_the_page_of_a_failed_run(failed: str, golden: Callable[[str, str], None]) -> None:
    page = check_is_closed(failed, evidence=("http://example.invalid/",))
    golden("report.html", failed)
    shown = page.text()
    assert page.text("h1") == (
        "The link went dark at 5 s for 8 s; dialled again with token-1, spent 12.6 s before (AUTH-1), "
        "and 1 more check failed."
    )
    assert shown.index("What broke") < shown.index("AUTH-1 ") < shown.index("Timeline") < shown.index("RETRY-1")
    assert "Whose fault: the client" in shown
    assert "Ask your backend for a fresh ephemeral token" in shown
    assert "harness run scenarios/tunnel.yaml --client 'python naive.py' --seed 7" in shown
    assert "known; the app shows a spinner (until 2027-03-01)" in shown


def test_hostile_text_stays_text(failed: str) -> None:
    page = Page(failed)
    assert len(list(page.all("script"))) == 1
    assert "alert" not in page.text("script")
    assert "<script>alert(1)</script>\\x1b[31m\\u202egnp.exe\\x00" in page.text("summary")
    assert "\\ud800" in page.text("summary")


def test_every_link_leads_somewhere(failed: str) -> None:
    page = Page(failed)
    ids = [attrs["id"] for _, attrs in page.tags if attrs.get("id")]
    assert len(ids) == len(set(ids))
    targets = {(attrs["href"] or "")[1:] for attrs in page.all("a")}
    assert targets <= set(ids)
    assert "n57" in targets
    assert "not in this journal" in page.text(), "evidence number 9999 does not exist and must say so"


def test_policy_beside_the_verdict_only_where_it_differs(failed: str, sample: ModuleType) -> None:
    journal, _ = sample.tunnel()
    assert policy_choices(journal) == (
        ("token_per", "session"),
        ("gives_up", "never"),
        ("gap_speech", "tail 2s"),
        ("sees http_status", "no"),
    )
    header = failed.split("</header>")[0]
    assert "gives_up: never" in header
    assert "credential: token" not in header


def test_the_default_policy_is_the_harness_s_own() -> None:
    assert ClientProfile().model_dump(mode="json")["policy"] == POLICY_DEFAULTS


def test_the_timeline_of_the_tunnel(sample: ModuleType) -> None:
    journal, _ = sample.tunnel()
    timeline = build_timeline(journal)
    (band,) = timeline.bands
    assert (band.act, band.start_s, band.end_s, band.lag_ms) == ("network.blackhole", 5.004, 13.005, 4.2)
    connections = [span for span in timeline.spans if span.lane is Lane.CONNECTIONS]
    assert [(span.kind, span.row) for span in connections] == [("connection", 0), ("dial_only", 1), ("connection", 2)]
    kinds = {entry.n: entry.event.kind for entry in journal.entries}
    (arrow,) = timeline.arrows
    assert (kinds[arrow.from_n], kinds[arrow.to_n]) == ("handle.issued", "frame.received")
    speech = {
        span.kind: (span.start_s, span.end_s) for span in timeline.spans if span.lane is Lane.SPEECH and span.row == 0
    }
    assert speech == {"spoken": (3.0, 9.0), "doubled": (4.8, 5.0), "lost": (6.0, 9.0)}


def test_a_refused_upgrade_says_when_to_come_again() -> None:
    refused = "upgrade answered 429, http_429"
    assert describe(UpgradeAnswered(1, 429, "http_429", True)) == f"{refused} (the scenario's doing)"
    assert (
        describe(UpgradeAnswered(1, 429, "http_429", True, 2.5))
        == f"{refused}, Retry-After: 2.5 (the scenario's doing)"
    )


def test_a_journal_cut_in_its_midst_draws_what_is_there(sample: ModuleType) -> None:
    whole, verdict = sample.tunnel()
    for length in (0, 1, 20, len(whole.entries) // 2):
        cut = type(whole)(whole.entries[:length], False)
        page = check_is_closed(render_report(cut, verdict, {}), evidence=("http://example.invalid/",))
        assert "The journal has no end" in page.text()


def test_a_hundred_thousand_events_stay_small_and_say_so(sample: ModuleType) -> None:
    journal = sample.long_journal(100_000)
    _, verdict = sample.tunnel()
    assert len(journal.entries) == 100_000
    text = render_report(journal, verdict, sample.EXPLAIN)
    assert len(text.encode()) < 1_500_000
    assert "1,500 of 100,000 journal lines" in text
    gaps = [int(found.replace(",", "")) for found in re.findall(r'colspan="5">([\d,]+) events? not shown', text)]
    assert sum(gaps) == 100_000 - MOST_EVENTS
    assert 'id="n57"' in text, "evidence is never left out"
    assert "Not drawn, since there are so many" in text


def test_the_page_stays_small_whatever_the_client_writes(sample: ModuleType) -> None:
    book = sample.Book()
    for number in range(4_000):
        text = f"{number} " + "\"&<'\u202e" * 900
        event = {"event": "error", "message": text} if number % 2 else {"event": "state", "state": text}
        book.at(number * 0.001, sample.ours.ClientEvent(str(event["event"]), event))
        if number % 3 == 0:
            book.at(number * 0.001, sample.ours.StepStarted(number, text, {"say": text}))
            book.at(number * 0.001, sample.server.CloseSent(1, 1011, text, "quota", False))
    evidence = tuple(range(1, 1_000))
    findings = [Finding(f"X-{number}", Level.MUST, CheckStatus.FAIL, text, evidence[number:]) for number in range(60)]
    verdict = sample.make_verdict(RunStatus.FAIL, ExitCode.FAILED, *findings, reproduce=text, message=text)
    assert len(render_report(book.journal(), verdict, {}).encode()) < 1_500_000


def test_a_line_of_five_megabytes_is_cut(sample: ModuleType) -> None:
    book = sample.Book()
    book.at(0.0, sample.ours.RunPlanned({"client": {"policy": {"gives_up": "é" * 5_000_000}}}))
    book.at(0.1, sample.ours.ClientEvent("reply", {"event": "reply", "text": "\u202e<b>" * 1_000_000}))
    _, verdict = sample.passed()
    text = render_report(book.journal(), verdict, {})
    assert len(text.encode()) < 100_000
    assert "[cut: " in text


def test_evidence_comes_before_telling_events_before_bulk(sample: ModuleType) -> None:
    journal = sample.long_journal(3_000)
    evidence = frozenset({2_000, 2_001})
    chosen = choose_entries(journal.entries, evidence, most=200)
    assert len(chosen) == 200
    assert evidence <= chosen
    assert 1 in chosen
    assert 3_000 in chosen
    bulk = [n for n in chosen if "audio" in getattr(journal.entries[n - 1].event, "parts", ())]
    assert set(bulk) <= evidence


@pytest.mark.parametrize(
    ("status", "code", "message", "who", "badge"),
    [
        (RunStatus.PASS, ExitCode.PASSED, "", "nobody", "Passed"),
        (RunStatus.INCONCLUSIVE, ExitCode.INCONCLUSIVE, "it never connected", "not known", "Inconclusive"),
        (RunStatus.ERROR, ExitCode.HARNESS_FAULT, "the proxy died", "the harness", "Harness fault"),
        (RunStatus.ERROR, ExitCode.BAD_USAGE, "no such program", "the command or the scenario", "Bad usage"),
        (RunStatus.ERROR, ExitCode.INTERRUPTED, "", "nobody", "Interrupted"),
        (RunStatus.SKIPPED, ExitCode.NOTHING_JUDGED, "needs audio", "nobody", "Skipped"),
    ],
)
def test_whose_fault_it_is(
    sample: ModuleType, status: RunStatus, code: ExitCode, message: str, who: str, badge: str
) -> None:
    journal, _ = sample.passed()
    verdict = sample.make_verdict(status, code, message=message)
    page = check_is_closed(render_report(journal, verdict, {}))
    assert f"Whose fault: {who}" in page.text()
    assert page.text("header").strip().startswith(badge)
    assert message in page.text()


def test_a_stale_baseline_entry_is_what_broke(sample: ModuleType) -> None:
    journal, _ = sample.passed()
    finding = Finding("AUTH-1", Level.MUST, CheckStatus.PASS, "no token came twice")
    verdict = sample.make_verdict(RunStatus.FAIL, ExitCode.FAILED, finding, stale=("AUTH-1",))
    page = Page(render_report(journal, verdict, {}))
    assert "Whose fault: the baseline" in page.text()
    assert "holds, but is listed as failing" in page.text("section")


def test_the_story_of_a_pass_names_fault_and_recovery(sample: ModuleType) -> None:
    journal, _ = sample.tunnel()
    holds = Finding("RETRY-1", Level.MUST, CheckStatus.PASS, "came back")
    verdict = sample.make_verdict(RunStatus.PASS, ExitCode.PASSED, holds, metrics={"recovery_s": [0.3, 1.45]})
    assert story(journal, verdict) == (
        "The link went dark at 5 s for 8 s; the client was back in 1.45 s, and 1 check holds."
    )


def test_the_index(sample: ModuleType, golden: Callable[[str, str], None]) -> None:
    journal, verdict = sample.tunnel()
    _, good = sample.passed()
    hostile = sample.make_verdict(
        RunStatus.ERROR, ExitCode.HARNESS_FAULT, client="javascript:alert(1)//", message=sample.HOSTILE
    )
    runs = [
        RunRecord(verdict, "naive/tunnel~dies", story(journal, verdict)),
        RunRecord(good, "reference/hang_up"),
        RunRecord(hostile, 'javascript:alert(1)/"><script>'),
    ]
    text = render_index(runs, ExitCode.HARNESS_FAULT, "harness run scenarios --seed 7")
    golden("index.html", text)
    page = check_is_closed(text, evidence=("http://example.invalid/",))
    hrefs = [attrs["href"] for attrs in page.all("a")]
    assert "./naive/tunnel~dies/report.html" in hrefs
    assert "AUTH-1" in page.text("table")
    assert "not played" in page.text("table")
    assert len(list(page.all("script"))) == 1
