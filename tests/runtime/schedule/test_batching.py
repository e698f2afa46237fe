"""What runs together: jobs join and leave between steps, prompts go in chunks beside streams."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_autoglm.runtime.engine import Chunk
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.schedule.job import Append, Job, Steps
from edge_autoglm.runtime.schedule.plan import BESIDE
from edge_autoglm.runtime.schedule.scheduler import Scheduler
from edge_autoglm.runtime.schedule.seat import Seat
from edge_autoglm.values import Priority
from tests.runtime.schedule.conftest import SchedulerFactory
from tests.runtime.schedule.jobs_for_tests import VOCAB_SIZE, alone, continuing, job, prompt, result
from tests.waiting import wait_until


def lengths(chunks: Sequence[Chunk]) -> list[int]:
    return [len(chunk.tokens) for chunk in chunks]


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_job_gets_its_answer(schedulers: SchedulerFactory, count: int) -> None:
    scheduler = schedulers(ScriptedEngine(VOCAB_SIZE))
    assert result(scheduler.submit(job(3, count))) == alone(3, count)
    assert (scheduler.busy, scheduler.waiting) == (0, 0)


def test_all_decoding_jobs_share_each_pass(schedulers: SchedulerFactory) -> None:
    scheduler, engine = schedulers.gated(slots=4)
    first = scheduler.submit(job(0, count=5))
    engine.wait_for_pass(1)
    others = [scheduler.submit(job(number, count=5)) for number in (1, 2, 3)]
    engine.open_gate()
    assert [result(one) for one in (first, *others)] == [alone(number, 5) for number in range(4)]
    # Its prompt, then 4 tokens; the others are one step behind.
    assert [len(chunks) for chunks in engine.passes] == [1, 4, 4, 4, 4, 3]


def test_jobs_join_and_leave_between_steps(schedulers: SchedulerFactory) -> None:
    scheduler, engine = schedulers.gated(slots=2)
    long = scheduler.submit(job(0, count=8))
    engine.wait_for_pass(1)
    short = [scheduler.submit(job(number, count=2)) for number in (1, 2, 3)]
    engine.open_gate()
    assert [result(one) for one in short] == [alone(number, 2) for number in (1, 2, 3)]
    assert result(long) == alone(0, 8)
    # The short ones follow one another in the second slot, two steps each.
    assert [lengths(chunks) for chunks in engine.passes] == [[5], *([[1, 5], [1, 1]] * 3), [1]]
    assert {chunk.slot for chunks in engine.passes for chunk in chunks} == {0, 1}


def test_a_long_prompt_goes_in_chunks_beside_streams_which_go_on(schedulers: SchedulerFactory) -> None:
    scheduler, engine = schedulers.gated(slots=3)
    streams = [scheduler.submit(job(0, count=9))]
    engine.wait_for_pass(1)
    streams.append(scheduler.submit(job(1, count=9)))
    long = scheduler.submit(job(2, count=1, length=300))
    engine.open_gate()
    assert result(long) == alone(2, 1, 300)
    assert [result(one) for one in streams] == [alone(number, 9) for number in (0, 1)]
    beside = [lengths(chunks) for chunks in engine.passes[1:6]]
    assert beside == [[1, 5, BESIDE], *([[1, 1, BESIDE]] * 3), [1, 1, 300 - 4 * BESIDE]]


def test_a_prompt_goes_in_whole_chunks_once_it_is_alone(schedulers: SchedulerFactory) -> None:
    scheduler, engine = schedulers.gated(slots=2)
    short = scheduler.submit(job(0, count=2))
    engine.wait_for_pass(1)
    long = scheduler.submit(job(1, count=1, length=500))
    engine.open_gate()
    assert (result(short), result(long)) == (alone(0, 2), alone(1, 1, 500))
    assert [lengths(chunks) for chunks in engine.passes] == [[5], [1, BESIDE], [256], [500 - 256 - BESIDE]]


def test_whether_others_run_in_the_same_steps_is_known_to_a_job(schedulers: SchedulerFactory) -> None:
    crowded: dict[str, list[bool]] = {"first": [], "second": []}

    def steps(name: str, count: int, seat: Seat) -> Steps[None]:
        seat.truncate(0)
        for _ in range(count):
            yield Append.for_last([1])
            crowded[name].append(seat.crowded)

    scheduler, engine = schedulers.gated(slots=2)
    first = scheduler.submit(Job(lambda seat: steps("first", 5, seat)))
    engine.wait_for_pass(1)
    second = scheduler.submit(Job(lambda seat: steps("second", 2, seat)))
    engine.open_gate()
    result(second)
    result(first)
    assert crowded == {"first": [False, True, True, False, False], "second": [True, True]}


def test_a_job_behind_its_end_has_left_its_slot_when_its_answer_is_there(schedulers: SchedulerFactory) -> None:
    scheduler = schedulers(ScriptedEngine(VOCAB_SIZE, slots=1))
    seen: list[int] = []
    for number in range(50):
        one = job(number)
        one.future.add_done_callback(lambda _: seen.append(scheduler.busy))
        result(scheduler.submit(one))
        assert scheduler.busy == 0
    wait_until(lambda: len(seen) == 50)  # callbacks come behind the result
    assert seen == [0] * 50


def test_a_slot_is_taken_over_with_whatever_it_holds(schedulers: SchedulerFactory) -> None:
    """Jobs say themselves what of it they want; the scheduler empties nothing that a job could use."""
    scheduler = schedulers(ScriptedEngine(VOCAB_SIZE, slots=1))
    result(scheduler.submit(job(0, count=4, length=9)))

    def steps(seat: Seat) -> Steps[int]:
        held = seat.length
        yield Append.for_last([1])
        return held

    assert result(scheduler.submit(Job(steps))) == 12


_LOADS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(1, 12), st.integers(1, 100), st.sampled_from(Priority)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(load=_LOADS, slots=st.integers(1, 4), chunk=st.integers(2, 40))
def test_no_load_changes_an_answer(load: list[tuple[int, int, int, Priority]], slots: int, chunk: int) -> None:
    scheduler = Scheduler(ScriptedEngine(VOCAB_SIZE, slots), chunk, max_waiting=100)
    try:
        with ThreadPoolExecutor(4) as pool:
            jobs = list(
                pool.map(lambda one: scheduler.submit(Job(continuing(prompt(one[0], one[2]), one[1]), one[3])), load)
            )
        for one, (number, count, length, _) in zip(jobs, load, strict=True):
            assert result(one) == alone(number, count, length)
    finally:
        scheduler.close()
