"""IPS, SNIPS and doubly robust: three ways from logged rewards to the value of a policy, with bounds at all times.

With the importance weight ``w`` of the logged arm ``A``, its reward ``r`` and any guess ``h(a)`` of rewards that was
made before ``A`` was drawn,

    w r - w h(A) + sum_a pi(a) h(a)

has the policy's expected reward on that request as its mean. IPS guesses 0; doubly robust guesses what a model learnt
from earlier decisions; SNIPS guesses the value so far for every arm, which is what dividing by the sum of the weights
amounts to. For the bounds each guess is cut to ``L / w(a)``, so that no outcome lies below ``-L``
(Waudby-Smith et al. 2022, section 2.2). The bound from above is one minus the lower bound of the same with ``1 - r``
and ``1 - h``. Bounds are for the average so far, so the policy may learn and the requests may change.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_autoglm.learn.evaluation.betting import Stakes, growth, lower_mean
from edge_autoglm.learn.evaluation.replay import Replayed

FloatArray = npt.NDArray[np.float64]

LEAST = (1.0, 4.0, 16.0)
"""A guess takes at most so much off an outcome; bets on all three cuts are played side by side. A low one leaves
room for the large stakes that a few hundred rewards need; a high one wastes no guess on arms that the log rarely chose.
"""

_HALVINGS = np.arange(14.0)
_FRACTIONS = tuple(float(fraction) for fraction in 0.5**_HALVINGS)
_SHARES = tuple(float(share) for share in 1.0 / ((_HALVINGS + 2.0) * (_HALVINGS + 3.0)))


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """An estimate and its bounds as rewards came in.

    Attributes:
        estimates: After each count, within the bounds, ``[..., points]``.
        low: Lower bounds, ``[..., points]``.
        high: Upper bounds, ``[..., points]``.
    """

    estimates: FloatArray
    low: FloatArray
    high: FloatArray


def ips(replayed: Replayed, counts: npt.NDArray[np.int64], alpha: float) -> Course:
    """Inverse propensity scoring (Horvitz & Thompson 1952).

    Args:
        replayed: The log beside the policy.
        counts: Numbers of rewards, from 1, after which to say what is known, rising, ``[points]``.
        alpha: Probability that any bound is ever wrong.
    """
    estimates = _mean(replayed.weights * replayed.rewards, counts)
    return _course(replayed, estimates, np.zeros_like(replayed.expected), (0.0,), counts, alpha)


def snips(replayed: Replayed, counts: npt.NDArray[np.int64], alpha: float) -> Course:
    """Self-normalised inverse propensity scoring (Swaminathan & Joachims 2015); arguments are those of ``ips``."""
    earned = np.cumsum(replayed.weights * replayed.rewards, axis=-1)
    weights = np.cumsum(replayed.weights, axis=-1)
    # As if one decision of weight 1 had come before, with reward 0.5: a guess for the first, and no division by 0.
    value = _before((earned + 0.5) / (weights + 1.0))[..., None]
    guesses = np.broadcast_to(value, replayed.expected.shape)
    with np.errstate(invalid="ignore"):
        ratios = earned / weights
    estimates = np.where(weights > 0.0, ratios, 0.5)[..., counts - 1]
    return _course(replayed, estimates, guesses, LEAST, counts, alpha)


def doubly_robust(replayed: Replayed, counts: npt.NDArray[np.int64], alpha: float) -> Course:
    """Doubly robust (Dudik, Langford & Li 2011); arguments are those of ``ips``."""
    guesses = replayed.expected
    taken = replayed.weights * (replayed.rewards - _of_chosen(replayed, guesses))
    estimates = _mean(taken + (replayed.target * guesses).sum(axis=-1), counts)
    return _course(replayed, estimates, guesses, LEAST, counts, alpha)


def _course(
    replayed: Replayed,
    estimates: FloatArray,
    guesses: FloatArray,
    cuts: tuple[float, ...],
    counts: npt.NDArray[np.int64],
    alpha: float,
) -> Course:
    low = _lower(replayed, replayed.rewards, guesses, cuts, counts, alpha / 2.0)
    high = 1.0 - _lower(replayed, 1.0 - replayed.rewards, 1.0 - guesses, cuts, counts, alpha / 2.0)
    low, high = np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)
    return Course(np.clip(estimates, low, np.maximum(low, high)), low, np.maximum(low, high))


def _lower(
    replayed: Replayed,
    rewards: FloatArray,
    guesses: FloatArray,
    cuts: tuple[float, ...],
    counts: npt.NDArray[np.int64],
    alpha: float,
) -> FloatArray:
    played = [_bets(replayed, rewards, guesses, cut) for cut in cuts]
    rates, shares = ([getattr(stakes, name) for stakes, _ in played] for name in ("rates", "log_shares"))
    stakes = Stakes(np.concatenate(rates), np.concatenate(shares) - np.log(len(cuts)))
    gains = np.concatenate([gains[..., counts - 1, :] for _, gains in played], axis=-1)
    return lower_mean(stakes, gains, counts, alpha)


def _bets(replayed: Replayed, rewards: FloatArray, guesses: FloatArray, cut: float) -> tuple[Stakes, FloatArray]:
    """Stakes and their gains after each row, ``[..., n, stakes]``, on outcomes that lie above ``-cut``."""
    with np.errstate(divide="ignore"):
        known = np.minimum(guesses, cut / replayed.arm_weights) if cut else np.zeros_like(guesses)
    outcomes = replayed.weights * (rewards - _of_chosen(replayed, known)) + (replayed.target * known).sum(axis=-1)
    stakes = Stakes.against(1.0 + cut, _FRACTIONS, _SHARES)
    means = (np.cumsum(outcomes, axis=-1) + 0.5) / np.arange(2, outcomes.shape[-1] + 2)
    return stakes, np.cumsum(growth(stakes, outcomes, np.clip(_before(means), 0.0, 1.0)), axis=-2)


def _of_chosen(replayed: Replayed, table: FloatArray) -> FloatArray:
    """The logged arm's column, ``[..., n]``."""
    picked: FloatArray = np.take_along_axis(table, replayed.chosen[..., None], axis=-1)[..., 0]
    return picked


def _before(running: FloatArray) -> FloatArray:
    """What was known before each row; 0.5 before the first."""
    return np.concatenate([np.full_like(running[..., :1], 0.5), running[..., :-1]], axis=-1)


def _mean(values: FloatArray, counts: npt.NDArray[np.int64]) -> FloatArray:
    """Mean of the first so many."""
    means: FloatArray = np.cumsum(values, axis=-1)[..., counts - 1] / counts
    return means
