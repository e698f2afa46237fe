"""Notices that a generation which has just gone live does worse than the one before it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edge_autoglm.swap.baseline import Means
from edge_autoglm.swap.policy import SLOWEST, TripwirePolicy
from edge_autoglm.swap.traffic import Served

_STAKES = np.array([0.98, 0.5, 0.2])
"""Shares of the largest stake: the first is for what fails at once, the last for what is a little too bad."""


class Detector:
    """Notices that a mean has come to lie above a limit, whenever that begins.

    A CUSUM of e-values (Shin, Ramdas & Rinaldo 2022, "E-detectors"): the capital of bets against "the mean is at most
    the limit" is never let fall below 1, and an alarm is raised where it reaches ``alarm_once_in``. As long as the mean
    of each reading, given those before it, is at most the limit, there are so many readings between false alarms on
    average, however the readings are distributed.

    Args:
        limit: In (0, 1).
        alarm_once_in: See above.

    >>> detector = Detector(limit=0.05, alarm_once_in=10_000)
    >>> [detector.alarms(reading) for reading in (0.0, 1.0, 1.0, 1.0, 1.0)]
    [False, False, False, False, True]
    """

    def __init__(self, limit: float, alarm_once_in: float) -> None:
        self._limit, self._threshold = limit, alarm_once_in
        self._capital = np.ones(len(_STAKES))

    def alarms(self, reading: float) -> bool:
        """Take in a reading in 0..1; whether the mean is shown to be above the limit."""
        self._capital = np.maximum(self._capital, 1.0) * (1.0 + _STAKES / self._limit * (reading - self._limit))
        return float(self._capital.mean()) >= self._threshold


class Tripwires:
    """Watches the first requests of a generation.

    Args:
        generation: Its number.
        before: What the previous generation did.
        policy: Limits.
        trip: Called once, with the reason, on the thread of the request that shows it: it must be quick.
    """

    def __init__(self, generation: int, before: Means, policy: TripwirePolicy, trip: Callable[[str], None]) -> None:
        self.generation = generation
        self._before = before
        self._left = policy.requests
        self._trip: Callable[[str], None] | None = trip
        self._errors = self._detector(before.errors + policy.errors, policy)
        self._garbage = self._detector(before.garbage + policy.garbage, policy)
        self._latency = self._detector((1.0 + policy.latency) / SLOWEST, policy) if before.known else None
        lost = 1.0 - before.reward + policy.reward
        self._reward = self._detector(lost, policy) if before.reward_known else None

    def served(self, request: Served) -> None:
        """As ``Watcher.served``."""
        if request.generation != self.generation or self._left <= 0:
            return
        self._left -= 1
        self._look(self._errors, float(request.failed), "more requests fail")
        if not request.failed:
            self._look(self._garbage, float(request.garbage), "more answers are empty, broken or endless")
            usual = max(self._before.seconds, 1e-9)
            self._look(self._latency, min(request.seconds / usual / SLOWEST, 1.0), "requests take longer")

    def rewarded(self, request: Served, reward: float) -> None:
        """As ``Watcher.rewarded``."""
        if request.generation == self.generation and self._left > 0:
            self._look(self._reward, 1.0 - reward, "feedback is worse")

    def _look(self, detector: Detector | None, reading: float, reason: str) -> None:
        if detector is not None and detector.alarms(reading) and self._trip is not None:
            trip, self._trip = self._trip, None
            trip(f"{reason} than before generation {self.generation}")

    @staticmethod
    def _detector(limit: float, policy: TripwirePolicy) -> Detector | None:
        """None where the limit leaves nothing to be worse."""
        return Detector(limit, policy.alarm_once_in) if limit < 0.99 else None
