"""SPEECH: what was being said, to the sample. The person speaks for 6 s from 10 s on."""

from __future__ import annotations

import pytest

from harness.journal.events import ClientStarted
from tests.harness.checks.journal_builder import Book, evidence_of, finding, kinds, status, statuses

AS_DECLARED = {"speech": {"lost": "as_declared", "doubled": {"at_most": "1500ms"}}}
ALL = ("SPEECH-1", "SPEECH-2", "SPEECH-3")


def speech(**options: object) -> Book:
    options = {"expect": AS_DECLARED, **options}
    book = Book(**options)  # type: ignore[arg-type]  # words of the builder
    book.opens(1.0, 1)
    book.speaks(10.0)
    return book


def drop(
    *,
    replays_from_s: float | None = 12.0,
    back_s: float = 14.0,
    from_then_s: float | None = None,
    until_s: float = 16.0,
    **options: object,
) -> Book:
    """The link is cut at 12 s; the client is back at `back_s` and replays from `replays_from_s` (None: nothing)."""
    book = speech(**options)
    book.streams(1, 10.0, 10.0, 12.0)
    book.cut(12.0, 1)
    book.opens(back_s - 0.03, 2)
    first_s = back_s if replays_from_s is None else replays_from_s
    if from_then_s is None:
        book.streams(2, 10.0, first_s, until_s, at_s=back_s + 0.01)
    else:
        book.streams(2, 10.0, first_s, back_s, at_s=back_s + 0.01)
        book.streams(2, 10.0, from_then_s, until_s, at_s=back_s + 0.7)
    book.ends(40.0)
    return book


# SPEECH-1 ------------------------------------------------------------------------------------------------------------


def test_speech_1_holds_when_what_was_said_in_the_gap_is_replayed() -> None:
    book = drop()
    assert statuses(book, *ALL) == dict.fromkeys(ALL, "pass")
    assert kinds(evidence_of(book, "SPEECH-1")) == {"user.turn", "fault.in_force", "session.started"}
    assert "2000 ms" in finding(book, "SPEECH-1").summary or "1996 ms" in finding(book, "SPEECH-1").summary


@pytest.mark.parametrize(("lost_ms", "expected"), [(100, "pass"), (110, "fail"), (2000, "fail")])
def test_speech_1_forgives_one_chunk(lost_ms: int, expected: str) -> None:
    book = drop(replays_from_s=12.004 + lost_ms / 1000 if lost_ms < 2000 else None)
    assert status(book, "SPEECH-1") == expected
    if expected == "fail":
        assert "all of it is replayed" in finding(book, "SPEECH-1").summary


def test_speech_1_counts_from_when_the_drop_was_known() -> None:
    # The link goes dark at 12 s, the client leaves at 14 s: what it said before that is SPEECH-2's.
    for replays_from_s, expected in ((14.0, "pass"), (14.2, "fail")):
        book = speech()
        book.streams(1, 10.0, 10.0, 12.0)
        book.fault(12.0, "network.blackhole", for_s=20.0, scope="existing")
        book.drops_own_end(14.0, 1)
        book.opens(15.0, 2)
        book.streams(2, 10.0, replays_from_s, 16.0, at_s=15.1)
        book.ends(60.0)
        assert status(book, "SPEECH-1") == expected


def test_speech_1_does_not_count_what_reached_a_ghost() -> None:
    book = speech()
    book.streams(1, 10.0, 10.0, 12.0)
    book.fault(12.0, "network.stall", for_s=5.0)
    book.drops_own_end(13.0, 1)
    book.streams(1, 10.0, 12.0, 15.0, at_s=17.1)  # what it had sent into the stall comes out of it
    book.opens(17.5, 2)
    book.ends(60.0)
    assert status(book, "SPEECH-1") == "fail"


@pytest.mark.parametrize(
    ("replays_from_s", "expected"), [(12.0, "pass"), (13.0, "pass"), (13.09, "pass"), (13.2, "fail")]
)
def test_speech_1_wants_the_tail_where_the_policy_says_so(replays_from_s: float, expected: str) -> None:
    book = drop(replays_from_s=replays_from_s, policy={"gap_speech": {"tail": "1s"}})
    assert status(book, "SPEECH-1") == expected
    if expected == "fail":
        assert "its tail of 1 s" in finding(book, "SPEECH-1").summary


def test_speech_1_counts_the_tail_back_from_the_next_session_not_from_the_last_word() -> None:
    # The words end at 16 s, and the client is back at 17 s: of the last 2 s only one is words, the other quiet.
    for replays_from_s, expected in ((15.0, "pass"), (15.2, "fail")):
        book = drop(replays_from_s=replays_from_s, back_s=17.0, policy={"gap_speech": {"tail": "2s"}})
        assert status(book, "SPEECH-1") == expected


@pytest.mark.parametrize(
    ("told_s", "state", "expected"),
    [
        (None, "", "fail"),
        (11.0, "error", "fail"),  # before anything had happened
        (12.0, "error", "pass"),  # seen by the client before the fault was confirmed
        (12.5, "reconnecting", "pass"),
        (12.5, "error", "pass"),
        (12.5, "connected", "fail"),
        (15.0, "error", "pass"),  # "I did not hear your last words"
        (16.1, "error", "fail"),
    ],
)
def test_speech_1_wants_to_be_told_where_the_policy_drops(told_s: float | None, state: str, expected: str) -> None:
    book = drop(replays_from_s=None, policy={"gap_speech": "drop"})
    if told_s is not None:
        book.tells(told_s, state)
    assert status(book, "SPEECH-1") == expected


def test_speech_1_need_not_be_told_where_nothing_was_dropped() -> None:
    assert status(drop(policy={"gap_speech": "drop"}), "SPEECH-1") == "pass"


@pytest.mark.parametrize("how", ["replay", "drop", {"tail": "1s"}])
def test_speech_1_wants_what_is_said_on_the_next_session(how: object) -> None:
    # After the resume nothing gets through any more.
    deaf = drop(until_s=14.1, policy={"gap_speech": how})
    deaf.tells(12.1, "reconnecting")
    assert status(deaf, "SPEECH-1") == "fail"
    assert "after the next session had begun" in finding(deaf, "SPEECH-1").summary
    mute = drop(replays_from_s=None, until_s=14.0, policy={"gap_speech": how})
    mute.tells(12.1, "reconnecting")
    assert status(mute, "SPEECH-1") == "fail"


def test_speech_1_lets_who_drops_begin_with_the_first_word_that_it_sends() -> None:
    book = drop(replays_from_s=None, from_then_s=14.4, policy={"gap_speech": "drop"})
    book.tells(12.1, "reconnecting")
    assert status(book, "SPEECH-1") == "pass"
    assert status(drop(from_then_s=14.4), "SPEECH-1") == "fail"


def test_speech_1_leaves_a_later_loss_that_nobody_could_know_of_to_speech_2() -> None:
    book = drop(until_s=15.0)
    book.fault(15.0, "network.blackhole", for_s=20.0, scope="existing")
    book.drops_own_end(17.0, 2)
    book.opens(18.0, 3)
    assert statuses(book, "SPEECH-1", "SPEECH-2") == {"SPEECH-1": "pass", "SPEECH-2": "pass"}


def test_speech_1_is_unknown_while_no_session_followed_and_never_arises_after_a_hang_up() -> None:
    book = speech()
    book.streams(1, 10.0, 10.0, 12.0)
    book.cut(12.0, 1)
    book.ends(40.0)
    assert status(book, "SPEECH-1") == "unknown"
    hung_up = speech()
    hung_up.streams(1, 10.0, 10.0, 12.0)
    hung_up.cut(12.0, 1)
    hung_up.hangs_up(13.0)
    hung_up.ends(40.0)
    assert status(hung_up, "SPEECH-1") == "not_applicable"


def test_speech_1_never_arises_without_speech_in_a_gap() -> None:
    quiet = Book()
    quiet.opens(1.0, 1)
    quiet.cut(5.0, 1)
    quiet.opens(5.5, 2)
    quiet.speaks(10.0)
    quiet.streams(2, 10.0, 10.0, 16.0)
    quiet.ends(40.0)
    assert status(quiet, "SPEECH-1") == "not_applicable"


def test_speech_1_holds_for_a_client_that_is_back_before_a_chunk_was_spoken() -> None:
    quick = drop(replays_from_s=None, back_s=12.1, checks=["SPEECH-1"])
    assert status(quick, "SPEECH-1") == "pass"
    gone = speech()
    gone.streams(1, 10.0, 10.0, 15.95)
    gone.cut(15.95, 1)
    gone.ends(40.0)
    assert status(gone, "SPEECH-1") == "not_applicable"  # the last half of a chunk, and nobody ever came back


def test_speech_1_covers_a_planned_move() -> None:
    for replays_from_s, expected in ((12.0, "pass"), (13.0, "fail")):
        book = speech()
        book.goes_away(10.5, 1)
        book.streams(1, 10.0, 10.0, 12.0)
        book.is_left(12.0, 1)
        book.opens(12.97, 2)
        book.streams(2, 10.0, replays_from_s, 16.0, at_s=13.01)
        book.ends(40.0)
        assert status(book, "SPEECH-1") == expected


def test_nobody_is_blamed_for_words_spoken_to_a_program_that_was_dead_or_asleep() -> None:
    dead = speech()
    dead.streams(1, 10.0, 10.0, 12.0)
    dead.fault(12.0, "client.restart")
    dead.link_ends(12.1, 1)
    dead.exits(12.2, None, signal="SIGKILL", asked=True)
    dead.add(12.5, ClientStarted(2))
    dead.opens(13.0, 2)
    dead.ends(40.0)
    asleep = speech()
    asleep.streams(1, 10.0, 10.0, 12.0)
    asleep.fault(12.0, "client.suspend", for_s=2.0)
    asleep.streams(1, 10.0, 14.0, 16.0)
    asleep.ends(40.0)
    asleep_in_the_gap = drop(replays_from_s=13.5)
    asleep_in_the_gap.fault(12.0, "client.suspend", for_s=1.5)
    assert statuses(dead, *ALL) == {"SPEECH-1": "not_applicable", "SPEECH-2": "pass", "SPEECH-3": "pass"}
    assert statuses(asleep, *ALL) == {"SPEECH-1": "not_applicable", "SPEECH-2": "pass", "SPEECH-3": "pass"}
    assert statuses(asleep_in_the_gap, *ALL) == dict.fromkeys(ALL, "pass")


# SPEECH-2 ------------------------------------------------------------------------------------------------------------


def dark(*, lost_to_s: float, policy: dict[str, object] | None = None, expect: object = None) -> Book:
    """The link goes dark at 11 s, the client notices at 14 s; what was said before `lost_to_s` is gone."""
    book = speech(policy=policy or {}, expect=expect or AS_DECLARED)
    book.streams(1, 10.0, 10.0, 11.0)
    book.fault(11.0, "network.blackhole", for_s=30.0, scope="existing")
    book.drops_own_end(14.0, 1)
    book.opens(14.97, 2)
    book.streams(2, 10.0, lost_to_s, 16.0, at_s=15.01)
    book.ends(60.0)
    return book


def test_speech_2_allows_as_declared_what_was_sent_into_a_dead_link() -> None:
    book = dark(lost_to_s=14.0)
    assert status(book, "SPEECH-2") == "pass"
    assert "3000 ms were lost" in finding(book, "SPEECH-2").summary
    assert kinds(evidence_of(book, "SPEECH-2")) == {"user.turn", "frame.received"}


@pytest.mark.parametrize(("within", "expected"), [("3s", "pass"), ("2801ms", "pass"), ("2799ms", "fail")])
def test_speech_2_allows_as_declared_no_more_than_the_client_s_own_time_to_notice(within: str, expected: str) -> None:
    # 3 s are gone; two chunks are allowed at the edges
    assert status(dark(lost_to_s=14.0, policy={"liveness": {"within": within}}), "SPEECH-2") == expected


@pytest.mark.parametrize(("at_most", "expected"), [("3000ms", "pass"), ("2999ms", "fail"), ("0s", "fail")])
def test_speech_2_takes_a_bound_of_the_scenario_as_it_is(at_most: str, expected: str) -> None:
    book = dark(lost_to_s=14.0, expect={"speech": {"lost": {"at_most": at_most}}})
    assert status(book, "SPEECH-2") == expected
    if expected == "fail":
        assert "3000 ms never arrived" in finding(book, "SPEECH-2").summary


@pytest.mark.parametrize(("lost_ms", "expected"), [(100, "pass"), (101, "fail")])
def test_speech_2_allows_as_declared_a_chunk_where_the_link_was_there(lost_ms: int, expected: str) -> None:
    book = speech()
    book.streams(1, 10.0, 10.0, 12.0)
    book.streams(1, 10.0, 12.0 + lost_ms / 1000, 16.0)
    book.ends(40.0)
    assert status(book, "SPEECH-2") == expected
    if expected == "fail":
        assert "the link was not lost" in finding(book, "SPEECH-2").summary


def test_speech_2_forgives_what_was_on_its_way_when_the_link_was_lost() -> None:
    for last_s, expected in ((11.75, "pass"), (11.4, "fail")):
        book = speech()
        book.streams(1, 10.0, 10.0, last_s)
        book.cut(12.0, 1)
        book.opens(13.97, 2)
        book.streams(2, 10.0, 12.0, 16.0, at_s=14.01)
        book.ends(40.0)
        assert status(book, "SPEECH-2") == expected


@pytest.mark.parametrize(("again_ms", "expected"), [(0, "pass"), (1500, "pass"), (1510, "fail")])
def test_speech_2_bounds_what_comes_twice(again_ms: int, expected: str) -> None:
    book = drop(replays_from_s=12.0 - again_ms / 1000)
    assert status(book, "SPEECH-2") == expected
    if expected == "fail":
        assert "1510 ms arrived more than once" in finding(book, "SPEECH-2").summary


def test_speech_2_bounds_what_comes_twice_as_declared_by_the_time_to_notice() -> None:
    for within, expected in (("1s", "pass"), ("900ms", "fail")):
        book = drop(
            replays_from_s=11.0, policy={"liveness": {"within": within}}, expect={"speech": {"doubled": "as_declared"}}
        )
        assert status(book, "SPEECH-2") == expected


def test_speech_2_counts_every_further_time() -> None:
    book = drop(replays_from_s=11.2)
    book.streams(2, 10.0, 11.2, 12.0, at_s=20.0)
    assert status(book, "SPEECH-2") == "fail"
    assert "1600 ms" in finding(book, "SPEECH-2").summary


def test_speech_2_counts_a_copy_on_a_second_live_session_for_no_replay() -> None:
    book = speech()
    book.opens(5.0, 2)
    book.streams(1, 10.0, 10.0, 16.0)
    book.streams(2, 10.0, 10.0, 16.0)
    book.ends(40.0)
    assert statuses(book, "SPEECH-2", "RETRY-7") == {"SPEECH-2": "pass", "RETRY-7": "fail"}


def test_speech_2_does_not_count_what_was_said_after_the_hang_up() -> None:
    book = speech()
    book.streams(1, 10.0, 10.0, 12.0)
    book.hangs_up(12.0)
    book.is_left(12.1, 1)
    book.ends(40.0)
    assert status(book, "SPEECH-2") == "pass"


def test_speech_2_counts_a_drop_that_nothing_ever_told_the_client_of() -> None:
    book = speech(policy={"liveness": {"within": "3s"}})
    book.streams(1, 10.0, 10.0, 12.0)
    book.fault(12.0, "network.blackhole", for_s=90.0, scope="existing", lifted_s=None)
    book.ends(60.0)
    book = book.without("fault.lifted")
    assert status(book, "SPEECH-2") == "fail"


def test_speech_2_never_arises_without_a_bound_or_without_speech() -> None:
    assert status(drop(expect={}), "SPEECH-2") == "not_applicable"
    silent = Book(expect=AS_DECLARED)
    silent.opens(1.0, 1)
    silent.ends(40.0)
    assert status(silent, "SPEECH-2") == "not_applicable"


# SPEECH-3 ------------------------------------------------------------------------------------------------------------


def test_speech_3_holds_for_a_replay_from_before() -> None:
    book = drop(replays_from_s=11.0)
    assert status(book, "SPEECH-3") == "pass"
    assert kinds(evidence_of(book, "SPEECH-3")) == {"frame.received"}


@pytest.mark.parametrize(("samples", "expected"), [(160, "pass"), (161, "fail")])
def test_speech_3_breaks_when_later_words_overtake(samples: int, expected: str) -> None:
    book = speech()
    book.audio(11.0, 1, 0, 16_000)
    book.audio(12.0, 1, 16_000 + samples, 40_000)
    late = book.audio(13.0, 1, 16_000, 16_000 + samples)
    book.audio(14.0, 1, 40_000, 96_000)
    book.ends(40.0)
    assert status(book, "SPEECH-3") == expected
    if expected == "fail":
        assert book.n(late) in finding(book, "SPEECH-3").evidence
        assert "at 1.00 s of it" in finding(book, "SPEECH-3").summary


def test_speech_3_breaks_for_a_backlog_that_comes_behind_live_speech() -> None:
    book = drop(replays_from_s=None)
    book.streams(2, 10.0, 12.0, 14.0, at_s=18.0)
    assert status(book, "SPEECH-3") == "fail"


def test_speech_3_takes_utterances_one_by_one() -> None:
    book = speech()
    book.streams(1, 10.0, 10.0, 16.0)
    book.speaks(20.0, 2, speech_s=1.0)
    book.streams(1, 20.0, 20.0, 21.0, utterance=2)
    book.ends(40.0)
    assert status(book, "SPEECH-3") == "pass"


def test_speech_3_never_arises_without_speech() -> None:
    book = speech()
    book.ends(40.0)
    assert status(book, "SPEECH-3") == "not_applicable"


# What all three share ------------------------------------------------------------------------------------------------


def test_audio_without_a_position_makes_all_three_unknown_and_hints_at_resampling() -> None:
    book = speech()
    for number in range(60):
        book.audio(10.1 + number / 10, 1, 0, 0, unplaced=1600)
    book.ends(40.0)
    assert statuses(book, "SPEECH-2", "SPEECH-3") == {"SPEECH-2": "unknown", "SPEECH-3": "unknown"}
    assert "speech_path: resampled" in finding(book, "SPEECH-2").summary
    gap = drop(replays_from_s=None)
    for number in range(20):
        gap.audio(14.01 + number / 50, 2, 0, 0, unplaced=1600)
    assert status(gap, "SPEECH-1") == "unknown"


def test_even_a_gap_that_seems_well_handled_is_doubted_where_much_audio_has_no_position() -> None:
    book = drop()
    book.audio(20.0, 2, 0, 0, unplaced=16_000)
    assert statuses(book, *ALL) == dict.fromkeys(ALL, "unknown")


def test_a_drop_before_the_first_word_changes_nothing() -> None:
    book = Book(expect=AS_DECLARED)
    book.opens(1.0, 1)
    book.cut(5.0, 1)
    book.opens(5.5, 2)
    book.speaks(10.0)
    book.streams(2, 10.0, 10.2, 16.0)
    book.ends(40.0)
    assert statuses(book, *ALL) == {"SPEECH-1": "not_applicable", "SPEECH-2": "pass", "SPEECH-3": "pass"}


@pytest.mark.parametrize(("unplaced", "expected"), [(1920, "pass"), (2000, "unknown")])
def test_a_fiftieth_of_the_audio_may_be_without_a_position(unplaced: int, expected: str) -> None:
    book = speech()
    book.streams(1, 10.0, 10.0, 16.0)
    book.audio(16.1, 1, 0, 0, unplaced=unplaced)
    book.ends(40.0)
    assert status(book, "SPEECH-3") == expected


def test_a_loss_that_the_unplaced_audio_cannot_explain_is_a_loss() -> None:
    book = drop(replays_from_s=None)
    book.audio(20.0, 2, 0, 0, unplaced=2100)
    assert status(book, "SPEECH-1") == "fail"


def test_autonomous_clients_are_given_no_speech() -> None:
    assert statuses(drop(driven=False, checks=list(ALL)), *ALL) == dict.fromkeys(ALL, "not_applicable")


@pytest.mark.parametrize("kind", ["frame.received", "session.started", "user.turn"])
@pytest.mark.parametrize("check", ALL)
def test_every_rule_needs_what_it_says(check: str, kind: str) -> None:
    for book in (drop(), drop(replays_from_s=None), drop(replays_from_s=10.0)):
        assert status(book.without(kind), check) != "pass"
