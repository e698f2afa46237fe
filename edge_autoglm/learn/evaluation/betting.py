"""Bets on a running mean: the one piece of statistics behind the gate, its guardrails and off-policy intervals.

Values ``y_t`` come one by one; ``mu_t`` is what the past says to expect of each. A stake ``b > 0`` and a guess ``c_t``
that was fixed before ``y_t``, with ``1 + b (y_t - c_t) > 0`` always, give

    prod_t (1 + b (y_t - c_t)) exp(-b (mu_t - c_t)),

which starts at 1 and does not grow on average, since ``1 + x <= exp(x)``. By Ville's inequality it ever reaches
``1 / alpha`` with probability at most alpha, and so does an average of such products over stakes. Since ``b`` is
constant, the product knows the ``mu_t`` through their sum alone, so solving for it bounds their *average* from below,
at all times at once, even where each differs from the last. Bets with changing stakes need a constant mean for that
(Waudby-Smith & Ramdas 2023, "Estimating means of bounded random variables by betting", section 4). The guess makes up
for most of what the exponential gives away: with the ``mu_t`` near it, both are the same to second order.

Only the lower side of ``y_t`` has to be bounded (Waudby-Smith et al. 2022, "Anytime-valid off-policy inference for
contextual bandits"): a rare, huge importance weight costs width, not validity. Bounds from above are those of ``-y``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_CLOSEST = 0.98
"""Of the largest stake that could lose everything."""
_NEWTON_STEPS = 20
_CLOSE_ENOUGH = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Stakes:
    """Stakes that are played side by side.

    Attributes:
        rates: The stakes ``b``, above 0, ``[stakes]``.
        log_shares: Logarithm of the part of the capital that each starts with, ``[stakes]``; the parts sum to 1.
    """

    rates: FloatArray
    log_shares: FloatArray

    @classmethod
    def against(cls, loss: float, fractions: Sequence[float], shares: Sequence[float]) -> Stakes:
        """Stakes that survive values of ``loss`` below the guess.

        Args:
            loss: The farthest that a value can lie below its guess, above 0.
            fractions: Of the largest stake, in (0, 1].
            shares: Of the capital, in any unit.
        """
        parts = np.asarray(shares, np.float64)
        return cls(_CLOSEST / loss * np.asarray(fractions, np.float64), np.log(parts / parts.sum()))


def growth(stakes: Stakes, values: npt.ArrayLike, guesses: npt.ArrayLike = 0.0) -> FloatArray:
    """What values add to the gains, ``[..., stakes]``: ``log(1 + b (y - c)) + b c``."""
    guessed = np.asarray(guesses, np.float64)[..., None]
    grown: FloatArray = np.log1p(stakes.rates * (np.asarray(values, np.float64)[..., None] - guessed))
    return grown + stakes.rates * guessed


def log_evidence(stakes: Stakes, gains: FloatArray, expected: npt.ArrayLike) -> FloatArray:
    """Logarithm of the capital if the conditional means sum up to ``expected``: the e-value against that or less.

    Args:
        stakes: That were played.
        gains: Summed ``growth``, ``[..., stakes]``.
        expected: Number of values times their hypothetical mean, ``[...]``.
    """
    heights = gains + stakes.log_shares - stakes.rates * np.asarray(expected, np.float64)[..., None]
    top = heights.max(axis=-1)
    capital: FloatArray = top + np.log(np.exp(heights - top[..., None]).sum(axis=-1))
    return capital


def lower_mean(stakes: Stakes, gains: FloatArray, counts: npt.ArrayLike, alpha: float) -> FloatArray:
    """The largest average of conditional means whose e-value is ``1 / alpha``: all below are refuted.

    Newton's method on a convex, falling function, started where the best stake alone says: it approaches from below,
    so that stopping early gives a slightly lower bound, never a wrong one.

    Args:
        stakes: That were played.
        gains: Summed ``growth``, ``[..., stakes]``.
        counts: Number of values, at least 1, ``[...]``.
        alpha: Probability of ever being wrong.

    Returns:
        Shape ``[...]``, not clipped to the range of the values.
    """
    heights = gains + stakes.log_shares + np.log(alpha)
    slopes = stakes.rates * np.asarray(counts, np.float64)[..., None]
    mean: FloatArray = (heights / slopes).max(axis=-1)
    for _ in range(_NEWTON_STEPS):
        terms = heights - slopes * mean[..., None]
        top = terms.max(axis=-1)
        parts = np.exp(terms - top[..., None])
        total = parts.sum(axis=-1)
        step = np.maximum(top + np.log(total), 0.0) * total / (parts * slopes).sum(axis=-1)
        mean = mean + step
        if (step < _CLOSE_ENOUGH).all():
            break
    return mean
