"""What a runtime meets in an app: the garbage collector on any thread, Ctrl-C, callbacks that fail."""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from itertools import pairwise

import pytest

from edge_autoglm import Bundle, Completion, Runtime, SamplingParams
from edge_autoglm.errors import DeadlineExceeded, Overloaded
from edge_autoglm.facade.config import RuntimeConfig
from tests.stress.load import WAIT
from tests.waiting import wait_until

pytestmark = pytest.mark.stress


@pytest.fixture
def runtime(bundle: Bundle) -> Iterator[Runtime]:
    config = RuntimeConfig(seed=1, slots=2, context_length=256, max_waiting=64, promote_every=None)
    with Runtime.open(bundle, threads=1, config=config) as opened:
        yield opened


@pytest.fixture
def eager_collector() -> Iterator[None]:
    """Comes at nearly every allocation, on whatever thread, whatever lock that holds."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()  # what is there already need not be looked through each time
    gc.set_threshold(1, 2, 2)
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def nothing_is_left(runtime: Runtime) -> bool:
    gc.collect()
    generation = runtime._buffer.active
    scheduler = generation.model.scheduler
    return (scheduler.busy, scheduler.waiting, generation.leases) == (0, 0, 0)


@pytest.mark.usefixtures("eager_collector")
def test_streams_dropped_by_the_collector_block_nobody(runtime: Runtime) -> None:
    """In cycles, so that they go when the collector comes: on the scheduler's thread, or inside a lease or a swap."""
    end = time.monotonic() + 1.5
    dropped, swapped = [0] * 3, [0]

    def drop(worker: int) -> None:
        while time.monotonic() < end:
            stream = runtime.generate_stream("the film is", SamplingParams(30))
            cycle: list[object] = [stream]
            cycle.append(cycle)
            if dropped[worker] % 2:
                next(stream)
            dropped[worker] += 1
            if dropped[worker] % 8 == 0:
                runtime.score("the film is", [" good", " bad"])

    def swap() -> None:
        while time.monotonic() < end:
            runtime.learner.promote()
            swapped[0] += 1

    threads = [threading.Thread(target=drop, args=(worker,), daemon=True) for worker in range(3)]
    threads.append(threading.Thread(target=swap, daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert not [thread for thread in threads if thread.is_alive()]
    assert min(dropped) > 10
    assert swapped[0] > 2
    wait_until(lambda: nothing_is_left(runtime))


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="the system sends no signal to a thread")
@pytest.mark.parametrize("wait", ["run", "generate", "stream", "run_many", "sample"])
def test_ctrl_c_while_waiting_leaves_nothing_behind(runtime: Runtime, wait: str) -> None:
    """The engine's lock is held, so that no step ends before the signal has come."""
    calls: dict[str, Callable[[], object]] = {
        "run": lambda: runtime.run("mood", {"text": "good"}),
        "generate": lambda: runtime.generate("the film", max_new_tokens=200),
        "stream": lambda: "".join(runtime.generate_stream("the film", SamplingParams(200))),
        "run_many": lambda: runtime.run_many("mood", [{"text": f"film {number}"} for number in range(40)]),
        "sample": lambda: runtime.sample("the film", 3, temperature=1.0, max_new_tokens=200),
    }
    scheduler = runtime._buffer.active.model.scheduler
    holding, interrupted = threading.Event(), threading.Event()

    def hold_and_interrupt() -> None:
        with runtime._buffer.active.model.engine._model.lock:  # type: ignore[attr-defined]
            holding.set()
            wait_until(lambda: scheduler.busy > 0)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            interrupted.wait(WAIT)

    # A process that a shell started in the background ignores SIGINT, and Python leaves it at that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=hold_and_interrupt)
    try:
        thread.start()
        holding.wait(WAIT)
        with pytest.raises(KeyboardInterrupt):
            calls[wait]()
    finally:
        interrupted.set()
        thread.join()
        signal.signal(signal.SIGINT, before)
    wait_until(lambda: nothing_is_left(runtime))
    assert runtime.run("mood", {"text": "good"}).label


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_callbacks_that_fail_harm_nobody(
    runtime: Runtime, error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Future[object]) -> None:
        raise error("in a callback of the app")

    expected = runtime.generate("the film", max_new_tokens=8).text
    futures = []
    for number in range(12):
        future = runtime.submit_generate("the film", max_new_tokens=8)
        if number % 3:
            future.add_done_callback(fail)  # type: ignore[arg-type]
        futures.append(future)
    assert [future.result(WAIT).text for future in futures] == [expected] * 12
    wait_until(lambda: nothing_is_left(runtime))


def test_a_request_cancelled_from_its_own_callbacks_and_threads_ends_once(runtime: Runtime) -> None:
    for turn in range(40):
        ends: list[object] = []
        future = runtime.submit_generate("the film", max_new_tokens=4)
        future.add_done_callback(ends.append)
        future.add_done_callback(lambda done: done.cancel())
        threads = [threading.Thread(target=future.cancel) for _ in range(3)]
        if turn % 2:
            time.sleep(0.002 * (turn % 5))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        try:
            future.result(WAIT)
        except CancelledError:
            assert future.cancelled()
        wait_until(lambda ends=ends: bool(ends))  # type: ignore[misc]  # callbacks come behind the result
        assert ends == [future]
    wait_until(lambda: nothing_is_left(runtime))


def _leave_a_stream(runtime: Runtime, *, close: bool) -> None:
    stream = runtime.generate_stream("the film", SamplingParams(9))
    next(stream)
    if close:
        stream.close()


def _cancel(runtime: Runtime) -> None:
    with suppress(Overloaded):  # those cancelled before leave with the step that runs
        runtime.submit_generate("the film", max_new_tokens=60).cancel()


def _be_late(runtime: Runtime) -> None:
    with suppress(DeadlineExceeded):
        runtime.generate("the film", max_new_tokens=60, deadline=1e-4)


def _overload(runtime: Runtime) -> None:
    sent: list[Future[Completion]] = []
    with suppress(Overloaded):
        while True:
            sent.append(runtime.submit_generate("the film", max_new_tokens=1))
    for future in sent:
        future.result(WAIT)


def _teach(runtime: Runtime) -> None:
    runtime.feedback(runtime.run("echo", {"text": "good"}).id, 0.5)


KINDS: dict[str, Callable[[Runtime], object]] = {
    "generate": lambda runtime: runtime.generate("the film", max_new_tokens=3),
    "run": _teach,
    "score": lambda runtime: runtime.score("the film is", [" good", " bad"]),
    "sample": lambda runtime: runtime.sample("the film", 2, temperature=1.0, max_new_tokens=2),
    "stream": lambda runtime: list(runtime.generate_stream("the film", SamplingParams(3))),
    "closed": lambda runtime: _leave_a_stream(runtime, close=True),
    "dropped": lambda runtime: _leave_a_stream(runtime, close=False),
    "cancelled": _cancel,
    "late": _be_late,
    "overloaded": _overload,
    "swap": lambda runtime: runtime.learner.promote(),
}


_REMEMBERED = 250
"""Decisions after which what is remembered of the newest ones grows no more (``FeedbackRates``: 200)."""


@pytest.mark.parametrize("kind", KINDS)
def test_no_request_leaves_an_object_behind(bundle: Bundle, kind: str) -> None:
    """Counted as the collector sees them. What is made once, such as a binding for certain slots, comes in some rounds
    only; what a request leaves behind comes in all of them."""
    config = RuntimeConfig(
        seed=1, slots=2, context_length=256, max_waiting=8, promote_every=None, response_cache_bytes=0
    )
    counts = []
    with Runtime.open(bundle, threads=1, config=config) as runtime:
        for _ in range(_REMEMBERED if kind == "run" else 0):
            _teach(runtime)
        for _ in range(5):
            for _ in range(25):
                KINDS[kind](runtime)
            wait_until(lambda: nothing_is_left(runtime))
            counts.append(len(gc.get_objects()))
    assert min(after - before for before, after in pairwise(counts)) < 4


def test_a_callback_may_ask_again(runtime: Runtime) -> None:
    answers: list[str] = []
    enough = threading.Event()

    def again(done: Future[object]) -> None:
        answers.append(done.result().text)  # type: ignore[attr-defined]
        if len(answers) == 20:
            enough.set()
        else:
            runtime.submit_generate("the film", max_new_tokens=3).add_done_callback(again)  # type: ignore[arg-type]

    runtime.submit_generate("the film", max_new_tokens=3).add_done_callback(again)  # type: ignore[arg-type]
    assert enough.wait(WAIT)
    assert len(set(answers)) == 1
