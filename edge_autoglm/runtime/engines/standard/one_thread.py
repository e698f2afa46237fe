"""A thread of one's own, for a library that keeps things by the thread that calls it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

Result = TypeVar("Result")


class OneThread:
    """Runs what any thread asks for, one call after the other, always on the same thread. Thread-safe.

    Args:
        name: Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._ident = self._executor.submit(threading.get_ident).result()

    def call(self, work: Callable[[], Result]) -> Result:
        """Run it there; its result, or what it raised.

        It is done when this returns or raises, even where the caller is interrupted meanwhile. Once there is no thread
        any more, because it was closed or because the interpreter ends, the caller runs it.
        """
        if threading.get_ident() == self._ident:
            return work()
        try:
            future = self._executor.submit(work)
        except RuntimeError:
            return work()
        try:
            _wait(future)
            return future.result()
        finally:
            del future  # it holds the exception, whose traceback holds this frame

    def close(self) -> None:
        """End the thread when it has done what it was asked for. Idempotent; on any thread."""
        self._executor.shutdown(wait=threading.get_ident() != self._ident)


def _wait(future: Future[Result]) -> None:
    """What was begun uses memory of the caller, who must not go on before it is done."""
    interrupt: KeyboardInterrupt | None = None
    while not future.done():
        try:
            wait([future])
        except KeyboardInterrupt as error:
            interrupt = error
    if interrupt is not None:
        raise interrupt
