"""What each arm earned on average, whatever the request."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_autoglm.learn.features import Features
from edge_autoglm.learn.models.base import Estimate, ModelState, RewardModel, check_alike, check_setting, same_kind

FloatArray = npt.NDArray[np.float64]

MAX_ARMS = 256
"""Arms of a task that are known at a time; beyond, the one that learnt longest ago is dropped."""
_NONE = (0.0, 0.0)
_LEAST_VARIANCE = 1e-6


@dataclass(slots=True)
class _Sums:
    """Of one task: weights and weighted rewards, of all arms and of each."""

    n: float = 0.0
    rewards: float = 0.0
    arms: dict[str, tuple[float, float]] = field(default_factory=dict)
    """The arm that learnt longest ago first."""

    def mean(self, strength: float) -> float:
        return (self.rewards + 0.5 * strength) / (self.n + strength)

    def add(self, arm: str, weight: float, weighted: float) -> None:
        n, rewards = self.arms.pop(arm, _NONE)
        if len(self.arms) >= MAX_ARMS:
            dropped = self.arms.pop(next(iter(self.arms)))
            self.n, self.rewards = self.n - dropped[0], self.rewards - dropped[1]
        self.arms[arm] = n + weight, rewards + weighted
        self.n, self.rewards = self.n + weight, self.rewards + weighted

    def scaled(self, kept: float) -> _Sums:
        arms = {arm: (kept * n, kept * rewards) for arm, (n, rewards) in self.arms.items()}
        return _Sums(kept * self.n, kept * self.rewards, arms)


_NOTHING = _Sums()  # never written to


class ContextFreeModel:
    """The shrunk mean of each arm's rewards.

    An arm's mean is ``(sum w r + strength mu) / (sum w + strength)``, with ``mu`` the mean reward of the task, itself
    shrunk to 0.5: what a Bayesian with a Beta prior around the other arms expects.

    Args:
        strength: Rewards that the prior is worth, above 0.

    >>> model, request = ContextFreeModel(), Features(np.array([17]), np.array([1.0]))
    >>> for _ in range(8):
    ...     expected = model.learn("polite", request, 1.0)
    >>> model.estimate(["polite", "new"], request).means.round(2).tolist()
    [0.98, 0.9]
    """

    can_snapshot = True

    def __init__(self, strength: float = 2.0) -> None:
        check_setting("strength", strength, 0.0 < strength < math.inf, "a number above 0")
        self.strength = strength
        self._tasks: dict[str, _Sums] = {}

    def sees(self, features: Features) -> bool:
        """As ``RewardModel.sees``: always, since it needs nothing."""
        return True

    def estimate(self, arms: Sequence[str], features: Features) -> Estimate:
        """As ``RewardModel.estimate``."""
        sums = self._tasks.get(features.task, _NOTHING)
        strength, mu = self.strength, sums.mean(self.strength)
        means, spreads = [], []
        for arm in arms:
            n, rewards = sums.arms.get(arm, _NONE)
            mean = (rewards + strength * mu) / (n + strength)
            means.append(mean)
            spreads.append(math.sqrt((mean * (1.0 - mean) + _LEAST_VARIANCE) / (n + strength)))
        return Estimate(np.array(means), np.array(spreads), sums.n)

    def learn(self, arm: str, features: Features, reward: float, weight: float = 1.0) -> float:
        """As ``RewardModel.learn``."""
        if features.task not in self._tasks:
            self._tasks[features.task] = _Sums()
        sums = self._tasks[features.task]
        n, rewards = sums.arms.get(arm, _NONE)
        expected = (rewards + self.strength * sums.mean(self.strength)) / (n + self.strength)
        sums.add(arm, weight, weight * reward)
        return expected

    def forget(self, task: str, kept: float) -> None:
        """As ``RewardModel.forget``."""
        if task in self._tasks:
            self._tasks[task] = self._tasks[task].scaled(kept)

    def contributions(self, arm: str, features: Features) -> dict[str, float]:
        """As ``RewardModel.contributions``: all is ``bias``."""
        return {"bias": float(self.estimate([arm], features).means[0])}

    def clone(self) -> ContextFreeModel:
        """As ``RewardModel.clone``."""
        return ContextFreeModel(self.strength)

    def copy(self) -> ContextFreeModel:
        """As ``RewardModel.copy``."""
        other = self.clone()
        other._tasks = {task: sums.scaled(1.0) for task, sums in self._tasks.items()}
        return other

    def state(self) -> ModelState:
        """As ``RewardModel.state``."""
        tasks = [
            [task, sums.n, sums.rewards, [[arm, *both] for arm, both in sums.arms.items()]]
            for task, sums in self._tasks.items()
        ]
        return ModelState({"settings": self._settings(), "tasks": tasks})

    def restore(self, state: ModelState) -> None:
        """As ``RewardModel.restore``."""
        check_alike(self._settings(), state.facts["settings"])
        self._tasks = {
            task: _Sums(n, rewards, {arm: (weight, weighted) for arm, weight, weighted in arms})
            for task, n, rewards, arms in state.facts["tasks"]
        }

    def merge(self, other: RewardModel) -> None:
        """As ``RewardModel.merge``: the sums add up, so that nothing is lost against learning in one place."""
        other = same_kind(other, ContextFreeModel)
        check_alike(self._settings(), other._settings())
        for task, theirs in other._tasks.items():
            ours = self._tasks.setdefault(task, _Sums())
            for arm, (n, rewards) in theirs.arms.items():
                ours.add(arm, n, rewards)

    def _settings(self) -> dict[str, Any]:
        return {"kind": "context_free", "strength": self.strength}
