"""A stream ends once, for its reader, for its caller and for the garbage collector."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge_autoglm.runtime.requests.output import Output
from edge_autoglm.runtime.requests.stream import TokenStream
from edge_autoglm.runtime.schedule.job import JobFuture
from tests.waiting import WAIT


def stream_of(*pieces: str) -> tuple[TokenStream, Output, JobFuture[Output]]:
    """Of a request that has released some pieces."""
    output, future = Output(prompt_tokens=3), JobFuture[Output]()
    stream = TokenStream(output, future)
    for piece in pieces:
        output.channel.put(piece)
    return stream, output, future


def test_pieces_and_then_the_end() -> None:
    stream, output, future = stream_of("a", "b")
    assert next(stream) == "a"
    assert stream.text == "a"
    future.set_result(output)
    assert list(stream) == ["b"]
    assert list(stream) == []
    assert (stream.text, stream.read()) == ("ab", "ab")


def test_an_error_of_the_request_comes_behind_its_pieces() -> None:
    stream, _, future = stream_of("a")
    future.set_exception(ValueError("broken"))
    assert next(stream) == "a"
    with pytest.raises(ValueError, match="broken"):
        next(stream)
    assert list(stream) == []


def test_a_closed_stream_gives_nothing_and_its_request_is_cancelled() -> None:
    stream, output, future = stream_of("a", "b")
    assert next(stream) == "a"
    stream.close()
    assert future.cancelled()
    output.channel.put("c")  # of the step that ran
    assert list(stream) == []
    stream.close()
    assert stream.text == "a"
    assert stream.finish_reason is None


def test_leaving_the_block_closes() -> None:
    stream, _, future = stream_of("a")
    with pytest.raises(RuntimeError, match="enough"), stream:
        raise RuntimeError("enough")
    assert future.cancelled()


def test_a_cancelled_request_ends_the_stream() -> None:
    stream, _, future = stream_of("a")
    future.cancel()
    assert list(stream) == ["a"]


def test_closing_what_has_ended_changes_nothing_but_what_can_be_read() -> None:
    stream, output, future = stream_of("a")
    future.set_result(output)
    stream.close()
    assert not future.cancelled()
    assert list(stream) == []


@pytest.mark.parametrize("kept", [True, False])
def test_only_a_dropped_stream_loses_interest(kept: bool) -> None:
    stream, _, future = stream_of("a")
    if kept:
        gc.collect()
        assert not future.interest.lost
    del stream
    assert future.interest.lost
    assert not future.cancelled()  # that is the scheduler's part: the collector may have come in the midst of a lock


def test_a_closed_stream_loses_no_interest() -> None:
    stream, _, future = stream_of()
    stream.close()
    del stream
    assert not future.interest.lost


def test_a_stream_in_a_cycle_is_dropped_by_the_collector_on_whatever_thread() -> None:
    """While that thread holds every lock of the request."""
    stream, output, future = stream_of("a")
    stream.myself = stream  # type: ignore[attr-defined]
    del stream

    def collect() -> None:
        with future._condition, output.channel._changed:
            gc.collect()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(collect).result(WAIT)
    assert future.interest.lost


def test_a_stream_that_its_own_future_holds_is_freed_all_the_same() -> None:
    """As where a callback reads the whole text: the finalizer must keep neither alive."""
    stream, output, future = stream_of("a")
    future.add_done_callback(lambda _, stream=stream: stream.read())  # type: ignore[misc]
    future.set_result(output)
    dropped = weakref.ref(stream)
    del stream, future
    gc.collect()
    assert dropped() is None


def test_a_reader_in_another_thread_hears_that_it_is_closed() -> None:
    stream, _, _ = stream_of()
    began = threading.Event()

    def read() -> str:
        began.set()
        return stream.read()

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        began.wait(WAIT)
        stream.close()
        assert reading.result(WAIT) == ""


def test_an_event_loop_reads_while_a_thread_writes() -> None:
    stream, output, future = stream_of()

    def write() -> None:
        for number in range(100):
            output.channel.put(f"{number},")
        future.set_result(output)

    async def read() -> list[str]:
        threading.Thread(target=write).start()
        return [piece async for piece in stream]

    assert asyncio.run(asyncio.wait_for(read(), WAIT)) == [f"{number}," for number in range(100)]
