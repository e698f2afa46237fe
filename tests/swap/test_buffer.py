from __future__ import annotations

import threading

import pytest

from edge_autoglm.errors import SwapError
from edge_autoglm.swap.buffer import DoubleBuffer
from edge_autoglm.swap.generation import Generation
from edge_autoglm.swap.outcome import RolledBack, Swapped
from tests.swap.world import (
    BUNDLE,
    answer,
    asking,
    first_generation,
    make_catalogue,
    make_model,
    make_policy,
    next_generation,
    scripted,
)


@pytest.fixture
def first() -> Generation:
    return first_generation()


@pytest.fixture
def buffer(first: Generation) -> DoubleBuffer:
    return DoubleBuffer(first)


def test_a_swap_changes_who_answers_and_keeps_the_replaced_generation(buffer: DoubleBuffer, first: Generation) -> None:
    second = next_generation(first, model=make_model(scripted({"Answer:": "dull"})))
    assert buffer.swap(second) == Swapped(2)
    with buffer.lease() as leased:
        assert answer(leased) == "dull"
    assert (buffer.active, buffer.previous) == (second, first)
    assert not first.freed


def test_the_next_swap_frees_the_generation_before_the_replaced_one(buffer: DoubleBuffer, first: Generation) -> None:
    second = next_generation(first)
    buffer.swap(second)
    buffer.swap(next_generation(second))
    assert first.freed
    assert not second.freed
    assert buffer.previous is second


def test_a_lease_keeps_its_generation_through_two_swaps(buffer: DoubleBuffer, first: Generation) -> None:
    with buffer.lease() as leased:
        second = next_generation(first, model=make_model(scripted({"Answer:": "dull"})))
        buffer.swap(second)
        buffer.swap(next_generation(second))
        assert leased is first
        assert answer(leased) == "fine"
        assert not first.freed
    assert first.freed


class SlowToLease(Generation):
    """Gives two swaps time to come between the choice of this generation and its lease."""

    swaps: threading.Thread

    def acquire(self) -> None:
        self.swaps.start()
        self.swaps.join(0.2)
        super().acquire()


def test_no_swap_comes_between_the_choice_of_a_generation_and_its_lease() -> None:
    first = SlowToLease(1, BUNDLE, make_model(), make_catalogue(), make_policy(), "opened", {})
    buffer = DoubleBuffer(first)
    later = [Generation(n, BUNDLE, make_model(), make_catalogue(), make_policy(), "", {}) for n in (2, 3)]
    first.swaps = threading.Thread(target=lambda: [buffer.swap(generation) for generation in later])
    with buffer.lease() as leased:
        first.swaps.join()
        assert (leased, buffer.active) == (first, later[1])
        assert not first.freed
    assert first.freed


def test_rollback_brings_the_previous_generation_back_whole(buffer: DoubleBuffer, first: Generation) -> None:
    model, catalogue = make_model(scripted({"Reply:": "dull"})), make_catalogue(asking("asked", "New words.", "Reply:"))
    second = next_generation(first, model=model, catalogue=catalogue)
    buffer.swap(second)
    assert buffer.rollback("it got worse") == RolledBack("it got worse", 1)
    with buffer.lease() as leased:
        assert leased is first
        assert answer(leased) == "fine"
    assert second.freed


def test_rollback_leaves_a_request_on_the_failed_generation_alone(buffer: DoubleBuffer, first: Generation) -> None:
    second = next_generation(first, model=make_model(scripted({"Answer:": "dull"})))
    buffer.swap(second)
    with buffer.lease() as leased:
        buffer.rollback("it got worse")
        assert answer(leased) == "dull"
    assert second.freed


def test_a_second_rollback_does_not_bring_the_failed_generation_back(buffer: DoubleBuffer, first: Generation) -> None:
    buffer.swap(next_generation(first))
    buffer.rollback("it got worse")
    with pytest.raises(SwapError, match="no generation before 1"):
        buffer.rollback("it got worse")
    assert buffer.active is first


def test_without_a_swap_there_is_nothing_to_roll_back_to(buffer: DoubleBuffer) -> None:
    with pytest.raises(SwapError, match="no generation before 1"):
        buffer.rollback("for no reason")


def test_a_candidate_of_a_generation_that_was_given_up_is_refused(buffer: DoubleBuffer, first: Generation) -> None:
    second = next_generation(first)
    buffer.swap(second)
    third = next_generation(second)
    buffer.rollback("it got worse")
    with pytest.raises(SwapError, match="generation 3 was built on generation 2, but 1 became active"):
        buffer.swap(third, expected=second)
    assert buffer.active is first
    assert not third.freed


def test_a_number_is_not_live_twice(buffer: DoubleBuffer, first: Generation) -> None:
    buffer.swap(next_generation(first))
    buffer.rollback("it got worse")
    with pytest.raises(SwapError, match="generation 2 is not newer"):
        buffer.swap(next_generation(first, 2))
    assert buffer.next_number() == 3
    assert buffer.next_number() == 4
    assert buffer.swap(next_generation(first, 4)) == Swapped(4)


def test_closing_waits_for_leases_and_refuses_new_ones(buffer: DoubleBuffer, first: Generation) -> None:
    second = next_generation(first)
    buffer.swap(second)
    with buffer.lease():
        buffer.close()
        buffer.close()
        assert (first.freed, second.freed) == (True, False)
        with pytest.raises(SwapError, match="closed"), buffer.lease():
            pass
    assert second.freed
    with pytest.raises(SwapError, match="closed"):
        buffer.rollback("too late")
