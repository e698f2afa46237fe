"""FTRL-Proximal against an independent reference of the paper's Algorithm 1."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_autoglm.errors import InvalidReward, PolicyError
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.ftrl import FTRLProximal, sigmoid
from tests.learn.ftrl_reference import ReferenceFTRL

SETTINGS = [
    (0.5, 1.0, 0.1, 0.1),
    (0.1, 1.0, 1.0, 0.0),
    (2.0, 0.5, 0.0, 0.0),
    (0.3, 1.5, 3.0, 2.0),
]


def features_of(indices: list[int], values: list[float]) -> Features:
    return Features(np.array(indices, dtype=np.int64), np.array(values, dtype=np.float64))


def summed(model: FTRLProximal, features: Features) -> dict[int, float]:
    """What the reference gets: one value a coordinate."""
    x: dict[int, float] = {}
    for at, value in zip(model.coordinates(features.indices).tolist(), features.values.tolist(), strict=True):
        x[at] = x.get(at, 0.0) + value
    return x


def assert_equal_everywhere(model: FTRLProximal, reference: ReferenceFTRL) -> None:
    coordinates = range(1 << model.bits)
    for ours, theirs in [
        (model.z, [reference.z.get(i, 0.0) for i in coordinates]),
        (model.n, [reference.n.get(i, 0.0) for i in coordinates]),
        (model.weights(), [reference.weight(i) for i in coordinates]),
    ]:
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(model.weights() == 0.0, [reference.weight(i) == 0.0 for i in coordinates])


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("bits", [3, 10])  # in 8 coordinates, nearly every example has a collision
def test_equals_the_reference_over_a_random_stream(setting: tuple[float, float, float, float], bits: int) -> None:
    rng = np.random.default_rng(bits)
    model, reference = FTRLProximal(*setting, bits=bits), ReferenceFTRL(*setting)
    for step in range(2000):
        size = int(rng.integers(0, 20))
        features = Features(rng.integers(0, 2**32, size), rng.normal(size=size) * rng.choice([0.1, 1.0, 5.0]))
        y = float(rng.choice([0.0, 1.0, rng.random()]))
        x = summed(model, features)
        assert model.predict(features) == pytest.approx(reference.predict(x), rel=1e-12, abs=1e-12)
        model.learn(features, y)
        reference.learn(x, y)
        if step % 500 == 0:
            assert_equal_everywhere(model, reference)
    assert_equal_everywhere(model, reference)


EXAMPLE = st.tuples(
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.floats(-4, 4)), max_size=6), st.floats(0.0, 1.0, width=16)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(EXAMPLE, max_size=30), st.sampled_from(SETTINGS))
def test_equals_the_reference_on_any_stream(
    stream: list[tuple[list[tuple[int, float]], float]], setting: tuple[float, float, float, float]
) -> None:
    model, reference = FTRLProximal(*setting, bits=4), ReferenceFTRL(*setting)
    for pairs, y in stream:
        features = features_of([index for index, _ in pairs], [value for _, value in pairs])
        model.learn(features, y)
        reference.learn(summed(model, features), y)
    np.testing.assert_allclose(model.weights(), [reference.weight(i) for i in range(16)], rtol=1e-9, atol=1e-12)


def test_l1_leaves_rare_features_at_exactly_zero_and_keeps_the_informative_one() -> None:
    rng = np.random.default_rng(0)
    model, reference = FTRLProximal(0.5, 1.0, 1.5, 0.0, bits=12), ReferenceFTRL(0.5, 1.0, 1.5, 0.0)
    for step in range(400):
        y = float(step % 2)
        features = features_of([1, int(rng.integers(100, 3000))], [2 * y - 1, 0.5])
        model.learn(features, y)
        reference.learn(summed(model, features), y)
    touched, weights = np.flatnonzero(model.n), model.weights()
    assert weights[1] > 1.0
    assert np.count_nonzero(weights) < len(touched) / 10
    assert_equal_everywhere(model, reference)


def test_an_index_given_twice_counts_as_its_sum() -> None:
    twice, once = FTRLProximal(bits=8), FTRLProximal(bits=8)
    for y in (1.0, 1.0, 0.0, 0.7):
        twice.learn(features_of([5, 9, 5], [0.25, 1.0, 0.5]), y)
        once.learn(features_of([5, 9], [0.75, 1.0]), y)
    np.testing.assert_array_equal(twice.z, once.z)
    np.testing.assert_array_equal(twice.n, once.n)


def test_indices_that_collide_in_the_table_count_as_their_sum() -> None:
    colliding, once = FTRLProximal(bits=8), FTRLProximal(bits=8)
    colliding.learn(features_of([5, 5 + 256], [0.25, 0.5]), 1.0)
    once.learn(features_of([5], [0.75]), 1.0)
    np.testing.assert_array_equal(colliding.z, once.z)
    np.testing.assert_array_equal(colliding.n, once.n)


def test_a_constant_fractional_target_is_learnt() -> None:
    model = FTRLProximal(alpha=1.0, l1=0.0, l2=0.0)
    for _ in range(2000):
        model.learn_one({"bias": 1.0}, 0.3)
    assert model.predict_proba_one({"bias": 1.0})[True] == pytest.approx(0.3, abs=1e-3)


def test_extreme_examples_leave_every_weight_finite() -> None:
    model = FTRLProximal(alpha=1.0, l1=0.0, l2=0.0, bits=4)
    for sign in (1.0, -1.0) * 50:
        model.learn(features_of([1, 2], [sign * 1e6, 1e-300]), 1.0)
    assert np.isfinite(model.weights()).all()
    assert 0.0 <= model.predict(features_of([1], [1e6])) <= 1.0


@pytest.mark.parametrize("score", [-1e308, -745.2, -30.0, 0.0, 30.0, 745.2, 1e308])
def test_sigmoid_is_a_probability_for_any_score(score: float) -> None:
    assert 0.0 <= sigmoid(score) <= 1.0
    assert sigmoid(score) + sigmoid(-score) == pytest.approx(1.0, abs=1e-15)


@pytest.mark.parametrize("target", [math.nan, math.inf, -0.001, 1.001])
def test_a_target_outside_the_range_is_refused_and_changes_nothing(target: float) -> None:
    model = FTRLProximal(bits=4)
    with pytest.raises(InvalidReward, match="target"):
        model.learn_one({"bias": 1.0}, target)
    assert not model.n.any()


def test_a_clone_has_the_settings_but_not_the_experience() -> None:
    model = FTRLProximal(alpha=0.7, beta=0.4, l1=0.2, l2=0.3, bits=5)
    model.learn_one({"bias": 1.0}, 1.0)
    clone = model.clone()
    assert (clone.alpha, clone.beta, clone.l1, clone.l2, clone.bits) == (0.7, 0.4, 0.2, 0.3, 5)
    assert not clone.n.any()
    clone.learn_one({"other": 1.0}, 1.0)
    assert np.count_nonzero(model.n) == 1


def test_state_cannot_be_changed_from_outside() -> None:
    model = FTRLProximal(bits=4)
    with pytest.raises(ValueError, match="read-only"):
        model.z[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        model.n[0] = 1.0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alpha", 0.0),
        ("alpha", math.nan),
        ("beta", 0.0),
        ("beta", math.inf),
        ("l1", -0.1),
        ("l2", math.nan),
        ("bits", 0),
        ("bits", 29),
    ],
)
def test_a_setting_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises(PolicyError, match=rf"{name}.*{value}"):
        FTRLProximal(**{name: value})  # type: ignore[arg-type]
