"""The choice of an arm: exact propensities, learning, freezing, state, and what is refused."""

from __future__ import annotations

import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from edge_autoglm.errors import InvalidReward, PolicyError, UnknownDecision
from edge_autoglm.learn.exploration import Optimism, Thompson
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.models.context_free import ContextFreeModel
from edge_autoglm.learn.models.ridge import RidgeModel
from edge_autoglm.learn.policies import make_policy
from edge_autoglm.learn.policy import VariantPolicy
from tests.learn.model_checks import assert_same_learnt

ARMS = ["plain", "polite", "short", "long", "formal", "chinese", "quiz", "shout"]
CONTEXT = Features(
    np.array([11, 22, 33]), np.array([1.0, 0.5, -0.25]), "mood", ("length", "hour"), np.array([5.0, 20.0])
)


def trained(rewards: dict[str, float], floor: float = 0.1, seed: int = 0, rounds: int = 30) -> VariantPolicy:
    policy = VariantPolicy(exploration=Optimism(floor=floor), seed=seed)
    for _ in range(rounds):
        for arm, reward in rewards.items():
            policy.learn(CONTEXT, arm, reward)
    return policy


def test_an_untrained_policy_is_uniform() -> None:
    for count in range(1, 9):
        shares = VariantPolicy(seed=0).freeze().propensities(ARMS[:count], CONTEXT)
        assert shares.tolist() == pytest.approx([1 / count] * count, abs=1e-15)


def test_a_well_known_best_arm_gets_all_but_the_floor() -> None:
    policy = trained({arm: 0.9 if arm == "polite" else 0.2 for arm in ARMS}, rounds=300).freeze()
    shares = dict(zip(ARMS, policy.propensities(ARMS, CONTEXT), strict=True))
    assert shares.pop("polite") == pytest.approx(0.9 + 0.1 / 8)
    assert min(shares.values()) == pytest.approx(0.1 / 8)


def test_an_arm_that_was_hardly_tried_is_tried_again() -> None:
    """Its mean is below the best one's, but not known to be."""
    policy, rng = VariantPolicy(), np.random.default_rng(1)
    for _ in range(300):
        for arm, chance in (("polite", 0.7), ("plain", 0.3)):
            policy.learn(CONTEXT, arm, float(rng.random() < chance))
    for reward in (0.0, 1.0):
        policy.learn(CONTEXT, "short", reward)
    estimate = policy.model.estimate(["polite", "plain", "short"], CONTEXT)
    assert estimate.spreads[2] > 2 * estimate.spreads[0]
    shares = VariantPolicy(policy.model, Thompson(floor=0.0)).propensities(["polite", "plain", "short"], CONTEXT)
    assert shares[2] > 0.02
    assert shares[1] < 0.001


def test_arms_are_chosen_as_often_as_their_propensity_says() -> None:
    learning = VariantPolicy(ContextFreeModel(), Thompson(floor=0.4))
    for arm in ARMS[:3]:
        learning.learn(CONTEXT, arm, 1.0)
    policy = learning.freeze(seed=3)
    shares = dict(zip(ARMS[:4], policy.propensities(ARMS[:4], CONTEXT), strict=True))
    decisions = [policy.pull(ARMS[:4], CONTEXT) for _ in range(20_000)]
    assert all(decision.propensity == shares[decision.arm] for decision in decisions)
    counts = Counter(decision.arm for decision in decisions)
    for arm, share in shares.items():  # four standard deviations
        assert counts[arm] / 20_000 == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 20_000))


def test_equal_seeds_choose_equally_and_never_share_an_id() -> None:
    first, second = (VariantPolicy(seed=5).freeze() for _ in range(2))
    ours, theirs = ([policy.pull(ARMS, CONTEXT) for _ in range(200)] for policy in (first, second))
    assert [decision.arm for decision in ours] == [decision.arm for decision in theirs]
    assert len({decision.id for decision in ours + theirs}) == 400


def test_successive_policies_of_one_learner_explore_differently() -> None:
    policy = VariantPolicy(seed=5)
    first, second = policy.freeze(), policy.freeze()
    assert [first.pull(ARMS, CONTEXT).arm for _ in range(50)] != [second.pull(ARMS, CONTEXT).arm for _ in range(50)]


def test_a_frozen_policy_does_not_see_what_is_learnt_later() -> None:
    policy = trained({"polite": 1.0, "plain": 0.2})
    frozen = policy.freeze()
    before = frozen.estimate(ARMS, CONTEXT)
    for _ in range(100):
        policy.learn(CONTEXT, "plain", 1.0)
        policy.learn(CONTEXT, "polite", 0.0)
    np.testing.assert_array_equal(frozen.estimate(ARMS, CONTEXT).means, before.means)
    np.testing.assert_array_equal(frozen.estimate(ARMS, CONTEXT).spreads, before.spreads)
    assert policy.freeze().propensities(ARMS[:2], CONTEXT).argmax() == ARMS.index("plain")


def test_the_frozen_policy_chooses_as_the_learning_one() -> None:
    policy = trained({"polite": 1.0, "plain": 0.2, "long": 0.5})
    np.testing.assert_array_equal(policy.propensities(ARMS, CONTEXT), policy.freeze().propensities(ARMS, CONTEXT))
    live, frozen = ([p.pull(ARMS, CONTEXT).propensity for _ in range(300)] for p in (policy, policy.freeze()))
    assert set(live) == set(frozen)


def test_pulling_from_many_threads_draws_whole_decisions() -> None:
    policy = trained({"polite": 1.0, "plain": 0.2}, floor=0.5).freeze()
    shares = set(policy.propensities(ARMS, CONTEXT).tolist())
    with ThreadPoolExecutor(8) as pool:
        decisions = list(pool.map(lambda _: policy.pull(ARMS, CONTEXT), range(4000)))
    assert len({decision.id for decision in decisions}) == 4000
    assert {decision.propensity for decision in decisions} == shares


def test_update_learns_once_from_a_choice_of_its_own() -> None:
    policy = VariantPolicy(seed=1)
    decision = policy.pull(ARMS, CONTEXT)
    policy.update(decision.id, 1.0)
    policy.update(decision.id, 0.0)
    expected = VariantPolicy()
    expected.learn(CONTEXT, decision.arm, 1.0)
    assert_same_learnt(policy.state(), expected.state())


def test_update_refuses_what_it_cannot_use() -> None:
    policy = VariantPolicy(seed=1)
    decision = policy.pull(ARMS, CONTEXT)
    with pytest.raises(UnknownDecision, match="'nobody'"):
        policy.update("nobody", 1.0)
    for reward in (math.nan, math.inf, -0.1, 1.1):
        with pytest.raises(InvalidReward, match=str(reward)):
            policy.update(decision.id, reward)
    assert_same_learnt(policy.state(), VariantPolicy().state())
    policy.update(decision.id, 1.0)
    assert policy.model.estimate(ARMS, CONTEXT).rewards == 1


@pytest.mark.parametrize("weight", [-0.1, 1.1, math.nan])
def test_a_weight_out_of_range_is_refused_and_changes_nothing(weight: float) -> None:
    policy = VariantPolicy()
    with pytest.raises(InvalidReward, match="weight"):
        policy.learn(CONTEXT, "plain", 1.0, weight)
    assert_same_learnt(policy.state(), VariantPolicy().state())


def test_a_reward_of_little_weight_moves_less() -> None:
    means = []
    for weight in (0.0, 0.1, 1.0):
        policy = VariantPolicy()
        for _ in range(10):
            policy.learn(CONTEXT, "plain", 1.0, weight)
        means.append(policy.model.estimate(["plain"], CONTEXT).means[0])
    assert means[0] == pytest.approx(0.5)
    assert means[0] + 0.05 < means[1] < means[2] - 0.05


@pytest.mark.parametrize("name", ["mixture", "ridge", "thompson", "ftrl"])
def test_the_better_arm_may_depend_on_the_context(name: str) -> None:
    short, long = (
        Features(np.array([index]), np.array([0.5]), "mood", ("length",), np.array([length]))
        for index, length in ((1, 3.0), (2, 300.0))
    )
    policy = make_policy(name, seed=4, exploration=Optimism(floor=0.2))
    for step in range(600):
        context, good = (short, "plain") if step % 2 else (long, "polite")
        decision = policy.pull(["plain", "polite"], context)
        policy.update(decision.id, 1.0 if decision.arm == good else 0.0)
    frozen = policy.freeze()
    assert frozen.propensities(["plain", "polite"], short)[0] == pytest.approx(0.9)
    assert frozen.propensities(["plain", "polite"], long)[1] == pytest.approx(0.9)


def test_arms_may_join_retire_and_return() -> None:
    policy = trained({"polite": 0.9, "plain": 0.2}, rounds=60)
    for _ in range(200):  # "polite" is retired meanwhile
        decision = policy.pull(["plain", "new"], CONTEXT)
        policy.update(decision.id, 0.6 if decision.arm == "new" else 0.2)
    assert policy.freeze().propensities(["plain", "new"], CONTEXT).argmax() == 1
    assert policy.freeze().propensities(["plain", "new", "polite"], CONTEXT).argmax() == 2


def test_tasks_share_nothing() -> None:
    policy = trained({"polite": 1.0, "plain": 0.0})
    elsewhere = Features(CONTEXT.indices, CONTEXT.values, "topic", CONTEXT.names, CONTEXT.dense)
    assert policy.propensities(ARMS[:2], elsewhere).tolist() == [0.5, 0.5]


def test_a_clone_is_untrained_and_of_the_same_settings() -> None:
    policy = VariantPolicy(RidgeModel(lambdas=(1.0, 2.0)), Thompson(width=0.5, floor=0.2), seed=9)
    policy.learn(CONTEXT, "plain", 1.0)
    clone = policy.clone()
    assert isinstance(clone.model, RidgeModel)
    assert (clone.model.lambdas, clone.exploration, clone.seed) == ((1.0, 2.0), Thompson(0.5, 0.2), 9)
    assert clone.model.estimate(ARMS, CONTEXT).rewards == 0


def test_a_restored_policy_goes_on_bit_for_bit() -> None:
    rng = np.random.default_rng(2)
    policy = trained({"polite": 0.9, "plain": 0.2})
    restored = policy.clone()
    restored.restore(policy.state())
    for _ in range(150):
        features = Features(rng.integers(0, 99, 3), rng.normal(size=3), "mood", ("length", "hour"), rng.normal(size=2))
        arm, reward = ARMS[rng.integers(4)], float(rng.random())
        for each in (policy, restored):
            each.learn(features, arm, reward)
    assert_same_learnt(policy.state(), restored.state())
    np.testing.assert_array_equal(policy.propensities(ARMS, CONTEXT), restored.propensities(ARMS, CONTEXT))


def test_a_state_of_other_settings_is_refused() -> None:
    with pytest.raises(PolicyError, match="kind is 'mixture', that of the other one 'ridge'"):
        VariantPolicy().restore(make_policy("ridge").state())
    with pytest.raises(PolicyError, match="lambdas"):
        make_policy("ridge").restore(make_policy("ridge", lambdas=(1.0,)).state())


def test_the_frozen_policy_says_how_many_of_its_numbers_are_broken() -> None:
    policy = make_policy("ftrl", bits=4)
    assert policy.freeze().broken_numbers() == 0
    policy.model.learner.load(np.array([3, 5]), np.array([math.nan, math.inf]), np.ones(2))  # type: ignore[attr-defined]
    assert policy.freeze().broken_numbers() == 2


@pytest.mark.parametrize("arms", [[], ["plain", "plain"]])
def test_arms_that_are_no_choice_are_refused(arms: list[str]) -> None:
    for policy in (VariantPolicy(), VariantPolicy().freeze()):
        with pytest.raises(PolicyError, match="arms"):
            policy.pull(arms, CONTEXT)
