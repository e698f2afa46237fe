"""Continuous batching: jobs join and leave between steps, and one thread runs the steps of an engine.

Iteration-level scheduling as in Orca (Yu et al. 2022), over fixed KV slots; long prompts run in chunks beside the
decoding of others, as in Sarathi-Serve (Agrawal et al. 2024).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from edge_autoglm.errors import DeadlineExceeded, EdgeAutoGLMError, EngineError, RequestError
from edge_autoglm.runtime.engine import Chunk, Engine, Logits
from edge_autoglm.runtime.schedule.job import Job
from edge_autoglm.runtime.schedule.plan import plan_step
from edge_autoglm.runtime.schedule.running import Running
from edge_autoglm.runtime.schedule.seat import Seat
from edge_autoglm.runtime.schedule.waiting import Waiting, WaitingLine

T = TypeVar("T")

_LINGER = 2.0
"""Seconds after which a thread without work ends; the next job starts another one."""


class Scheduler:
    """Runs jobs on one engine. Thread-safe.

    Callbacks of a job's future run on the scheduler's thread: they must not wait for another job.

    Args:
        engine: Used by nobody else.
        prefill_chunk: Tokens of a prompt that run in one step.
        max_waiting: Jobs that may wait for a slot.
    """

    def __init__(self, engine: Engine, prefill_chunk: int, max_waiting: int) -> None:
        self._engine = engine
        self._prefill_chunk = prefill_chunk
        # Entered instead of the condition, whose `__enter__` is Python: Ctrl-C in there would leave it held for ever.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._line = WaitingLine(max_waiting)
        self._running: list[Running] = []
        self._free = set(range(engine.facts.slots))
        self._thread: threading.Thread | None = None
        self._owners = 1
        self._closed = False

    @property
    def busy(self) -> int:
        """Slots in use."""
        return self._engine.facts.slots - len(self._free)

    @property
    def waiting(self) -> int:
        """Jobs without a slot."""
        return len(self._line)

    def submit(self, job: Job[T]) -> Job[T]:
        """Let a job run as soon as its turn comes.

        Raises:
            Overloaded: Too many wait.
            EngineError: Closed.
        """
        with self._lock:
            if self._closed:
                raise _closed()
            if self._thread is None:
                thread = threading.Thread(target=self._loop, name="edge-autoglm-scheduler", daemon=True)
                thread.start()  # where the system refuses a thread, no job is left behind
                self._thread = thread
            self._line.add(job, free_slots=len(self._free))
            self._changed.notify_all()
        return job

    def share(self) -> Scheduler:
        """This one, which from now on has one owner more, each of whom closes it once.

        Raises:
            EngineError: Closed.
        """
        with self._lock:
            if self._closed:
                raise _closed()
            self._owners += 1
        return self

    def close(self) -> None:
        """End all jobs with an error and free the engine, once its last owner says so. Waits for the step that runs."""
        with self._lock:
            self._owners -= 1
            if self._owners > 0:
                return
            first, self._closed = not self._closed, True
            thread = self._thread
            self._changed.notify_all()
        if thread is None:
            if first:
                self._engine.close()
        elif thread is not threading.current_thread():
            thread.join()

    def _loop(self) -> None:
        while self._await_work():
            try:
                self._drop_ended()
                self._seat_waiting()
                if self._running:
                    self._step()
            except BaseException as error:  # no memory, or a fault of this package: nobody may wait for ever
                for running in list(self._running):
                    self._fail(running, error)
        if self._thread is threading.current_thread():  # else it had nothing left to do, and its place may be taken
            self._end_all()

    def _await_work(self) -> bool:
        """Whether to go on."""
        with self._lock:
            idle = not self._running and not self._line
            if idle and not self._closed:
                self._changed.wait(_LINGER)
                if not self._line and not self._closed:
                    self._thread = None
                    return False
            return not self._closed

    def _drop_ended(self) -> None:
        now = time.monotonic()
        for running in list(self._running):
            if (error := self._fault(running, now)) is not None:
                self._fail(running, error)
        self._fail_waiting(lambda waiting: self._fault(waiting, now))

    def _fault(self, waiting: Waiting, now: float) -> BaseException | None:
        """Why a job, running or not, must not go on, if so."""
        job = _job(waiting)
        if job.unwanted:
            return CancelledError()
        if _late(job.deadline, now):
            return DeadlineExceeded(
                "the request's deadline has passed", "Give it more time, or send fewer requests at once."
            )
        if isinstance(waiting, Job) and _late(job.seat_deadline, now):
            return RequestError(
                f"none of the {self._engine.facts.slots} KV slots became free in time",
                "Send fewer requests at once, or open more slots (RuntimeConfig.slots).",
            )
        return None

    def _seat_waiting(self) -> None:
        """Give free slots to whoever is next; a higher class takes the slot of a lower one."""
        while (first := self._first_waiting()) is not None and (self._free or self._make_room(_job(first))):
            with self._lock:
                number, waiting = self._line.pop()  # the first, or one of a higher class that came in between
                slot = min(self._free)
                self._free.remove(slot)
            self._begin(waiting, number, slot)

    def _first_waiting(self) -> Waiting | None:
        with self._lock:
            return self._line.first()

    def _make_room(self, job: Job[Any]) -> bool:
        last = max(self._running, key=lambda running: running.rank)
        if last.job.priority <= job.priority:
            return False
        try:
            last.park()
        except BaseException as error:
            self._fail(last, error)
        else:
            self._leave(last)
            with self._lock:
                self._line.park(last)
        return True

    def _begin(self, waiting: Waiting, number: int, slot: int) -> None:
        try:
            if isinstance(waiting, Running):
                waiting.resume(slot)
                running = waiting
            else:
                running = Running(waiting, number, Seat(self._engine, slot))
        except BaseException as end:
            self._free.add(slot)
            _end(waiting, end)
        else:
            self._running.append(running)

    def _step(self) -> None:
        """One forward pass for the jobs that the plan names; jobs that end leave their slots."""
        planned = plan_step(self._running, self._prefill_chunk, self._engine.contended)
        for running, _ in planned:
            running.seat.crowded = len(planned) > 1
        work = [(running, running.chunk(limit)) for running, limit in planned]
        for (running, chunk), logits in zip(work, self._forward([chunk for _, chunk in work]), strict=True):
            if isinstance(logits, BaseException):
                self._fail(running, logits)
            else:
                self._advance(running, chunk, logits)

    def _forward(self, chunks: Sequence[Chunk]) -> Sequence[Logits | BaseException]:
        """Run chunks together; if that fails, each for itself, so that a bad one harms no other."""
        try:
            return self._engine.forward(chunks)
        except EdgeAutoGLMError as error:
            if len(chunks) == 1:
                return [error]
        except BaseException as error:  # the engine may have run some of them
            return [error] * len(chunks)
        return [result for chunk in chunks for result in self._forward([chunk])]

    def _advance(self, running: Running, chunk: Chunk, logits: Logits) -> None:
        try:
            running.take(chunk, logits)
        except BaseException as end:
            self._leave(running)
            _end(running, end)

    def _fail(self, running: Running, error: BaseException) -> None:
        self._leave(running)
        _fail(running, error)

    def _leave(self, running: Running) -> None:
        """Without its slot, before anybody hears of it."""
        self._running.remove(running)
        self._free.add(running.seat.slot)

    def _fail_waiting(self, fault: Callable[[Waiting], BaseException | None]) -> None:
        with self._lock:
            removed = self._line.remove(fault)
        for waiting, error in removed:
            _fail(waiting, error)

    def _end_all(self) -> None:
        for running in list(self._running):
            self._fail(running, _closed())
        self._fail_waiting(lambda _: _closed())
        self._engine.close()


def _job(waiting: Waiting) -> Job[Any]:
    return waiting.job if isinstance(waiting, Running) else waiting


def _late(deadline: float | None, now: float) -> bool:
    return deadline is not None and now > deadline


def _closed() -> EngineError:
    return EngineError("the engine is closed", "Open it again, or keep it open until the last request ends.")


def _end(waiting: Waiting, end: BaseException) -> None:
    """A generator says by ``StopIteration`` that it has come to its end."""
    if isinstance(end, StopIteration):
        _job(waiting).succeed(end.value)
    else:
        _fail(waiting, end)


def _fail(waiting: Waiting, error: BaseException) -> None:
    if isinstance(waiting, Running):
        waiting.stop()
    _job(waiting).fail(error)
