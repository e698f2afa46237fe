"""FTRL-Proximal on the hashed sparse features of every arm."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_autoglm.learn.features import Features
from edge_autoglm.learn.ftrl import FTRLProximal, sigmoid
from edge_autoglm.learn.hashing import cross
from edge_autoglm.learn.models.base import Estimate, ModelState, RewardModel, check_alike, same_kind
from edge_autoglm.learn.models.experts import PRIOR_LOSS

FloatArray = npt.NDArray[np.float64]

_WIDTH = 4.0
"""Standard deviation of what an unknown feature of value 1 may add, in units of what is left to gain."""
_LEAST_GAIN = 0.01
_PRIOR_ERRORS = 10.0
"""Rewards that ``PRIOR_LOSS`` is worth."""
_BIAS = np.ones(1)


@dataclass(slots=True)
class SquaredErrors:
    """Of one task.

    Attributes:
        rewards: How many were learnt from.
        total: Sum of the squared errors of what was expected before.
    """

    rewards: int = 0
    total: float = 0.0

    @property
    def mean(self) -> float:
        """Squared error, shrunk to that of a coin's toss; above 0."""
        return (self.total + _PRIOR_ERRORS * PRIOR_LOSS) / (self.rewards + _PRIOR_ERRORS)

    def add(self, rewards: int, total: float) -> None:
        """Take in more of them."""
        self.rewards, self.total = self.rewards + rewards, self.total + total


_UNTRAINED = SquaredErrors()  # never written to


class FTRLModel:
    """Logistic regression of the reward on the sparse features, which every arm sees through coordinates of its own.

    Feature, arm and task are hashed together into one table (Weinberger et al. 2009), besides a bias of each arm.
    FTRL's ``n`` is the sum of squared gradients, so ``n / E`` with the mean squared error ``E`` counts how often a
    feature was met, each time by its squared value. An arm whose features were met ``m_i`` times has the spread

        4 (1 - best mean) sqrt(sum of x_i^2 / (1 + m_i))

    as in a Bayesian linear regression with independent weights. The first factors are measured, not derived
    (``benchmarks/learner``, tuning streams): where the best arm is nearly sure to be right, nothing is to be gained.

    Args:
        learner: Settings; an untrained ``FTRLProximal()`` by default.
    """

    can_snapshot = True

    def __init__(self, learner: FTRLProximal | None = None) -> None:
        self.learner = FTRLProximal() if learner is None else learner
        self._tasks: dict[str, SquaredErrors] = {}

    def sees(self, features: Features) -> bool:
        """As ``RewardModel.sees``: sparse features."""
        return bool(len(features.indices))

    def estimate(self, arms: Sequence[str], features: Features) -> Estimate:
        """As ``RewardModel.estimate``."""
        at = self.learner.coordinates(cross(arms, features.indices, features.task))
        x = np.concatenate((_BIAS, features.values))
        weights, information = self.learner.known(at)
        means = weights @ (0.5 * x)
        np.tanh(means, out=means)  # the logistic function is (1 + tanh(score / 2)) / 2
        means *= 0.5
        means += 0.5
        errors = self._tasks.get(features.task, _UNTRAINED)
        information += errors.mean  # 1 / (1 + n / E) is E / (n + E)
        spreads = np.reciprocal(information, out=information) @ (x * x)
        np.sqrt(spreads, out=spreads)
        gain = max(1.0 - max(means.tolist()), _LEAST_GAIN)
        spreads *= _WIDTH * gain * math.sqrt(errors.mean)
        return Estimate(means, spreads, errors.rewards)

    def learn(self, arm: str, features: Features, reward: float, weight: float = 1.0) -> float:
        """As ``RewardModel.learn``."""
        indices = cross((arm,), features.indices, features.task)[0]
        expected = self.learner.step(indices, np.concatenate((_BIAS, features.values)), reward, weight)
        if features.task not in self._tasks:
            self._tasks[features.task] = SquaredErrors()
        self._tasks[features.task].add(1, weight * (expected - reward) ** 2)
        return expected

    def forget(self, task: str, kept: float) -> None:
        """As ``RewardModel.forget``, but for all tasks: the table does not know whose a coordinate is."""
        self.learner.forget(kept)

    def contributions(self, arm: str, features: Features) -> dict[str, float]:
        """As ``RewardModel.contributions``: shares of the distance to 0.5, in proportion to those of the log-odds."""
        at = self.learner.coordinates(cross((arm,), features.indices, features.task)[0])
        parts = self.learner.weights(at) * np.concatenate((_BIAS, features.values))
        score = float(parts.sum())
        slope = (sigmoid(score) - 0.5) / score if abs(score) > 1e-9 else 0.25
        named = {"bias": 0.5 + slope * float(parts[0])}
        for index, part in zip(features.indices.tolist(), (slope * parts[1:]).tolist(), strict=True):
            named[f"#{index}"] = named.get(f"#{index}", 0.0) + part
        return named

    def clone(self) -> FTRLModel:
        """As ``RewardModel.clone``."""
        return FTRLModel(self.learner.clone())

    def copy(self) -> FTRLModel:
        """As ``RewardModel.copy``."""
        other = FTRLModel(self.learner.copy())
        other._tasks = {task: dataclasses.replace(errors) for task, errors in self._tasks.items()}
        return other

    def state(self) -> ModelState:
        """As ``RewardModel.state``: the coordinates that were touched, and their sums."""
        at = np.flatnonzero(self.learner.n)
        arrays: dict[str, npt.NDArray[np.generic]] = {
            "at": at.astype(np.int32),
            "z": self.learner.z[at],
            "n": self.learner.n[at],
        }
        tasks = [[task, errors.rewards, errors.total] for task, errors in self._tasks.items()]
        return ModelState({"settings": self._settings(), "tasks": tasks}, arrays)

    def restore(self, state: ModelState) -> None:
        """As ``RewardModel.restore``."""
        check_alike(self._settings(), state.facts["settings"])
        self._tasks = {task: SquaredErrors(rewards, total) for task, rewards, total in state.facts["tasks"]}
        self.learner = self.learner.clone()
        at, z, n = (np.asarray(state.arrays[name]) for name in ("at", "z", "n"))
        self.learner.load(at.astype(np.int64), z.astype(np.float64), n.astype(np.float64))

    def merge(self, other: RewardModel) -> None:
        """As ``RewardModel.merge``; see ``FTRLProximal.merge`` for what that guarantees."""
        other = same_kind(other, FTRLModel)
        check_alike(self._settings(), other._settings())
        self.learner.merge(other.learner)
        for task, theirs in other._tasks.items():
            self._tasks.setdefault(task, SquaredErrors()).add(theirs.rewards, theirs.total)

    def _settings(self) -> dict[str, Any]:
        return {"kind": "ftrl", **self.learner.settings}
