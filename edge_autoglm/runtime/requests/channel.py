"""From one thread to one reader, who waits in a thread or in an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class Closed(Exception):
    """Nothing more will come: the channel has ended and is empty."""


class Channel(Generic[T]):
    """Items in order, then an end or an error. The writer never waits."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        # Entered instead of the condition, whose `__enter__` is Python: Ctrl-C in there would leave it held for ever.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._ended = False
        self._error: BaseException | None = None
        self._notify: Callable[[], object] | None = None

    def put(self, item: T) -> None:
        """Add an item; behind the end, nobody wants it."""
        with self._lock:
            if not self._ended:
                self._items.append(item)
                self._wake()

    def end(self, error: BaseException | None = None) -> None:
        """Nothing more will come; with an error, the reader gets it behind the last item. Later calls do nothing."""
        with self._lock:
            if not self._ended:
                self._ended, self._error = True, error
                self._wake()

    def close(self) -> None:
        """End it from the reader's side: what was not read is dropped."""
        with self._lock:
            self._items.clear()
            self._ended, self._error = True, None
            self._wake()

    def get(self) -> T:
        """The next item, waited for.

        Raises:
            Closed: There is none.
            BaseException: What the channel ended with; once, then ``Closed``.
        """
        with self._lock:
            while not self._ready():
                self._changed.wait()
            return self._take()

    async def get_async(self) -> T:
        """``get`` in an event loop."""
        loop = asyncio.get_running_loop()
        while True:
            arrived = asyncio.Event()
            with self._lock:
                if self._ready():
                    return self._take()
                self._notify = lambda arrived=arrived: loop.call_soon_threadsafe(arrived.set)
            await arrived.wait()

    def _ready(self) -> bool:
        return bool(self._items) or self._ended

    def _take(self) -> T:
        if self._items:
            return self._items.popleft()
        error, self._error = self._error, None
        raise Closed if error is None else error

    def _wake(self) -> None:
        self._changed.notify_all()
        if self._notify is not None:
            notify, self._notify = self._notify, None
            with suppress(RuntimeError):  # the event loop of a reader who gave up is closed
                notify()
