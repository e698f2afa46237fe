"""How much better the challenger does than the champion: evidence and bounds from randomised requests."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.evaluation.betting import Stakes, growth, log_evidence, lower_mean
from edge_autoglm.learn.evaluation.interval import Interval
from edge_autoglm.learn.gate.exposure import Exposure
from edge_autoglm.learn.models.base import ModelState

FRACTIONS = (1.0, 0.6, 0.36, 0.2, 0.1, 0.04)
SHARES = (1.0, 4.0, 3.0, 1.0, 0.5, 0.25)
"""Found by simulation. At a canary of 20 % the best stake for a gap of 0.15 is 0.5-0.6 of the largest; the small ones
are for small gaps, and cost those that need no small stake 0.1 nats."""
_MEMORY = 500
"""Outcomes that the running mean is taken over, about."""


def difference_stakes(share: float, reference: float = 0.0) -> Stakes:
    """Stakes for differences of outcomes in 0..1, where neither side is served with less probability than ``share``."""
    return Stakes.against(1.0 / share + abs(reference), FRACTIONS, SHARES)


def next_mean(mean: npt.ArrayLike, outcome: npt.ArrayLike, count: int) -> npt.NDArray[np.float64]:
    """The running mean after one more outcome; it begins as 0.5 and forgets what is long ago."""
    before = np.asarray(mean, np.float64)
    moved: npt.NDArray[np.float64] = before + (np.asarray(outcome, np.float64) - before) / min(count + 2, _MEMORY)
    return moved


class Difference:
    """Challenger's mean outcome minus the champion's, from one request after another. Not thread-safe.

    Each request gives ``y = weight * (outcome - m)`` with the weight of its exposure and the running mean ``m`` of both
    sides. Its mean is the difference itself, whatever ``m``, which takes most of the variance out. For outcomes of 0
    and 1 the right stake on ``y`` is the likelihood ratio of two means against the common one between them, and nothing
    grows faster (Gruenwald, de Heide & Koolen 2024, "Safe testing"). The difference may change from request to request:
    what is tested and bounded is its average so far.

    Args:
        share: The smallest probability with which either side is served, in (0, 0.5].
        reference: The difference that evidence is gathered against, from both sides.

    Raises:
        PolicyError: The share is out of range.
    """

    def __init__(self, share: float, reference: float = 0.0) -> None:
        if not 0.0 < share <= 0.5:
            raise PolicyError(
                f"the smallest share of a side is {share!r}", "Give a number above 0 and at most 0.5, such as 0.2."
            )
        self.share, self.reference = share, reference
        self._stakes = difference_stakes(share, reference)
        self._above, self._below = np.zeros(len(FRACTIONS)), np.zeros(len(FRACTIONS))
        self._mean, self._sum = 0.5, 0.0
        self.count = 0
        self.challenger = 0.0
        """Requests of the challenger; one that both might have answered counts for each by its part."""
        self.log_above, self.log_below = 0.0, 0.0
        """Highest logarithm so far of the e-value that the difference is above, or below, the reference."""

    def observe(self, exposure: Exposure, outcome: float) -> None:
        """Take in the outcome of a request, in 0..1.

        Raises:
            PolicyError: The exposure's share is nearer to 0 or 1 than ``share``.
        """
        # A share of 1 - 0.8 is a hair below 0.2.
        if min(exposure.share, 1.0 - exposure.share) < self.share * (1.0 - 1e-9):
            raise PolicyError(
                f"the challenger had a share of {exposure.share:g}, outside {self.share:g} to {1.0 - self.share:g}",
                "Make the gate with the smallest share that either side will get.",
            )
        value = exposure.weight * (outcome - self._mean)
        self._above += growth(self._stakes, value, self.reference)
        self._below += growth(self._stakes, -value, -self.reference)
        self._mean = float(next_mean(self._mean, outcome, self.count))
        self._sum += value
        self.count += 1
        self.challenger += exposure.challenger
        self._note_evidence()

    def _note_evidence(self) -> None:
        expected = self.count * self.reference
        self.log_above = max(self.log_above, float(log_evidence(self._stakes, self._above, expected)))
        self.log_below = max(self.log_below, float(log_evidence(self._stakes, self._below, -expected)))

    def interval(self, alpha: float) -> Interval:
        """The average difference so far; each bound is wrong at any time with probability at most ``alpha``."""
        if not self.count:
            return Interval(0.0, -1.0, 1.0)
        low = float(lower_mean(self._stakes, self._above, self.count, alpha))
        high = -float(lower_mean(self._stakes, self._below, self.count, alpha))
        return Interval.around(self._sum / self.count, low, high, -1.0, 1.0)

    def state(self) -> ModelState:
        """All that was observed."""
        facts = {
            "share": self.share, "reference": self.reference, "mean": self._mean, "sum": self._sum, "count": self.count,
            "challenger": self.challenger, "log_above": self.log_above, "log_below": self.log_below,
        }  # fmt: skip
        return ModelState(facts, {"above": self._above.copy(), "below": self._below.copy()})

    def restore(self, state: ModelState) -> None:
        """Take over what ``state`` gave, bit for bit.

        Raises:
            PolicyError: It is of another share or reference.
        """
        facts = state.facts
        if (facts.get("share"), facts.get("reference")) != (self.share, self.reference):
            raise PolicyError(
                "the state is of a comparison with another share or margin",
                "Restore it with the settings it was made with.",
            )
        self._above, self._below = (np.array(state.arrays[name], np.float64) for name in ("above", "below"))
        self._mean, self._sum, self.count = float(facts["mean"]), float(facts["sum"]), int(facts["count"])
        self.challenger = float(facts["challenger"])
        self.log_above, self.log_below = float(facts["log_above"]), float(facts["log_below"])


def shown_e_value(logarithm: float) -> float:
    """An e-value of this logarithm, cut to what a float holds."""
    return math.exp(min(logarithm, 700.0))
