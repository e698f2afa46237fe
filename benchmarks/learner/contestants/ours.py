"""Policies of ours, as an app would use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.learner.contestants.base import Option
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.policies import make_policy
from edge_autoglm.learn.policy import VariantPolicy


class OurPolicy:
    """A policy by name, with what ships but for the options."""

    def __init__(self, kind: str, options: Mapping[str, Option], arms: Sequence[str], seed: int) -> None:
        self._policy = named_policy(kind, options, seed)
        self._arms = tuple(arms)
        self._places = {arm: place for place, arm in enumerate(arms)}
        self._last = ""

    def choose(self, features: Features) -> int:
        """As ``Contestant.choose``."""
        decision = self._policy.pull(self._arms, features)
        self._last = decision.id
        return self._places[decision.arm]

    def learn(self, reward: float) -> None:
        """As ``Contestant.learn``."""
        self._policy.update(self._last, reward)


def named_policy(kind: str, options: Mapping[str, Option], seed: int) -> VariantPolicy:
    """A policy of ours; ``river`` gets River's logistic regression on standardised features."""
    settings: dict[str, Any] = dict(options)
    if kind == "river":
        from river import linear_model, preprocessing

        settings["prototype"] = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    return make_policy(kind, seed=seed, **settings)
