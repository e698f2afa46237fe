"""Drift: a change for the worse in a model's errors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from edge_autoglm.learn.models.base import check_setting

MAX_BUCKETS = 5
"""Buckets of one size; a further one merges the two oldest into one of twice the size."""
CHECK_EVERY = 32
_LEAST_WINDOW = 10
_LEAST_PART = 5


class ADWIN:
    """Adaptive windowing: the mean of the newest values, over as long a window as shows no change.

    Bifet and Gavalda, *Learning from Time-Changing Data with Adaptive Windowing*, SDM 2007: the window is cut, its
    older part dropped, wherever two parts differ by more than a bound (the one by the normal approximation, at the end
    of their section 3.1). The window is an exponential histogram: memory and time are logarithmic in its length.

    Args:
        delta: Confidence of a cut, in 0..1; smaller cuts less.

    Raises:
        PolicyError: Delta is out of range.

    >>> adwin = ADWIN(delta=0.002)
    >>> changes = [adwin.add(float(step >= 500)) for step in range(1000)]
    >>> changes.index(True), round(adwin.mean, 2)
    (511, 0.99)
    """

    def __init__(self, delta: float = 0.002) -> None:
        check_setting("delta", delta, 0.0 < delta < 1.0, "a number between 0 and 1")
        self.delta = delta
        self._rows: list[list[list[float]]] = [[]]
        """Row i: buckets ``[sum, sum of squared deviations]`` of 2**i values each, the oldest first."""
        self._added = 0
        self.width, self._total, self._deviation = 0, 0.0, 0.0

    @property
    def mean(self) -> float:
        """Of the window; 0 where it is empty."""
        return self._total / self.width if self.width else 0.0

    def add(self, value: float) -> bool:
        """Take in a value.

        Returns:
            Whether the window was cut because of it: the mean has changed.
        """
        if self.width:
            self._deviation += self.width * (value - self.mean) ** 2 / (self.width + 1)
        self.width += 1
        self._total += value
        self._rows[0].append([value, 0.0])
        self._compress()
        self._added += 1
        due = self._added % CHECK_EVERY == 0 and self.width > _LEAST_WINDOW
        return due and self._cut_where_it_differs()

    def state(self) -> dict[str, Any]:
        """All that it remembers, as JSON values."""
        return {
            "rows": [[list(bucket) for bucket in row] for row in self._rows],
            "added": self._added,
            "sums": [self.width, self._total, self._deviation],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state`` gave."""
        self._rows = [[list(bucket) for bucket in row] for row in state["rows"]]
        self._added = state["added"]
        self.width, self._total, self._deviation = state["sums"]

    def _compress(self) -> None:
        for size, row in enumerate(self._rows):
            if len(row) <= MAX_BUCKETS:
                return
            (total, deviation), (total2, deviation2) = row[:2]
            del row[:2]
            apart = (total - total2) ** 2 / 2**size / 2  # n n / (n + n) times the squared distance of the means
            if size + 1 == len(self._rows):
                self._rows.append([])
            self._rows[size + 1].append([total + total2, deviation + deviation2 + apart])

    def _cut_where_it_differs(self) -> bool:
        cut = False
        while self.width > _LEAST_WINDOW and self._differs():
            self._drop_oldest()
            cut = True
        return cut

    def _differs(self) -> bool:
        """Whether the window's two parts differ beyond the bound, at any border between buckets."""
        confidence = math.log(2.0 * math.log(self.width) / self.delta)
        variance = self._deviation / self.width
        n, total = 0, 0.0
        for size in range(len(self._rows) - 1, -1, -1):
            for bucket in self._rows[size]:
                n += 2**size
                total += bucket[0]
                rest = self.width - n
                if n < _LEAST_PART or rest < _LEAST_PART:
                    continue
                m = 1.0 / (n - _LEAST_PART + 1) + 1.0 / (rest - _LEAST_PART + 1)
                bound = math.sqrt(2.0 * m * variance * confidence) + 2.0 / 3.0 * confidence * m
                if abs(total / n - (self._total - total) / rest) > bound:
                    return True
        return False

    def _drop_oldest(self) -> None:
        size = len(self._rows) - 1
        total, deviation = self._rows[size].pop(0)
        if not self._rows[size] and size:
            self._rows.pop()
        n = 2**size
        self.width -= n
        self._total -= total
        apart = n * self.width * (total / n - self.mean) ** 2 / (n + self.width) if self.width else 0.0
        self._deviation = max(self._deviation - deviation - apart, 0.0)


class DriftWatch:
    """Tells when the errors of a task's expectations have grown for good: an ADWIN over its squared errors.

    Errors that shrink, as they do while a model learns, are no alarm.

    Args:
        delta: Confidence of ADWIN's cuts, in 0..1; smaller alarms less.
        kept: Share of what was learnt that is worth keeping after an alarm, 0..1.

    Raises:
        PolicyError: A setting is out of range.
    """

    def __init__(self, delta: float = 1e-4, kept: float = 0.03) -> None:
        check_setting("delta", delta, 0.0 < delta < 1.0, "a number between 0 and 1")
        check_setting("kept", kept, 0.0 <= kept <= 1.0, "a number from 0 to 1")
        self.delta, self.kept = delta, kept
        self._tasks: dict[str, ADWIN] = {}
        self.alarms: dict[str, int] = {}
        """Task -> alarms so far."""

    def sees(self, task: str, expected: float, reward: float, weight: float) -> bool:
        """Take in an expectation and the reward that came.

        Args:
            task: Of the request.
            expected: Mean reward that the model expected of the arm.
            reward: 0..1.
            weight: How much the reward counts, 0..1.

        Returns:
            Whether the errors have grown for good.
        """
        if task not in self._tasks:
            self._tasks[task] = self._fresh()
        adwin = self._tasks[task]
        before = adwin.mean
        error = min(max(expected, 0.0), 1.0) - reward
        if not adwin.add(weight * error * error) or adwin.mean <= before:
            return False
        self.alarms[task] = self.alarms.get(task, 0) + 1
        # The window still holds errors of before, which would alarm again for the same change.
        self._tasks[task] = self._fresh()
        return True

    def clone(self) -> DriftWatch:
        """One of the same settings that has seen nothing."""
        return DriftWatch(self.delta, self.kept)

    def state(self) -> dict[str, Any]:
        """All that it remembers, as JSON values."""
        return {"tasks": [[task, adwin.state()] for task, adwin in self._tasks.items()], "alarms": dict(self.alarms)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state`` gave."""
        self.alarms, self._tasks = dict(state["alarms"]), {}
        for task, remembered in state["tasks"]:
            self._tasks[task] = self._fresh()
            self._tasks[task].restore(remembered)

    def _fresh(self) -> ADWIN:
        return ADWIN(self.delta)
