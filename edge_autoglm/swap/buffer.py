"""Two buffers: the active generation answers, the standby one is what a rollback returns to.

Between them, for a while, a canary: a candidate that answers a share of the requests.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from edge_autoglm.errors import SwapError
from edge_autoglm.learn.hashing import share_of
from edge_autoglm.swap.generation import Generation
from edge_autoglm.swap.outcome import RolledBack, Swapped

_MAX_SESSIONS = 100_000


@dataclass(frozen=True, slots=True)
class Lease:
    """A generation that stays whole while a request runs on it.

    Attributes:
        generation: Answers the request.
        canary: Whether that is a candidate; ``None`` where the request was not drawn between two generations.
        first: Whether it is the first one of its session that was drawn.
    """

    generation: Generation
    canary: bool | None = None
    first: bool = True


@dataclass(slots=True)
class _Canary:
    candidate: Generation
    share: float
    sessions: set[int] = field(default_factory=set)
    """Hashes of those that were drawn."""

    def takes(self, session: str | None) -> bool:
        """Of one session always the same side; the draws of two canaries are independent."""
        drawn = random.random() if session is None else share_of(session, f"canary {self.candidate.number}")
        return drawn < self.share

    def is_first(self, session: str | None) -> bool:
        """Later requests of a session say little that is new. Where memory for sessions is used up, none is a first."""
        if session is None:
            return True
        known = hash(session) in self.sessions or len(self.sessions) >= _MAX_SESSIONS
        if not known:
            self.sessions.add(hash(session))
        return not known


class DoubleBuffer:
    """The pointer that a swap moves. Thread-safe; nothing waits for requests, and no request waits for a swap.

    Reading the pointer and counting the lease happen under one lock, so a lease is never taken on a generation that a
    swap has let go in between. The generation that a swap replaces stays whole, KV and policy included, until the next
    swap displaces it: rolling back is moving the pointer.

    Args:
        active: The first generation; owned by the buffer, as is every later one.
        last_number: The highest number that was used before.
    """

    def __init__(self, active: Generation, last_number: int = 0) -> None:
        self._lock = threading.Lock()
        self._active = active
        self._previous: Generation | None = None
        self._canary: _Canary | None = None
        self._retired: list[Generation] = []
        self._newest = active.number
        self._last_number = max(active.number, last_number)
        self._closed = False

    @property
    def active(self) -> Generation:
        """Answers new requests. Lease it before using its model."""
        return self._active

    @property
    def previous(self) -> Generation | None:
        """What ``rollback`` returns to, if anything."""
        return self._previous

    @property
    def canary(self) -> Generation | None:
        """The candidate that answers some requests, if any."""
        canary = self._canary
        return None if canary is None else canary.candidate

    def draining(self) -> tuple[Generation, ...]:
        """Generations that were given up for good and still have requests."""
        with self._lock:
            self._retired = [generation for generation in self._retired if not generation.freed]
            return tuple(self._retired)

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
        with self._leased(lambda: Lease(self._active)) as lease:
            yield lease.generation

    @contextmanager
    def lease_for(self, session: str | None, suits: Callable[[Generation], bool]) -> Iterator[Lease]:
        """What answers a user's request: the active generation, or the canary for its share.

        Args:
            session: Whose request it is; ``None`` draws for this one alone.
            suits: Whether a generation can answer it. One that suits not both takes part in no draw.

        Raises:
            SwapError: The buffer is closed.
        """
        with self._leased(lambda: self._drawn(session, suits)) as lease:
            yield lease

    def begin_canary(self, candidate: Generation, share: float, expected: Generation) -> None:
        """Let a candidate answer a share of the requests, until ``end_canary``, a swap or a rollback.

        Args:
            candidate: Stays the caller's.
            share: In (0, 1).
            expected: The generation that it was checked against.

        Raises:
            SwapError: The buffer is closed, or ``expected`` is no longer active.
        """
        with self._lock:
            self._check_open()
            self._check_active(candidate, expected)
            self._canary = _Canary(candidate, share)

    def end_canary(self) -> None:
        """All requests go to the active generation again; a no-op where they do."""
        with self._lock:
            self._canary = None

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
            if expected is not None:
                self._check_active(new, expected)
            displaced, self._previous, self._active = self._previous, self._active, new
            self._canary = None
            self._retired += [] if displaced is None else [displaced]
            self._newest = new.number
            self._last_number = max(self._last_number, new.number)
        if displaced is not None:
            displaced.retire()
        return Swapped(new.number)

    def revive(self, previous: Generation) -> None:
        """Give ``rollback`` something to return to after a restart.

        Args:
            previous: Good before the active one was; owned by the buffer once this returns, or closed.
        """
        with self._lock:
            wanted = self._previous is None and not self._closed
            if wanted:
                self._previous = previous
        if not wanted:
            previous.retire()

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
            self._canary = None  # it was built on what is given up
            self._retired.append(failed)
            number = self._active.number
        failed.retire()
        return RolledBack(reason, number)

    def close(self) -> None:
        """Refuse new leases; both generations are freed when their last lease ends. Idempotent."""
        with self._lock:
            self._closed, self._canary = True, None
        self._active.retire()
        if self._previous is not None:
            self._previous.retire()

    @contextmanager
    def _leased(self, chosen: Callable[[], Lease]) -> Iterator[Lease]:
        with self._lock:
            self._check_open()
            lease = chosen()
            lease.generation.acquire()
        try:
            yield lease
        finally:
            lease.generation.release()

    def _drawn(self, session: str | None, suits: Callable[[Generation], bool]) -> Lease:
        canary = self._canary
        if canary is None or not (suits(canary.candidate) and suits(self._active)):
            return Lease(self._active)
        taken = canary.takes(session)
        return Lease(canary.candidate if taken else self._active, taken, canary.is_first(session))

    def _check_active(self, new: Generation, expected: Generation) -> None:
        if self._active is not expected:
            raise SwapError(
                f"generation {new.number} was built on generation {expected.number}, but {self._active.number} "
                "became active meanwhile",
                "Build it again.",
            )

    def _check_open(self) -> None:
        if self._closed:
            raise SwapError("the runtime is closed", "Open it again before sending requests.")
