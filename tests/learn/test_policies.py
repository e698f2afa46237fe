"""Policies by name, and River's models as reward models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.exploration import Optimism, SquareCB, Thompson
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.models.river import RiverModel
from edge_autoglm.learn.policies import POLICIES, make_policy
from edge_autoglm.learn.policy import VariantPolicy


class MeanRegressor:
    """Follows River's conventions for a regressor, without needing River."""

    def __init__(self) -> None:
        self.n, self.total = 0, 0.0

    def learn_one(self, x: dict[str, float], y: float) -> None:
        self.n, self.total = self.n + 1, self.total + y

    def predict_one(self, x: dict[str, float]) -> float:
        return self.total / self.n if self.n else 0.0

    def clone(self) -> MeanRegressor:
        return MeanRegressor()


def run(policy: VariantPolicy, steps: int = 600) -> float:
    """Mean reward of the last half; which of two arms is right depends on a dense feature's sign and a word."""
    rng, earned = np.random.default_rng(0), []
    for _ in range(steps):
        x = rng.normal(size=2)
        features = Features(np.array([int(x[0] > 0)]), np.array([1.0]), "mood", ("u", "v"), x)
        decision = policy.pull(("down", "up"), features)
        reward = float(decision.arm == ("up" if x[0] > 0 else "down"))
        policy.update(decision.id, reward)
        earned.append(reward)
    return float(np.mean(earned[steps // 2 :]))


@pytest.mark.parametrize("name", sorted(set(POLICIES) - {"river"}))
def test_every_policy_learns_which_arm_fits_the_request(name: str) -> None:
    assert run(make_policy(name, seed=1)) > 0.9


@pytest.mark.parametrize("exploration", [Optimism(), Thompson(), SquareCB()])
def test_the_default_policy_learns_with_every_exploration(exploration: Optimism) -> None:
    assert run(make_policy(seed=1, exploration=exploration)) > 0.9


def test_an_equal_seed_makes_an_equal_run() -> None:
    assert run(make_policy(seed=3), steps=200) == run(make_policy(seed=3), steps=200)


def test_unknown_names_and_settings_are_refused() -> None:
    with pytest.raises(PolicyError, match=r"no policy 'greedy'.*mixture"):
        make_policy("greedy")
    with pytest.raises(PolicyError, match=r"'ridge' cannot be made.*strenght"):
        make_policy("ridge", strenght=2.0)
    with pytest.raises(PolicyError, match="prototype"):
        make_policy("river")


def test_a_river_like_regressor_is_cloned_for_each_arm() -> None:
    prototype = MeanRegressor()
    policy = make_policy("river", seed=1, prototype=prototype)
    features = Features(np.array([3]), np.array([1.0]))
    for _ in range(20):
        policy.learn(features, "good", 1.0)
        policy.learn(features, "bad", 0.2)
    assert policy.model.estimate(["bad", "good", "new"], features).means.tolist() == pytest.approx([0.2, 1.0, 0.5])
    assert prototype.n == 0
    frozen = policy.freeze()
    policy.learn(features, "bad", 1.0)
    assert frozen.estimate(["bad"], features).means[0] == pytest.approx(0.2)
    policy.model.forget("", 0.1)
    assert policy.model.estimate(["good"], features).means[0] == 0.5


def test_a_river_policy_says_that_it_cannot_be_written_down() -> None:
    policy = make_policy("river", prototype=MeanRegressor())
    assert not policy.can_snapshot
    assert make_policy("mixture").can_snapshot
    for refused in (policy.state, policy.freeze()._model.state, lambda: policy.merge(policy)):
        with pytest.raises(PolicyError, match="River"):
            refused()


@pytest.mark.oracle
@pytest.mark.slow  # River takes seconds to import
def test_rivers_classifiers_and_regressors_can_be_plugged_in() -> None:
    linear_model: Any = pytest.importorskip("river.linear_model")
    tree: Any = pytest.importorskip("river.tree")
    for prototype in (
        linear_model.LogisticRegression(),
        linear_model.LinearRegression(),
        tree.HoeffdingTreeClassifier(),
    ):
        policy = make_policy("river", seed=1, prototype=prototype)
        assert isinstance(policy.model, RiverModel)
        assert run(policy) > 0.8
