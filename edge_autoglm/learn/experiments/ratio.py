"""Did each variant get its share? Where not, something other than the draw decided who is in the figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

_CONCENTRATION = 100.0
"""Of the alternatives around the shares, in observations: best for deviations of about five points."""


class RatioTest:
    """A sequential test that counts come from given shares (sample-ratio mismatch). Not thread-safe.

    Lindon & Malek 2022, "Anytime-valid inference for multinomial count data": the evidence is the probability of the
    counts under a Dirichlet mixture centred on the shares, over that under the shares themselves. Under these it ever
    reaches x with probability at most 1 / x.

    Args:
        shares: Probability of each place; they sum to 1.

    >>> test = RatioTest([0.5, 0.5])
    >>> for number in range(300):
    ...     test.observe(int(number % 3 == 0))
    >>> test.counts, test.e_value > 1000
    ([200, 100], True)
    """

    def __init__(self, shares: Sequence[float]) -> None:
        self.shares = tuple(shares)
        self.counts = [0] * len(self.shares)
        self._log, self._highest = 0.0, 0.0

    def observe(self, place: int) -> None:
        """Count one more."""
        share = self.shares[place]
        expected = (_CONCENTRATION * share + self.counts[place]) / (_CONCENTRATION + sum(self.counts))
        self._log += math.log(expected / share)
        self._highest = max(self._highest, self._log)
        self.counts[place] += 1

    @property
    def e_value(self) -> float:
        """The highest evidence so far, cut to what a float holds."""
        return math.exp(min(self._highest, 700.0))

    def state(self) -> list[Any]:
        """All that was counted, as JSON values."""
        return [list(self.counts), self._log, self._highest]

    def restore(self, state: Sequence[Any]) -> None:
        """Take over what ``state`` gave, bit for bit."""
        counts, self._log, self._highest = state
        self.counts = list(counts)
