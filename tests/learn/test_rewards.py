"""What is taken as a reward, and what is not."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from edge_autoglm.errors import InvalidReward
from edge_autoglm.learn.rewards import checked_reward


@pytest.mark.parametrize("reward", [0, 1, 0.0, 1.0, 0.25, np.float32(0.25), np.int64(1)])
def test_numbers_in_the_range_are_taken(reward: float) -> None:
    assert checked_reward(reward) == float(reward)
    assert type(checked_reward(reward)) is float


@pytest.mark.parametrize(
    ("reward", "shown"),
    [
        (math.nan, "nan"),
        (np.float64("nan"), "nan"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (-1e-9, "-1e-09"),
        (1.0000001, "1.0000001"),
        (2, "2"),
        pytest.param(10**5000, "huge", id="huge"),
        (True, "True"),
        (False, "False"),
        (np.bool_(True), "True"),
        ("1", "'1'"),
        (None, "None"),
        ([1.0], "1.0"),
        (1j, "1j"),
        (Fraction(3, 2), "Fraction"),
    ],
)
def test_anything_else_is_refused_and_shown(reward: object, shown: str) -> None:
    with pytest.raises(InvalidReward, match=shown):
        checked_reward(reward)
