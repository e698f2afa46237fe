"""One thread for all callers, to the end of the program."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from edge_autoglm.runtime.engines.standard.one_thread import OneThread

NAME = "one-thread-under-test"


@pytest.fixture
def thread() -> Iterator[OneThread]:
    thread = OneThread(NAME)
    yield thread
    thread.close()
    assert not [each for each in threading.enumerate() if each.name.startswith(NAME)]


def test_all_callers_share_a_thread_that_is_none_of_theirs(thread: OneThread) -> None:
    seen = {thread.call(threading.get_ident)}
    callers = [threading.Thread(target=lambda: seen.add(thread.call(threading.get_ident))) for _ in range(5)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(seen) == 1
    assert not seen & {threading.get_ident(), *(caller.ident for caller in callers)}


def test_an_error_is_for_the_caller_and_the_thread_goes_on(thread: OneThread) -> None:
    before = thread.call(threading.get_ident)
    with pytest.raises(ZeroDivisionError):
        thread.call(lambda: 1 // 0)
    assert thread.call(threading.get_ident) == before


def test_a_call_within_a_call_does_not_wait_for_itself(thread: OneThread) -> None:
    assert thread.call(lambda: thread.call(threading.get_ident)) == thread.call(threading.get_ident)
    thread.call(thread.close)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals of this platform do not interrupt a thread")
def test_an_interrupted_caller_goes_on_when_the_work_is_done(thread: OneThread) -> None:
    caller, done = threading.get_ident(), []

    def work() -> None:
        for _ in range(2):
            signal.pthread_kill(caller, signal.SIGINT)
            threading.Event().wait(0.05)
        done.append(True)

    # A process that a shell started in the background ignores SIGINT, and Python leaves it at that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            thread.call(work)
    finally:
        signal.signal(signal.SIGINT, before)
    assert done == [True]


def test_without_the_thread_the_caller_does_the_work(thread: OneThread) -> None:
    closing = [threading.Thread(target=thread.close) for _ in range(3)]
    for each in closing:
        each.start()
    for each in closing:
        each.join()
    assert thread.call(threading.get_ident) == threading.get_ident()


def test_a_program_ends_whatever_is_open_and_whoever_closes_it_then() -> None:
    program = """
import atexit, threading
from edge_autoglm.runtime.engines.standard.one_thread import OneThread

forgotten, late = OneThread("forgotten"), OneThread("late")
busy, begun = threading.Event(), threading.Event()

def forever():
    while True:
        forgotten.call(begun.set)

threading.Thread(target=forever, daemon=True).start()
begun.wait()
atexit.register(lambda: print("ended", late.call(lambda: "late"), late.close()))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert (ended.stdout, ended.stderr) == ("ended late None\n", "")
