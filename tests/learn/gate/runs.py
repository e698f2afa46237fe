"""Many simulated trials at once, on the functions that `Difference` is made of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edge_autoglm.learn.evaluation.betting import growth, log_evidence
from edge_autoglm.learn.gate.difference import difference_stakes, next_mean

FloatArray = npt.NDArray[np.float64]
NEVER = 10**9


def binary(rng: np.random.Generator, means: FloatArray) -> FloatArray:
    return (rng.random(means.shape) < means).astype(np.float64)


def fractional(rng: np.random.Generator, means: FloatArray) -> FloatArray:
    return rng.beta(4.0 * means, 4.0 * (1.0 - means))


def first_crossings(
    means: Callable[[int], tuple[float, float]],
    *,
    runs: int,
    steps: int,
    alpha: float,
    share: float = 0.2,
    reward: Callable[[np.random.Generator, FloatArray], FloatArray] = binary,
    seed: int = 0,
) -> npt.NDArray[np.int64]:
    """Feedbacks until the e-value for a gain first reaches ``1 / alpha``, or `NEVER`, ``[runs]``; a look at each step.

    Args:
        means: Step -> mean reward of champion and challenger.
        runs: Independent trials.
        steps: Feedbacks of each.
        alpha: Of the gate.
        share: Of the challenger.
        reward: Draws rewards of given means.
        seed: Of everything.
    """
    rng = np.random.default_rng(seed)
    stakes = difference_stakes(share)
    gains, mean = np.zeros((runs, len(stakes.rates))), np.full(runs, 0.5)
    crossed = np.full(runs, NEVER)
    for step in range(steps):
        champion, challenger = means(step)
        served = rng.random(runs) < share
        outcome = reward(rng, np.where(served, challenger, champion))
        gains += growth(stakes, np.where(served, 1.0 / share, -1.0 / (1.0 - share)) * (outcome - mean))
        mean = next_mean(mean, outcome, step)
        now = log_evidence(stakes, gains, np.zeros(runs)) >= -np.log(alpha)
        crossed[now & (crossed == NEVER)] = step + 1
    return crossed


def peeked_z_test(base: float, *, runs: int, steps: int, share: float = 0.2, seed: int = 0) -> float:
    """Share of null runs that a one-sided 5 % z-test promotes, looked at at each step from five feedbacks a side."""
    rng = np.random.default_rng(seed)
    served = rng.random((runs, steps)) < share
    rewards = (rng.random((runs, steps)) < base).astype(np.float64)
    ours, theirs = served.cumsum(axis=1), (~served).cumsum(axis=1)
    enough = (ours >= 5) & (theirs >= 5)
    ours, theirs = np.maximum(ours, 1), np.maximum(theirs, 1)
    gap = (rewards * served).cumsum(axis=1) / ours - (rewards * ~served).cumsum(axis=1) / theirs
    pooled = rewards.cumsum(axis=1) / np.arange(1, steps + 1)
    error = np.sqrt(pooled * (1.0 - pooled) * (1.0 / ours + 1.0 / theirs))
    promoted = enough & (error > 0.0) & (gap > 1.645 * error)
    return float(promoted.any(axis=1).mean())
