"""The kernel: an e-value by hand, the root that inverts it, and validity for means that move."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.learn.evaluation.betting import Stakes, growth, log_evidence, lower_mean

STAKES = Stakes.against(1.0, (1.0, 0.3, 0.05), (1.0, 2.0, 1.0))


def test_the_evidence_is_the_capital_of_the_bets() -> None:
    values, mean = [1.0, 0.0, 0.5], 0.3
    capital = sum(
        share * np.prod([1.0 + 0.98 * fraction * (value - mean) for value in values])
        for fraction, share in ((1.0, 0.25), (0.3, 0.5), (0.05, 0.25))
    )
    gains = growth(STAKES, values, mean).sum(axis=0)
    assert np.exp(log_evidence(STAKES, gains, 3 * mean)) == pytest.approx(capital)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=60), st.floats(1e-4, 0.5), st.floats(0.0, 1.0))
def test_the_lower_bound_is_where_the_evidence_reaches_1_over_alpha(
    values: list[float], alpha: float, guess: float
) -> None:
    gains = growth(STAKES, values, guess).sum(axis=0)
    bound = lower_mean(STAKES, gains, len(values), alpha)
    assert log_evidence(STAKES, gains, len(values) * bound) == pytest.approx(-np.log(alpha), abs=1e-6)
    assert bound < np.mean(values) + 1e-9


def test_bounds_of_many_are_those_of_each() -> None:
    values = np.random.default_rng(0).random((4, 50))
    gains = growth(STAKES, values).sum(axis=1)
    together = lower_mean(STAKES, gains, np.full(4, 50), 0.05)
    alone = [float(lower_mean(STAKES, row, 50, 0.05)) for row in gains]
    assert together.tolist() == pytest.approx(alone, abs=1e-12)


def test_bounds_hold_at_every_look_for_heavy_tails_and_moving_means() -> None:
    # Values of 0 or 1 / p, as importance weights give, whose mean moves slowly from 0.9 to 0.1.
    rng = np.random.default_rng(1)
    means = np.linspace(0.9, 0.1, 500)
    chances = rng.choice([0.02, 0.5, 1.0], size=(300, 500))
    values = (rng.random((300, 500)) < chances * means) / chances
    gains = growth(STAKES, values, 0.5).cumsum(axis=1)
    counts = np.arange(1, 501)
    wrong = lower_mean(STAKES, gains, counts, 0.05) > means.cumsum() / counts
    assert wrong.any(axis=1).mean() <= 0.05
    # Far from empty: the truth is 0.5 on average.
    assert np.median(lower_mean(STAKES, gains, counts, 0.05)[:, -1]) > 0.2
