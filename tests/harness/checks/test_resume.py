"""RESUME: handles, and what they restore."""

from __future__ import annotations

import pytest

from fake_server import events as server
from harness.checks import CATALOGUE
from harness.journal.events import ClientStarted
from tests.harness.checks.journal_builder import Book, Mark, evidence_of, finding, kinds, status, statuses

BY_HANDLE = ("RESUME-1", "RESUME-2", "RESUME-3", "RESUME-4")


def session_with(*handles: str, facts: tuple[str, ...] = ("name",), **options: object) -> Book:
    """One session with an update for each handle, at 2 s, 3 s, …; it is cut at 10 s."""
    book = Book(**options)  # type: ignore[arg-type]  # words of the builder
    book.opens(1.0, 1)
    for number, handle in enumerate(handles):
        book.update(2.0 + number, 1, handle, facts=facts)
    book.cut(10.0, 1)
    return book


def resumed_with(label: str | None, *handles: str, **options: object) -> Book:
    """… and the dial after the cut carries `label`."""
    book = session_with(*handles, **options)  # type: ignore[arg-type]  # as above
    book.opens(10.5, 2, handle=label)
    book.ends(60.0)
    return book


# RESUME-1 ------------------------------------------------------------------------------------------------------------


def test_resume_1_holds_when_the_first_setup_asks_for_resumption() -> None:
    book = resumed_with("handle-1", "handle-1")
    assert status(book, "RESUME-1") == "pass"
    (setup,) = evidence_of(book, "RESUME-1")
    assert isinstance(setup, server.FrameReceived)
    assert (setup.message, setup.connection) == ("setup", 1)


@pytest.mark.parametrize("body", [{"sessionResumption": {}}, {"session_resumption": {}}, {}])
def test_resume_1_reads_the_setup_itself_where_its_members_were_not_noted(body: dict[str, object]) -> None:
    book = Book()
    book.dials(1.0, 1, key="key-1")
    book.frame(1.1, 1, "setup", "model", payload={"setup": {"model": "m", **body}})
    book.completes(1.2, 1)
    book.ends(60.0)
    assert status(book, "RESUME-1") == ("pass" if body else "fail")


def test_resume_1_is_unknown_when_nothing_of_the_setup_is_known() -> None:
    book = Book()
    book.dials(1.0, 1, key="key-1")
    book.frame(1.1, 1, "setup", payload=[])
    book.completes(1.2, 1)
    book.ends(60.0)
    assert status(book, "RESUME-1") == "unknown"


def test_resume_1_is_about_the_first_setup_that_was_sent() -> None:
    book = Book()
    book.dials(1.0, 1, key="key-1", status=503, refusal="http_503")
    book.opens(2.0, 2, resumption=False)
    book.cut(5.0, 2)
    book.opens(5.5, 3)
    book.ends(60.0)
    assert status(book, "RESUME-1") == "fail"
    assert [e.connection for e in evidence_of(book, "RESUME-1") if isinstance(e, server.FrameReceived)] == [2]


def test_resume_1_never_arises_without_a_setup() -> None:
    book = Book()
    book.ends(60.0)
    assert status(book, "RESUME-1") == "not_applicable"


# RESUME-2 ------------------------------------------------------------------------------------------------------------


def test_resume_2_holds_when_a_handle_is_carried() -> None:
    book = resumed_with("handle-1", "handle-1")
    assert status(book, "RESUME-2") == "pass"
    assert kinds(evidence_of(book, "RESUME-2")) == {"handle.issued", "frame.received"}


@pytest.mark.parametrize("label", [None, "empty-handle"])
def test_resume_2_breaks_when_none_is_carried_or_an_empty_one(label: str | None) -> None:
    book = resumed_with(label, "handle-1")
    assert status(book, "RESUME-2") == "fail"
    assert kinds(evidence_of(book, "RESUME-2")) == {"handle.issued", "frame.received", "fault.in_force"}
    assert "without a handle, although handle-1 had been received 8.0 s before it" in finding(book, "RESUME-2").summary


@pytest.mark.parametrize("label", ["handle-1", "unknown-handle-1", "handle-9"])
def test_resume_2_asks_for_a_handle_and_leaves_which_one_to_the_others(label: str) -> None:
    assert status(resumed_with(label, "handle-1"), "RESUME-2") == "pass"


@pytest.mark.parametrize(("before_s", "expected"), [(0.251, "fail"), (0.249, "not_applicable")])
def test_resume_2_counts_an_update_250_ms_before_the_fault_as_received(before_s: float, expected: str) -> None:
    book = Book()
    book.opens(1.0, 1)
    book.update(10.0 - before_s, 1, "handle-1")
    book.cut(10.0, 1)
    book.opens(10.5, 2)
    book.ends(60.0)
    assert status(book, "RESUME-2") == expected


@pytest.mark.parametrize(
    ("act", "hits_down", "expected"),
    [
        ("network.stall", True, "not_applicable"),
        ("network.slow", True, "not_applicable"),
        ("network.throttle", True, "not_applicable"),
        ("network.slow", False, "fail"),
        ("client.suspend", True, "not_applicable"),
        ("server.slow_pong", True, "fail"),
    ],
)
def test_resume_2_does_not_count_an_update_with_a_fault_in_its_way(act: str, hits_down: bool, expected: str) -> None:
    book = Book()
    book.opens(1.0, 1)
    book.fault(5.0, act, for_s=3.0, direction="both" if hits_down else "up")
    book.update(6.0, 1, "handle-1")
    book.link_ends(7.0, 1)
    book.opens(9.0, 2)
    book.ends(60.0)
    assert status(book, "RESUME-2") == expected


def test_resume_2_counts_what_a_stall_held_once_it_is_over() -> None:
    for end_s, expected in ((8.2, "not_applicable"), (8.3, "fail")):
        book = Book()
        book.opens(1.0, 1)
        book.fault(5.0, "network.stall", for_s=3.0)
        book.update(6.0, 1, "handle-1")
        book.closes(end_s, 1)
        book.opens(9.0, 2)
        book.ends(60.0)
        assert status(book, "RESUME-2") == expected


def test_resume_2_wants_a_handle_on_later_dials_too() -> None:
    book = session_with("handle-1")
    book.refused_dial(10.5, 2, "internal_error", handle="handle-1")
    book.opens(11.5, 3)
    book.ends(60.0)
    assert status(book, "RESUME-2") == "fail"


@pytest.mark.parametrize(("after_s", "expected"), [(3.99, "fail"), (4.0, "pass")])
def test_resume_2_lets_a_fresh_session_follow_when_resumes_were_refused_for_keep_trying(
    after_s: float, expected: str
) -> None:
    book = session_with("handle-1")
    for number, t in enumerate((11.0, 12.0, 13.0), start=2):
        book.refused_dial(t, number, "internal_error", handle="handle-1")
    book.opens(11.0 + after_s, 9, session="session-2")
    book.ends(60.0)
    assert status(book, "RESUME-2") == expected


def test_resume_2_takes_keep_trying_from_the_policy() -> None:
    for keep, expected in (("1s", "pass"), ("10s", "fail")):
        book = session_with("handle-1", policy={"refused_handle": {"keep_trying": keep}})
        book.refused_dial(11.0, 2, "internal_error", handle="handle-1")
        book.opens(13.0, 3, session="session-2")
        book.ends(60.0)
        assert status(book, "RESUME-2") == expected


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        ("session_not_found", "pass"),
        ("session_expired", "pass"),
        ("invalid_handle", "pass"),
        ("entity_not_found", "pass"),
        ("token_used_up", "fail"),  # it says nothing of the handle
        ("unavailable", "fail"),
    ],
)
def test_resume_2_lets_a_fresh_session_follow_at_once_when_the_handle_itself_was_refused(
    refusal: str, expected: str
) -> None:
    book = session_with("handle-1")
    book.refused_dial(11.0, 2, refusal, token="token-1", handle="handle-1")
    book.opens(11.5, 3, session="session-2")
    book.ends(60.0)
    assert status(book, "RESUME-2") == expected


@pytest.mark.parametrize("refusal", ["go_away_ignored", "idle", "internal_error_occurred", "quota"])
def test_resume_2_takes_the_end_of_a_resumed_session_for_no_refusal_of_the_resume(refusal: str) -> None:
    book = session_with("handle-1")
    book.opens(10.5, 2, handle="handle-1")
    book.update(12.0, 2, "handle-2")
    if refusal == "go_away_ignored":
        book.goes_away(25.0, 2)
    book.closes(30.0, 2, 1008, refusal=refusal)
    book.opens(30.5, 3, session="session-2")
    book.ends(60.0)
    assert status(book, "RESUME-2") == "fail"


def test_resume_2_does_not_bring_a_refused_handle_s_elders_back_in_the_next_gap() -> None:
    book = session_with("handle-1", "handle-2")
    book.refused_dial(11.0, 2, "session_not_found", handle="handle-2")
    book.opens(11.5, 3, session="session-2")
    book.cut(12.0, 3)  # before its first update
    book.opens(12.5, 4, session="session-3")
    book.ends(60.0)
    assert status(book, "RESUME-2") == "pass"


def test_resume_2_forgets_the_handles_of_a_session_that_was_lawfully_replaced() -> None:
    book = session_with("handle-1")
    book.refused_dial(11.0, 2, "internal_error", handle="handle-1")
    book.refused_dial(13.0, 3, "internal_error", handle="handle-1")
    book.opens(15.5, 4, session="session-2")
    book.cut(16.0, 4)  # before its first update
    book.opens(16.5, 5, session="session-3")
    book.ends(60.0)
    assert status(book, "RESUME-2") == "pass"


def test_resume_2_asks_nothing_of_a_program_that_was_started_again() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.update(2.0, 1, "handle-1")
    book.link_ends(10.0, 1)
    book.exits(10.1, None, signal="SIGKILL", asked=True)
    book.add(10.5, ClientStarted(2))
    book.opens(11.0, 2, session="session-2")
    book.cut(11.5, 2)
    book.opens(12.0, 3, session="session-3")
    book.ends(60.0)
    assert status(book, "RESUME-2") == "not_applicable"


def test_resume_2_is_about_drops_and_planned_moves_not_about_the_client_s_own_decisions() -> None:
    own = Book()
    own.opens(1.0, 1)
    own.update(2.0, 1, "handle-1")
    own.is_left(5.0, 1)
    own.opens(5.1, 2, session="session-2")
    own.ends(60.0)
    assert status(own, "RESUME-2") == "not_applicable"
    planned = Book()
    planned.opens(1.0, 1)
    planned.update(2.0, 1, "handle-1")
    planned.goes_away(4.0, 1)
    planned.is_left(5.0, 1)
    planned.opens(5.1, 2, session="session-2")
    planned.ends(60.0)
    assert status(planned, "RESUME-2") == "fail"


@pytest.mark.parametrize("act", ["server.silence", "server.malformed", "network.slow"])
def test_resume_2_counts_a_client_s_close_as_a_drop_when_something_was_done_to_it(act: str) -> None:
    book = Book()
    book.opens(1.0, 1)
    book.update(2.0, 1, "handle-1")
    book.fault(4.0, act, lifted_s=30.0 if act == "network.slow" else None)
    book.is_left(5.0, 1)
    book.opens(4.9, 2, session="session-2", takes_s=0.2)  # the dial is seen a little before the close
    book.ends(60.0)
    assert status(book, "RESUME-2") == "fail"


@pytest.mark.parametrize(
    ("handles", "resumable", "expected"),
    [
        (("handle-1",), True, ("unknown", "unknown", "not_applicable")),
        ((), True, ("not_applicable", "not_applicable", "not_applicable")),
        ((None,), False, ("not_applicable", "not_applicable", "unknown")),
    ],
)
def test_what_a_setup_would_have_carried_that_was_never_seen_is_unknown(
    handles: tuple[str | None, ...], resumable: bool, expected: tuple[str, str, str]
) -> None:
    book = Book()
    book.opens(1.0, 1)
    for handle in handles:
        book.update(2.0, 1, handle, resumable=resumable)
    book.cut(10.0, 1)
    upgrade = book.dials(10.5, 2, key="key-1")
    book.ends(60.0)
    found = statuses(book, "RESUME-2", "RESUME-3", "RESUME-4")
    assert tuple(found.values()) == expected
    if expected[0] == "unknown":
        assert book.n(upgrade) in finding(book, "RESUME-2").evidence


def test_dials_that_were_turned_away_could_not_have_carried_anything() -> None:
    book = session_with("handle-1")
    book.dials(10.5, 2, key="key-1", status=503, refusal="http_503")
    book.knocks(11.0, 50)
    book.turned_away(12.0)
    book.ends(60.0)
    assert statuses(book, *BY_HANDLE[1:]) == dict.fromkeys(BY_HANDLE[1:], "not_applicable")


def test_nobody_asks_what_a_dial_would_have_carried_after_the_user_hung_up() -> None:
    book = session_with("handle-1")
    book.dials(10.5, 2, key="key-1")
    book.hangs_up(10.6)
    book.ends(60.0)
    assert status(book, "RESUME-2") == "not_applicable"


def test_resume_2_never_arises_without_a_dial_or_a_handle() -> None:
    no_dial = session_with("handle-1")
    no_dial.ends(60.0)
    assert status(no_dial, "RESUME-2") == "not_applicable"
    assert status(resumed_with(None), "RESUME-2") == "not_applicable"
    useless = Book()
    useless.opens(1.0, 1)
    useless.update(2.0, 1, None, resumable=False)
    useless.cut(5.0, 1)
    useless.opens(5.5, 2)
    useless.ends(60.0)
    assert status(useless, "RESUME-2") == "not_applicable"


def test_resume_2_judges_the_overlapping_dial_of_a_planned_move() -> None:
    for policy in ({"handover": "overlap"}, {}):
        book = Book(policy=policy)
        book.opens(1.0, 1)
        book.update(2.0, 1, "handle-1")
        book.goes_away(4.0, 1)
        book.opens(4.5, 2, session="session-2")
        book.is_left(6.0, 1)
        book.ends(60.0)
        # Without that policy it is a second session beside the first: RETRY-7's business.
        assert status(book, "RESUME-2") == ("fail" if policy else "not_applicable")


# RESUME-3 ------------------------------------------------------------------------------------------------------------


def test_resume_3_holds_with_the_newest() -> None:
    book = resumed_with("handle-3", "handle-1", "handle-2", "handle-3")
    assert status(book, "RESUME-3") == "pass"
    assert kinds(evidence_of(book, "RESUME-3")) == {"handle.issued", "frame.received"}


@pytest.mark.parametrize(("handles", "expected"), [("snapshot", "fail"), ("session", "warn")])
def test_resume_3_breaks_with_an_older_one_softly_where_handles_name_the_session(handles: str, expected: str) -> None:
    book = resumed_with("handle-2", "handle-1", "handle-2", "handle-3", session={"resumption": {"handles": handles}})
    assert status(book, "RESUME-3") == expected
    assert "handle-2, although handle-3 had been received 1.0 s after it" in finding(book, "RESUME-3").summary


def test_resume_3_stays_a_must_where_the_older_handle_names_another_session() -> None:
    book = session_with("handle-1", session={"resumption": {"handles": "session"}})
    book.refused_dial(10.2, 2, "session_not_found", handle="handle-1")
    book.opens(10.5, 3, session="session-2")
    book.update(11.0, 3, "handle-2", session="session-2")
    book.cut(20.0, 3)
    book.opens(20.5, 4, handle="handle-1")
    book.ends(60.0)
    assert status(book, "RESUME-3") == "fail"


def test_resume_3_accepts_one_that_may_or_may_not_have_come() -> None:
    for label in ("handle-1", "handle-2"):
        book = Book()
        book.opens(1.0, 1)
        book.update(2.0, 1, "handle-1")
        book.update(9.9, 1, "handle-2")
        book.cut(10.0, 1)
        book.opens(10.5, 2, handle=label)
        book.ends(60.0)
        assert status(book, "RESUME-3") == "pass"


def test_resume_3_never_arises_without_an_issued_handle() -> None:
    assert status(resumed_with("unknown-handle-1", "handle-1"), "RESUME-3") == "not_applicable"
    assert status(resumed_with(None, "handle-1"), "RESUME-3") == "not_applicable"


# RESUME-4 ------------------------------------------------------------------------------------------------------------


def passed_over(label: str | None, *, keeps: bool = True) -> tuple[Book, Mark]:
    """A resumable update, one that is not, and a drop; `keeps`: the client showed that it presents handles."""
    book = Book()
    book.opens(1.0, 1)
    if keeps:
        book.update(2.0, 1, "handle-1")
        book.cut(4.0, 1)
        book.opens(4.5, 2, handle="handle-1")
    else:
        book.cut(4.0, 1)
        book.opens(4.5, 2)
    book.update(5.0, 2, "handle-2")
    useless = book.update(6.0, 2, None, resumable=False)
    book.cut(10.0, 2)
    book.opens(10.5, 3, handle=label)
    book.ends(60.0)
    return book, useless


def test_resume_4_holds_when_the_useless_update_changes_nothing() -> None:
    book, useless = passed_over("handle-2")
    assert status(book, "RESUME-4") == "pass"
    assert book.n(useless) in finding(book, "RESUME-4").evidence


@pytest.mark.parametrize(("label", "said"), [(None, "presented none"), ("empty-handle", "empty handle")])
def test_resume_4_breaks_when_it_erased_the_handle(label: str | None, said: str) -> None:
    book, useless = passed_over(label)
    assert status(book, "RESUME-4") == "fail"
    assert book.n(useless) in finding(book, "RESUME-4").evidence
    assert said in finding(book, "RESUME-4").summary


def test_resume_4_breaks_when_its_handle_is_taken_although_it_says_not_resumable() -> None:
    book = Book()
    book.opens(1.0, 1)
    book.update(2.0, 1, "handle-1")
    book.update(3.0, 1, "handle-2", resumable=False)
    book.cut(10.0, 1)
    book.opens(10.5, 2, handle="handle-2")
    book.ends(60.0)
    assert status(book, "RESUME-4") == "fail"


def test_resume_4_is_unknown_for_a_client_that_never_presents_handles() -> None:
    book, _ = passed_over(None, keeps=False)
    assert statuses(book, "RESUME-2", "RESUME-4") == {"RESUME-2": "fail", "RESUME-4": "unknown"}


@pytest.mark.parametrize("label", [None, "empty-handle"])
def test_resume_4_never_arises_where_there_was_nothing_to_erase(label: str | None) -> None:
    book = Book()
    book.opens(1.0, 1)
    book.update(2.0, 1, None, resumable=False)
    book.cut(4.0, 1)
    book.opens(4.5, 2, handle=label)
    book.ends(60.0)
    assert status(book, "RESUME-4") == "not_applicable"


def test_resume_4_never_arises_without_such_an_update() -> None:
    assert status(resumed_with("handle-1", "handle-1"), "RESUME-4") == "not_applicable"
    healed, _ = passed_over("handle-3")
    healed.update(7.0, 2, "handle-3")
    assert status(healed, "RESUME-4") == "not_applicable"


# RESUME-5 ------------------------------------------------------------------------------------------------------------


def test_resume_5_holds_for_issued_handles() -> None:
    book = resumed_with("handle-1", "handle-1")
    assert status(book, "RESUME-5") == "pass"
    assert kinds(evidence_of(book, "RESUME-5")) == {"handle.issued", "frame.received"}


def test_resume_5_breaks_for_a_handle_that_nobody_gave() -> None:
    first = Book()
    first.opens(1.0, 1, handle="unknown-handle-1")
    first.ends(60.0)
    assert status(first, "RESUME-5") == "fail"
    assert "never issued" in finding(first, "RESUME-5").summary
    early = Book()
    early.opens(1.0, 1, handle="handle-1")
    early.update(2.0, 1, "handle-1")
    early.ends(60.0)
    assert status(early, "RESUME-5") == "fail"
    assert "before it was issued" in finding(early, "RESUME-5").summary


def test_resume_5_minds_an_empty_handle_only_where_there_was_one_to_present() -> None:
    # proto3 knows no difference between an empty text and none
    assert status(resumed_with("empty-handle", "handle-1"), "RESUME-5") == "fail"
    assert status(resumed_with("empty-handle"), "RESUME-5") == "not_applicable"
    first = Book()
    first.refused_dial(1.0, 1, "unavailable", handle="empty-handle")
    first.opens(2.0, 2, handle="empty-handle")
    first.ends(60.0)
    assert status(first, "RESUME-5") == "not_applicable"
    refused = session_with("handle-1")
    refused.refused_dial(11.0, 2, "session_not_found", handle="handle-1")
    refused.opens(11.5, 3, handle="empty-handle", session="session-2")
    refused.ends(60.0)
    assert status(refused, "RESUME-5") == "pass"


def test_resume_5_applies_whatever_the_policy_says_once_a_handle_is_presented() -> None:
    without = resumed_with(None, "handle-1", policy={"resumption": "reseed"}, checks=["RESUME-5"])
    assert status(without, "RESUME-5") == "not_applicable"
    assert status(resumed_with("unknown-handle-1", policy={"resumption": "none"}), "RESUME-5") == "fail"


# Policy and evidence -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resumption", ["reseed", "none"])
def test_clients_that_do_not_resume_are_not_held_to_handles(resumption: str) -> None:
    book = resumed_with(None, "handle-1", policy={"resumption": resumption}, checks=list(BY_HANDLE))
    assert statuses(book, *BY_HANDLE) == dict.fromkeys(BY_HANDLE, "not_applicable")
    assert f"resumption: {resumption}" in finding(book, "RESUME-2").summary


@pytest.mark.parametrize("check", [*BY_HANDLE, "RESUME-5"])
def test_every_rule_needs_what_it_says(check: str) -> None:
    wrong, _ = passed_over(None)
    right, _ = passed_over("handle-2")
    for kind in sorted(CATALOGUE[check].needs):
        for book in (wrong, right, resumed_with("unknown-handle-1", "handle-1")):
            assert status(book.without(kind), check) != "pass", kind
