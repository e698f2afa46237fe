from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge_autoglm.errors import RequestError
from edge_autoglm.runtime.slots import SlotPool


def test_every_slot_is_used_by_one_at_a_time() -> None:
    pool = SlotPool(3)
    in_use: set[int] = set()
    changing = threading.Lock()

    def work(_: int) -> bool:
        with pool.acquire(30) as slot:
            with changing:
                alone = slot not in in_use
                in_use.add(slot)
            with changing:
                in_use.remove(slot)
        return alone

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(400)))
    assert (pool.free, pool.busy, pool.waiting) == (3, 0, 0)


def test_counts() -> None:
    pool = SlotPool(2)
    with pool.acquire(0) as first, pool.acquire(0) as second:
        assert {first, second} == {0, 1}
        assert (pool.free, pool.busy) == (0, 2)
    assert (pool.free, pool.busy) == (2, 0)


def test_no_slot_in_time_is_a_request_error() -> None:
    pool = SlotPool(1)
    with (
        pool.acquire(0),
        pytest.raises(RequestError, match=r"none of the 1 KV slots .* within 0\.01 s"),
        pool.acquire(0.01),
    ):
        pass
    assert (pool.free, pool.waiting) == (1, 0)


def test_a_failing_request_gives_its_slot_back() -> None:
    pool = SlotPool(1)
    with pytest.raises(ZeroDivisionError), pool.acquire(0):
        raise ZeroDivisionError
    assert pool.free == 1


def test_whoever_waits_longest_is_next() -> None:
    pool = SlotPool(1)
    served: list[int] = []

    def work(number: int) -> None:
        with pool.acquire(30):
            served.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    with pool.acquire(0):
        for number, thread in enumerate(threads):
            thread.start()
            while pool.waiting <= number:
                threading.Event().wait(0.001)
    for thread in threads:
        thread.join()
    assert served == list(range(6))
