"""Epsilon-greedy choice with exact propensities."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import PolicyError
from edge_autoglm.values import Decision

FloatArray = npt.NDArray[np.float64]


def new_decision_id() -> str:
    """96 random bits from the operating system: unique across threads, forks, restarts and devices."""
    return os.urandom(12).hex()


def forced(arm: str) -> Decision:
    """The decision for an arm that the caller named: probability 1."""
    return Decision(new_decision_id(), arm, 1.0)


def propensities(scores: FloatArray, floor: float) -> FloatArray:
    """Probability of each arm.

    Every one of K arms gets ``floor / K``; the arms of the highest score share the rest evenly.

    Args:
        scores: Predicted reward of each arm on any increasing scale, shape ``[arms]``.
        floor: Share of explored choices, 0..1.

    Returns:
        Shape ``[arms]``; sums to 1.

    >>> propensities(np.array([0.1, 0.7, 0.7, 0.2]), floor=0.2).round(3).tolist()
    [0.05, 0.45, 0.45, 0.05]
    """
    best = scores == scores.max()
    # Written so that arms that all tie get 1/K to the last bit.
    shares: FloatArray = np.where(best, floor + (1.0 - floor) * (len(scores) / np.count_nonzero(best)), floor)
    return shares / len(scores)


def choose(arms: Sequence[str], scores: FloatArray, floor: float, rng: random.Random) -> Decision:
    """Draw an arm with its propensity."""
    shares = propensities(scores, floor)
    cumulative = np.cumsum(shares)
    # Scaled by the last sum, which rounding may leave a hair off 1; a draw is below 1, so it always falls on an arm.
    chosen = int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))
    return Decision(new_decision_id(), arms[chosen], float(shares[chosen]))


def check_floor(floor: float) -> None:
    """Raise ``PolicyError`` unless ``floor`` is in 0..1."""
    if not 0.0 <= floor <= 1.0:
        raise PolicyError(f"the exploration floor is {floor!r}", "Give a number from 0 to 1, such as 0.05.")


def check_arms(arms: Sequence[str]) -> None:
    """Raise ``PolicyError`` unless there are arms, all different."""
    if not arms:
        raise PolicyError("there are no arms to choose from", "Give at least one.")
    if len(set(arms)) != len(arms):
        raise PolicyError(f"the arms {list(arms)} name one twice", "Give each arm once.")
