"""The mean of one variant, with bounds that hold at any time."""

from __future__ import annotations

import numpy as np

from edge_autoglm.learn.evaluation.betting import Stakes, growth, lower_mean
from edge_autoglm.learn.evaluation.interval import Interval
from edge_autoglm.learn.gate.difference import FRACTIONS, SHARES, next_mean
from edge_autoglm.learn.models.base import ModelState

_STAKES = Stakes.against(1.0, FRACTIONS, SHARES)


class MeanBounds:
    """The mean of outcomes in 0..1 that come one by one, from bets on both sides of it. Not thread-safe.

    The guess of each is the running mean before it, which takes most of the variance out (``betting``).

    >>> bounds = MeanBounds()
    >>> for outcome in (0.0, 1.0, 1.0, 1.0) * 50:
    ...     bounds.observe(outcome)
    >>> str(bounds.interval(0.025))
    '+0.750 (+0.649 to +0.835)'
    """

    def __init__(self) -> None:
        self._above, self._below = np.zeros(len(FRACTIONS)), np.zeros(len(FRACTIONS))
        self._guess, self._sum = 0.5, 0.0
        self.count = 0

    def observe(self, outcome: float) -> None:
        """Take in an outcome."""
        self._above += growth(_STAKES, outcome, self._guess)
        self._below += growth(_STAKES, -outcome, -self._guess)
        self._guess = float(next_mean(self._guess, outcome, self.count))
        self._sum += outcome
        self.count += 1

    def interval(self, alpha: float) -> Interval:
        """The mean so far; each bound is wrong at any time with probability at most ``alpha``."""
        if not self.count:
            return Interval(0.5, 0.0, 1.0)
        low = float(lower_mean(_STAKES, self._above, self.count, alpha))
        high = -float(lower_mean(_STAKES, self._below, self.count, alpha))
        return Interval.around(self._sum / self.count, low, high, 0.0, 1.0)

    def state(self) -> ModelState:
        """All that was observed."""
        facts = {"guess": self._guess, "sum": self._sum, "count": self.count}
        return ModelState(facts, {"above": self._above.copy(), "below": self._below.copy()})

    def restore(self, state: ModelState) -> None:
        """Take over what ``state`` gave, bit for bit."""
        self._above, self._below = (np.array(state.arrays[name], np.float64) for name in ("above", "below"))
        self._guess, self._sum = float(state.facts["guess"]), float(state.facts["sum"])
        self.count = int(state.facts["count"])
