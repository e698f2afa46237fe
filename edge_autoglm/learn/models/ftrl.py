"""FTRL-Proximal on the hashed sparse features of every arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_autoglm.learn.features import Features
from edge_autoglm.learn.ftrl import FTRLProximal, sigmoid
from edge_autoglm.learn.hashing import cross
from edge_autoglm.learn.models.base import Estimate, ModelState, RewardModel, check_alike, same_kind

FloatArray = npt.NDArray[np.float64]

_PRIOR = 0.5
"""Information on an arm before its first reward: log-odds of 0, give or take ``1 / sqrt(0.5)``."""
_BIAS = np.ones(1)


class FTRLModel:
    """Logistic regression of the reward on the sparse features, which every arm sees through coordinates of its own.

    Feature, arm and task are hashed together into one table (Weinberger et al. 2009), besides a bias of each arm.
    FTRL's ``n`` is the sum of squared gradients, which for log loss estimates the Fisher information: the log-odds of
    an arm are known to about ``1 / sqrt(n)`` at its bias. Dense features are passed over.

    Args:
        learner: Settings; an untrained ``FTRLProximal()`` by default.
    """

    can_snapshot = True

    def __init__(self, learner: FTRLProximal | None = None) -> None:
        self.learner = FTRLProximal() if learner is None else learner
        self._rewards: dict[str, int] = {}

    def estimate(self, arms: Sequence[str], features: Features) -> Estimate:
        """As ``RewardModel.estimate``."""
        at = self.learner.coordinates(cross(arms, features.indices, features.task))
        weights = self.learner.weights(at)
        means = 0.5 + 0.5 * np.tanh(0.5 * (weights[:, 0] + weights[:, 1:] @ features.values))  # the logistic function
        # The spread of the log-odds, times the slope of the logistic function; far out it has hardly any slope.
        slopes = np.maximum(means * (1.0 - means), 0.01)
        spreads = slopes / np.sqrt(_PRIOR + self.learner.information(at[:, 0]))
        return Estimate(means, spreads, self._rewards.get(features.task, 0))

    def learn(self, arm: str, features: Features, reward: float, weight: float = 1.0) -> float:
        """As ``RewardModel.learn``."""
        indices = cross((arm,), features.indices, features.task)[0]
        self._rewards[features.task] = self._rewards.get(features.task, 0) + 1
        return self.learner.step(indices, np.concatenate((_BIAS, features.values)), reward, weight)

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
        other._rewards = dict(self._rewards)
        return other

    def state(self) -> ModelState:
        """As ``RewardModel.state``: the coordinates that were touched, and their sums."""
        at = np.flatnonzero(self.learner.n)
        arrays: dict[str, npt.NDArray[np.generic]] = {
            "at": at.astype(np.int32),
            "z": self.learner.z[at],
            "n": self.learner.n[at],
        }
        return ModelState({"settings": self._settings(), "rewards": dict(self._rewards)}, arrays)

    def restore(self, state: ModelState) -> None:
        """As ``RewardModel.restore``."""
        check_alike(self._settings(), state.facts["settings"])
        self._rewards = dict(state.facts["rewards"])
        self.learner = self.learner.clone()
        at, z, n = (np.asarray(state.arrays[name]) for name in ("at", "z", "n"))
        self.learner.load(at.astype(np.int64), z.astype(np.float64), n.astype(np.float64))

    def merge(self, other: RewardModel) -> None:
        """As ``RewardModel.merge``; see ``FTRLProximal.merge`` for what that guarantees."""
        other = same_kind(other, FTRLModel)
        check_alike(self._settings(), other._settings())
        self.learner.merge(other.learner)
        for task, rewards in other._rewards.items():
            self._rewards[task] = self._rewards.get(task, 0) + rewards

    def _settings(self) -> dict[str, Any]:
        return {"kind": "ftrl", **self.learner.settings}
