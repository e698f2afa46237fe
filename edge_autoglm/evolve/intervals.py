"""Bounds of a metric and of a paired difference, from the answers that it was measured on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_autoglm.evolve.answers import Answer
from edge_autoglm.evolve.metrics import Metric

_Z = 1.959963984540054
"""Of 95 %, two-sided."""

RESAMPLES = 2000

_SURE = 0.9
"""Share of resamples. The best of a hundred prompts is right about a few examples more than it deserves: on movie
snippets a rewrite that was ahead of a hand-written variant by one of 160 was behind it by 24 of 1,000 others."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """An estimate with its 95 % interval."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:.3f} ({self.low:.3f} to {self.high:.3f})"


def bounds(metric: Metric, answers: Sequence[Answer], seed: int = 0) -> Bounds:
    """The metric with its interval: Wilson's for a share, else the bootstrap's."""
    estimate = metric.measure(answers)
    if metric.share:
        return Bounds(estimate, *wilson(estimate, len(answers)))
    return Bounds(estimate, *_percentiles([_measured(metric, answers, rows) for rows in _resamples(answers, seed)]))


def difference(metric: Metric, ours: Sequence[Answer], theirs: Sequence[Answer], seed: int = 0) -> Bounds:
    """How much better ``ours`` are than ``theirs`` on the same examples, with the interval of the paired bootstrap."""
    return Bounds(metric.measure(ours) - metric.measure(theirs), *_percentiles(_gains(metric, ours, theirs, seed)))


def shown_better(metric: Metric, ours: Sequence[Answer], theirs: Sequence[Answer], seed: int = 0) -> bool:
    """Whether ``ours`` are better in nine of ten resamples: by more than the luck of a few examples."""
    return float(np.mean(np.array(_gains(metric, ours, theirs, seed)) > 0.0)) >= _SURE


def _gains(metric: Metric, ours: Sequence[Answer], theirs: Sequence[Answer], seed: int) -> list[float]:
    """Of the resamples, the same ones of both."""
    if metric.each is None:
        pairs = _resamples(ours, seed)
        return [_measured(metric, ours, rows) - _measured(metric, theirs, rows) for rows in pairs]
    gains = np.array([metric.each(one) - metric.each(other) for one, other in zip(ours, theirs, strict=True)])
    return [float(gains[rows].mean()) for rows in _resamples(ours, seed)]


def wilson(share: float, count: int) -> tuple[float, float]:
    """Score interval of a share (Wilson 1927), 95 %."""
    spread = _Z * _Z / count
    middle = (share + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _resamples(answers: Sequence[Answer], seed: int) -> Iterator[npt.NDArray[np.intp]]:
    """Rows drawn with replacement (Efron and Tibshirani 1993, chapter 13: percentile intervals)."""
    rng = np.random.default_rng(seed)
    for _ in range(RESAMPLES):
        yield rng.integers(len(answers), size=len(answers))


def _measured(metric: Metric, answers: Sequence[Answer], rows: npt.NDArray[np.intp]) -> float:
    return metric.measure([answers[row] for row in rows])


def _percentiles(drawn: Sequence[float]) -> tuple[float, float]:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)
