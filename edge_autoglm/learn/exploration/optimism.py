"""Optimism in the face of uncertainty, with a floor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_autoglm.learn.exploration.base import DEFAULT_FLOOR, check_floor, check_width
from edge_autoglm.learn.models.base import Estimate


@dataclass(frozen=True, slots=True)
class Optimism:
    """The arm of the highest ``mean + width * spread``; an even share of the floor to all.

    Auer, *Using Confidence Bounds for Exploitation-Exploration Trade-offs*, JMLR 2002. Arms that tie share evenly.

    Args:
        width: Standard deviations above the mean, above 0; smaller is greedier.
        floor: Share of choices that is spread evenly, 0..1.

    Raises:
        PolicyError: Floor or width is out of range.

    >>> estimate = Estimate(np.array([0.5, 0.4, 0.5]), np.array([0.1, 0.1, 0.1]))
    >>> Optimism(floor=0.3).propensities(estimate).round(3).tolist()
    [0.45, 0.1, 0.45]
    """

    width: float = 0.3
    floor: float = DEFAULT_FLOOR

    def __post_init__(self) -> None:
        check_floor(self.floor)
        check_width(self.width)

    def propensities(self, estimate: Estimate) -> npt.NDArray[np.float64]:
        """As ``Exploration.propensities``."""
        bounds = (estimate.means + self.width * estimate.spreads).tolist()  # arms are few: lists are faster here
        best, least = max(bounds), self.floor / len(bounds)
        most = least + (1.0 - self.floor) / bounds.count(best)
        return np.array([most if bound == best else least for bound in bounds])
