"""The difference of two sides: symmetric, and right to the digit on one request."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.gate.difference import FRACTIONS, SHARES, Difference
from edge_autoglm.learn.gate.exposure import Exposure


def test_one_request_is_one_bet_of_every_stake() -> None:
    difference = Difference(share=0.2)
    difference.observe(Exposure.served(challenger=True, share=0.2), 1.0)
    # The running mean begins as 0.5, so the value is 5 * 0.5; the largest stake is 0.98 * 0.2.
    capital = np.average([1.0 + 0.98 * 0.2 * fraction * 2.5 for fraction in FRACTIONS], weights=SHARES)
    assert difference.log_above == pytest.approx(math.log(capital))
    assert difference.log_below == 0.0


def test_swapped_sides_swap_the_evidence() -> None:
    ours, theirs = Difference(0.5, reference=0.1), Difference(0.5, reference=-0.1)
    rng = np.random.default_rng(0)
    for _ in range(200):
        challenger = bool(rng.random() < 0.5)
        outcome = float(rng.random() < (0.9 if challenger else 0.3))
        ours.observe(Exposure.served(challenger, 0.5), outcome)
        theirs.observe(Exposure.served(not challenger, 0.5), outcome)
    assert (ours.log_above, ours.log_below) == pytest.approx((theirs.log_below, theirs.log_above))
    mine, other = ours.interval(0.05), theirs.interval(0.05)
    assert (mine.low, mine.estimate, mine.high) == pytest.approx((-other.high, -other.estimate, -other.low))
    assert mine.low < 0.6 < mine.high


def test_nothing_is_known_before_the_first_request() -> None:
    nothing = Difference(0.2).interval(0.05)
    assert (nothing.low, nothing.estimate, nothing.high) == (-1.0, 0.0, 1.0)
    for share in (0.0, 0.6, math.nan):
        with pytest.raises(PolicyError):
            Difference(share)
