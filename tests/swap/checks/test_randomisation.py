from __future__ import annotations

import itertools

import numpy as np
import pytest

from edge_autoglm.swap.checks.randomisation import sign_flip_p_value


def test_the_p_value_is_the_share_of_sign_patterns_with_as_large_a_sum() -> None:
    differences = np.random.default_rng(3).normal(0.5, 1.0, size=10)
    patterns = np.array(list(itertools.product((-1.0, 1.0), repeat=10)))
    exact = float(np.mean(patterns @ differences >= differences.sum() - 1e-12))
    assert sign_flip_p_value(differences, np.random.default_rng(0)) == pytest.approx(exact, abs=0.03)


def test_no_difference_is_no_evidence() -> None:
    assert sign_flip_p_value(np.zeros(50), np.random.default_rng(0)) == 1.0


def test_it_is_one_sided() -> None:
    rng = np.random.default_rng(0)
    assert sign_flip_p_value(np.full(50, 0.1), rng) == pytest.approx(1 / 2000)
    assert sign_flip_p_value(np.full(50, -0.1), rng) == 1.0


@pytest.mark.parametrize("samples", [5, 50])
def test_it_keeps_its_level_for_a_distribution_without_a_variance(samples: int) -> None:
    rng = np.random.default_rng(samples)
    found = [sign_flip_p_value(rng.standard_cauchy(samples), rng) for _ in range(1000)]
    for alpha in (0.01, 0.05, 0.2):
        # Three standard errors above the level.
        assert np.mean([p <= alpha for p in found]) <= alpha + 3 * (alpha * (1 - alpha) / 1000) ** 0.5
