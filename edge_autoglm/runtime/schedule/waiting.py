"""Who waits for a slot: highest class first, in order of arrival within one, and no more than a bound."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from typing import Any

from edge_autoglm.errors import Overloaded
from edge_autoglm.runtime.schedule.job import Job
from edge_autoglm.runtime.schedule.running import Running
from edge_autoglm.values import Priority

Waiting = Job[Any] | Running


class WaitingLine:
    """New jobs, and running ones that gave their slot to a higher class. Not thread-safe.

    Args:
        bound: New jobs that may wait. Those of lower classes do not count: they never keep a job from being taken.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._heap: list[tuple[int, int, Waiting]] = []
        self._arrivals = 0
        self._new: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, job: Job[Any], free_slots: int) -> None:
        """Let a new job wait.

        Args:
            job: The job.
            free_slots: Jobs that wait only until the step that runs has ended; they do not count.

        Raises:
            Overloaded: As many wait as may.
        """
        waiting = sum(self._new[priority] for priority in Priority if priority <= job.priority) - free_slots
        if waiting >= self._bound:
            raise Overloaded(
                f"{waiting} requests wait already",
                "Send this one again later, send fewer at once, or raise RuntimeConfig.max_waiting.",
            )
        self._arrivals += 1
        self._new[job.priority] += 1
        heapq.heappush(self._heap, (job.priority, self._arrivals, job))

    def park(self, running: Running) -> None:
        """Let a job wait that was running; it keeps its place."""
        heapq.heappush(self._heap, (*running.rank, running))

    def first(self) -> Waiting | None:
        """Who is next."""
        return self._heap[0][2] if self._heap else None

    def pop(self) -> tuple[int, Waiting]:
        """Take the next one out, with its number of arrival."""
        _, number, waiting = heapq.heappop(self._heap)
        self._forget(waiting)
        return number, waiting

    def remove(self, fault: Callable[[Waiting], BaseException | None]) -> list[tuple[Waiting, BaseException]]:
        """Take out all that have a fault.

        Returns:
            They, each with its fault.
        """
        kept, removed = [], []
        for entry in self._heap:
            error = fault(entry[2])
            if error is None:
                kept.append(entry)
            else:
                removed.append((entry[2], error))
                self._forget(entry[2])
        if removed:
            heapq.heapify(kept)
            self._heap = kept
        return removed

    def _forget(self, waiting: Waiting) -> None:
        if isinstance(waiting, Job):
            self._new[waiting.priority] -= 1
