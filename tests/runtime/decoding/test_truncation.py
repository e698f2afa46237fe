from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_autoglm.runtime.decoding.truncation import kept_tokens, largest, reaching, rule_out
from edge_autoglm.values import SamplingParams
from tests.runtime.decoding.naive_sampling import distribution

Array = npt.NDArray[np.float32]

# A grid: ties are exact, and what is no tie differs by more than float32 rounds.
GRID = st.integers(-1500, 1500).map(lambda step: step / 64)
LOGITS = st.lists(st.one_of(GRID, GRID, GRID, st.just(-np.inf)), min_size=1, max_size=700).filter(
    lambda values: max(values) > -np.inf
)
ROUNDING = (1 - 1e-5, 1.0, 1 + 1e-5)


def kept(logits: Array, params: SamplingParams) -> dict[int, float]:
    ids, weights = kept_tokens(logits.copy(), params.temperature, params)
    names = range(len(logits)) if ids is None else ids.tolist()
    probabilities = weights.astype(np.float64) / weights.sum(dtype=np.float64)
    return {token: float(p) for token, p in zip(names, probabilities, strict=True) if p > 1e-30}


@settings(deadline=None)
@given(
    LOGITS,
    st.sampled_from([0.3, 0.7, 1.0, 2.5]),
    st.sampled_from([0, 0, 1, 3, 40, 10_000]),
    st.sampled_from([1.0, 1.0, 0.05, 0.5, 0.9, 0.99, 0.999]),
    st.sampled_from([0.0, 0.0, 0.01, 0.2, 1.0]),
)
def test_kept_tokens_and_their_probabilities_are_those_of_the_definition(
    values: list[float], temperature: float, top_k: int, top_p: float, min_p: float
) -> None:
    params = SamplingParams(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    ours = kept(np.array(values, dtype=np.float32), params)
    # A cut that meets a token within the rounding of float32 may fall on either side of it.
    wanted = [
        {token: p for token, p in distribution(values, params, top_p * a, min_p * b).items() if p > 1e-30}
        for a, b in product(ROUNDING if top_p < 1 else (1.0,), ROUNDING if min_p < 1 else (1.0,))
    ]
    matching = [one for one in wanted if one.keys() == ours.keys()]
    assert matching
    assert ours == pytest.approx(matching[0], rel=1e-4)


def test_a_large_flat_vocabulary_keeps_the_nucleus_of_the_definition() -> None:
    values = np.random.default_rng(0).normal(size=49_152).astype(np.float32)
    for top_p in (0.3, 0.95, 0.999):
        probabilities = np.exp(values.astype(np.float64))
        probabilities /= probabilities.sum()
        order = np.argsort(-values, kind="stable")
        count = int(np.searchsorted(np.cumsum(probabilities[order]), top_p)) + 1
        tokens = set(kept(values, SamplingParams(temperature=1.0, top_p=top_p)))
        assert len(tokens ^ set(order[:count].tolist())) <= 1


@pytest.mark.parametrize(
    "params", [SamplingParams(temperature=1.0, top_k=3), SamplingParams(temperature=1.0, top_p=0.3)], ids=str
)
def test_the_lower_ids_are_kept_among_equals(params: SamplingParams) -> None:
    assert kept(np.zeros(10, dtype=np.float32), params).keys() == {0, 1, 2}


def test_min_p_1_keeps_the_most_probable_ones_only() -> None:
    logits = np.array([2.0, 3.0, 3.0, 1.0], dtype=np.float32)
    assert kept(logits, SamplingParams(temperature=0.5, min_p=1.0)) == {1: 0.5, 2: 0.5}


@pytest.mark.parametrize("temperature", [5e-324, 1e-300, 1e-12])
def test_the_smallest_temperatures_keep_the_arg_max(temperature: float) -> None:
    logits = np.array([2.0, 3.0, -np.inf, 2.9, np.finfo(np.float32).min], dtype=np.float32)
    assert kept(logits, SamplingParams(temperature=temperature)) == {1: 1.0}


def test_the_largest_temperature_is_uniform() -> None:
    logits = np.array([2.0, -30.0, 3.0, -np.inf], dtype=np.float32)
    assert kept(logits, SamplingParams(temperature=1e308)) == pytest.approx({0: 1 / 3, 1: 1 / 3, 2: 1 / 3})


def test_a_mask_rules_tokens_out_and_leaves_the_others() -> None:
    logits = np.array([1.0, 0.0, -0.0, -7.5, np.finfo(np.float32).max, -np.inf], dtype=np.float32)
    rule_out(logits, np.array([True, True, False, True, False, True]))
    assert logits.tolist() == [1.0, 0.0, -np.inf, -7.5, -np.inf, -np.inf]


@settings(deadline=None)
@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0]), min_size=1, max_size=40), st.data())
def test_the_largest_values_are_those_of_a_stable_sort(values: list[float], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(values)))
    order = sorted(range(len(values)), key=lambda position: (-values[position], position))
    mask = largest(np.array(values, dtype=np.float32), count)
    assert np.flatnonzero(mask).tolist() == sorted(order[:count])


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.0, 0.0, 1e-30, 0.125, 1.0]), min_size=1, max_size=900).filter(any),
    st.floats(2**-53, 1.2),
)
def test_the_running_sum_reaches_its_target_at_a_token_with_weight(values: list[float], share: float) -> None:
    weights = np.array(values, dtype=np.float32)
    target = share * float(weights.sum(dtype=np.float64))
    position = reaching(weights, target)
    sums = np.cumsum(weights, dtype=np.float64)
    assert weights[position] > 0
    assert position == len(weights) - 1 or sums[position] >= min(target, sums[-1]) * (1 - 1e-12)
    assert position == 0 or sums[position - 1] < target * (1 + 1e-12)


def test_the_end_is_reached_before_a_tail_without_weight() -> None:
    weights = np.zeros(1000, dtype=np.float32)
    weights[[3, 300]] = 1.0
    assert reaching(weights, 5.0) == 300
