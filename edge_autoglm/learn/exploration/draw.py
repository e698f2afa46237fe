"""Decisions: an arm drawn by its propensity, or named by the caller."""

from __future__ import annotations

import os
import random
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from edge_autoglm.values import Decision


def new_decision_id() -> str:
    """96 random bits from the operating system: unique across threads, forks, restarts and devices."""
    return os.urandom(12).hex()


def forced(arm: str) -> Decision:
    """The decision for an arm that the caller named: probability 1."""
    return Decision(new_decision_id(), arm, 1.0)


def choose(arms: Sequence[str], shares: npt.NDArray[np.float64], rng: random.Random) -> Decision:
    """Draw an arm by its propensity."""
    each = shares.tolist()
    cumulative = list(accumulate(each))
    # Scaled by the last sum, which rounding may leave a hair off 1; a draw is below 1, so it always falls on an arm.
    chosen = bisect_right(cumulative, rng.random() * cumulative[-1])
    return Decision(new_decision_id(), arms[chosen], each[chosen], tuple(each))
