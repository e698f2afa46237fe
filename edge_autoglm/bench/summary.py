"""Percentiles, by one documented definition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PERCENTILE_DEFINITION = "linear interpolation between the two nearest samples (Hyndman and Fan 1996, type 7)"


@dataclass(frozen=True, slots=True)
class Summary:
    """Of a sample; in the sample's unit. ``p50`` is the median."""

    count: int
    mean: float
    min: float
    p50: float
    p95: float
    p99: float
    max: float


def summarize(values: Sequence[float]) -> Summary | None:
    """Count, mean, extremes and percentiles; ``None`` of nothing.

    A percentile is read between the two nearest samples, linearly (NumPy's and R's default, type 7 of Hyndman and Fan
    1996). Of fewer than 100 samples, the 99th one lies between the two largest: see `Summary.count`.
    """
    if not values:
        return None
    p50, p95, p99 = (float(value) for value in np.percentile(values, (50, 95, 99), method="linear"))
    return Summary(len(values), float(np.mean(values)), min(values), p50, p95, p99, max(values))
