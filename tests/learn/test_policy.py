"""The choice of an arm: exploration floor, ties, exact propensities, ids, and learning."""

from __future__ import annotations

import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.errors import InvalidReward, PolicyError, UnknownDecision
from edge_autoglm.learn.exploration import choose, forced, probability_of_best, propensities
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.ftrl import FTRLProximal
from edge_autoglm.learn.policy import FrozenPolicy, VariantPolicy

ARMS = ["plain", "polite", "short", "long", "formal", "chinese", "quiz", "shout"]
CONTEXT = Features(np.array([11, 22, 33]), np.array([1.0, 0.5, -0.25]))


def trained(rewards: dict[str, float], floor: float = 0.1, seed: int = 0, rounds: int = 30) -> VariantPolicy:
    policy = VariantPolicy(floor=floor, seed=seed)
    for _ in range(rounds):
        for arm, reward in rewards.items():
            policy.learn(CONTEXT, arm, reward)
    return policy


def test_an_untrained_policy_is_uniform() -> None:
    for count in range(1, 9):
        shares = VariantPolicy(seed=0).freeze().propensities(ARMS[:count], CONTEXT)
        assert shares.tolist() == pytest.approx([1 / count] * count, abs=1e-15)


def test_a_well_known_best_arm_gets_nearly_all_but_the_floor() -> None:
    policy = trained({arm: 0.9 if arm == "polite" else 0.2 for arm in ARMS}, rounds=300).freeze()
    shares = dict(zip(ARMS, policy.propensities(ARMS, CONTEXT), strict=True))
    assert shares.pop("polite") == pytest.approx(0.9 + 0.1 / 8, abs=0.01)
    assert min(shares.values()) >= 0.1 / 8


def test_an_arm_that_was_hardly_tried_is_still_chosen() -> None:
    policy = trained({"polite": 0.8, "plain": 0.2}, floor=0.0, rounds=300).freeze()
    shares = dict(zip(ARMS[:3], policy.propensities(["polite", "plain", "new"], CONTEXT), strict=True))
    assert 0.02 < shares[ARMS[2]] < 0.3
    assert shares[ARMS[1]] < 0.01


def test_the_probability_of_being_best_is_that_of_a_simulation() -> None:
    scores, spreads = np.array([0.2, 0.0, -0.5, 0.1]), np.array([0.3, 0.5, 0.9, 0.05])
    draws = np.random.default_rng(0).normal(scores, spreads, (200_000, 4))
    expected = np.bincount(draws.argmax(axis=1), minlength=4) / 200_000
    assert probability_of_best(scores, spreads) == pytest.approx(expected, abs=0.03)


def test_a_hopeless_arm_has_no_chance_and_one_arm_alone_has_all() -> None:
    assert probability_of_best(np.array([0.0, 900.0]), np.array([0.1, 0.1])).tolist() == [0.0, 1.0]
    assert probability_of_best(np.array([3.0]), np.array([0.1])).tolist() == [1.0]


@given(
    st.lists(st.sampled_from([-1.0, 0.0, 0.3, 0.30000000000000004, 7.0]), min_size=1, max_size=12),
    st.floats(0.01, 2.0),
    st.floats(0, 1),
)
def test_propensities_are_a_distribution_that_keeps_the_floor(scores: list[float], spread: float, floor: float) -> None:
    shares = propensities(np.array(scores), np.full(len(scores), spread), floor)
    assert shares.sum() == pytest.approx(1.0, abs=1e-12)
    assert (shares >= floor / len(scores)).all()
    best = [share for share, score in zip(shares, scores, strict=True) if score == max(scores)]
    assert best == pytest.approx([best[0]] * len(best))
    assert best[0] == pytest.approx(shares.max())


class EndlessDraw:
    """A random stream that always draws the same number."""

    def __init__(self, value: float) -> None:
        self._value = value

    def random(self) -> float:
        return self._value


@pytest.mark.parametrize("draw", [0.0, 0.5, math.nextafter(1.0, 0.0)])
@pytest.mark.parametrize("floor", [0.0, 0.07, 1.0])
@pytest.mark.parametrize("arms", range(1, 13))
def test_every_draw_falls_on_an_arm_that_may_be_chosen(draw: float, floor: float, arms: int) -> None:
    shares = propensities(np.linspace(0.0, 1.0, arms), np.full(arms, 0.001), floor)
    decision = choose([str(arm) for arm in range(arms)], shares, EndlessDraw(draw))  # type: ignore[arg-type]
    assert decision.propensity == shares[int(decision.arm)] > 0.0


def test_arms_are_chosen_as_often_as_their_propensity_says() -> None:
    policy = trained({"polite": 1.0, "plain": 0.2}, floor=0.4).freeze(seed=3)
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
    before = frozen.scores(ARMS, CONTEXT)
    for _ in range(100):
        policy.learn(CONTEXT, "plain", 1.0)
        policy.learn(CONTEXT, "polite", 0.0)
    np.testing.assert_array_equal(frozen.scores(ARMS, CONTEXT), before)
    assert policy.freeze().propensities(ARMS, CONTEXT).argmax() == ARMS.index("plain")
    with pytest.raises(ValueError, match="read-only"):
        frozen.weights[0] = 1.0


def test_the_frozen_policy_scores_as_the_learning_one_predicts() -> None:
    policy = trained({"polite": 1.0, "plain": 0.2, "long": 0.5})
    live, frozen = ([p.pull(ARMS, CONTEXT).propensity for _ in range(100)] for p in (policy, policy.freeze()))
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
    learnt = policy.model.z.copy()
    policy.update(decision.id, 0.0)
    np.testing.assert_array_equal(policy.model.z, learnt)
    expected = VariantPolicy()
    expected.learn(CONTEXT, decision.arm, 1.0)
    np.testing.assert_array_equal(policy.model.z, expected.model.z)


def test_update_refuses_what_it_cannot_use() -> None:
    policy = VariantPolicy(seed=1)
    decision = policy.pull(ARMS, CONTEXT)
    with pytest.raises(UnknownDecision, match="'nobody'"):
        policy.update("nobody", 1.0)
    with pytest.raises(InvalidReward, match="nan"):
        policy.update(decision.id, math.nan)
    policy.update(decision.id, 1.0)
    assert policy.model.n.any()


def test_the_better_arm_may_depend_on_the_context() -> None:
    short, long = (Features(np.array([index]), np.array([0.5])) for index in (1, 2))
    policy = VariantPolicy(floor=0.2, seed=4)
    for step in range(600):
        context, good = (short, "plain") if step % 2 else (long, "polite")
        decision = policy.pull(["plain", "polite"], context)
        policy.update(decision.id, 1.0 if decision.arm == good else 0.0)
    frozen = policy.freeze()
    assert frozen.propensities(["plain", "polite"], short)[0] == pytest.approx(0.9, abs=0.02)
    assert frozen.propensities(["plain", "polite"], long)[1] == pytest.approx(0.9, abs=0.02)


def test_arms_may_join_and_return() -> None:
    policy = trained({"polite": 0.9, "plain": 0.2})
    assert policy.freeze().propensities(["plain", "new", "polite"], CONTEXT).argmax() == 2
    assert policy.freeze().propensities(["plain", "new"], CONTEXT).argmax() == 1


def test_a_clone_is_untrained_and_of_the_same_settings() -> None:
    policy = VariantPolicy(FTRLProximal(alpha=0.3, bits=6), floor=0.2, width=0.5, seed=9)
    policy.learn(CONTEXT, "plain", 1.0)
    clone = policy.clone()
    assert (clone.model.alpha, clone.model.bits, clone.floor, clone.width, clone.seed) == (0.3, 6, 0.2, 0.5, 9)
    assert not clone.model.n.any()


def test_a_choice_of_the_caller_is_certain() -> None:
    first, second = forced("plain"), forced("plain")
    assert (first.arm, first.propensity) == ("plain", 1.0)
    assert first.id != second.id


@pytest.mark.parametrize("arms", [[], ["plain", "plain"]])
def test_arms_that_are_no_choice_are_refused(arms: list[str]) -> None:
    for policy in (VariantPolicy(), VariantPolicy().freeze()):
        with pytest.raises(PolicyError, match="arms"):
            policy.pull(arms, CONTEXT)


@pytest.mark.parametrize("floor", [-0.1, 1.1, math.nan])
def test_a_floor_out_of_range_is_refused(floor: float) -> None:
    with pytest.raises(PolicyError, match="floor"):
        VariantPolicy(floor=floor)
    with pytest.raises(PolicyError, match="floor"):
        FrozenPolicy(np.zeros(4), np.zeros(4), floor=floor)


@pytest.mark.parametrize("width", [0.0, -1.0, math.inf, math.nan])
def test_a_width_out_of_range_is_refused(width: float) -> None:
    with pytest.raises(PolicyError, match="width"):
        VariantPolicy(width=width)
