"""From estimates to propensities, and from those to a decision."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.exploration import (
    Exploration,
    Optimism,
    SquareCB,
    Thompson,
    choose,
    forced,
    probability_of_best,
)
from edge_autoglm.learn.models.base import Estimate


def strategies(floor: float) -> list[Exploration]:
    return [Optimism(floor=floor), Thompson(floor=floor), SquareCB(floor=floor)]


@given(
    st.lists(st.sampled_from([-1.0, 0.0, 0.3, 0.30000000000000004, 7.0]), min_size=1, max_size=12),
    st.floats(0.01, 2.0),
    st.floats(0, 1),
    st.floats(0, 1e6),
)
def test_propensities_are_a_distribution_that_keeps_the_floor(
    means: list[float], spread: float, floor: float, rewards: float
) -> None:
    estimate = Estimate(np.array(means), np.full(len(means), spread), rewards)
    for exploration in strategies(floor):
        shares = exploration.propensities(estimate)
        assert shares.sum() == pytest.approx(1.0, abs=1e-12)
        assert (shares >= floor / len(means) * (1 - 1e-12)).all()
        best = [share for share, mean in zip(shares, means, strict=True) if mean == max(means)]
        assert best == pytest.approx([best[0]] * len(best))
        assert best[0] == pytest.approx(shares.max())


def test_the_probability_of_being_best_is_that_of_a_simulation() -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        scores, spreads = rng.normal(0.0, 0.5, 5), rng.choice([0.03, 0.3, 1.0], 5)
        draws = rng.normal(scores, spreads, (100_000, 5))
        expected = np.bincount(draws.argmax(axis=1), minlength=5) / 100_000
        assert probability_of_best(scores, spreads) == pytest.approx(expected, abs=0.03)


def test_a_hopeless_arm_has_no_chance_and_one_arm_alone_has_all() -> None:
    assert probability_of_best(np.array([0.0, 900.0]), np.array([0.1, 0.1])).tolist() == [0.0, 1.0]
    assert probability_of_best(np.array([3.0]), np.array([0.1])).tolist() == [1.0]


def test_optimism_prefers_the_less_known_of_two_equal_means() -> None:
    assert Optimism(floor=0.0).propensities(Estimate(np.array([0.5, 0.5]), np.array([0.1, 0.2]))).tolist() == [0.0, 1.0]


def test_square_cb_weighs_by_the_inverse_gap() -> None:
    estimate = Estimate(np.array([0.9, 0.7, 0.4]), np.ones(3), rewards=25.0)
    low, lower = 1 / (3 + 10 * 5 * 0.2), 1 / (3 + 10 * 5 * 0.5)
    shares = SquareCB(scale=10.0, floor=0.0).propensities(estimate)
    assert shares.tolist() == pytest.approx([1 - low - lower, low, lower])


class EndlessDraw(random.Random):
    """A random stream that always draws the same number."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self._value = value

    def random(self) -> float:
        return self._value


@pytest.mark.parametrize("draw", [0.0, 0.5, math.nextafter(1.0, 0.0)])
@pytest.mark.parametrize("floor", [0.0, 0.07, 1.0])
@pytest.mark.parametrize("arms", range(1, 13))
def test_every_draw_falls_on_an_arm_that_may_be_chosen(draw: float, floor: float, arms: int) -> None:
    estimate = Estimate(np.linspace(0.0, 1.0, arms), np.full(arms, 0.001))
    for exploration in strategies(floor):
        shares = exploration.propensities(estimate)
        decision = choose([str(arm) for arm in range(arms)], shares, EndlessDraw(draw))
        assert decision.propensity == shares[int(decision.arm)] > 0.0


def test_a_choice_of_the_caller_is_certain() -> None:
    first, second = forced("plain"), forced("plain")
    assert (first.arm, first.propensity) == ("plain", 1.0)
    assert first.id != second.id


@pytest.mark.parametrize("floor", [-0.1, 1.1, math.nan])
@pytest.mark.parametrize("strategy", [Optimism, Thompson, SquareCB])
def test_a_floor_out_of_range_is_refused(strategy: type[Optimism], floor: float) -> None:
    with pytest.raises(PolicyError, match="floor"):
        strategy(floor=floor)


@pytest.mark.parametrize("width", [0.0, -1.0, math.inf, math.nan])
def test_a_width_or_scale_out_of_range_is_refused(width: float) -> None:
    for strategy in (Optimism, Thompson, SquareCB):
        with pytest.raises(PolicyError, match=r"width|scale"):
            strategy(width)
