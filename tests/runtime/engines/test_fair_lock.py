"""Turns are taken in the order of arrival, and never by two at once."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter

import pytest

from edge_autoglm.runtime.engines.fair_lock import FairLock


def test_a_thread_that_takes_it_again_and_again_keeps_nobody_waiting() -> None:
    lock, stop = FairLock(), threading.Event()
    turns: list[str] = []

    def hog() -> None:
        while not stop.is_set():
            with lock:
                turns.append("hog")
                time.sleep(0.001)

    thread = threading.Thread(target=hog)
    thread.start()
    try:
        while not turns:
            time.sleep(0.001)
        overtaken = []
        for _ in range(30):
            asked = len(turns)
            with lock:
                overtaken.append(len(turns) - asked)
    finally:
        stop.set()
        thread.join()
    # One that had it already, and one that may slip in between reading the count and asking.
    assert max(overtaken) <= 2


def test_only_one_holds_it() -> None:
    lock = FairLock()
    inside, worst, counts = 0, 0, Counter[int]()

    def work(number: int) -> None:
        nonlocal inside, worst
        for _ in range(300):
            with lock:
                inside += 1
                worst = max(worst, inside)
                counts[number] += 1
                inside -= 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert worst == 1
    assert counts == dict.fromkeys(range(6), 300)


def test_it_is_free_again_after_an_error() -> None:
    lock = FairLock()
    with pytest.raises(ValueError, match="oops"), lock:
        raise ValueError("oops")
    with lock:
        pass


def test_an_interrupted_wait_loses_no_turn() -> None:
    lock, holding, done = FairLock(), threading.Event(), threading.Event()

    def hold_and_interrupt() -> None:
        with lock:
            holding.set()
            while not lock._waiting:
                time.sleep(0.001)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            done.wait(30)

    # A process that a shell started in the background ignores SIGINT, and Python leaves it at that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=hold_and_interrupt)
    try:
        thread.start()
        holding.wait()
        with pytest.raises(KeyboardInterrupt):
            lock.__enter__()
    finally:
        done.set()
        thread.join()
        signal.signal(signal.SIGINT, before)
    with lock:
        assert not lock._waiting


def test_somebody_elses_turn_makes_it_shared_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("edge_autoglm.runtime.engines.fair_lock.time.monotonic", lambda: now)
    lock, one, other = FairLock(), object(), object()
    lock.note(one)
    assert not lock.shared(one)
    assert lock.shared(other)
    now = 100.2
    lock.note(other)
    assert lock.shared(one)
    now = 100.3
    assert lock.shared(one)
    assert not lock.shared(other)
    now = 101.0
    assert not lock.shared(one)
