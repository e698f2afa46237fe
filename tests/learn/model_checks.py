"""Streams and comparisons for the tests of reward models."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edge_autoglm.learn.features import Features
from edge_autoglm.learn.models.base import ModelState, RewardModel

ARMS = ("plain", "polite", "short")
NAMES = ("length", "hour", "battery")


def some_request(rng: np.random.Generator, task: str = "mood") -> Features:
    """Dense values of very different sizes, and words out of forty."""
    dense = rng.normal(size=3) * (300.0, 6.0, 0.2) + (1e5, 12.0, 0.5)
    return Features(rng.choice(40, 5, replace=False), np.full(5, 0.3), task, NAMES, dense)


def rewards(count: int, seed: int) -> Iterator[tuple[str, Features, float, float]]:
    """Arm, request, reward and weight; the reward depends on the arm, the hour and a word."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        request, arm = some_request(rng), ARMS[rng.integers(3)]
        chance = 0.3 + 0.2 * ARMS.index(arm) + 0.2 * np.sign(request.dense[1] - 12.0) * (arm == "plain")
        chance += 0.2 * (7 in request.indices)
        yield arm, request, float(rng.random() < chance), float(rng.choice([0.3, 1.0]))


def train(model: RewardModel, count: int, seed: int = 0) -> None:
    for arm, request, reward, weight in rewards(count, seed):
        model.learn(arm, request, reward, weight)


def assert_same_learnt(ours: ModelState, theirs: ModelState) -> None:
    """Bit for bit."""
    assert ours.facts == theirs.facts
    assert ours.arrays.keys() == theirs.arrays.keys()
    for name, array in ours.arrays.items():
        np.testing.assert_array_equal(array, theirs.arrays[name], err_msg=name)
