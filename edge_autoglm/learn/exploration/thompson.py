"""Thompson sampling with a floor, and exact propensities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_autoglm.learn.exploration.base import DEFAULT_FLOOR, check_floor, check_width
from edge_autoglm.learn.models.base import Estimate

FloatArray = npt.NDArray[np.float64]

_NODES = np.array([-25.0, -4.0, -2.6, -1.9, -1.3, -0.8, -0.4, 0.0, 0.4, 0.8, 1.3, 1.9, 2.6, 4.0, 25.0])
"""In spreads around a score; beyond the outermost, the distribution function below is exactly 0 or 1."""
_LOGISTIC = 0.851
"""The normal distribution function is close to ``(1 + tanh(0.851 x)) / 2``."""
_TINY = 1e-300


@dataclass(frozen=True, slots=True)
class Thompson:
    """Each arm with the probability that it is the best one (Thompson 1933), mixed with an even floor.

    Args:
        width: Factor on the spreads, above 0; smaller is greedier.
        floor: Share of choices that is spread evenly, 0..1.

    Raises:
        PolicyError: Floor or width is out of range.

    >>> estimate = Estimate(np.array([0.0, 2.0, 2.0]), np.array([0.1, 0.1, 0.1]))
    >>> Thompson(floor=0.3).propensities(estimate).round(3).tolist()
    [0.1, 0.45, 0.45]
    """

    width: float = 1.0
    floor: float = DEFAULT_FLOOR

    def __post_init__(self) -> None:
        check_floor(self.floor)
        check_width(self.width)

    def propensities(self, estimate: Estimate) -> FloatArray:
        """As ``Exploration.propensities``."""
        best = probability_of_best(estimate.means, self.width * estimate.spreads)
        return self.floor / len(best) + (1.0 - self.floor) * best


def probability_of_best(scores: FloatArray, spreads: FloatArray) -> FloatArray:
    """How probable it is that each of several independent normal variables is the largest.

    The Stieltjes integral of the product of the others' distribution functions over each one's own, by the trapezoid
    rule on a grid of points around every score, with the logistic function in place of the normal one. That is accurate
    to about 0.02; it need not be more so, because what is computed here *is* the distribution that is drawn from:
    logged propensities are exact.

    Args:
        scores: Means, ``[arms]``.
        spreads: Standard deviations, above 0, ``[arms]``.

    Returns:
        Shape ``[arms]``; sums to 1. A score of a thousand spreads below another has probability 0.
    """
    grid = np.sort((scores[:, None] + spreads[:, None] * _NODES).ravel())
    below = 0.5 + 0.5 * np.tanh((grid - scores[:, None]) * (_LOGISTIC / spreads)[:, None])  # [arm, point]
    others = np.multiply.reduce(below, axis=0) / (below + _TINY)
    # Probabilities of the cells between points times what the others are below there.
    best: FloatArray = np.add.reduce((below[:, 1:] - below[:, :-1]) * (others[:, 1:] + others[:, :-1]), axis=1)
    total = best.sum()
    return best / total if total > 0.0 else np.full(len(scores), 1.0 / len(scores))
