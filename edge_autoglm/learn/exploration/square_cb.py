"""Inverse gap weighting."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.exploration.base import DEFAULT_FLOOR, check_floor
from edge_autoglm.learn.models.base import Estimate


@dataclass(frozen=True, slots=True)
class SquareCB:
    """The further an arm's mean is below the best one, the less often it is chosen; spreads play no part.

    Foster and Rakhlin, *Beyond UCB: Optimal and Efficient Contextual Bandits with Regression Oracles*, ICML 2020:
    of K arms, one that is expected to earn ``g`` less than the best gets ``1 / (K + gamma g)``, the best one the rest.
    Here ``gamma = scale * sqrt(rewards)``, the paper's growth over time.

    Args:
        scale: Above 0; larger is greedier.
        floor: Share of choices that is spread evenly, 0..1.

    Raises:
        PolicyError: Floor or scale is out of range.

    >>> estimate = Estimate(np.array([0.9, 0.4]), np.array([0.1, 0.1]), rewards=100)
    >>> SquareCB(scale=10.0, floor=0.0).propensities(estimate).round(3).tolist()
    [0.981, 0.019]
    """

    scale: float = 10.0
    floor: float = DEFAULT_FLOOR

    def __post_init__(self) -> None:
        check_floor(self.floor)
        if not 0.0 < self.scale < math.inf:
            raise PolicyError(f"the exploration scale is {self.scale!r}", "Give a number above 0, such as 10.")

    def propensities(self, estimate: Estimate) -> npt.NDArray[np.float64]:
        """As ``Exploration.propensities``."""
        means = estimate.means
        best = means == means.max()
        shares = 1.0 / (len(means) + self.scale * math.sqrt(estimate.rewards) * (means.max() - means))
        shares[best] += (1.0 - shares.sum()) / np.count_nonzero(best)
        spread: npt.NDArray[np.float64] = self.floor / len(means) + (1.0 - self.floor) * shares
        return spread
