"""However a job ends, in whatever state: once, with its slot free, and without harm to others."""

from __future__ import annotations

import concurrent.futures
import gc
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError

import pytest

from edge_autoglm.errors import DeadlineExceeded, EngineError, Overloaded, RequestError, SlotFull
from edge_autoglm.runtime.engine import Chunk, Logits
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.schedule.job import Append, Job, Steps
from edge_autoglm.runtime.schedule.scheduler import Scheduler
from edge_autoglm.runtime.schedule.seat import Seat
from edge_autoglm.values import Priority
from tests.runtime.schedule.conftest import SchedulerFactory
from tests.runtime.schedule.jobs_for_tests import VOCAB_SIZE, alone, continuing, job, prompt, result
from tests.waiting import WAIT, GatedEngine, wait_until

CRITICAL, NORMAL, BACKGROUND = Priority

State = Callable[[Scheduler, GatedEngine], Job[list[int]]]


def running(scheduler: Scheduler, engine: GatedEngine) -> Job[list[int]]:
    """A job in a slot, its first pass at the gate."""
    one = scheduler.submit(job(0, 20))
    engine.wait_for_pass(1)
    return one


def waiting(scheduler: Scheduler, engine: GatedEngine) -> Job[list[int]]:
    """A job that others leave no slot."""
    running(scheduler, engine)
    return scheduler.submit(job(1, 20))


def parked(scheduler: Scheduler, engine: GatedEngine) -> Job[list[int]]:
    """A job that gave its slot to another one, which is at the gate."""
    one = running(scheduler, engine)
    scheduler.submit(job(1, 20, priority=CRITICAL))
    engine.let(1)
    engine.wait_for_pass(2)
    return one


STATES = pytest.mark.parametrize("state", [running, waiting, parked])


@STATES
@pytest.mark.parametrize("how", ["cancel", "lose interest"])
def test_a_cancelled_job_leaves_at_the_end_of_the_step(schedulers: SchedulerFactory, state: State, how: str) -> None:
    scheduler, engine = schedulers.gated(slots=1)
    cancelled = state(scheduler, engine)
    if how == "cancel":
        cancelled.future.cancel()
    else:
        cancelled.future.interest.lose()
    follower = scheduler.submit(job(2, 2, priority=CRITICAL))
    passes = len(engine.passes)
    engine.let(1)
    engine.wait_for_pass(passes + 1)
    assert concurrent.futures.wait([cancelled.future], timeout=WAIT).done
    assert cancelled.future.cancelled()
    engine.open_gate()
    assert result(follower) == alone(2, 2)
    ran = [chunk.tokens[0] for chunks in engine.passes[passes:] for chunk in chunks]
    assert set(ran).isdisjoint(set(prompt(1)[:1] if state is waiting else ()))
    wait_until(lambda: (scheduler.busy, scheduler.waiting) == (0, 0))


def test_what_a_cancelled_job_runs_ends_with_the_step(schedulers: SchedulerFactory) -> None:
    scheduler, engine = schedulers.gated(slots=2)
    cancelled = scheduler.submit(job(0, 20))
    engine.wait_for_pass(1)
    other = scheduler.submit(job(1, 4))
    cancelled.future.cancel()
    engine.open_gate()
    assert result(other) == alone(1, 4)
    assert [len(chunks) for chunks in engine.passes] == [1, 1, 1, 1, 1]


@pytest.mark.parametrize("gives_way", [False, True])
def test_a_cancelled_job_cleans_up_on_the_thread_that_ran_it(schedulers: SchedulerFactory, gives_way: bool) -> None:
    cleaned: list[str] = []

    def steps(seat: Seat) -> Steps[list[int]]:
        try:
            return (yield from continuing(prompt(0), 20)(seat))
        finally:
            cleaned.append(threading.current_thread().name)

    scheduler, engine = schedulers.gated(slots=1)
    cancelled = scheduler.submit(Job(steps))
    engine.wait_for_pass(1)
    if gives_way:
        scheduler.submit(job(1, 20, priority=CRITICAL))
        engine.let(1)
        engine.wait_for_pass(2)
    cancelled.future.cancel()
    engine.let(1)
    wait_until(lambda: cleaned == ["edge-autoglm-scheduler"])


@STATES
def test_a_deadline_ends_a_job_in_any_state(
    schedulers: SchedulerFactory, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler, engine = schedulers.gated(slots=1)
    late = state(scheduler, engine)
    late.deadline = time.monotonic() - 1  # so that nothing depends on how long the test takes
    engine.open_gate()
    with pytest.raises(DeadlineExceeded, match="deadline"):
        result(late)
    wait_until(lambda: (scheduler.busy, scheduler.waiting) == (0, 0))


def test_a_job_that_is_late_from_the_beginning_runs_nothing(schedulers: SchedulerFactory) -> None:
    engine = GatedEngine(VOCAB_SIZE)
    scheduler = schedulers(engine)
    with pytest.raises(DeadlineExceeded):
        result(scheduler.submit(Job(continuing([1], 2), deadline=time.monotonic() - 1)))
    assert engine.passes == []


def test_no_slot_in_time_is_a_refusal_for_those_that_had_none(schedulers: SchedulerFactory) -> None:
    scheduler, engine = schedulers.gated(slots=1)
    victim = running(scheduler, engine)
    victim.seat_deadline = time.monotonic() - 1
    late = job(1, 2)
    late.seat_deadline = time.monotonic() - 1
    scheduler.submit(late)
    urgent = scheduler.submit(job(2, 2, priority=CRITICAL))
    engine.open_gate()
    with pytest.raises(RequestError, match="none of the 1 KV slots became free"):
        result(late)
    assert (result(urgent), result(victim)) == (alone(2, 2), alone(0, 20))


def test_a_full_queue_refuses_and_forgets(schedulers: SchedulerFactory) -> None:
    scheduler, engine = schedulers.gated(slots=1, max_waiting=2)
    taken = [running(scheduler, engine), scheduler.submit(job(1)), scheduler.submit(job(2))]
    refused = job(3)
    with pytest.raises(Overloaded, match="2 requests wait"):
        scheduler.submit(refused)
    assert not refused.future.done()
    taken[1].future.cancel()
    engine.let(1)
    engine.wait_for_pass(2)
    taken.append(scheduler.submit(job(4)))
    engine.open_gate()
    assert [result(one) for one in (taken[0], *taken[2:])] == [alone(0, 20), alone(2), alone(4)]


BAD = [1, 2]


class Picky(GatedEngine):
    """Refuses a call that has a certain chunk in it, or breaks at it."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(VOCAB_SIZE, slots=4)
        self._error = error

    def forward(self, chunks: Sequence[Chunk]) -> list[Logits]:
        if any(chunk.tokens == BAD for chunk in chunks):
            raise self._error
        return super().forward(chunks)


def test_an_engine_error_in_one_chunk_fails_only_that_job(schedulers: SchedulerFactory) -> None:
    engine = Picky(SlotFull("full", "Empty it."))
    scheduler = schedulers(engine)
    first = running(scheduler, engine)
    bad = scheduler.submit(Job(continuing(BAD, 3)))
    others = [scheduler.submit(job(number, 4)) for number in (1, 2)]
    engine.open_gate()
    with pytest.raises(SlotFull):
        result(bad)
    assert [result(one) for one in (first, *others)] == [alone(0, 20), alone(1, 4), alone(2, 4)]


@pytest.mark.parametrize("error", [ValueError("broken"), MemoryError(), SystemExit(3), KeyboardInterrupt()])
def test_an_unexpected_error_fails_those_in_the_step(schedulers: SchedulerFactory, error: BaseException) -> None:
    """The engine may have run some of them: they cannot be tried again."""
    engine = Picky(error)
    scheduler = schedulers(engine)
    urgent = scheduler.submit(job(0, 3, priority=CRITICAL))
    engine.wait_for_pass(1)
    spared = scheduler.submit(job(1, 9, priority=BACKGROUND))
    beside = scheduler.submit(job(2, 3))
    bad = scheduler.submit(Job(continuing(BAD, 3)))
    engine.open_gate()
    for one in (bad, beside):
        with pytest.raises(type(error)):
            result(one)
    assert (result(urgent), result(spared)) == (alone(0, 3), alone(1, 9))
    assert result(scheduler.submit(job(3, 4))) == alone(3, 4)
    assert (scheduler.busy, scheduler.waiting) == (0, 0)


def failing(after: int, error: BaseException) -> Callable[[Seat], Steps[None]]:
    def steps(seat: Seat) -> Steps[None]:
        seat.truncate(0)
        for _ in range(after):
            yield Append.for_last([1])
        raise error

    return steps


@pytest.mark.parametrize("after", [0, 1, 3])
@pytest.mark.parametrize("error", [ValueError("oops"), SystemExit(1), GeneratorExit(), MemoryError()])
def test_a_job_that_fails_harms_no_other(schedulers: SchedulerFactory, after: int, error: BaseException) -> None:
    scheduler, engine = schedulers.gated(slots=3)
    first = running(scheduler, engine)
    bad = scheduler.submit(Job(failing(after, error)))
    beside = scheduler.submit(job(2, 6))
    engine.open_gate()
    with pytest.raises(type(error)):
        result(bad)
    assert (result(first), result(beside)) == (alone(0, 20), alone(2, 6))
    assert (scheduler.busy, scheduler.waiting) == (0, 0)


@pytest.mark.parametrize("ask", [Append([], ()), Append([VOCAB_SIZE], (0,)), Append([1, 2], (1, 0))])
def test_a_job_that_asks_for_nonsense_harms_no_other(schedulers: SchedulerFactory, ask: Append) -> None:
    def steps(seat: Seat) -> Steps[None]:
        seat.truncate(0)
        yield ask

    scheduler, engine = schedulers.gated(slots=3)
    first = running(scheduler, engine)
    bad = scheduler.submit(Job(steps))
    beside = scheduler.submit(job(2, 6))
    engine.open_gate()
    assert (result(first), result(beside)) == (alone(0, 20), alone(2, 6))
    with pytest.raises(EngineError):
        result(bad)


def test_a_job_that_cannot_be_stopped_is_gone_all_the_same(
    schedulers: SchedulerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    def steps(seat: Seat) -> Steps[None]:
        seat.truncate(0)
        try:
            while True:
                yield Append.for_last([1])
        finally:
            yield Append.for_last([1])  # Python answers with a RuntimeError

    scheduler, engine = schedulers.gated(slots=1)
    stubborn = scheduler.submit(Job(steps))
    engine.wait_for_pass(1)
    stubborn.future.cancel()
    follower = scheduler.submit(job(2, 2))
    engine.open_gate()
    assert result(follower) == alone(2, 2)
    assert "ignored GeneratorExit" in caplog.text


def test_a_job_without_a_chunk_has_its_result(schedulers: SchedulerFactory) -> None:
    def steps(_: Seat) -> Steps[str]:
        if VOCAB_SIZE < 0:
            yield Append.for_last([1])
        return "done"

    scheduler = schedulers(ScriptedEngine(VOCAB_SIZE, slots=1))
    for _ in range(3):
        assert result(scheduler.submit(Job(steps))) == "done"
    assert scheduler.busy == 0


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_a_callback_that_fails_harms_no_other(
    schedulers: SchedulerFactory, error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise error("in a callback")

    scheduler, engine = schedulers.gated(slots=4)
    first = running(scheduler, engine)
    ended, failed, cancelled = (
        scheduler.submit(job(1, 2)),
        scheduler.submit(Job(failing(1, ValueError("no")))),
        job(3, 9),
    )
    for one in (ended, failed, scheduler.submit(cancelled)):
        one.future.add_done_callback(fail)
    cancelled.future.interest.lose()
    engine.open_gate()
    assert (result(first), result(ended)) == (alone(0, 20), alone(1, 2))
    with pytest.raises(ValueError, match="no"):
        result(failed)
    assert cancelled.future.cancelled()
    wait_until(lambda: caplog.text.count("in a callback") >= 3)


def test_a_callback_may_submit(schedulers: SchedulerFactory) -> None:
    scheduler = schedulers(ScriptedEngine(VOCAB_SIZE, slots=1), max_waiting=1)
    answers: list[list[int]] = []
    enough = threading.Event()

    def again(done: object) -> None:
        if len(answers) == 30:
            enough.set()
            return
        one = job(len(answers))
        one.future.add_done_callback(lambda future: answers.append(future.result()))
        one.future.add_done_callback(again)
        scheduler.submit(one)

    again(None)
    assert enough.wait(WAIT)
    assert answers == [alone(number) for number in range(30)]


def test_cancelling_what_has_ended_changes_nothing(schedulers: SchedulerFactory) -> None:
    scheduler = schedulers(ScriptedEngine(VOCAB_SIZE, slots=1))
    one = scheduler.submit(job(1))
    assert result(one) == alone(1)
    assert not one.future.cancel()
    one.future.interest.lose()
    assert result(scheduler.submit(job(2))) == alone(2)
    assert one.future.result() == alone(1)


def test_a_cancelled_job_keeps_nothing_alive(schedulers: SchedulerFactory) -> None:
    class Heavy:
        pass

    scheduler = schedulers(ScriptedEngine(VOCAB_SIZE, slots=1))
    alive: list[Heavy] = []

    def looping(heavy: Heavy) -> Callable[[Seat], Steps[None]]:
        def steps(seat: Seat) -> Steps[None]:
            alive.append(heavy)
            while True:
                seat.truncate(0)
                yield Append.for_last([1])

        return steps

    for _ in range(20):
        heavy = Heavy()
        one = scheduler.submit(Job(looping(heavy)))
        wait_until(lambda: bool(alive))
        one.future.cancel()
        del heavy, one
        alive.clear()
    wait_until(lambda: scheduler.busy == 0)
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, Heavy)]


def test_a_cancelled_wait_says_so(schedulers: SchedulerFactory) -> None:
    scheduler, engine = schedulers.gated(slots=1)
    one = running(scheduler, engine)
    one.future.cancel()
    with pytest.raises(CancelledError):
        result(one)
