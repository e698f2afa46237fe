"""Decisions waiting for their reward: bounded, idempotent, expiring as missing."""

from __future__ import annotations

import pytest

from edge_autoglm.errors import PolicyError, UnknownDecision
from edge_autoglm.learn.decisions import IDS_PER_PENDING, DecisionBook


def full_book(count: int, capacity: int) -> DecisionBook[int]:
    book = DecisionBook[int](capacity)
    for number in range(count):
        book.add(f"d{number}", number)
    return book


def test_the_oldest_expire_and_say_so() -> None:
    book = full_book(12, capacity=10)
    assert (len(book), book.expired) == (10, 2)
    for expired in ("d0", "d1"):
        with pytest.raises(UnknownDecision, match=f"'{expired}' expired.*newest 10"):
            book.find(expired)
    assert book.find("d2") == 2


def test_an_answered_decision_makes_room() -> None:
    book = full_book(10, capacity=10)
    book.answer("d9")
    book.add("d10", 10)
    assert (len(book), book.expired) == (10, 0)
    assert book.find("d0") == 0


def test_answered_is_neither_pending_nor_unknown() -> None:
    book = full_book(3, capacity=10)
    assert book.answer("d1") == 1
    assert book.find("d1") is None
    assert book.knows("d1")
    book.restore("d1", 1)
    assert book.find("d1") == 1


def test_an_id_that_was_never_added_is_unknown() -> None:
    book = full_book(3, capacity=10)
    assert not book.knows("stranger")
    with pytest.raises(UnknownDecision, match="'stranger' was never recorded here"):
        book.find("stranger")


def test_memory_is_bounded_however_many_come() -> None:
    book = full_book(1000, capacity=10)
    assert book.expired == 990
    assert sum(book.knows(f"d{number}") for number in range(1000)) == 10 + IDS_PER_PENDING * 10
    with pytest.raises(UnknownDecision, match="never recorded here, or expired long ago"):
        book.find("d0")


def test_a_capacity_of_nothing_is_refused() -> None:
    with pytest.raises(PolicyError, match="0"):
        DecisionBook[int](0)


def test_a_decision_that_was_heard_of_goes_on_waiting_and_does_not_expire_as_missing() -> None:
    book = full_book(10, capacity=10)
    book.hear("d0", 100)
    assert book.find("d0") == 100
    book.add("d10", 10)  # the place in the queue is that of the decision
    assert book.expired == 0
    with pytest.raises(UnknownDecision, match="expired"):
        book.find("d0")
    book.add("d11", 11)
    assert book.expired == 1


def test_a_book_filled_with_the_contents_of_another_goes_on_alike() -> None:
    ours = full_book(30, capacity=10)
    ours.answer("d25")
    ours.hear("d22", 220)
    theirs = DecisionBook[int](10)
    theirs.fill(ours.contents())
    assert theirs.contents() == ours.contents()
    for number in range(30, 90):
        for book in (ours, theirs):
            book.add(f"d{number}", number)
        assert theirs.contents() == ours.contents()


def test_a_smaller_book_lets_expire_what_it_cannot_hold() -> None:
    smaller = DecisionBook[int](4)
    smaller.fill(full_book(10, capacity=10).contents())
    assert (len(smaller), smaller.expired) == (4, 6)
    assert smaller.find("d6") == 6
