"""Answers that nobody waits for at once: futures, event loops, streams, and their cancellation."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future

import pytest

from edge_autoglm import Runtime
from edge_autoglm.errors import EngineError, InputRejected, PromptTooLong, RequestError, SwapError, UnknownTask
from edge_autoglm.facade.futures import in_order, then, wait_for
from edge_autoglm.facade.streams import CompletionStream, ReplyStream
from edge_autoglm.values import FeedbackOutcome, SamplingParams
from tests.facade.scripted import ASKED, busy, gated, open_scripted, wait_for_idle
from tests.waiting import WAIT, GatedEngine, wait_until

ANSWER = " good and great"
LONG = SamplingParams(max_new_tokens=300)


@pytest.fixture
def engine() -> GatedEngine:
    return gated(slots=2, answers={"Answer:": ANSWER})


@pytest.fixture
def runtime(engine: GatedEngine) -> Iterator[Runtime]:
    with open_scripted(engine) as opened:
        yield opened
        engine.open_gate()


def test_a_submitted_request_gives_what_run_gives(runtime: Runtime) -> None:
    future = runtime.submit("mood", ASKED, variant="chat")
    reply = future.result(WAIT)
    again = runtime.run("mood", {"text": "Another text."}, variant="chat")
    assert (reply.variant, reply.label in ("good", "bad")) == ("chat", True)
    assert reply.id != again.id
    assert runtime.feedback(reply.id, 1.0) is FeedbackOutcome.APPLIED
    assert runtime.submit_generate("Answer:").result(WAIT).text == runtime.generate("Answer:").text == ANSWER


def test_unusable_requests_are_refused_before_there_is_a_future(runtime: Runtime) -> None:
    with pytest.raises(UnknownTask):
        runtime.submit("weather", ASKED)
    with pytest.raises(InputRejected):
        runtime.submit("mood", {})
    with pytest.raises(PromptTooLong):
        runtime.submit("reply", {"text": "z" * 600})
    with pytest.raises(RequestError, match="deadline"):
        runtime.submit("mood", ASKED, deadline=0.0)
    with pytest.raises(RequestError, match="temperature"):
        runtime.submit_generate("Answer:", temperature=-1.0)
    assert busy(runtime) == (0, 0, 0)


def test_the_lease_has_ended_when_the_reply_is_there(runtime: Runtime) -> None:
    for _ in range(20):
        runtime.run("mood", {"text": "film"}, variant="plain")
        assert runtime._buffer.active.leases == 0
        runtime.generate("Answer:")
        assert runtime._buffer.active.leases == 0
        runtime.score("Answer:", ["good"])
        assert runtime._buffer.active.leases == 0


def test_cancelling_a_future_frees_slot_and_lease(runtime: Runtime, engine: GatedEngine) -> None:
    engine.hold()
    before = len(engine.passes)
    futures: list[Future[object]] = [
        runtime.submit("reply", ASKED),  # type: ignore[list-item]
        runtime.submit_generate("Answer:", max_new_tokens=300),  # type: ignore[list-item]
        runtime.submit("mood", ASKED),  # type: ignore[list-item]
    ]
    wait_until(lambda: len(engine.passes) > before)
    for future in futures:
        assert future.cancel()
        with pytest.raises(CancelledError):
            future.result()
    assert runtime._buffer.active.leases == 0
    engine.let(1)
    wait_for_idle(runtime)
    assert len(engine.passes) == before + 1
    engine.open_gate()
    assert runtime.generate("Answer:").text == ANSWER


def test_many_requests_in_one_event_loop(runtime: Runtime) -> None:
    async def ask_all() -> list[str]:
        async def ask(number: int) -> str:
            return (await asyncio.wrap_future(runtime.submit_generate(f"{number} Answer:"))).text

        return await asyncio.gather(*map(ask, range(20)))

    assert asyncio.run(ask_all()) == [ANSWER] * 20


def test_cancelling_a_task_of_an_event_loop_frees_slot_and_lease(runtime: Runtime, engine: GatedEngine) -> None:
    engine.hold()
    before = len(engine.passes)

    async def give_up() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(runtime.submit_generate("Answer:")), 0.01)

    asyncio.run(give_up())
    engine.let(1)
    wait_for_idle(runtime)
    assert len(engine.passes) <= before + 1


def test_streams_are_read_in_an_event_loop_side_by_side(runtime: Runtime) -> None:
    async def read(stream: CompletionStream | ReplyStream) -> list[str]:
        return [piece async for piece in stream]

    async def read_all() -> list[list[str]]:
        return await asyncio.gather(*map(read, streams))

    free, task = runtime.generate_stream("Answer:"), runtime.stream("reply", {"text": "Say. Answer:"})
    streams: list[CompletionStream | ReplyStream] = [free, task]
    pieces = asyncio.run(read_all())
    assert pieces == [[" good", " and", " great"]] * 2
    assert free.completion.text == free.text == " good and great"
    assert task.reply.text == "good and great"
    assert task.reply.id == task.id
    wait_for_idle(runtime)


def test_an_event_loop_goes_on_while_a_stream_waits(runtime: Runtime, engine: GatedEngine) -> None:
    engine.hold()

    async def read_while_working() -> str:
        stream = runtime.generate_stream("Answer:")
        reader = asyncio.ensure_future(anext(stream))
        for _ in range(100):
            await asyncio.sleep(0)
            assert not reader.done()
        engine.let(1)
        return await asyncio.wait_for(reader, WAIT)

    assert asyncio.run(read_while_working()) == " good"
    engine.open_gate()


@pytest.mark.parametrize("how", ["close", "drop"])
def test_an_abandoned_stream_gives_slot_and_lease_back(runtime: Runtime, engine: GatedEngine, how: str) -> None:
    engine.hold()
    before = len(engine.passes)
    stream = runtime.generate_stream("Answer:", LONG)
    engine.let(1)
    assert next(stream) == " good"
    assert busy(runtime)[2] == 1
    if how == "close":
        stream.close()
        stream.close()
        assert busy(runtime)[2] == 0
    gc.disable()
    try:
        del stream
        engine.let(1)
        wait_for_idle(runtime)
    finally:
        gc.enable()
    assert len(engine.passes) <= before + 2
    engine.open_gate()
    assert runtime.generate("Answer:").text == ANSWER


def test_a_stream_that_was_closed_has_no_whole_answer(runtime: Runtime, engine: GatedEngine) -> None:
    engine.hold()
    free, task = runtime.generate_stream("Answer:"), runtime.stream("reply", {"text": "Answer:"})
    for stream in (free, task):
        stream.close()
        assert list(stream) == []
    engine.open_gate()
    with pytest.raises(RequestError, match="not ended"):
        _ = free.completion
    with pytest.raises(RequestError, match="not ended"):
        _ = task.reply


def test_a_runtime_that_is_closed_ends_what_runs_by_itself(engine: GatedEngine) -> None:
    runtime = open_scripted(engine)
    engine.hold()
    future, stream = runtime.submit_generate("Answer:"), runtime.generate_stream("Answer:")
    generation = runtime._buffer.active
    runtime.close()
    with pytest.raises(SwapError, match="closed"):
        runtime.submit_generate("Answer:")
    assert not generation.freed, "two requests still run on it"
    engine.open_gate()
    assert future.result(WAIT).text == "".join(stream) == ANSWER
    wait_until(lambda: generation.freed)
    with pytest.raises(EngineError, match="closed"):
        generation.model.stream([5], LONG)


class Interrupted(Future[int]):
    """Ctrl-C comes soon after somebody began to wait for it."""

    def add_done_callback(self, fn: Callable[[Future[int]], object]) -> None:
        super().add_done_callback(fn)
        main = threading.main_thread().ident or 0
        threading.Timer(0.01, signal.pthread_kill, (main, signal.SIGINT)).start()


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """A process that a shell started in the background ignores SIGINT, and Python leaves it at that."""
    if not hasattr(signal, "pthread_kill"):
        pytest.skip("the system sends no signal to a thread")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_an_interrupted_wait_cancels_the_request() -> None:
    future = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        wait_for(future)
    assert future.cancelled()


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("ends", [Interrupted, Future], ids=["interrupt", "error"])
def test_what_ends_one_of_many_cancels_the_rest(ends: type[Future[int]]) -> None:
    made: list[Future[int]] = []

    def submit(number: int) -> Future[int]:
        made.append(Future() if number else ends())
        if number == 0 and ends is Future:
            made[0].set_exception(RequestError("no", "Do not."))
        return made[-1]

    with pytest.raises((KeyboardInterrupt, RequestError)):
        in_order(range(9), submit, 4)
    assert len(made) == 4
    assert all(future.cancelled() for future in made if not (future is made[0] and ends is Future))


def test_no_more_than_so_many_are_in_flight() -> None:
    open_ones: set[Future[int]] = set()
    most = 0

    class Counted(Future[int]):
        """Ends when somebody waits for it."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number
            open_ones.add(self)

        def add_done_callback(self, fn: Callable[[Future[int]], object]) -> None:
            nonlocal most
            most = max(most, len(open_ones))
            open_ones.discard(self)
            self.set_result(self.number)
            super().add_done_callback(fn)

    assert in_order(range(20), Counted, 5) == list(range(20))
    assert most == 5


def test_a_future_that_stands_on_another_ends_as_it_does() -> None:
    source: Future[int] = Future()
    doubled = then(source, lambda value: 2 * value)
    source.set_result(4)
    assert doubled.result(0) == 8
    failed: Future[int] = Future()
    failed.set_exception(RequestError("no", "Do not."))
    with pytest.raises(RequestError):
        then(failed, str).result(0)
    fine: Future[int] = Future()
    broken = then(fine, lambda value: 1 // value)
    fine.set_result(0)
    with pytest.raises(ZeroDivisionError):
        broken.result(0)


def test_cancellation_passes_both_ways() -> None:
    source: Future[int] = Future()
    top = then(then(source, str), len)
    assert top.cancel()
    assert source.cancelled()
    other: Future[int] = Future()
    above = then(then(other, str), len)
    assert other.cancel()
    assert above.cancelled()
