"""River's bandits, through its own interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.learner.contestants.base import Option
from benchmarks.learner.contestants.scaling import OnlineScaler
from edge_autoglm.learn.features import Features

BUCKETS = 256
"""Of hashed words: LinUCB keeps a dense matrix of all features that it ever saw, for each arm."""


class RiverBandit:
    """One of ``river.bandit``.

    Args:
        kind: ``linucb``, ``epsilon_greedy``, ``thompson`` or ``ucb``; only the first looks at the context.
        options: Arguments of its class; ``scaled`` is ours: dense features are standardised online first, as River's
            ``StandardScaler`` does.
        arms: Names.
        seed: Of its random choices.
    """

    def __init__(self, kind: str, options: Mapping[str, Option], arms: Sequence[str], seed: int) -> None:
        settings = {name: value for name, value in options.items() if name != "scaled"}
        self._bandit = _bandit(kind, settings, seed)
        self._contextual = kind == "linucb"
        self._scaler = OnlineScaler() if options.get("scaled") else None
        self._arms = list(range(len(arms)))
        self._context: dict[str, float] = {}
        self._chosen = 0

    def choose(self, features: Features) -> int:
        """As ``Contestant.choose``."""
        if self._contextual:
            return self.choose_named(by_name(features, self._scaler))
        self._chosen = self._bandit.pull(self._arms)
        return self._chosen

    def choose_named(self, context: dict[str, float]) -> int:
        """`choose` of a contextual bandit, for a context that is a River example already."""
        self._context = context
        self._chosen = self._bandit.pull(self._arms, context)
        return self._chosen

    def learn(self, reward: float) -> None:
        """As ``Contestant.learn``."""
        if self._contextual:
            self._bandit.update(self._chosen, self._context, reward)
        else:
            self._bandit.update(self._chosen, reward)


def by_name(features: Features, scaler: OnlineScaler | None) -> dict[str, float]:
    """A River example: a constant (its regression has none), dense features, and words folded into buckets."""
    dense = features.dense if scaler is None else scaler.scaled(features)
    named = {"constant": 1.0, **dict(zip(features.names, dense.tolist(), strict=True))}
    for index, value in zip(features.indices.tolist(), features.values.tolist(), strict=True):
        bucket = f"#{index % BUCKETS}"
        named[bucket] = named.get(bucket, 0.0) + value
    return named


def _bandit(kind: str, settings: dict[str, Any], seed: int) -> Any:
    from river import bandit, proba

    if kind == "linucb":
        return bandit.LinUCBDisjoint(seed=seed, **settings)
    if kind == "epsilon_greedy":
        return bandit.EpsilonGreedy(seed=seed, **settings)
    if kind == "thompson":
        return bandit.ThompsonSampling(reward_obj=proba.Beta(), seed=seed, **settings)
    return bandit.UCB(seed=seed, **settings)
