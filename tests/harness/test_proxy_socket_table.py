"""`harness.proxy.socket_table`: reading the kernel's table, and what follows from two of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.proxy.socket_table import NEAR, Closed, Entry, LinkTracker, State, pair_inodes, parse

LISTEN, SERVER = 40000, 50000
TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                       
   0: 0100007F:9C40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 ffff 100 0 0 10 0
   1: 0100007F:9C40 0100007F:C001 08 00000000:00000005 00:00000000 00000000  1000        0 5000 1 ffff 20 4 30 10 -1
   2: 0100007F:D002 0100007F:C350 01 00000000:00000000 02:000005DC 00000000     0        0 5001 2 ffff 20 4 0 10 -1
   3: 0200A8C0:D003 08080808:01BB 01 00000000:00000000 02:000005DC 00000000     0        0 5002 2 ffff 20 4 0 10 -1
   4: 0100007F:9C40 0100007F:C004 06 00000000:00000000 03:00000F00 00000000     0        0 0 3 ffff
   5: cut off
"""  # noqa: W291 - as the kernel writes it


def test_parse_reads_links_of_loopback_alone() -> None:
    assert parse(TABLE) == [
        Entry(LISTEN, 0xC001, State.CLOSE_WAIT, 5000),
        Entry(0xD002, SERVER, State.ESTABLISHED, 5001),
        Entry(LISTEN, 0xC004, State.TIME_WAIT, 0),
    ]
    assert parse("") == []


def link(client_port: int, inode: int, state: State = State.ESTABLISHED) -> Entry:
    return Entry(LISTEN, client_port, state, inode)


def dialled(local_port: int, inode: int) -> Entry:
    return Entry(local_port, SERVER, State.ESTABLISHED, inode)


def test_a_close_is_told_once_with_the_connection_behind_it() -> None:
    tracker = LinkTracker(LISTEN, SERVER)
    alive = [link(1, 100), dialled(11, 101), link(2, 200), dialled(12, 201)]
    assert tracker.update(alive, {LISTEN}) == []
    closing = [link(1, 100), dialled(11, 101), link(2, 200, State.CLOSE_WAIT), dialled(12, 201)]
    assert tracker.update(closing, {LISTEN}) == [Closed(2, 12)]
    assert tracker.update(closing, {LISTEN}) == []
    assert tracker.update([link(1, 100)], {LISTEN}) == []


def test_a_link_that_vanished_was_reset_by_its_client() -> None:
    tracker = LinkTracker(LISTEN, SERVER)
    tracker.update([link(1, 100), dialled(11, 101)], {LISTEN})
    assert tracker.update([dialled(11, 101)], {LISTEN}) == [Closed(1, 11)]


def test_a_link_that_the_proxy_closed_first_is_nobodys_news() -> None:
    for state in (State.FIN_WAIT1, State.FIN_WAIT2, State.TIME_WAIT, State.CLOSING):
        tracker = LinkTracker(LISTEN, SERVER)
        tracker.update([link(1, 100), dialled(11, 101)], {LISTEN})
        assert tracker.update([link(1, 0, state)], {LISTEN}) == []
        assert tracker.update([], {LISTEN}) == []


def test_a_client_that_closed_before_the_first_look_is_told() -> None:
    tracker = LinkTracker(LISTEN, SERVER)
    assert tracker.update([link(1, 100, State.CLOSE_WAIT), dialled(11, 101)], {LISTEN}) == [Closed(1, 11)]


def test_links_that_we_ended_are_forgotten_but_a_port_used_again_is_not() -> None:
    tracker = LinkTracker(LISTEN, SERVER)
    tracker.update([link(1, 100), dialled(11, 101)], {LISTEN})
    tracker.forget()
    assert tracker.update([link(1, 100, State.CLOSE_WAIT)], {LISTEN}) == []
    assert tracker.update([], {LISTEN}) == []
    tracker.update([link(1, 300), dialled(13, 301)], {LISTEN})
    assert tracker.update([], {LISTEN}) == [Closed(1, 13)]


def test_a_socket_that_nobody_accepted_yet_is_no_link() -> None:
    tracker = LinkTracker(LISTEN, SERVER)
    assert tracker.update([link(1, 0)], {LISTEN}) == []
    assert tracker.update([], {LISTEN}) == []


def test_two_links_to_one_server_are_told_apart() -> None:
    other = LISTEN + 1
    table = [link(1, 100), dialled(11, 101), Entry(other, 2, State.ESTABLISHED, 103), dialled(12, 104)]
    for listen_port, client_port, upstream_port in ((LISTEN, 1, 11), (other, 2, 12)):
        tracker = LinkTracker(listen_port, SERVER)
        tracker.update(table, {LISTEN, other})
        gone = [entry for entry in table if entry.remote_port != client_port]
        assert tracker.update(gone, {LISTEN, other}) == [Closed(client_port, upstream_port)]


def test_what_cannot_be_told_apart_is_not_guessed() -> None:
    tracker = LinkTracker(LISTEN, SERVER)
    far = 10 * NEAR
    table = [link(1, 100), link(2, 101), dialled(11, far), dialled(12, far + 1)]
    tracker.update(table, {LISTEN})
    assert tracker.update(table[1:], {LISTEN}) == [Closed(1, None)]


def test_leftovers_pair_when_there_is_one_of_each() -> None:
    far = 10 * NEAR
    assert pair_inodes({100, 200}, {101, far + 200}) == {100: 101, 200: far + 200}
    assert pair_inodes({100}, {50}) == {100: 50}
    assert pair_inodes(set(), {1}) == {}


@given(
    gaps=st.lists(st.tuples(st.integers(1, NEAR), st.integers(1, 10_000)), min_size=1, max_size=20),
)
def test_connections_made_one_after_the_other_all_pair_rightly(gaps: list[tuple[int, int]]) -> None:
    at, truth = 1000, {}
    for until_dial, until_next in gaps:
        truth[at] = at + until_dial
        at += until_dial + until_next
    assert pair_inodes(truth.keys(), set(truth.values())) == truth
