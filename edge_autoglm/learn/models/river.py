"""Any model of River as the reward model of each arm."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.models.base import Estimate, ModelState, RewardModel


class RiverEstimator(Protocol):
    """What is used of a classifier or regressor of River (or one that follows its conventions)."""

    def learn_one(self, x: dict[str, float], y: Any) -> Any:
        """Learn from one example."""

    def clone(self) -> RiverEstimator:
        """An untrained one of the same settings."""


class RiverModel:
    """A copy of a River model for each task and arm, made when its first reward comes.

    A classifier (it has ``predict_proba_one``) learns whether the reward is above 0.5 and expects its probability; a
    regressor learns the reward itself. Both see the dense features by name, and the sparse ones as ``#index``. River
    cannot say how sure it is, so the spread is that of the mean of as many coin tosses as there were rewards.

    It cannot be written down without pickle, which a state folder never holds: the policy is rebuilt by replay.

    Args:
        prototype: Cloned for each arm; what it has learnt itself is left out.
    """

    can_snapshot = False

    def __init__(self, prototype: RiverEstimator) -> None:
        self.prototype = prototype
        self._models: dict[tuple[str, str], RiverEstimator] = {}
        self._rewards: dict[tuple[str, str], int] = {}

    def sees(self, features: Features) -> bool:
        """As ``RewardModel.sees``: always; a River model has a constant of its own."""
        return True

    def estimate(self, arms: Sequence[str], features: Features) -> Estimate:
        """As ``RewardModel.estimate``."""
        x = _by_name(features)
        counts = [self._rewards.get((features.task, arm), 0) for arm in arms]
        means = np.array([self._expected((features.task, arm), x) for arm in arms])
        spreads = np.array([0.5 / math.sqrt(1.0 + count) for count in counts])
        return Estimate(means, spreads, sum(counts))

    def learn(self, arm: str, features: Features, reward: float, weight: float = 1.0) -> float:
        """As ``RewardModel.learn``; a weight below 0.5 leaves the reward out, since few River models take weights."""
        key, x = (features.task, arm), _by_name(features)
        expected = self._expected(key, x)
        if weight >= 0.5:
            model = self._models.setdefault(key, self.prototype.clone())
            model.learn_one(x, reward > 0.5 if hasattr(model, "predict_proba_one") else reward)
            self._rewards[key] = self._rewards.get(key, 0) + 1
        return expected

    def forget(self, task: str, kept: float) -> None:
        """As ``RewardModel.forget``, as far as River lets: with less than half kept, the arms' models start anew."""
        if kept < 0.5:
            for key in [key for key in self._models if key[0] == task]:
                del self._models[key], self._rewards[key]

    def contributions(self, arm: str, features: Features) -> dict[str, float]:
        """As ``RewardModel.contributions``: River's models do not say, so all is ``bias``."""
        return {"bias": self._expected((features.task, arm), _by_name(features))}

    def clone(self) -> RiverModel:
        """As ``RewardModel.clone``."""
        return RiverModel(self.prototype.clone())

    def copy(self) -> RiverModel:
        """As ``RewardModel.copy``."""
        other = self.clone()
        other._models, other._rewards = copy.deepcopy(self._models), dict(self._rewards)
        return other

    def state(self) -> ModelState:
        """Refuses.

        Raises:
            PolicyError: Always.
        """
        raise PolicyError(
            "a River model can only be written down with pickle, which no state folder holds",
            "Rebuild the policy by replaying the journal; can_snapshot says beforehand.",
        )

    def restore(self, state: ModelState) -> None:
        """Refuses as ``state`` does."""
        self.state()

    def merge(self, other: RewardModel) -> None:
        """Refuses.

        Raises:
            PolicyError: Always.
        """
        raise PolicyError(
            "River models of two devices cannot be merged",
            "Use the policy `ridge` or `mixture`, or merge the journals.",
        )

    def _expected(self, key: tuple[str, str], x: dict[str, float]) -> float:
        model: Any = self._models.get(key)
        if model is None:
            return 0.5
        expected: float | None
        if hasattr(model, "predict_proba_one"):
            chances: Mapping[Any, float] = model.predict_proba_one(x)
            # Before it has seen both outcomes, a classifier may name only one.
            expected = chances[True] if True in chances else 1.0 - chances.get(False, 0.5)
        else:
            expected = model.predict_one(x)
        value = 0.5 if expected is None else float(expected)
        return min(max(value, 0.0), 1.0) if math.isfinite(value) else 0.5


def _by_name(features: Features) -> dict[str, float]:
    named = dict(zip(features.names, features.dense.tolist(), strict=True))
    for index, value in zip(features.indices.tolist(), features.values.tolist(), strict=True):
        named[f"#{index}"] = named.get(f"#{index}", 0.0) + value
    return named
