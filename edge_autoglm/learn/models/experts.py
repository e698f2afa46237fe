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
LEAST_SHARE = 1e-3
"""An expert that is trusted less is not worth asking."""


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

    __slots__ = ("_discount", "_error", "_rate", "_shares", "_weights", "losses", "mass")

    def __init__(self, count: int, rate: float, discount: float, charged: Sequence[float] | None = None) -> None:
        self._rate, self._discount = rate, discount
        self.losses = [0.0] * count if charged is None else list(charged)
        """Discounted sums of squared errors."""
        self.mass = 0.0
        """Discounted number of the rewards behind them."""
        self._weights: FloatArray | None = None  # until somebody asks: not all do after each reward
        self._error = PRIOR_LOSS
        self._shares: dict[tuple[bool, ...], list[float]] = {}

    @property
    def weights(self) -> FloatArray:
        """Shape ``[experts]``; they sum to 1. Replaced, never written to, by ``observe``."""
        return self._weigh() if self._weights is None else self._weights

    @property
    def error(self) -> float:
        """Recent mean squared error of the weighted experts, above 0."""
        if self._weights is None:
            self._weigh()
        return self._error

    def among(self, awake: tuple[bool, ...]) -> list[float]:
        """Weights of those that are awake, in their order: 0 below ``LEAST_SHARE``; the others sum to 1."""
        shares = self._shares.get(awake)
        if shares is None:
            shares = self._shares[awake] = self._among(awake)
        return shares

    def _among(self, awake: tuple[bool, ...]) -> list[float]:
        losses = [loss for loss, speaks in zip(self.losses, awake, strict=True) if speaks]
        least = min(losses)
        shares = [math.exp(self._rate * (least - loss)) for loss in losses]
        floor = LEAST_SHARE * sum(shares)
        kept = [share if share >= floor else 0.0 for share in shares]
        total = sum(kept)
        return [share / total for share in kept]

    def observe(self, means: Sequence[float], reward: float, weight: float) -> None:
        """Take in what each of the experts expected, and what came."""
        keep, losses = self._discount, []
        for loss, mean in zip(self.losses, means, strict=True):
            error = (0.0 if mean < 0.0 else 1.0 if mean > 1.0 else mean) - reward
            losses.append(keep * loss + weight * error * error)
        self.losses, self.mass, self._weights, self._shares = losses, keep * self.mass + weight, None, {}

    def restore(self, losses: Sequence[float], mass: float) -> None:
        """Take over another one's losses."""
        self.losses, self.mass, self._weights, self._shares = list(losses), mass, None, {}

    def copy(self) -> ExpertWeights:
        """One that goes on alone."""
        other = ExpertWeights(len(self.losses), self._rate, self._discount)
        other.losses, other.mass = self.losses, self.mass
        return other

    def merge(self, other: ExpertWeights) -> None:
        """Average the losses by the number of rewards behind them."""
        mass = self.mass + other.mass
        if mass > 0.0:
            ours, theirs = self.mass / mass, other.mass / mass
            losses = [ours * a + theirs * b for a, b in zip(self.losses, other.losses, strict=True)]
            self.restore(losses, ours * self.mass + theirs * other.mass)

    def _weigh(self) -> FloatArray:
        least, shares, total, lost = min(self.losses), [], 0.0, 0.0
        for loss in self.losses:
            share = math.exp(self._rate * (least - loss))
            shares.append(share)
            total += share
            lost += share * loss
        self._error = (lost / total + PRIOR_LOSS * _PRIOR_MASS) / (self.mass + _PRIOR_MASS)
        self._weights = np.array(shares) / total  # last: a frozen policy is read by many threads
        return self._weights
