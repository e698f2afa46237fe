"""A figure with its bounds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the bounds within which the truth lies.

    Attributes:
        estimate: Within the bounds.
        low: Lower bound.
        high: Upper bound.
    """

    estimate: float
    low: float
    high: float

    @classmethod
    def around(cls, estimate: float, low: float, high: float, least: float, most: float) -> Interval:
        """Bounds cut to ``least..most``, what is possible at all, and the estimate cut to the bounds."""
        low, high = min(max(low, least), most), max(min(high, most), least)
        return cls(min(max(estimate, low), max(low, high)), low, max(low, high))

    def __str__(self) -> str:
        return f"{self.estimate:+.3f} ({self.low:+.3f} to {self.high:+.3f})"
