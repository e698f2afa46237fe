"""Classes are strict: a critical job is in the step after its arrival, whoever has to give way."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from edge_autoglm.runtime.engine import Chunk, KVSegment
from edge_autoglm.runtime.schedule.job import Job
from edge_autoglm.values import Priority
from tests.runtime.schedule.conftest import SchedulerFactory
from tests.runtime.schedule.jobs_for_tests import VOCAB_SIZE, alone, continuing, job, prompt, result
from tests.waiting import GatedEngine, wait_until

CRITICAL, NORMAL, BACKGROUND = Priority


class CopyingEngine(GatedEngine):
    """Notes what is copied out and in."""

    def __init__(self, slots: int) -> None:
        super().__init__(VOCAB_SIZE, slots)
        self.copies: list[tuple[str, int, int]] = []

    def copy_out(self, slot: int, begin: int, end: int) -> KVSegment:
        self.copies.append(("out", slot, end))
        return super().copy_out(slot, begin, end)

    def copy_in(self, slot: int, segments: Sequence[KVSegment], length: int | None = None) -> None:
        self.copies.append(("in", slot, segments[-1].end))
        super().copy_in(slot, segments, length)


def chunk_tokens(chunks: Sequence[Chunk]) -> list[list[int]]:
    return [list(chunk.tokens) for chunk in chunks]


def starts(engine: GatedEngine) -> list[int]:
    """Numbers of the jobs whose prompts ran, in order."""
    number_of = {tuple(prompt(number)): number for number in range(20)}
    return [
        number_of[tuple(chunk.tokens)]
        for chunks in engine.passes
        for chunk in chunks
        if tuple(chunk.tokens) in number_of
    ]


@pytest.mark.parametrize("running", [NORMAL, BACKGROUND])
def test_a_critical_job_is_alone_in_the_very_next_step(schedulers: SchedulerFactory, running: Priority) -> None:
    scheduler, engine = schedulers.gated(slots=2)
    others = [scheduler.submit(job(number, 6, priority=running)) for number in (0, 1)]
    engine.wait_for_pass(1)
    engine.let(2)
    engine.wait_for_pass(3)
    urgent = scheduler.submit(job(2, 3, priority=CRITICAL))
    engine.let(1)
    assert chunk_tokens(engine.wait_for_pass(4)) == [prompt(2)]
    engine.open_gate()
    assert result(urgent) == alone(2, 3)
    assert [len(chunks) for chunks in engine.passes[3:6]] == [1, 1, 1]
    assert [result(one) for one in others] == [alone(number, 6) for number in (0, 1)]


def test_the_victim_is_the_youngest_of_the_lowest_class_and_resumes_where_it_was(
    schedulers: SchedulerFactory,
) -> None:
    engine = CopyingEngine(slots=3)
    scheduler = schedulers(engine)
    first = [scheduler.submit(job(0, 6, priority=BACKGROUND))]
    engine.wait_for_pass(1)
    first.append(scheduler.submit(job(1, 6, priority=BACKGROUND)))
    engine.let(1)
    engine.wait_for_pass(2)
    first.append(scheduler.submit(job(2, 6, priority=NORMAL)))
    engine.let(1)
    engine.wait_for_pass(3)  # of the third alone: it is of the higher class
    urgent = scheduler.submit(job(3, 2, priority=CRITICAL))
    engine.let(1)
    engine.wait_for_pass(4)
    assert engine.copies == [("out", 1, 5)]
    assert (scheduler.busy, scheduler.waiting) == (3, 1)
    engine.open_gate()
    assert result(urgent) == alone(3, 2)
    assert [result(one) for one in first] == [alone(number, 6) for number in range(3)]
    assert engine.copies == [("out", 1, 5), ("in", 1, 5)]


def test_a_victim_may_resume_in_another_slot(schedulers: SchedulerFactory) -> None:
    engine = CopyingEngine(slots=2)
    scheduler = schedulers(engine)
    first = scheduler.submit(job(0, 4))
    engine.wait_for_pass(1)
    second = scheduler.submit(job(1, 9))
    engine.let(2)
    engine.wait_for_pass(3)
    urgent = scheduler.submit(job(2, 9, priority=CRITICAL))
    engine.let(2)
    engine.wait_for_pass(5)
    first.future.cancel()  # so that slot 0 is free before the victim's own one
    engine.open_gate()
    assert result(second) == alone(1, 9)
    assert result(urgent) == alone(2, 9)
    assert [kind for kind, _, _ in engine.copies] == ["out", "in"]
    assert [slot for _, slot, _ in engine.copies] == [1, 0]


def test_as_many_give_way_as_are_needed(schedulers: SchedulerFactory) -> None:
    scheduler, engine = schedulers.gated(slots=3)
    victims = [scheduler.submit(job(number, 5, priority=BACKGROUND)) for number in range(3)]
    engine.wait_for_pass(1)
    engine.let(1)
    engine.wait_for_pass(2)
    urgent = [scheduler.submit(job(number, 3, priority=CRITICAL)) for number in (3, 4, 5)]
    engine.let(1)
    assert chunk_tokens(engine.wait_for_pass(3)) == [prompt(number) for number in (3, 4, 5)]
    assert scheduler.waiting == 3
    engine.open_gate()
    assert [result(one) for one in (*urgent, *victims)] == [
        *(alone(number, 3) for number in (3, 4, 5)),
        *(alone(number, 5) for number in range(3)),
    ]


def test_a_class_gives_no_way_to_its_own(schedulers: SchedulerFactory) -> None:
    engine = CopyingEngine(slots=1)
    scheduler = schedulers(engine)
    jobs = [scheduler.submit(job(number, 3, priority=CRITICAL)) for number in range(3)]
    engine.open_gate()
    assert [result(one) for one in jobs] == [alone(number, 3) for number in range(3)]
    assert engine.copies == []


def test_classes_in_order_and_arrivals_within_a_class(schedulers: SchedulerFactory) -> None:
    scheduler, engine = schedulers.gated(slots=1)
    jobs = [scheduler.submit(job(0, 1))]
    engine.wait_for_pass(1)
    order = [BACKGROUND, NORMAL, CRITICAL, BACKGROUND, NORMAL, CRITICAL]
    jobs += [scheduler.submit(job(number, 1, priority=priority)) for number, priority in enumerate(order, start=1)]
    engine.open_gate()
    for one in jobs:
        result(one)
    assert starts(engine) == [0, 3, 6, 2, 5, 1, 4]


def test_one_that_gave_way_goes_on_before_those_that_came_later(schedulers: SchedulerFactory) -> None:
    scheduler, engine = schedulers.gated(slots=1)
    first = scheduler.submit(job(0, 5))
    engine.wait_for_pass(1)
    later = scheduler.submit(job(1, 1))
    scheduler.submit(job(2, 1, priority=CRITICAL))
    ends: list[int] = []
    first.future.add_done_callback(lambda _: ends.append(0))
    later.future.add_done_callback(lambda _: ends.append(1))
    engine.open_gate()
    result(later)
    result(first)
    wait_until(lambda: len(ends) == 2)
    assert ends == [0, 1]
    assert starts(engine) == [0, 2, 1]


def test_a_job_can_give_way_again_and_again(schedulers: SchedulerFactory) -> None:
    engine = CopyingEngine(slots=1)
    scheduler = schedulers(engine)
    victim = scheduler.submit(job(0, 9, priority=BACKGROUND))
    urgent = []
    for number in range(1, 5):
        engine.wait_for_pass(3 * number - 2)
        urgent.append(scheduler.submit(job(number, 2, priority=CRITICAL)))
        engine.let(3)
    engine.open_gate()
    assert result(victim) == alone(0, 9)
    assert [result(one) for one in urgent] == [alone(number, 2) for number in range(1, 5)]
    assert [kind for kind, _, _ in engine.copies] == ["out", "in"] * 4


def test_a_job_that_has_run_nothing_can_give_way(schedulers: SchedulerFactory) -> None:
    """It has its slot since the end of a step that took part of a higher class alone."""
    engine = CopyingEngine(slots=2)
    scheduler = schedulers(engine)
    high = scheduler.submit(job(0, 4, priority=CRITICAL))
    engine.wait_for_pass(1)
    low = scheduler.submit(job(1, 3, priority=BACKGROUND))
    engine.let(1)
    engine.wait_for_pass(2)
    assert scheduler.busy == 2
    urgent = scheduler.submit(job(2, 2, priority=CRITICAL))
    engine.open_gate()
    assert [result(one) for one in (high, low, urgent)] == [alone(0, 4), alone(1, 3), alone(2, 2)]
    assert engine.copies[0] == ("out", 1, 0)


@pytest.mark.parametrize("ran", [1, 2, 3])
def test_a_job_can_give_way_in_the_middle_of_its_prompt(schedulers: SchedulerFactory, ran: int) -> None:
    engine = CopyingEngine(slots=1)
    scheduler = schedulers(engine, prefill_chunk=20)
    victim = scheduler.submit(Job(continuing(prompt(0, 70), 3), BACKGROUND))
    for number in range(1, ran):
        engine.wait_for_pass(number)
        engine.let(1)
    engine.wait_for_pass(ran)
    urgent = scheduler.submit(job(1, 2, priority=CRITICAL))
    engine.open_gate()
    assert (result(victim), result(urgent)) == (alone(0, 3, 70), alone(1, 2))
    assert engine.copies[0] == ("out", 0, 20 * ran)


class CannotKeep(GatedEngine):
    """The host has no memory for what a slot holds."""

    def copy_out(self, slot: int, begin: int, end: int) -> KVSegment:
        raise MemoryError


class CannotRestore(GatedEngine):
    """It had once, but has none any more."""

    def copy_in(self, slot: int, segments: Sequence[KVSegment], length: int | None = None) -> None:
        raise MemoryError


@pytest.mark.parametrize("kind", [CannotKeep, CannotRestore])
def test_a_victim_that_cannot_go_on_fails_and_nobody_else_does(
    schedulers: SchedulerFactory, kind: type[GatedEngine]
) -> None:
    engine = kind(VOCAB_SIZE, slots=1)
    scheduler = schedulers(engine)
    victim = scheduler.submit(job(0, 5, priority=BACKGROUND))
    engine.wait_for_pass(1)
    waiting = scheduler.submit(job(1, 2, priority=BACKGROUND))
    urgent = scheduler.submit(job(2, 2, priority=CRITICAL))
    engine.open_gate()
    assert (result(urgent), result(waiting)) == (alone(2, 2), alone(1, 2))
    with pytest.raises(MemoryError):
        result(victim)
    wait_until(lambda: scheduler.busy == 0)


def test_a_full_queue_of_others_keeps_no_critical_job_out(schedulers: SchedulerFactory) -> None:
    scheduler, engine = schedulers.gated(slots=1, max_waiting=3)
    running = scheduler.submit(job(0, 4, priority=BACKGROUND))
    engine.wait_for_pass(1)
    others = [scheduler.submit(job(number, 1, priority=BACKGROUND)) for number in (1, 2, 3)]
    urgent = scheduler.submit(job(4, 2, priority=CRITICAL))
    engine.let(1)
    assert chunk_tokens(engine.wait_for_pass(2)) == [prompt(4)]
    engine.open_gate()
    for one in (urgent, running, *others):
        result(one)


def test_many_chunks_of_a_critical_prompt_run_whole_beside_others_that_wait(schedulers: SchedulerFactory) -> None:
    scheduler, engine = schedulers.gated(slots=2)
    background = scheduler.submit(job(0, 3, priority=BACKGROUND))
    engine.wait_for_pass(1)
    urgent = scheduler.submit(job(1, 1, length=300, priority=CRITICAL))
    engine.open_gate()
    assert (result(urgent), result(background)) == (alone(1, 1, 300), alone(0, 3))
    assert [[len(chunk.tokens) for chunk in chunks] for chunks in engine.passes] == [[5], [256], [44], [1], [1]]
