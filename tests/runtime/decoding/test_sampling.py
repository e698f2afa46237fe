from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.errors import EngineError, RequestError
from edge_autoglm.runtime.decoding import sampling
from edge_autoglm.runtime.decoding.sampling import kept_tokens, make_sampler
from edge_autoglm.values import SamplingParams

LOGITS = np.array([1.0, 3.0, -2.0, 3.0, 0.5, 2.0, -1.0, 0.0], dtype=np.float32)
CHI_SQUARE_999 = {1: 10.83, 2: 13.82, 4: 18.47, 7: 24.32}
"""0.999 quantiles by degrees of freedom."""


def softmax(values: np.ndarray) -> np.ndarray:
    weights = np.exp(values.astype(np.float64) - values.max())
    return np.asarray(weights / weights.sum())


def expected(params: SamplingParams) -> np.ndarray:
    """Temperature, top-k, top-p, each as its definition says, by sorting everything."""
    scaled = LOGITS.astype(np.float64) / params.temperature
    order = sorted(range(len(scaled)), key=lambda token: (-scaled[token], token))
    if params.top_k:
        order = order[: params.top_k]
    probabilities = softmax(scaled[order])
    count = next(n for n in range(1, len(order) + 1) if probabilities[:n].sum() >= params.top_p - 1e-12)
    result = np.zeros(len(scaled))
    result[order[:count]] = probabilities[:count] / probabilities[:count].sum()
    return result


SETTINGS = [
    SamplingParams(temperature=1.0),
    SamplingParams(temperature=0.5),
    SamplingParams(temperature=2.0, top_k=5),
    SamplingParams(temperature=1.0, top_p=0.8),
    SamplingParams(temperature=1.5, top_k=6, top_p=0.9),
    SamplingParams(temperature=1.0, top_k=100),
]


@pytest.mark.parametrize("params", SETTINGS, ids=str)
def test_frequencies_are_those_of_the_distribution(params: SamplingParams) -> None:
    draws = 4000
    sample = make_sampler(params, seed=1)
    counts = np.bincount([sample(LOGITS) for _ in range(draws)], minlength=len(LOGITS))
    probabilities = expected(params)
    assert counts[probabilities == 0].sum() == 0
    kept = probabilities > 0
    wanted = draws * probabilities[kept]
    chi_square = float(((counts[kept] - wanted) ** 2 / wanted).sum())
    assert chi_square < CHI_SQUARE_999[int(kept.sum()) - 1]


@given(
    st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=60),
    st.sampled_from([0.05, 0.3, 0.5, 0.9, 0.99, 0.999]),
    st.sampled_from([0, 1, 5, 40]),
)
def test_top_p_keeps_the_smallest_set_that_reaches_p(values: list[float], top_p: float, top_k: int) -> None:
    logits = np.array(values, dtype=np.float32)
    ids, weights = kept_tokens(logits, SamplingParams(temperature=1.0, top_p=top_p, top_k=top_k))
    assert ids is not None
    within = np.sort(softmax(logits))[::-1][: top_k or None]
    within /= within.sum()
    kept = softmax(logits)[ids] / np.sort(softmax(logits))[::-1][: top_k or None].sum()
    assert len(set(ids.tolist())) == len(ids) == len(weights)
    assert kept == pytest.approx(within[: len(ids)])  # the most probable ones, in order
    assert kept.sum() >= top_p - 1e-9
    assert kept[:-1].sum() < top_p + 1e-9


def test_top_k_keeps_exactly_k_and_the_lower_id_among_equals() -> None:
    ids, _ = kept_tokens(np.zeros(10, dtype=np.float32), SamplingParams(temperature=1.0, top_k=3))
    assert ids is not None
    assert ids.tolist() == [0, 1, 2]


def test_greedy_takes_the_highest_and_the_lowest_id_among_equals() -> None:
    assert make_sampler(SamplingParams(), seed=0)(LOGITS) == 1


def test_greedy_computes_no_softmax(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("greedy decoding needs no probabilities")

    monkeypatch.setattr(sampling, "kept_tokens", forbidden)
    make_sampler(SamplingParams(top_k=3, top_p=0.5), seed=0)(LOGITS)
    with pytest.raises(AssertionError):
        make_sampler(SamplingParams(temperature=1.0), seed=0)(LOGITS)


def test_a_seed_fixes_the_sequence() -> None:
    def draw(seed: int) -> list[int]:
        sample = make_sampler(SamplingParams(temperature=1.0), seed)
        return [sample(LOGITS) for _ in range(50)]

    assert draw(7) == draw(7)
    assert draw(7) != draw(8)


def test_one_uniform_number_is_drawn_a_token() -> None:
    sample = make_sampler(SamplingParams(temperature=1.0), seed=5)
    uniform = np.random.Generator(np.random.PCG64(5)).random(20)
    cumulated = np.cumsum(softmax(LOGITS))
    assert [sample(LOGITS) for _ in range(20)] == np.searchsorted(cumulated, uniform).tolist()


def test_the_smallest_temperature_is_greedy_without_overflow() -> None:
    sample = make_sampler(SamplingParams(temperature=1e-300), seed=0)
    assert {sample(LOGITS[:3]) for _ in range(20)} == {1}


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_broken_logits_are_an_error_of_the_engine(temperature: float, bad: float) -> None:
    logits = LOGITS.copy()
    logits[4] = bad
    with pytest.raises(EngineError, match="logit"):
        make_sampler(SamplingParams(temperature=temperature), seed=0)(logits)


def test_masked_tokens_are_never_drawn() -> None:
    logits = np.full(6, -np.inf, dtype=np.float32)
    logits[[1, 4]] = 0.0
    sample = make_sampler(SamplingParams(temperature=1.0, top_p=0.99), seed=0)
    assert {sample(logits) for _ in range(50)} == {1, 4}


def test_negative_seeds_are_refused() -> None:
    with pytest.raises(RequestError, match="seed is -1"):
        make_sampler(SamplingParams(temperature=1.0), seed=-1)
