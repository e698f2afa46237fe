"""Who may use which KV slot."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from edge_autoglm.errors import RequestError


class SlotPool:
    """Hands out the slots of one engine, each to one request at a time; whoever waits longest is next.

    Args:
        slots: How many there are.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._free = set(range(slots))
        self._waiting: deque[object] = deque()
        # Re-entrant: the garbage collector may close an abandoned stream, and so release its slot, at any allocation.
        self._changed = threading.Condition(threading.RLock())

    @property
    def free(self) -> int:
        """Slots that nobody uses."""
        return len(self._free)

    @property
    def busy(self) -> int:
        """Slots in use."""
        return self._slots - len(self._free)

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiting)

    @contextmanager
    def acquire(self, timeout: float) -> Iterator[int]:
        """Use a slot for the length of the block.

        Args:
            timeout: Seconds to wait for one.

        Raises:
            RequestError: None became free in time.
        """
        slot = self._take(timeout)
        try:
            yield slot
        finally:
            self._give_back(slot)

    def _take(self, timeout: float) -> int:
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                if not self._changed.wait_for(lambda: self._free and self._waiting[0] is ticket, timeout):
                    raise RequestError(
                        f"none of the {self._slots} KV slots became free within {timeout:g} s",
                        "Send fewer requests at once, close streams that are not read to the end, or open more slots.",
                    )
                slot = min(self._free)
                self._free.remove(slot)
                return slot
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()

    def _give_back(self, slot: int) -> None:
        with self._changed:
            self._free.add(slot)
            self._changed.notify_all()
