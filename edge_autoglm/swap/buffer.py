"""Two buffers: the active generation answers, the standby one is what a rollback returns to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from edge_autoglm.errors import SwapError
from edge_autoglm.swap.generation import Generation
from edge_autoglm.swap.outcome import RolledBack, Swapped


class DoubleBuffer:
    """The pointer that a swap moves. Thread-safe; nothing waits for requests, and no request waits for a swap.

    Reading the pointer and counting the lease happen under one lock, so a lease is never taken on a generation that a
    swap has let go in between. The generation that a swap replaces stays whole, KV and policy included, until the next
    swap displaces it: rolling back is moving the pointer.

    Args:
        active: The first generation; owned by the buffer, as is every later one.
    """

    def __init__(self, active: Generation) -> None:
        self._lock = threading.Lock()
        self._active = active
        self._previous: Generation | None = None
        self._newest = active.number
        self._last_number = active.number
        self._closed = False

    @property
    def active(self) -> Generation:
        """Answers new requests. Lease it before using its model."""
        return self._active

    @property
    def previous(self) -> Generation | None:
        """What ``rollback`` returns to, if anything."""
        return self._previous

    def next_number(self) -> int:
        """A number for a new generation, above all handed out before; one that is rejected uses its number up."""
        with self._lock:
            self._last_number += 1
            return self._last_number

    @contextmanager
    def lease(self) -> Iterator[Generation]:
        """The active generation, kept alive for as long as the block runs.

        Raises:
            SwapError: The buffer is closed.
        """
        with self._lock:
            self._check_open()
            generation = self._active
            generation.acquire()
        try:
            yield generation
        finally:
            generation.release()

    def swap(self, new: Generation, expected: Generation | None = None) -> Swapped:
        """Make ``new`` active and keep the replaced generation for a rollback, which frees the one kept before.

        Args:
            new: Owned by the buffer once this returns.
            expected: The generation that ``new`` was built and checked against; ``None`` if any will do.

        Raises:
            SwapError: The buffer is closed, ``expected`` is no longer active, or the number of ``new`` is not above
                those of all generations before it. Nothing changed.
        """
        with self._lock:
            self._check_open()
            if new.number <= self._newest:
                raise SwapError(
                    f"generation {new.number} is not newer than generation {self._newest}, which was live already",
                    "Number it with DoubleBuffer.next_number.",
                )
            if expected is not None and self._active is not expected:
                raise SwapError(
                    f"generation {new.number} was built on generation {expected.number}, but {self._active.number} "
                    "became active meanwhile",
                    "Build it again.",
                )
            displaced, self._previous, self._active = self._previous, self._active, new
            self._newest = new.number
            self._last_number = max(self._last_number, new.number)
        if displaced is not None:
            displaced.retire()
        return Swapped(new.number)

    def rollback(self, reason: str) -> RolledBack:
        """Make the previous generation active again and retire the one that is active now.

        There is then nothing left to roll back to, so that two callers who notice the same fault do not bring the
        faulty generation back.

        Raises:
            SwapError: There is no previous generation, or the buffer is closed.
        """
        with self._lock:
            self._check_open()
            if self._previous is None:
                raise SwapError(
                    f"there is no generation before {self._active.number} to roll back to",
                    "Swap in the generation that you want.",
                )
            failed, self._active, self._previous = self._active, self._previous, None
            number = self._active.number
        failed.retire()
        return RolledBack(reason, number)

    def close(self) -> None:
        """Refuse new leases; both generations are freed when their last lease ends. Idempotent."""
        with self._lock:
            self._closed = True
        self._active.retire()
        if self._previous is not None:
            self._previous.retire()

    def _check_open(self) -> None:
        if self._closed:
            raise SwapError("the runtime is closed", "Open it again before sending requests.")
