"""An interval as it narrows, at a few points: for a plot that outlives the journal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from typing import Any

from edge_autoglm.learn.evaluation.interval import Interval
from edge_autoglm.learn.experiments.results import Course

_GROWTH = 1.2


class CourseLog:
    """Notes an interval each time that the count has grown by a fifth: 60 points for 100,000. Not thread-safe.

    Args:
        interval: Says what is known now.
    """

    def __init__(self, interval: Callable[[], Interval]) -> None:
        self._interval = interval
        self._points: list[tuple[int, Interval]] = []

    def observe(self, count: int) -> None:
        """The count has grown to this."""
        if not self._points or count >= _GROWTH * self._points[-1][0]:
            self._points.append((count, self._interval()))

    def until(self, count: int) -> Course:
        """All points, the last one at the present count."""
        newest = self._points[-1][0] if self._points else 0
        return (*self._points, (count, self._interval())) if count > newest else tuple(self._points)

    def state(self) -> list[list[Any]]:
        """As JSON values."""
        return [[count, *astuple(interval)] for count, interval in self._points]

    def restore(self, state: list[list[Any]]) -> None:
        """Take over what ``state`` gave."""
        self._points = [(count, Interval(*bounds)) for count, *bounds in state]
