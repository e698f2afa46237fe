"""Several models, each trusted by how well it did lately."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any

import numpy as np

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
from edge_autoglm.learn.models.context_free import ContextFreeModel
from edge_autoglm.learn.models.experts import ExpertWeights
from edge_autoglm.learn.models.ftrl import FTRLModel
from edge_autoglm.learn.models.ridge import RidgeModel

CHARGED = {"context_free": 1.0, "ridge": 2.0}
"""Squared errors; measured on the tuning streams of ``benchmarks/learner``."""


class MixtureModel:
    """A weighted mean of models that learn side by side, by their recent squared error in each task.

    By default a context-free one, ridges on the dense features and FTRL on the sparse ones: where contexts say nothing,
    the first is soon trusted and learns fastest; where they do, the others are. A model that sees nothing of a request
    sleeps then: it neither speaks nor learns, and its weight against the others stays (Freund et al., *Using and
    Combining Predictors That Specialize*, STOC 1997).

    Args:
        models: Name -> model, untrained.
        rate: How sharply the weight of a model falls with its recent squared errors, above 0.
        discount: Of those errors at each new one, above 0 and at most 1.
        charged: Name -> squared errors that a model begins with, 0 or more. By default those beside FTRL begin with
            some, since it errs more than they do until it has met the usual words.

    Raises:
        PolicyError: A setting is out of range.
    """

    def __init__(
        self,
        models: Mapping[str, RewardModel] | None = None,
        rate: float = 4.0,
        discount: float = 0.997,
        charged: Mapping[str, float] | None = None,
    ) -> None:
        check_setting("rate", rate, 0.0 < rate < math.inf, "a finite number above 0")
        check_setting("discount", discount, 0.0 < discount <= 1.0, "a number above 0 and at most 1")
        if models is None:
            models = {"context_free": ContextFreeModel(), "ridge": RidgeModel(), "ftrl": FTRLModel()}
            charged = CHARGED if charged is None else charged
        self.models: dict[str, RewardModel] = dict(models)
        self.rate, self.discount = rate, discount
        self.charged = {name: (charged or {}).get(name, 0.0) for name in models}
        for name, loss in self.charged.items():
            check_setting(f"charge of {name!r}", loss, 0.0 <= loss < math.inf, "a finite number of 0 or more")
        self._weights: dict[str, ExpertWeights] = {}
        self._untrained = self._fresh()

    @property
    def can_snapshot(self) -> bool:
        """As ``RewardModel.can_snapshot``."""
        return all(model.can_snapshot for model in self.models.values())

    def weights(self, task: str) -> dict[str, float]:
        """How far each model is trusted in a task; they sum to 1."""
        return dict(zip(self.models, self._weights.get(task, self._untrained).weights.tolist(), strict=True))

    def sees(self, features: Features) -> bool:
        """As ``RewardModel.sees``."""
        return any(model.sees(features) for model in self.models.values())

    def estimate(self, arms: Sequence[str], features: Features) -> Estimate:
        """As ``RewardModel.estimate``."""
        asked = [(share, model.estimate(arms, features)) for share, model in self._trusted(features)]
        if len(asked) == 1:
            return asked[0][1]
        shares = np.array([share for share, _ in asked])
        means = shares @ np.array([estimate.means for _, estimate in asked])
        spreads = shares @ np.array([estimate.spreads for _, estimate in asked])
        return Estimate(means, spreads, asked[0][1].rewards)

    def learn(self, arm: str, features: Features, reward: float, weight: float = 1.0) -> float:
        """As ``RewardModel.learn``."""
        awake = self._awake(features)
        means = [model.learn(arm, features, reward, weight) for model in compress(self.models.values(), awake)]
        if features.task not in self._weights:
            self._weights[features.task] = self._fresh()
        weights = self._weights[features.task]
        expected = sum(share * mean for share, mean in zip(weights.among(awake), means, strict=True))
        spoken = iter(means)
        # One that sleeps is taken to expect what the others do together.
        weights.observe([next(spoken) if speaks else expected for speaks in awake], reward, weight)
        return expected

    def forget(self, task: str, kept: float) -> None:
        """As ``RewardModel.forget``."""
        for model in self.models.values():
            model.forget(task, kept)

    def contributions(self, arm: str, features: Features) -> dict[str, float]:
        """As ``RewardModel.contributions``: those of the models, by how far each is trusted."""
        total: dict[str, float] = {}
        for share, model in self._trusted(features):
            for feature, part in model.contributions(arm, features).items():
                total[feature] = total.get(feature, 0.0) + share * part
        return total

    def clone(self) -> MixtureModel:
        """As ``RewardModel.clone``."""
        return self._of({name: model.clone() for name, model in self.models.items()})

    def copy(self) -> MixtureModel:
        """As ``RewardModel.copy``."""
        other = self._of({name: model.copy() for name, model in self.models.items()})
        other._weights = {task: weights.copy() for task, weights in self._weights.items()}
        return other

    def state(self) -> ModelState:
        """As ``RewardModel.state``."""
        states = {name: model.state() for name, model in self.models.items()}
        facts = {
            "settings": self._settings(),
            "models": {name: state.facts for name, state in states.items()},
            "weights": [[task, weights.losses, weights.mass] for task, weights in self._weights.items()],
        }
        return ModelState(facts, joined_arrays(states.items()))

    def restore(self, state: ModelState) -> None:
        """As ``RewardModel.restore``."""
        check_alike(self._settings(), state.facts["settings"])
        for name, model in self.models.items():
            model.restore(ModelState(state.facts["models"][name], arrays_of(name, state.arrays)))
        self._weights = {}
        for task, losses, mass in state.facts["weights"]:
            self._weights[task] = self._fresh()
            self._weights[task].restore(losses, mass)

    def merge(self, other: RewardModel) -> None:
        """As ``RewardModel.merge``: every model takes in its counterpart."""
        other = same_kind(other, MixtureModel)
        check_alike(self._settings(), other._settings())
        for name, model in self.models.items():
            model.merge(other.models[name])
        for task, theirs in other._weights.items():
            self._weights.setdefault(task, self._fresh()).merge(theirs)

    def _of(self, models: Mapping[str, RewardModel]) -> MixtureModel:
        return MixtureModel(models, self.rate, self.discount, self.charged)

    def _fresh(self) -> ExpertWeights:
        return ExpertWeights(len(self.models), self.rate, self.discount, list(self.charged.values()))

    def _trusted(self, features: Features) -> list[tuple[float, RewardModel]]:
        """Models to ask, with their shares: to ask one that hardly counts would cost as much as to ask the others."""
        awake = self._awake(features)
        shares = self._weights.get(features.task, self._untrained).among(awake)
        return [pair for pair in zip(shares, compress(self.models.values(), awake), strict=True) if pair[0] > 0.0]

    def _awake(self, features: Features) -> tuple[bool, ...]:
        awake = tuple([model.sees(features) for model in self.models.values()])
        return awake if any(awake) else (True,) * len(awake)

    def _settings(self) -> dict[str, Any]:
        settings = {"rate": self.rate, "discount": self.discount, "charged": self.charged}
        return {"kind": "mixture", "models": list(self.models), **settings}
