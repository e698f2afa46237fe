"""Builds and checks candidates on one background thread and swaps the good ones in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from edge_autoglm.errors import SwapError
from edge_autoglm.swap.buffer import DoubleBuffer
from edge_autoglm.swap.comparison import Clock
from edge_autoglm.swap.generation import Generation
from edge_autoglm.swap.health import HealthPolicy, check
from edge_autoglm.swap.outcome import Rejected, RolledBack, SwapOutcome, cause_of

Build = Callable[[Generation], Generation]
"""Makes a candidate, which it then no longer owns, from the active generation, which is leased while it runs."""

_MAX_REASONS = 3


class Swapper:
    """Takes candidates from build to live, one at a time, in the order of submission.

    A candidate that cannot be built or fails its health check is freed and reported as ``Rejected``; the active
    generation goes on answering. A rollback does not wait for a build: the candidate being built then belongs to a
    generation that was just given up, and is ``Rejected`` for it.

    Args:
        buffer: Its active generation is what a candidate is built from and compared with.
        health: Limits of the health check.
        clock: With which it measures latency, in seconds.
    """

    def __init__(
        self, buffer: DoubleBuffer, health: HealthPolicy | None = None, clock: Clock = time.perf_counter
    ) -> None:
        self._buffer = buffer
        self._health = health or HealthPolicy()
        self._clock = clock
        self._closed = threading.Event()
        self._standby = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edge-autoglm-standby")

    def submit(self, build: Build) -> Future[SwapOutcome]:
        """Build, check and swap in the background.

        Returns:
            Resolves to ``Swapped`` or ``Rejected``; holds an exception only for what is not an ``Exception``
            (``KeyboardInterrupt``, ``SystemExit``).

        Raises:
            SwapError: The swapper is closed.
        """
        try:
            return self._standby.submit(self._run, build)
        except RuntimeError as error:
            raise SwapError("the runtime is closed", "Open it again before swapping.") from error

    def rollback(self, reason: str) -> RolledBack:
        """Return to the previous generation at once, on the caller's thread.

        Raises:
            SwapError: There is none, or the buffer is closed.
        """
        return self._buffer.rollback(reason)

    def close(self) -> None:
        """Wait for the build that runs and reject those that wait; the thread is gone afterwards. Idempotent."""
        self._closed.set()
        self._standby.shutdown(wait=True)

    def _run(self, build: Build) -> SwapOutcome:
        if self._closed.is_set():
            return Rejected("the runtime was closed before the build began")
        try:
            with self._buffer.lease() as active:
                return self._replace(active, build)
        except SwapError as error:
            return Rejected(str(error))

    def _replace(self, active: Generation, build: Build) -> SwapOutcome:
        try:
            candidate = build(active)
        except Exception as error:  # whatever a build does wrong must not reach the requests
            return Rejected(cause_of(error))
        if candidate.model is active.model:  # freeing the candidate would free the active generation's model
            return Rejected(f"generation {candidate.number} uses the model object of the active one; fork it")
        fault = self._fault(candidate, active)
        if fault is None:
            try:
                return self._buffer.swap(candidate, expected=active)
            except SwapError as error:  # raised before the pointer moves, so the candidate is still ours
                fault = str(error)
        candidate.retire()
        return Rejected(fault)

    def _fault(self, candidate: Generation, active: Generation) -> str | None:
        try:
            report = check(candidate, active, self._health, self._clock)
        except Exception as error:  # a check that cannot finish has not passed
            return cause_of(error)
        except BaseException:
            candidate.retire()
            raise
        return None if report.passed else _summary(report.reasons)


def _summary(reasons: Sequence[str]) -> str:
    """The first few reasons: a broken model fails every probe, and all of them say the same."""
    more = len(reasons) - _MAX_REASONS
    return "; ".join(reasons[:_MAX_REASONS]) + (f"; and {more} more" if more > 0 else "")
