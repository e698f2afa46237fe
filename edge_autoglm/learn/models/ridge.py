"""Ridge regression on the dense features, one for each arm, at several strengths side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.models.base import (
    Estimate,
    ModelState,
    RewardModel,
    arrays_of,
    check_alike,
    check_setting,
    joined_arrays,
    same_kind,
)
from edge_autoglm.learn.models.ridge_task import RidgeTask

LAMBDAS = (0.3, 3.0, 30.0)


class RidgeModel:
    """Ridge regression of the reward on the dense features, for each task and arm; disjoint LinUCB's model of an arm.

    Li et al., *A Contextual-Bandit Approach to Personalized News Article Recommendation*, WWW 2010. Here features
    are standardised, several ridges are solved from the same statistics, and their weight goes by recent error.
    Features are known by name: they may come and go, one that is missing reads as 0.

    The statistics of devices add up: after ``merge`` the model is what learning all in one place would have made it
    (``tests/learn/test_models_ridge.py``: within 1e-6).

    Args:
        lambdas: Strengths of the ridge, in units of rewards learnt from, above 0.
        rate: How sharply the weight of a strength falls with its recent squared errors, above 0.
        discount: Of those errors at each new one, above 0 and at most 1.

    Raises:
        PolicyError: A setting is out of range.

    >>> model = RidgeModel()
    >>> for step in range(200):
    ...     model.learn_one({"length": step % 7, "hour": step % 24}, 0.1 * (step % 7))
    >>> round(model.predict_one({"length": 6, "hour": 3}), 1)
    0.6
    """

    can_snapshot = True

    def __init__(self, lambdas: Sequence[float] = LAMBDAS, rate: float = 4.0, discount: float = 0.997) -> None:
        if not lambdas:
            raise PolicyError("the model has no lambdas", "Give at least one strength, such as 3.0.")
        for strength in lambdas:
            check_setting("lambdas", strength, 0.0 < strength < math.inf, "finite numbers above 0")
        check_setting("rate", rate, 0.0 < rate < math.inf, "a finite number above 0")
        check_setting("discount", discount, 0.0 < discount <= 1.0, "a number above 0 and at most 1")
        self.lambdas, self.rate, self.discount = tuple(lambdas), rate, discount
        self._tasks: dict[str, RidgeTask] = {}
        self._untrained = self._fresh()

    def sees(self, features: Features) -> bool:
        """As ``RewardModel.sees``: dense features."""
        return bool(features.names)

    def estimate(self, arms: Sequence[str], features: Features) -> Estimate:
        """As ``RewardModel.estimate``."""
        task = self._tasks.get(features.task, self._untrained)
        return Estimate(*task.estimate(arms, features), task.rewards)

    def learn(self, arm: str, features: Features, reward: float, weight: float = 1.0) -> float:
        """As ``RewardModel.learn``."""
        if features.task not in self._tasks:
            self._tasks[features.task] = self._fresh()
        return self._tasks[features.task].learn(arm, features, reward, weight)

    def forget(self, task: str, kept: float) -> None:
        """As ``RewardModel.forget``."""
        if task in self._tasks:
            self._tasks[task].forget(kept)

    def contributions(self, arm: str, features: Features) -> dict[str, float]:
        """As ``RewardModel.contributions``."""
        return self._tasks.get(features.task, self._untrained).explain(arm, features)

    def predict_one(self, x: Mapping[str, float]) -> float:
        """Expected target, by River's conventions for a regressor; ``x`` maps names of features to values."""
        return float(self.estimate([""], _named(x)).means[0])

    def learn_one(self, x: Mapping[str, float], y: float) -> None:
        """Learn from one example, by the same conventions; the target is expected around 0..1."""
        self.learn("", _named(x), float(y))

    def clone(self) -> RidgeModel:
        """As ``RewardModel.clone``."""
        return RidgeModel(self.lambdas, self.rate, self.discount)

    def copy(self) -> RidgeModel:
        """As ``RewardModel.copy``."""
        other = self.clone()
        other._tasks = {name: task.copy() for name, task in self._tasks.items()}
        return other

    def state(self) -> ModelState:
        """As ``RewardModel.state``."""
        states = {name: task.state() for name, task in self._tasks.items()}
        tasks = [[name, state.facts] for name, state in states.items()]
        return ModelState({"settings": self._settings(), "tasks": tasks}, joined_arrays(enumerate(states.values())))

    def restore(self, state: ModelState) -> None:
        """As ``RewardModel.restore``."""
        check_alike(self._settings(), state.facts["settings"])
        self._tasks = {}
        for number, (name, facts) in enumerate(state.facts["tasks"]):
            self._tasks[name] = self._fresh()
            self._tasks[name].restore(ModelState(facts, arrays_of(number, state.arrays)))

    def merge(self, other: RewardModel) -> None:
        """As ``RewardModel.merge``."""
        other = same_kind(other, RidgeModel)
        check_alike(self._settings(), other._settings())
        for name, theirs in other._tasks.items():
            if name not in self._tasks:
                self._tasks[name] = self._fresh()
            self._tasks[name].merge(theirs)

    def _fresh(self) -> RidgeTask:
        return RidgeTask(self.lambdas, self.rate, self.discount)

    def _settings(self) -> dict[str, Any]:
        return {"kind": "ridge", "lambdas": list(self.lambdas), "rate": self.rate, "discount": self.discount}


def _named(x: Mapping[str, float]) -> Features:
    none = np.zeros(0)
    return Features(none.astype(np.int64), none, "", tuple(x), np.array(list(x.values()), np.float64))
