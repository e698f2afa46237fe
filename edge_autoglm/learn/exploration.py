"""Thompson sampling with a floor, and exact propensities."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import PolicyError
from edge_autoglm.values import Decision

FloatArray = npt.NDArray[np.float64]

_NODES = np.linspace(-4.0, 4.0, 25)
_DENSITY = np.exp(-0.5 * _NODES**2)
_LOGISTIC = 0.851
"""The normal distribution function is close to ``(1 + tanh(0.851 x)) / 2``."""


def new_decision_id() -> str:
    """96 random bits from the operating system: unique across threads, forks, restarts and devices."""
    return os.urandom(12).hex()


def forced(arm: str) -> Decision:
    """The decision for an arm that the caller named: probability 1."""
    return Decision(new_decision_id(), arm, 1.0)


def propensities(scores: FloatArray, spreads: FloatArray, floor: float) -> FloatArray:
    """Probability of each arm: that of being the best one (Thompson 1933), mixed with an even floor.

    Every one of K arms gets ``floor / K``; the rest is shared as ``probability_of_best`` says.

    Args:
        scores: Expected reward of each arm on any increasing scale, shape ``[arms]``.
        spreads: Standard deviation of each score, above 0, shape ``[arms]``.
        floor: Share of explored choices, 0..1.

    Returns:
        Shape ``[arms]``; sums to 1.

    >>> propensities(np.array([0.0, 2.0, 2.0]), np.array([0.1, 0.1, 0.1]), floor=0.3).round(3).tolist()
    [0.1, 0.45, 0.45]
    """
    return floor / len(scores) + (1.0 - floor) * probability_of_best(scores, spreads)


def probability_of_best(scores: FloatArray, spreads: FloatArray) -> FloatArray:
    """How probable it is that each of several independent normal variables is the largest.

    The integral over each one's density of the product of the others' distribution functions, on a fixed grid, with
    the logistic function in place of the normal one. That is accurate to about 0.02; it need not be more so, because
    what is computed here *is* the distribution that is drawn from: logged propensities are exact.

    Returns:
        Shape ``[arms]``; sums to 1. A score of a thousand spreads below another has probability 0.
    """
    values = scores[:, None] + spreads[:, None] * _NODES
    below = (values[:, None, :] - scores[None, :, None]) * (_LOGISTIC / spreads)[None, :, None]
    chances = 0.5 + 0.5 * np.tanh(below)  # [arm, other arm, node]
    arms = np.arange(len(scores))
    chances[arms, arms] = 1.0
    best: FloatArray = np.prod(chances, axis=1) @ _DENSITY
    total = best.sum()
    return best / total if total > 0.0 else np.full(len(scores), 1.0 / len(scores))


def choose(arms: Sequence[str], shares: FloatArray, rng: random.Random) -> Decision:
    """Draw an arm by its propensity."""
    cumulative = np.cumsum(shares)
    # Scaled by the last sum, which rounding may leave a hair off 1; a draw is below 1, so it always falls on an arm.
    chosen = int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))
    return Decision(new_decision_id(), arms[chosen], float(shares[chosen]))


def check_floor(floor: float) -> None:
    """Raise ``PolicyError`` unless ``floor`` is in 0..1."""
    if not 0.0 <= floor <= 1.0:
        raise PolicyError(f"the exploration floor is {floor!r}", "Give a number from 0 to 1, such as 0.05.")


def check_width(width: float) -> None:
    """Raise ``PolicyError`` unless ``width`` is above 0 and finite."""
    if not 0.0 < width < math.inf:
        raise PolicyError(f"the exploration width is {width!r}", "Give a number above 0, such as 0.7.")


def check_arms(arms: Sequence[str]) -> None:
    """Raise ``PolicyError`` unless there are arms, all different."""
    if not arms:
        raise PolicyError("there are no arms to choose from", "Give at least one.")
    if len(set(arms)) != len(arms):
        raise PolicyError(f"the arms {list(arms)} name one twice", "Give each arm once.")
