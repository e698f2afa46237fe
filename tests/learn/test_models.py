"""The contract of every reward model, and what no stream may do to one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.features import LARGEST_VALUE, Features
from edge_autoglm.learn.ftrl import FTRLProximal
from edge_autoglm.learn.models.base import Estimate, FloatArray, ModelState, RewardModel
from edge_autoglm.learn.models.context_free import ContextFreeModel
from edge_autoglm.learn.models.ftrl import FTRLModel
from edge_autoglm.learn.models.mixture import MixtureModel
from edge_autoglm.learn.models.ridge import RidgeModel
from tests.learn.model_checks import ARMS, NAMES, assert_same_learnt, rewards, some_request, train

MODELS: dict[str, Callable[[], RewardModel]] = {
    "context_free": ContextFreeModel,
    "ridge": RidgeModel,
    "ftrl": lambda: FTRLModel(FTRLProximal(bits=10)),
    "mixture": MixtureModel,
}
REQUEST = some_request(np.random.default_rng(99))


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> RewardModel:
    return MODELS[request.param]()


def test_an_untrained_model_expects_alike_of_all_arms(model: RewardModel) -> None:
    estimate = model.estimate(ARMS, REQUEST)
    assert estimate.means.tolist() == pytest.approx([0.5] * 3)
    assert len(set(estimate.spreads.tolist())) == 1
    assert estimate.rewards == 0


def test_learning_tells_the_better_arm_and_makes_sure_of_it(model: RewardModel) -> None:
    before = model.estimate(ARMS, REQUEST).spreads
    train(model, 600)
    estimate = model.estimate(ARMS, REQUEST)
    assert estimate.means.argmax() == 2
    assert ((estimate.spreads > 0) & (estimate.spreads < 0.7 * before)).all()
    assert np.isfinite(estimate.means).all()


def test_learn_returns_what_was_expected(model: RewardModel) -> None:
    for arm, request, reward, weight in rewards(100, seed=5):
        expected = model.estimate([arm], request).means[0]
        assert model.learn(arm, request, reward, weight) == pytest.approx(expected, abs=1e-9)


def test_contributions_sum_up_to_the_mean(model: RewardModel) -> None:
    train(model, 200)
    for arm in (*ARMS, "new"):
        for request in (
            REQUEST,
            Features(np.array([7, 7, 8]), np.ones(3), "mood"),
            Features(np.array([7]), np.ones(1)),
        ):
            total = sum(model.contributions(arm, request).values())
            assert total == pytest.approx(model.estimate([arm], request).means[0], abs=1e-9)


def test_a_restored_model_behaves_alike_bit_for_bit(model: RewardModel) -> None:
    train(model, 333)
    state = model.state()
    facts = json.loads(json.dumps(state.facts, sort_keys=True))  # as a file would give them back
    restored = model.clone()
    restored.restore(ModelState(facts, state.arrays))
    assert_same_learnt(restored.state(), model.state())
    train(model, 100, seed=1)
    train(restored, 100, seed=1)
    assert_same_learnt(restored.state(), model.state())
    for ours, theirs in zip(_numbers(model), _numbers(restored), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def _numbers(model: RewardModel) -> tuple[FloatArray, FloatArray]:
    estimate = model.estimate((*ARMS, "new"), REQUEST)
    return estimate.means, estimate.spreads


def test_a_copy_learns_on_its_own(model: RewardModel) -> None:
    train(model, 50)
    before = model.state()
    kept = ModelState(json.loads(json.dumps(before.facts)), {name: np.copy(a) for name, a in before.arrays.items()})
    copy = model.copy()
    assert_same_learnt(copy.state(), kept)
    train(copy, 100, seed=3)
    copy.forget("mood", 0.5)
    assert_same_learnt(model.state(), kept)
    train(model, 100, seed=3)
    model.forget("mood", 0.5)
    assert_same_learnt(copy.state(), model.state())


def test_estimating_changes_nothing(model: RewardModel) -> None:
    train(model, 50)
    before = model.copy().state()
    model.estimate(("never", "seen"), some_request(np.random.default_rng(1), task="other"))
    assert_same_learnt(model.state(), before)


def test_merging_with_an_untrained_model_changes_no_expectation(model: RewardModel) -> None:
    train(model, 200)
    other, before = model.clone(), model.copy()
    model.merge(model.clone())
    assert_same_learnt(model.state(), before.state())
    other.merge(model)
    model.forget("mood", kept=1.0)  # what is known follows exactly from the statistics then, as after a merge
    for ours, theirs in zip(_numbers(model), _numbers(other), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7)


def test_merging_does_not_depend_on_who_is_merged_into_whom(model: RewardModel) -> None:
    other = model.clone()
    train(model, 200, seed=1)
    train(other, 100, seed=2)
    theirs = other.copy()
    theirs.merge(model)
    model.merge(other)
    for a, b in zip(_numbers(model), _numbers(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_models_of_other_kinds_or_settings_are_not_merged(model: RewardModel) -> None:
    class Stranger(ContextFreeModel):
        pass

    with pytest.raises(PolicyError):
        model.merge(RidgeModel(lambdas=(7.0,)))
    with pytest.raises(PolicyError, match=r"cannot be merged into a|strength"):
        model.merge(Stranger(strength=7.0))


def test_forgetting_makes_an_arm_less_known_and_new_rewards_count_more(model: RewardModel) -> None:
    # The exact sparse table of ``ftrl`` keeps its weights on purpose, so only the way back is compared.
    keeping = model.clone()
    for each in (model, keeping):
        train(each, 600)
    model.forget("mood", 0.05)
    for each in (model, keeping):
        for _ in range(5):
            each.learn("short", REQUEST, 0.0)
    assert model.estimate(["short"], REQUEST).means[0] < keeping.estimate(["short"], REQUEST).means[0] - 0.02


def test_nothing_poisons_a_model(model: RewardModel) -> None:
    """Huge values, outliers, constants and features that come and go leave numbers that are finite and useful."""
    rng = np.random.default_rng(0)
    for step, (arm, request, reward, weight) in enumerate(rewards(500, seed=1)):
        dense = request.dense.copy()
        if step % 100 == 50:
            dense[:] = rng.choice([-LARGEST_VALUE, LARGEST_VALUE], 3)
        words = np.full(5, LARGEST_VALUE) if step % 100 == 70 else request.values
        names, dense = (NAMES[:2], dense[:2]) if step % 7 == 0 else (NAMES, dense)
        model.learn(arm, Features(request.indices, words, "mood", names, dense), reward, weight)
        estimate = model.estimate(ARMS, request)
        assert np.isfinite(estimate.means).all()
        assert (np.isfinite(estimate.spreads) & (estimate.spreads > 0.0)).all()
    train(model, 1000, seed=2)
    probes = [some_request(np.random.default_rng(seed)) for seed in range(100)]
    assert np.mean([model.estimate(ARMS, probe).means.argmax() == 2 for probe in probes]) > 0.8


def test_ten_thousand_arms_and_a_hundred_thousand_words_take_bounded_memory(model: RewardModel) -> None:
    for step in range(2000):
        request = Features(np.arange(50 * step, 50 * step + 50), np.full(50, 0.1), "mood", (), np.zeros(0))
        model.learn(f"arm{5 * step}", request, 1.0)
    assert sum(array.nbytes for array in model.state().arrays.values()) < 7_000_000
    assert len(json.dumps(model.state().facts)) < 60_000
    assert model.estimate(["arm9995"], REQUEST).means[0] > 0.6


def test_a_mixture_does_not_ask_models_that_it_hardly_trusts() -> None:
    asked: list[str] = []

    class Noted(ContextFreeModel):
        def estimate(self, arms: Sequence[str], features: Features) -> Estimate:
            asked.append("hardly trusted")
            return super().estimate(arms, features)

    mixture = MixtureModel({"good": ContextFreeModel(), "bad": Noted()}, charged={"bad": 50.0})
    expected = mixture.learn("a", REQUEST, 1.0)
    assert expected == pytest.approx(0.5)
    alone = mixture.models["good"].estimate(["a", "b"], REQUEST)
    assert mixture.estimate(["a", "b"], REQUEST).means.tolist() == alone.means.tolist()
    assert asked == []
    assert mixture.weights("mood")["bad"] < 1e-3
