from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_autoglm.runtime.decoding.temperature import adapted, entropy, temperature_for
from edge_autoglm.values import AdaptiveTemperature, SamplingParams
from tests.runtime.decoding.naive_sampling import softmax

RULE = AdaptiveTemperature(low=0.2, high=1.4, midpoint=1.5)


@settings(deadline=None)
@given(st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=300))
def test_the_entropy_is_that_of_the_definition(values: list[float]) -> None:
    expected = -math.fsum(p * math.log(p) for p in softmax(values) if p > 0)
    logits = np.array([*values, -np.inf], dtype=np.float32)
    before = logits.copy()
    assert entropy(logits) == pytest.approx(expected, abs=1e-5)
    assert np.array_equal(logits, before)


def test_a_certain_token_has_no_entropy() -> None:
    assert entropy(np.array([3.0, -np.inf], dtype=np.float32)) == 0.0


def test_the_bounds_are_met_and_the_midpoint_lies_between_them() -> None:
    assert adapted(RULE, 0.0) == 0.2
    assert adapted(RULE, 1e-300) == 0.2
    assert adapted(RULE, 1.5) == pytest.approx(0.8)
    assert adapted(RULE, 1e9) == pytest.approx(1.4)


@settings(deadline=None)
@given(st.floats(0, 20), st.floats(0, 20))
def test_the_temperature_grows_with_the_entropy(one: float, other: float) -> None:
    assert 0.2 <= adapted(RULE, min(one, other)) <= adapted(RULE, max(one, other)) <= 1.4


@settings(deadline=None)
@given(st.floats(0.01, 15), st.floats(0.05, 5))
def test_it_is_edt_where_its_lower_bound_is_none(nats: float, theta: float) -> None:
    rule = AdaptiveTemperature(low=1e-12, high=0.9, midpoint=-theta * math.log2(0.8))
    assert adapted(rule, nats) == pytest.approx(0.9 * 0.8 ** (theta / nats), abs=1e-11)


def test_a_request_without_the_rule_keeps_its_temperature() -> None:
    logits = np.zeros(4, dtype=np.float32)
    assert temperature_for(logits, SamplingParams(temperature=0.6)) == 0.6
    assert temperature_for(logits, SamplingParams(adaptive_temperature=RULE)) == adapted(RULE, entropy(logits))
