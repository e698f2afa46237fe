"""The weights of several experts, by how well each did lately."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

PRIOR_LOSS = 0.25
"""Squared error that is assumed before any was seen: that of a coin's toss."""
_PRIOR_MASS = 4.0


class ExpertWeights:
    """Exponential weights with a discount: ``w_e ~ exp(-rate * sum of the recent squared errors of e)``.

    The forecaster of Littlestone and Warmuth (1994) and Vovk (1990); the discount makes the sum one over about
    ``1 / (1 - discount)`` rewards, so that an expert may come back. The experts are few, so plain lists are faster here
    than arrays.

    Args:
        count: Of experts.
        rate: How sharply weights fall with the loss.
        discount: Of the losses at every new one, in 0..1.
        charged: Losses that each begins with; none by default.
    """

    __slots__ = ("_discount", "_rate", "error", "losses", "mass", "weights")

    def __init__(self, count: int, rate: float, discount: float, charged: Sequence[float] | None = None) -> None:
        self._rate, self._discount = rate, discount
        self.losses = [0.0] * count if charged is None else list(charged)
        """Discounted sums of squared errors."""
        self.mass = 0.0
        """Discounted number of the rewards behind them."""
        self.weights: FloatArray
        """Shape ``[experts]``; they sum to 1. Replaced, never written to, by ``observe``."""
        self.error: float
        """Recent mean squared error of the weighted experts, above 0."""
        self._weigh()

    def among(self, awake: Sequence[bool]) -> FloatArray:
        """Weights of those that are awake, ``[awake]``; they sum to 1."""
        if all(awake):
            return self.weights
        losses = [loss for loss, speaks in zip(self.losses, awake, strict=True) if speaks]
        shares = [math.exp(self._rate * (min(losses) - loss)) for loss in losses]
        return np.array(shares) / sum(shares)

    def observe(self, means: Sequence[float], reward: float, weight: float) -> None:
        """Take in what each of the experts expected, and what came."""
        keep, losses = self._discount, []
        for loss, mean in zip(self.losses, means, strict=True):
            error = (0.0 if mean < 0.0 else 1.0 if mean > 1.0 else mean) - reward
            losses.append(keep * loss + weight * error * error)
        self.losses, self.mass = losses, keep * self.mass + weight
        self._weigh()

    def restore(self, losses: Sequence[float], mass: float) -> None:
        """Take over another one's losses."""
        self.losses, self.mass = list(losses), mass
        self._weigh()

    def copy(self) -> ExpertWeights:
        """One that goes on alone."""
        other = ExpertWeights(len(self.losses), self._rate, self._discount)
        other.losses, other.mass, other.weights, other.error = self.losses, self.mass, self.weights, self.error
        return other

    def merge(self, other: ExpertWeights) -> None:
        """Average the losses by the number of rewards behind them."""
        mass = self.mass + other.mass
        if mass > 0.0:
            ours, theirs = self.mass / mass, other.mass / mass
            losses = [ours * a + theirs * b for a, b in zip(self.losses, other.losses, strict=True)]
            self.restore(losses, ours * self.mass + theirs * other.mass)

    def _weigh(self) -> None:
        least, shares, total, lost = min(self.losses), [], 0.0, 0.0
        for loss in self.losses:
            share = math.exp(self._rate * (least - loss))
            shares.append(share)
            total += share
            lost += share * loss
        self.weights = np.array(shares) / total
        self.error = (lost / total + PRIOR_LOSS * _PRIOR_MASS) / (self.mass + _PRIOR_MASS)
