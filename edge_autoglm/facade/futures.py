"""Futures that stand on others."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any, TypeVar

from edge_autoglm.interrupts import SafeFuture

S = TypeVar("S")
T = TypeVar("T")


def then(source: Future[S], transform: Callable[[S], T]) -> Future[T]:
    """The future of ``transform(result)``; to cancel it cancels ``source``.

    ``transform`` runs where the source ends, on the scheduler's thread: it must be short and wait for nothing.
    """
    target: Future[T] = SafeFuture()

    def settle(done: Future[S]) -> None:
        if done.cancelled():
            target.cancel()
        if not target.set_running_or_notify_cancel():
            return
        try:
            target.set_result(transform(done.result()))
        except BaseException as error:
            target.set_exception(error)

    source.add_done_callback(settle)
    target.add_done_callback(lambda ended: source.cancel() if ended.cancelled() else None)
    return target


def finished(result: T) -> Future[T]:
    """A future that has its result."""
    future: Future[T] = SafeFuture()
    future.set_result(result)
    return future


def release_with(future: Future[Any], lease: ExitStack) -> None:
    """End a lease when a request ends, however it does."""
    future.add_done_callback(lambda _: lease.close())


def wait_for(future: Future[T]) -> T:
    """Its result; if the wait is interrupted, by Ctrl-C say, the request is cancelled."""
    ended = threading.Lock()
    try:
        ended.acquire()
        future.add_done_callback(lambda _: ended.release())
        # Not in `future.result`: Ctrl-C while that takes or gives back its condition would leave it held, and the
        # scheduler waiting for it for ever.
        ended.acquire()
        return future.result()
    except BaseException:
        future.cancel()
        raise


def in_order(inputs: Iterable[S], submit: Callable[[S], Future[T]], in_flight: int) -> list[T]:
    """Submit a request for each input, so many at a time; results in order. An error or an interrupt cancels the rest.

    Args:
        inputs: Taken as they are needed.
        submit: Starts a request.
        in_flight: Requests that run or wait at a time.
    """
    results: list[T] = []
    pending: deque[Future[T]] = deque()
    try:
        for one in inputs:
            pending.append(submit(one))
            if len(pending) == in_flight:
                results.append(wait_for(pending.popleft()))
        while pending:
            results.append(wait_for(pending.popleft()))
    finally:
        for future in pending:
            future.cancel()
    return results
