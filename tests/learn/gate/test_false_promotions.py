"""The gate's promise: few false promotions with a look at every step, and a real gain is found."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge_autoglm.learn.gate.spending import spent_alpha
from tests.learn.gate.runs import NEVER, binary, first_crossings, fractional, peeked_z_test

ALPHA = 0.05
BASES = (0.1, 0.3, 0.5, 0.7, 0.9)


def drifting(step: int) -> tuple[float, float]:
    """One base rate for both, which falls slowly and jumps."""
    base = 0.85 - 0.0004 * step if step % 400 < 200 else 0.35
    return base, base


def false_promotions(means: object, runs: int, steps: int, **settings: object) -> float:
    crossed = first_crossings(means, runs=runs, steps=steps, alpha=ALPHA, **settings)  # type: ignore[arg-type]
    return float((crossed < NEVER).mean())


def test_few_null_runs_are_promoted_though_each_step_is_looked_at() -> None:
    assert false_promotions(lambda step: (0.6, 0.6), runs=400, steps=600) <= 0.05
    assert false_promotions(drifting, runs=400, steps=600) <= 0.05
    assert peeked_z_test(0.6, runs=400, steps=600) > 0.15


@pytest.mark.heavy
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("reward", [binary, fractional])
def test_at_most_5_percent_of_2000_null_runs_are_promoted(base: float, reward: object) -> None:
    share = false_promotions(lambda step: (base, base), runs=2000, steps=2000, reward=reward)
    print(f"null {base} {reward.__name__}: {share:.4f}")  # type: ignore[attr-defined]
    assert share <= 0.05


@pytest.mark.heavy
@pytest.mark.parametrize("reward", [binary, fractional])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_a_drifting_base_rate_promotes_no_more(reward: object, share: float) -> None:
    found = false_promotions(drifting, runs=2000, steps=2000, reward=reward, share=share)
    print(f"drift {reward.__name__} {share}: {found:.4f}")  # type: ignore[attr-defined]
    assert found <= 0.05


@pytest.mark.heavy
def test_a_gain_that_comes_and_goes_but_is_none_on_average_is_not_promoted() -> None:
    # Worse first, then better: at no look is the average gain above 0.
    def waves(step: int) -> tuple[float, float]:
        return 0.5, 0.35 if step % 200 < 100 else 0.65

    assert false_promotions(waves, runs=2000, steps=2000) <= 0.05


def test_a_gap_of_15_points_is_found_with_a_canary_of_20_percent() -> None:
    crossed = first_crossings(lambda step: (0.55, 0.7), runs=300, steps=2500, alpha=spent_alpha(ALPHA, 1))
    assert (crossed < NEVER).mean() >= 0.95
    assert np.median(crossed) <= 450


@pytest.mark.heavy
@pytest.mark.parametrize("base", [0.1, 0.3, 0.45, 0.55, 0.7, 0.8])
@pytest.mark.parametrize("reward", [binary, fractional])
def test_95_percent_of_gaps_of_15_points_are_found_by_a_median_of_450(base: float, reward: object) -> None:
    settings = {"runs": 2000, "steps": 3000, "alpha": spent_alpha(ALPHA, 1), "reward": reward, "seed": 7}
    crossed = first_crossings(lambda step: (base, base + 0.15), **settings)  # type: ignore[arg-type]
    print(
        f"gap {base} {reward.__name__}: {(crossed < NEVER).mean():.4f}, "  # type: ignore[attr-defined]
        f"median {np.median(crossed):.0f}, 95 % {np.quantile(crossed, 0.95):.0f}"
    )
    assert (crossed < NEVER).mean() >= 0.95
    assert np.median(crossed) <= 450


@pytest.mark.heavy
def test_a_peeked_z_test_promotes_many_nulls() -> None:
    shares = {base: peeked_z_test(base, runs=2000, steps=2000) for base in BASES}
    print(f"z-test: {shares}")
    assert min(shares.values()) > 0.2


def test_alpha_spent_over_any_number_of_challengers_is_at_most_alpha() -> None:
    spent = [spent_alpha(ALPHA, number) for number in range(1, 10_001)]
    assert sum(spent) == pytest.approx(ALPHA, rel=1e-3)
    assert math.fsum(spent) < ALPHA
    assert spent == sorted(spent, reverse=True)
