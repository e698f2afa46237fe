"""The check of shares: hardly any false alarm however often one looks, and soon a true one."""

from __future__ import annotations

import random

import pytest

from edge_autoglm.learn.experiments.ratio import RatioTest
from edge_autoglm.learn.experiments.results import RATIO_ALPHA

EVEN, UNEVEN, THREE = (0.5, 0.5), (0.9, 0.1), (0.2, 0.3, 0.5)


def first_alarm(expected: tuple[float, ...], true: tuple[float, ...], steps: int, seed: int) -> int | None:
    """The observation at which the evidence reaches its threshold."""
    test, rng = RatioTest(expected), random.Random(seed)
    for step, place in enumerate(rng.choices(range(len(true)), true, k=steps), start=1):
        test.observe(place)
        if test.e_value >= 1.0 / RATIO_ALPHA:
            return step
    return None


@pytest.mark.parametrize("shares", [EVEN, UNEVEN, THREE])
def test_at_most_1_percent_of_sound_draws_ever_raise_an_alarm(shares: tuple[float, ...]) -> None:
    alarms = [first_alarm(shares, shares, 800, seed) for seed in range(400)]
    assert sum(alarm is not None for alarm in alarms) <= RATIO_ALPHA * 400


@pytest.mark.parametrize(("expected", "true"), [(EVEN, (0.6, 0.4)), (UNEVEN, (0.8, 0.2)), (THREE, (0.3, 0.3, 0.4))])
def test_a_shift_of_ten_points_is_found(expected: tuple[float, ...], true: tuple[float, ...]) -> None:
    alarms = [first_alarm(expected, true, 1500, seed) or 1500 for seed in range(40)]
    assert sorted(alarms)[20] < 500
    assert max(alarms) < 1500
