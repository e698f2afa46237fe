"""Ctrl-C at the worst moment: just after a lock was taken, before the block that gives it back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, _base
from contextlib import contextmanager, suppress
from types import FrameType, ModuleType
from typing import Any

import pytest

from edge_autoglm.interrupts import SafeFuture
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.requests import channel as channel_module
from edge_autoglm.runtime.requests.channel import Channel
from edge_autoglm.runtime.schedule import scheduler as scheduler_module
from edge_autoglm.runtime.schedule.scheduler import Scheduler
from tests.runtime.schedule.jobs_for_tests import VOCAB_SIZE, alone, job
from tests.waiting import WAIT


@contextmanager
def interrupts_behind_locks_of(module: ModuleType) -> Iterator[None]:
    """Python takes a signal between two steps of Python code: raises where a lock's ``__enter__`` has such a step."""

    def trace(frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        caller = frame.f_back
        if frame.f_code.co_name != "__enter__" or caller is None or caller.f_globals["__name__"] != module.__name__:
            return None
        if event == "return":
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


@pytest.mark.parametrize(
    "use",
    [
        lambda future: future.result(timeout=0),
        lambda future: future.cancel(),
        lambda future: future.add_done_callback(print),
        lambda future: future.done(),
    ],
    ids=["result", "cancel", "callback", "done"],
)
def test_a_future_can_still_be_set(use: Callable[[Future[int]], object]) -> None:
    future: SafeFuture[int] = SafeFuture()
    with interrupts_behind_locks_of(_base), pytest.raises(KeyboardInterrupt):
        use(future)
    with ThreadPoolExecutor(1) as others:
        others.submit(future.set_result, 3).result(WAIT)
    assert future.result(0) == 3


def test_a_scheduler_goes_on() -> None:
    scheduler = Scheduler(ScriptedEngine(VOCAB_SIZE, slots=1), prefill_chunk=4, max_waiting=4)
    with interrupts_behind_locks_of(scheduler_module), suppress(KeyboardInterrupt):
        scheduler.submit(job())
    with ThreadPoolExecutor(1) as others:
        assert others.submit(lambda: scheduler.submit(job()).future.result(WAIT)).result(WAIT) == alone()
    scheduler.close()


def test_a_channel_goes_on() -> None:
    channel: Channel[int] = Channel()
    channel.put(1)
    with interrupts_behind_locks_of(channel_module), suppress(KeyboardInterrupt):
        channel.get()
    with ThreadPoolExecutor(1) as others:
        others.submit(channel.put, 2).result(WAIT)
    assert channel.get() == 2
