"""The scheduler's thread: begins with work, ends without, and leaves nobody waiting."""

from __future__ import annotations

import gc
import sys
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge_autoglm.errors import EngineError
from edge_autoglm.runtime.engine import Chunk, Logits
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.schedule import scheduler as scheduler_module
from edge_autoglm.runtime.schedule.job import Append, Job, JobFuture, Steps
from edge_autoglm.runtime.schedule.plan import plan_step
from edge_autoglm.runtime.schedule.running import Running
from edge_autoglm.runtime.schedule.scheduler import Scheduler
from edge_autoglm.runtime.schedule.seat import Seat
from edge_autoglm.values import Priority
from tests.runtime.schedule.conftest import SchedulerFactory
from tests.runtime.schedule.jobs_for_tests import VOCAB_SIZE, alone, job, result
from tests.waiting import WAIT, GatedEngine, wait_until

CRITICAL, NORMAL, BACKGROUND = Priority
THREAD = "edge-autoglm-scheduler"


@pytest.fixture
def short_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler_module, "_LINGER", 0.001)


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


class CountingEngine(GatedEngine):
    """Counts how often it was closed, and notes on which thread calls came."""

    def __init__(self, slots: int = 1) -> None:
        super().__init__(VOCAB_SIZE, slots)
        self.closed = 0
        self.threads: set[str] = set()

    def forward(self, chunks: Sequence[Chunk]) -> list[Logits]:
        self.threads.add(threading.current_thread().name)
        return super().forward(chunks)

    def close(self) -> None:
        self.closed += 1
        super().close()


def scheduler_threads() -> int:
    return sum(thread.name == THREAD for thread in threading.enumerate())


def test_there_is_no_thread_without_work(schedulers: SchedulerFactory, short_linger: None) -> None:
    wait_until(lambda: scheduler_threads() == 0)
    scheduler = schedulers(ScriptedEngine(VOCAB_SIZE))
    for number in range(5):
        assert scheduler_threads() == 0
        assert result(scheduler.submit(job(number))) == alone(number)
        wait_until(lambda: scheduler_threads() == 0)


def test_one_thread_runs_all_steps(schedulers: SchedulerFactory) -> None:
    engine = CountingEngine(slots=3)
    engine.open_gate()
    scheduler = schedulers(engine)
    with ThreadPoolExecutor(6) as pool:
        jobs = list(pool.map(lambda number: scheduler.submit(job(number)), range(20)))
    assert [result(one) for one in jobs] == [alone(number) for number in range(20)]
    assert engine.threads == {THREAD}


@pytest.mark.usefixtures("short_linger", "frequent_switches")
def test_no_wake_up_is_lost(schedulers: SchedulerFactory) -> None:
    """The thread ends and begins again all the time, right when jobs come in."""
    scheduler = schedulers(ScriptedEngine(VOCAB_SIZE, slots=2), max_waiting=1000)

    def ask(worker: int) -> None:
        for turn in range(150):
            assert result(scheduler.submit(job(worker, 1))) == expected[worker]
            if turn % 3 == 0:
                time.sleep(0.001)  # as long as the thread lingers

    expected = [alone(worker, 1) for worker in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(4)))
    assert (scheduler.busy, scheduler.waiting) == (0, 0)


def test_a_dropped_scheduler_is_freed_once_its_thread_has_ended(short_linger: None) -> None:
    scheduler = Scheduler(ScriptedEngine(VOCAB_SIZE), 256, 10)
    result(scheduler.submit(job(0)))
    wait_until(lambda: scheduler_threads() == 0)
    dropped = weakref.ref(scheduler)
    del scheduler
    gc.collect()
    assert dropped() is None


@pytest.mark.parametrize("times", [1, 2])
def test_closing_an_idle_scheduler_closes_the_engine_once(times: int) -> None:
    engine = CountingEngine()
    scheduler = Scheduler(engine, 256, 10)
    for _ in range(times):
        scheduler.close()
    assert engine.closed == 1
    with pytest.raises(EngineError, match="closed"):
        scheduler.submit(job())
    assert scheduler._thread is None


def test_closing_ends_all_jobs_whatever_they_do() -> None:
    engine = CountingEngine(slots=2)
    scheduler = Scheduler(engine, 256, 10)
    parked = [scheduler.submit(job(number, 20, priority=BACKGROUND)) for number in (0, 1)]
    engine.wait_for_pass(1)
    running = [scheduler.submit(job(number, 20, priority=CRITICAL)) for number in (2, 3)]
    engine.let(1)
    engine.wait_for_pass(2)
    waiting = [scheduler.submit(job(number)) for number in (4, 5)]
    closer = threading.Thread(target=scheduler.close)
    closer.start()
    wait_until(lambda: scheduler._closed)
    assert engine.closed == 0  # a step runs
    engine.let(1)
    closer.join(WAIT)
    for one in (*parked, *running, *waiting):
        with pytest.raises(EngineError, match="engine is closed"):
            result(one)
    assert engine.closed == 1
    assert (scheduler.busy, scheduler.waiting) == (0, 0)
    scheduler.close()
    assert engine.closed == 1
    assert len(engine.passes) == 2


def test_a_job_that_ends_with_the_last_step_has_its_answer() -> None:
    engine = CountingEngine()
    scheduler = Scheduler(engine, 256, 10)
    one = scheduler.submit(job(0, 1))
    engine.wait_for_pass(1)
    closer = threading.Thread(target=scheduler.close)
    closer.start()
    wait_until(lambda: scheduler._closed)
    engine.let(1)
    closer.join(WAIT)
    assert result(one) == alone(0, 1)


def test_a_callback_may_close() -> None:
    engine = CountingEngine()
    scheduler = Scheduler(engine, 256, 10)
    closing, other = job(0, 1), job(1, 20)
    closing.future.add_done_callback(lambda _: scheduler.close())
    scheduler.submit(closing)
    engine.wait_for_pass(1)
    scheduler.submit(other)
    engine.open_gate()
    with pytest.raises(EngineError, match="closed"):
        result(other)
    scheduler.close()
    assert engine.closed == 1
    assert result(closing) == alone(0, 1)


def test_a_callback_of_a_job_that_is_ended_by_closing_may_close_and_is_refused_new_jobs() -> None:
    engine = CountingEngine()
    scheduler = Scheduler(engine, 256, 10)
    refused: list[BaseException] = []

    def again(_: object) -> None:
        scheduler.close()
        try:
            scheduler.submit(job(1))
        except EngineError as error:
            refused.append(error)

    for number in range(3):
        one = scheduler.submit(job(number, 20))
        one.future.add_done_callback(again)
    engine.wait_for_pass(1)
    engine.open_gate()
    scheduler.close()
    assert len(refused) == 3
    assert engine.closed == 1


@pytest.mark.usefixtures("short_linger", "frequent_switches")
def test_closing_while_others_submit_ends_every_job() -> None:
    expected = [alone(worker, 2) for worker in range(4)]
    for _ in range(60):
        engine = CountingEngine(slots=2)
        engine.open_gate()
        scheduler = Scheduler(engine, 256, 1000)
        barrier = threading.Barrier(5)

        def ask(worker: int, scheduler: Scheduler = scheduler, barrier: threading.Barrier = barrier) -> int:
            barrier.wait()
            for number in range(30):
                try:
                    one = scheduler.submit(job(worker, 2))
                except EngineError:
                    return number
                try:
                    assert result(one) == expected[worker]
                except EngineError:
                    return number
            return 30

        def close(_: int, scheduler: Scheduler = scheduler, barrier: threading.Barrier = barrier) -> int:
            barrier.wait()
            scheduler.close()
            return 0

        with ThreadPoolExecutor(5) as pool:
            closer = pool.submit(close, 0)
            ends = list(pool.map(ask, range(4)))
            closer.result(WAIT)
        assert len(ends) == 4
        assert engine.closed == 1


def test_a_thread_that_ended_does_not_close_what_another_one_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has said that it ends, but not ended yet, when new work brings a new thread and then a close."""
    engine = CountingEngine()
    scheduler = Scheduler(engine, 256, 10)
    hold, said = threading.Event(), threading.Event()
    await_work = scheduler._await_work

    def held() -> bool:
        goes_on = await_work()
        if not goes_on and not said.is_set():
            said.set()
            hold.wait(WAIT)
        return goes_on

    monkeypatch.setattr(scheduler_module, "_LINGER", 0.001)
    monkeypatch.setattr(scheduler, "_await_work", held)
    engine.let(1)
    result(scheduler.submit(job(0, 1)))
    assert said.wait(WAIT)
    old = next(thread for thread in threading.enumerate() if thread.name == THREAD)
    other = scheduler.submit(job(1, 1))
    engine.wait_for_pass(2)
    closer = threading.Thread(target=scheduler.close)
    closer.start()
    wait_until(lambda: scheduler._closed)
    hold.set()
    old.join(WAIT)
    assert not old.is_alive()
    assert engine.closed == 0
    assert not other.future.done()
    engine.let(1)
    closer.join(WAIT)
    assert result(other) == alone(1, 1)
    assert engine.closed == 1


def test_a_system_without_threads_leaves_no_job_behind(
    schedulers: SchedulerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    scheduler = schedulers(ScriptedEngine(VOCAB_SIZE))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            scheduler.submit(job(0))
    assert scheduler.waiting == 0
    assert result(scheduler.submit(job(1))) == alone(1)


def test_a_fault_of_the_scheduler_itself_leaves_nobody_waiting(
    schedulers: SchedulerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler, engine = schedulers.gated(slots=2)
    running = [scheduler.submit(job(number, 9)) for number in (0, 1)]
    engine.wait_for_pass(1)
    waiting = scheduler.submit(job(2))
    faults = iter([MemoryError("no room for a plan")])

    def plan(jobs: list[Running], prefill_chunk: int, contended: bool) -> list[tuple[Running, int]]:
        for fault in faults:
            raise fault
        return plan_step(jobs, prefill_chunk, contended)

    monkeypatch.setattr(scheduler_module, "plan_step", plan)
    engine.open_gate()
    for one in running:
        with pytest.raises(MemoryError):
            result(one)
    assert result(waiting) == alone(2)


def test_the_garbage_collector_may_drop_a_request_while_its_thread_holds_any_lock(
    schedulers: SchedulerFactory,
) -> None:
    """Abandoning takes no lock and runs no callback: here the one that drops holds the one that the callback needs."""
    scheduler, engine = schedulers.gated(slots=1)
    lock, released = threading.Lock(), threading.Event()

    def release(_: object) -> None:
        with lock:
            released.set()

    one = scheduler.submit(job(0, 20))
    one.future.add_done_callback(release)
    engine.wait_for_pass(1)
    with lock:
        one.future.interest.lose()
        engine.open_gate()
        assert not released.is_set()
    assert released.wait(WAIT)
    wait_until(lambda: scheduler.busy == 0)


@pytest.mark.usefixtures("frequent_switches")
def test_races_between_a_cancel_and_the_end_have_one_outcome(schedulers: SchedulerFactory) -> None:
    scheduler = schedulers(ScriptedEngine(VOCAB_SIZE, slots=4), max_waiting=1000)
    expected = alone(1, 3)
    outcomes: list[str] = []

    def ask(worker: int) -> None:
        for turn in range(100):
            ends: list[JobFuture[list[int]]] = []
            one = job(1, 3)
            one.future.add_done_callback(ends.append)  # type: ignore[arg-type]
            scheduler.submit(one)
            for _ in range((turn * 7 + worker) % 40):
                time.sleep(0)
            cancelled = one.future.cancel()
            if cancelled:
                assert one.future.cancelled()
            else:
                assert result(one) == expected
            outcomes.append("cancelled" if cancelled else "answered")
            wait_until(lambda ends=ends: bool(ends))  # type: ignore[misc]  # callbacks come behind the result
            assert ends == [one.future]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(4)))
    assert len(outcomes) == 400
    assert set(outcomes) == {"cancelled", "answered"}
    wait_until(lambda: (scheduler.busy, scheduler.waiting) == (0, 0))


def test_seats_are_given_to_one_job_at_a_time(schedulers: SchedulerFactory) -> None:
    taken: set[int] = set()
    clashes: list[int] = []

    def steps(seat: Seat) -> Steps[None]:
        if seat.slot in taken:
            clashes.append(seat.slot)
        taken.add(seat.slot)
        slot = seat.slot
        try:
            seat.truncate(0)
            for _ in range(3):
                yield Append.for_last([1])
        finally:
            taken.discard(slot)

    scheduler = schedulers(ScriptedEngine(VOCAB_SIZE, slots=3), max_waiting=1000)
    jobs = [scheduler.submit(Job(steps)) for _ in range(200)]
    for one in jobs[::3]:
        one.future.cancel()
    for one in jobs:
        if not one.future.cancelled():
            result(one)
    wait_until(lambda: scheduler.busy == 0)
    assert clashes == []
    assert taken == set()
