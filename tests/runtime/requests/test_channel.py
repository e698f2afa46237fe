"""Items arrive in order, ends and errors behind them, for readers in threads and in event loops."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge_autoglm.runtime.requests.channel import Channel, Closed
from tests.waiting import WAIT, wait_until


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def read(channel: Channel[int]) -> list[int]:
    items = []
    try:
        while True:
            items.append(channel.get())
    except Closed:
        return items


async def read_async(channel: Channel[int]) -> list[int]:
    items = []
    try:
        while True:
            items.append(await asyncio.wait_for(channel.get_async(), WAIT))
    except Closed:
        return items


READERS = pytest.mark.parametrize("reader", [read, lambda channel: asyncio.run(read_async(channel))])
Reader = Callable[[Channel[int]], list[int]]


@READERS
def test_what_was_put_before_is_there_and_then_the_end(reader: Reader) -> None:
    channel: Channel[int] = Channel()
    for item in range(5):
        channel.put(item)
    channel.end()
    assert reader(channel) == [0, 1, 2, 3, 4]
    assert reader(channel) == []


@READERS
def test_an_error_comes_once_behind_the_items(reader: Reader) -> None:
    channel: Channel[int] = Channel()
    channel.put(1)
    channel.end(ValueError("broken"))
    channel.end()
    channel.end(ValueError("later"))
    assert asyncio.run(channel.get_async()) == 1
    with pytest.raises(ValueError, match="broken"):
        reader(channel)
    assert reader(channel) == []


@READERS
def test_nothing_comes_behind_the_end(reader: Reader) -> None:
    channel: Channel[int] = Channel()
    channel.end()
    channel.put(1)
    assert reader(channel) == []


@READERS
@pytest.mark.parametrize("error", [None, ValueError("broken")])
def test_a_reader_that_closes_wants_nothing_more(reader: Reader, error: BaseException | None) -> None:
    channel: Channel[int] = Channel()
    channel.put(1)
    channel.end(error)
    channel.close()
    channel.put(2)
    assert reader(channel) == []


@READERS
@pytest.mark.usefixtures("frequent_switches")
def test_a_reader_waits_for_a_writer_in_another_thread(reader: Reader) -> None:
    channel: Channel[int] = Channel()

    def write() -> None:
        for item in range(2000):
            channel.put(item)
        channel.end()

    with ThreadPoolExecutor(2) as pool:
        reading = pool.submit(reader, channel)
        pool.submit(write)
        assert reading.result(WAIT) == list(range(2000))


@pytest.mark.parametrize("end", [Channel.close, Channel.end])
def test_a_waiting_reader_hears_of_the_end(end: Callable[[Channel[int]], None]) -> None:
    channel: Channel[int] = Channel()
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read, channel)
        wait_until(lambda: bool(channel._changed._waiters))  # type: ignore[attr-defined]
        end(channel)
        assert reading.result(WAIT) == []


def test_many_readers_in_one_loop_do_not_wait_for_each_other() -> None:
    channels: list[Channel[int]] = [Channel() for _ in range(20)]

    def write() -> None:
        for item in range(50):
            for channel in channels:
                channel.put(item)
        for channel in channels:
            channel.end()

    async def read_all() -> list[list[int]]:
        reading = asyncio.gather(*(read_async(channel) for channel in channels))
        writer = threading.Thread(target=write)
        writer.start()
        return await reading

    assert asyncio.run(read_all()) == [list(range(50))] * 20


def test_a_reader_that_gave_up_loses_nothing() -> None:
    channel: Channel[int] = Channel()

    async def give_up() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(channel.get_async(), 0.01)

    asyncio.run(give_up())
    channel.put(1)  # the loop that waited is closed
    channel.put(2)
    channel.end()
    assert read(channel) == [1, 2]


def test_a_reader_may_give_up_and_come_back_in_the_same_loop() -> None:
    channel: Channel[int] = Channel()

    async def come_back() -> int:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(channel.get_async(), 0.01)
        again = asyncio.create_task(channel.get_async())
        await asyncio.sleep(0)
        channel.put(7)
        return await asyncio.wait_for(again, WAIT)

    assert asyncio.run(come_back()) == 7
