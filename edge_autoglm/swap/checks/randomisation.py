"""An exact test of whether paired draws come from two distributions or, pair by pair, from one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_FLIPS = 1999
_ROUNDING = 1e-9


def sign_flip_p_value(differences: npt.NDArray[np.float64], rng: np.random.Generator) -> float:
    """P-value of the sum of the differences under random signs, one-sided: small where it is large.

    If each pair is exchangeable, a difference is as likely to have the other sign, whatever its size, so that the sum
    is one of ``2**n`` equally likely ones, of which some are drawn. Then ``P(p <= alpha) <= alpha`` at any ``n``, with
    no assumption on the distribution (Fisher 1935, The Design of Experiments, section 21; Lehmann and Romano 2005,
    Testing Statistical Hypotheses, section 15.2; counting the observed sum among the drawn ones: Phipson and Smyth
    2010).

    Args:
        differences: ``[n]``, finite.
        rng: Draws the signs.
    """
    observed = float(differences.sum())
    signs = rng.integers(0, 2, size=(_FLIPS, len(differences)), dtype=np.int8) * np.float32(2) - np.float32(1)
    sums = signs @ differences
    least = observed - _ROUNDING * float(np.abs(differences).sum())  # sums of the same terms differ by rounding
    return float(1 + np.count_nonzero(sums >= least)) / (1 + _FLIPS)
