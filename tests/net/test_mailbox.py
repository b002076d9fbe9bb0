"""The mailbox: order, duplicates, room, and how all parties come to the same attempt."""

from __future__ import annotations

import itertools

import pytest

from vflfast.net.mailbox import Answer, Mailbox
from vflfast.params import MAX_EARLY_MESSAGES


def box(**changes: int) -> Mailbox:
    return Mailbox(["guest", "host1"], **{"attempt": 3, "max_bytes": 100} | changes)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_messages_come_out_in_order_and_once_whatever_order_they_arrive_in(order: tuple[int, ...]) -> None:
    mailbox = box()
    for sequence in order:
        assert mailbox.offer("guest", 3, sequence, b"%d" % sequence) is Answer.TAKEN
        assert mailbox.offer("guest", 3, sequence, b"again") is Answer.DUPLICATE
    assert [mailbox.take("guest") for _ in range(5)] == [b"0", b"1", b"2", b"3", None]
    assert mailbox.offer("guest", 3, 2, b"again") is Answer.DUPLICATE


def test_a_message_waits_for_the_one_before_it() -> None:
    mailbox = box()
    mailbox.offer("guest", 3, 1, b"second")
    assert mailbox.take("guest") is None
    mailbox.offer("guest", 3, 0, b"first")
    assert mailbox.take("guest") == b"first"
    assert mailbox.take("guest") == b"second"


def test_peers_have_lanes_of_their_own() -> None:
    mailbox = box()
    mailbox.offer("guest", 3, 0, b"of the guest")
    assert mailbox.take("host1") is None
    assert mailbox.offer("host1", 3, 0, b"of the host") is Answer.TAKEN
    assert mailbox.take("guest") == b"of the guest"


def test_another_attempt_is_refused_and_a_newer_one_noted() -> None:
    mailbox = box()
    mailbox.offer("guest", 3, 0, b"of this attempt")
    assert mailbox.offer("guest", 2, 1, b"old") is Answer.STALE
    assert mailbox.wanted == 3
    assert mailbox.offer("guest", 5, 0, b"new") is Answer.LATER
    assert mailbox.wanted == 5
    mailbox.restart(5)
    assert mailbox.take("guest") is None
    assert mailbox.offer("guest", 5, 0, b"new") is Answer.TAKEN
    mailbox.notice(4)
    assert (mailbox.attempt, mailbox.wanted) == (5, 5)


def test_room_is_bounded_but_the_message_that_is_due_always_fits() -> None:
    mailbox = box()
    assert mailbox.offer("guest", 3, 1, b"x" * 101) is Answer.FULL
    assert mailbox.offer("guest", 3, 0, b"x" * 101) is Answer.TAKEN
    assert mailbox.offer("guest", 3, 1, b"x") is Answer.FULL
    mailbox.take("guest")
    assert mailbox.offer("guest", 3, 1, b"x" * 60) is Answer.TAKEN
    assert mailbox.offer("guest", 3, 2, b"x" * 41) is Answer.FULL
    assert mailbox.offer("guest", 3, 2, b"x" * 40) is Answer.TAKEN


def test_what_came_early_does_not_keep_the_due_message_out() -> None:
    mailbox = box()
    assert mailbox.offer("guest", 3, 1, b"x" * 100) is Answer.TAKEN
    assert mailbox.offer("guest", 3, 0, b"x" * 500) is Answer.TAKEN


def test_messages_far_ahead_are_not_kept() -> None:
    mailbox = box()
    assert mailbox.offer("guest", 3, MAX_EARLY_MESSAGES, b"x") is Answer.FULL
    assert mailbox.offer("guest", 3, MAX_EARLY_MESSAGES - 1, b"x") is Answer.TAKEN
