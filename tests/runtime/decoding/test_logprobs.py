from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_autoglm.errors import EngineError
from edge_autoglm.runtime.decoding.logprobs import log_softmax, token_logprob
from tests.runtime.decoding.naive_sampling import softmax


@settings(deadline=None)
@given(st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=200), st.integers(0, 100), st.data())
def test_a_token_and_the_most_probable_ones_are_named(values: list[float], top: int, data: st.DataObject) -> None:
    token = data.draw(st.integers(0, len(values) - 1))
    probabilities = softmax(values)
    named = token_logprob(np.array(values, dtype=np.float32), token, top)
    assert named.token == token
    assert named.logprob == pytest.approx(math.log(probabilities[token]), abs=1e-5)
    order = sorted(range(len(values)), key=lambda one: (-values[one], one))[:top]
    assert [one for one, _ in named.top] == order
    assert [p for _, p in named.top] == pytest.approx([math.log(probabilities[one]) for one in order], abs=1e-5)


def test_tokens_of_probability_0_are_not_named() -> None:
    logits = np.array([-np.inf, 0.0, -np.inf, 0.0], dtype=np.float32)
    assert token_logprob(logits, 3, 4).top == ((1, -math.log(2)), (3, -math.log(2)))


def test_the_logits_stay_as_they_are() -> None:
    logits = np.array([1.0, 2.0, 3.0], dtype=np.float32)
    token_logprob(logits, 0, 2)
    assert logits.tolist() == [1.0, 2.0, 3.0]


def test_log_softmax_takes_rows_and_large_logits() -> None:
    logits = np.array([[1e4, 1e4 - 1.0, -1e4], [0.0, 0.0, -np.inf]], dtype=np.float32)
    first = -math.log1p(math.exp(-1.0))
    assert log_softmax(logits)[0].tolist() == pytest.approx([first, first - 1.0, first - 2e4], abs=1e-12)
    assert log_softmax(logits)[1].tolist() == [-math.log(2), -math.log(2), -np.inf]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_broken_logits_are_an_error_of_the_engine(bad: float) -> None:
    logits = np.array([[0.0, 1.0], [bad, 1.0]], dtype=np.float32)
    with pytest.raises(EngineError, match="logit of"):
        log_softmax(logits)
    with pytest.raises(EngineError, match="logit of"):
        token_logprob(logits[1], 1, 1)
