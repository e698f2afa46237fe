from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_autoglm.errors import EngineError, RequestError
from edge_autoglm.runtime.decoding import sampling
from edge_autoglm.runtime.decoding.sampling import Sampler
from edge_autoglm.values import AdaptiveTemperature, SamplingParams
from tests.runtime.decoding.naive_sampling import distribution, softmax

LOGITS = np.array([1.0, 3.0, -2.0, 3.0, 0.5, 2.0, -1.0, 0.0], dtype=np.float32)
CHI_SQUARE_999 = {1: 10.83, 2: 13.82, 3: 16.27, 4: 18.47, 5: 20.52, 7: 24.32}
"""0.999 quantiles by degrees of freedom."""
ADAPTIVE = AdaptiveTemperature(0.3, 1.5)
SAMPLED = SamplingParams(temperature=1.0)


def sampler(params: SamplingParams, seed: int = 0, prompt: Sequence[int] = ()) -> Sampler:
    return Sampler(params, seed, prompt)


def mask(*allowed: int) -> npt.NDArray[np.bool_]:
    return np.isin(np.arange(len(LOGITS)), allowed)


def tokens(chosen: Sampler, count: int, allowed: npt.NDArray[np.bool_] | None = None) -> list[int]:
    return [chosen.pick(LOGITS, allowed).token for _ in range(count)]


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(temperature=1.0),
        SamplingParams(temperature=0.5),
        SamplingParams(temperature=2.0, top_k=5),
        SamplingParams(temperature=1.0, top_p=0.8),
        SamplingParams(temperature=1.5, top_k=6, top_p=0.9),
        SamplingParams(temperature=1.0, top_k=100),
        SamplingParams(temperature=1.0, min_p=0.1),
        SamplingParams(temperature=2.0, top_p=0.95, min_p=0.2),
    ],
    ids=str,
)
def test_frequencies_are_those_of_the_distribution(params: SamplingParams) -> None:
    draws = 4000
    counts = np.bincount(tokens(sampler(params, seed=1), draws), minlength=len(LOGITS))
    expected = distribution(LOGITS.tolist(), params, params.top_p, params.min_p)
    assert set(np.flatnonzero(counts)) <= expected.keys()
    chi_square = sum((counts[token] - draws * p) ** 2 / (draws * p) for token, p in expected.items())
    assert chi_square < CHI_SQUARE_999[len(expected) - 1]


def test_an_adaptive_temperature_draws_from_the_distribution_at_that_temperature() -> None:
    doubt = -sum(p * np.log(p) for p in softmax(LOGITS.tolist()))
    at = SamplingParams(temperature=0.3 + 1.2 * 2 ** (-1.0 / doubt))
    _, weights = sampler(SamplingParams(adaptive_temperature=ADAPTIVE)).distribution(LOGITS)
    assert weights / weights.sum() == pytest.approx(list(distribution_of(at).values()), rel=1e-4)


def distribution_of(params: SamplingParams) -> dict[int, float]:
    found = distribution(LOGITS.tolist(), params, params.top_p, params.min_p)
    return {token: found[token] for token in sorted(found)}


def test_greedy_takes_the_highest_and_the_lowest_id_among_equals() -> None:
    assert tokens(sampler(SamplingParams()), 3) == [1, 1, 1]


def test_greedy_computes_no_probabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("greedy decoding needs no probabilities")

    monkeypatch.setattr(sampling, "kept_tokens", forbidden)
    sampler(SamplingParams(top_k=3, top_p=0.5, min_p=0.1)).pick(LOGITS)
    with pytest.raises(AssertionError):
        sampler(SAMPLED).pick(LOGITS)


@pytest.mark.parametrize(("allowed", "token"), [((0, 2, 5), 5), ((3, 1), 1), ((2,), 2), ((6, 2), 6)])
def test_greedy_under_a_mask_takes_the_highest_allowed(allowed: tuple[int, ...], token: int) -> None:
    assert sampler(SamplingParams()).pick(LOGITS, mask(*allowed)).token == token


def test_greedy_applies_the_penalty_first_and_sees_its_own_tokens() -> None:
    # 1 and 3 lead with 3.0; each drops to 1.5 once it has occurred, and 5 stands at 2.0.
    assert tokens(sampler(SamplingParams(repetition_penalty=2.0)), 5) == [1, 3, 5, 1, 1]


def test_the_prompt_and_appended_tokens_are_penalised() -> None:
    chosen = sampler(SamplingParams(repetition_penalty=2.0), prompt=[1, 1])
    chosen.push(3)
    assert tokens(chosen, 1) == [5]


def test_the_penalty_is_applied_once_beside_a_mask() -> None:
    # Twice penalised, 1 would fall to 0.75 and below 0.
    chosen = sampler(SamplingParams(repetition_penalty=2.0), prompt=[1, 3])
    assert chosen.pick(LOGITS, mask(0, 1)).token == 1
    _, weights = sampler(SamplingParams(temperature=1.0, repetition_penalty=2.0), prompt=[1]).distribution(
        LOGITS, mask(0, 1)
    )
    assert (weights / weights.sum())[:2] == pytest.approx(softmax([1.0, 1.5]))


def test_the_truncations_see_only_what_mask_and_penalty_leave() -> None:
    params = SamplingParams(temperature=1.0, top_k=2, repetition_penalty=3.0)
    chosen = sampler(params, prompt=[5])
    # Allowed are 5 (2.0, penalised to 0.67), 0 (1.0), 4 (0.5) and 7 (0.0).
    assert set(tokens(chosen, 60, mask(0, 4, 5, 7))) <= {0, 5, 4}
    ids, _ = sampler(params, prompt=[5]).distribution(LOGITS, mask(0, 4, 5, 7))
    assert ids is not None
    assert ids.tolist() == [0, 5]


def test_a_seed_fixes_the_tokens() -> None:
    assert tokens(sampler(SAMPLED, 7), 50) == tokens(sampler(SAMPLED, 7), 50)
    assert tokens(sampler(SAMPLED, 7), 50) != tokens(sampler(SAMPLED, 8), 50)


def test_requests_beside_each_other_do_not_touch_each_other() -> None:
    alone = tokens(sampler(SAMPLED, 3), 40)
    one, other = sampler(SAMPLED, 3), sampler(SAMPLED, 4)
    interleaved = []
    for _ in range(40):
        interleaved.append(one.pick(LOGITS).token)
        other.pick(LOGITS)
    assert interleaved == alone


@pytest.mark.parametrize(
    "params",
    [SAMPLED, SamplingParams(temperature=0.7, top_k=1), SamplingParams(adaptive_temperature=ADAPTIVE, top_p=0.5)],
    ids=str,
)
def test_exactly_one_uniform_number_is_drawn_a_token(params: SamplingParams, monkeypatch: pytest.MonkeyPatch) -> None:
    targets: list[float] = []

    def first(weights: npt.NDArray[np.float32], target: float) -> int:
        targets.append(target / float(weights.sum()))
        return 0

    monkeypatch.setattr(sampling, "reaching", first)
    chosen = sampler(params, seed=5)
    for allowed in (None, mask(2), None, mask(1, 5), None):
        chosen.push(4)
        chosen.pick(LOGITS, allowed)
    uniform = np.random.Generator(np.random.PCG64(5)).random(10)[1::2]  # each token without alternative takes one too
    assert targets == pytest.approx((1 - uniform).tolist(), rel=1e-6)


def test_tokens_fall_where_their_uniform_numbers_point() -> None:
    uniform = np.random.Generator(np.random.PCG64(5)).random(200)
    cumulated = np.cumsum(softmax(LOGITS.tolist()))
    assert tokens(sampler(SAMPLED, 5), 200) == np.searchsorted(cumulated, 1 - uniform).tolist()


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 6), st.data())
def test_verifying_drafts_in_order_gives_the_tokens_of_plain_decoding(chunk: int, data: st.DataObject) -> None:
    rows = np.random.default_rng(2).normal(size=(12, 20)).astype(np.float32) * 2
    params = SamplingParams(temperature=1.0, top_p=0.9, repetition_penalty=1.2)
    plain = sampler(params, 9)
    expected = [plain.pick(row).token for row in rows]
    speculated = sampler(params, 9)
    found: list[int] = []
    while len(found) < len(rows):
        drafts = data.draw(st.lists(st.integers(0, 19), max_size=chunk))
        for draft, row in zip([*drafts, -1], rows[len(found) :], strict=False):
            found.append(speculated.pick(row).token)
            if found[-1] != draft:
                break
    assert found == expected


def test_the_logits_stay_as_they_are() -> None:
    logits = LOGITS.copy()
    logits.flags.writeable = False
    params = SamplingParams(temperature=0.5, top_k=4, top_p=0.9, min_p=0.1, repetition_penalty=1.5, logprobs=2)
    sampler(params, prompt=[1]).pick(logits, mask(1, 3, 5))
    sampler(SamplingParams(repetition_penalty=1.5, logprobs=2), prompt=[1]).pick(logits, mask(0, 5))
    assert np.array_equal(logits, LOGITS)


@pytest.mark.parametrize("params", [SamplingParams(logprobs=3), SamplingParams(temperature=0.1, logprobs=3)], ids=str)
def test_log_probabilities_are_those_of_the_model_before_anything_else(params: SamplingParams) -> None:
    own = np.log(softmax(LOGITS.tolist()))
    chosen = Sampler(
        SamplingParams(params.max_new_tokens, params.temperature, repetition_penalty=50, logprobs=3), 0, [1]
    )
    token, logprob = chosen.pick(LOGITS, mask(2, 5, 6))
    assert token == 5
    assert logprob is not None
    assert logprob.token == 5
    assert logprob.logprob == pytest.approx(own[5], abs=1e-6)
    assert [one for one, _ in logprob.top] == [1, 3, 5]
    assert [p for _, p in logprob.top] == pytest.approx(own[[1, 3, 5]].tolist(), abs=1e-6)


def test_log_probabilities_are_left_out_unless_asked_for() -> None:
    assert sampler(SamplingParams()).pick(LOGITS).logprob is None
    named = sampler(SamplingParams(logprobs=0)).pick(LOGITS).logprob
    assert named is not None
    assert named.top == ()


ALL_KINDS = [
    SamplingParams(),
    SamplingParams(repetition_penalty=1.3),
    SAMPLED,
    SamplingParams(temperature=0.8, top_k=3, top_p=0.9, min_p=0.05, repetition_penalty=1.3, logprobs=5),
    SamplingParams(adaptive_temperature=ADAPTIVE, logprobs=1),
]


@pytest.mark.parametrize("params", ALL_KINDS, ids=str)
def test_a_vocabulary_of_one_token_has_one_answer(params: SamplingParams) -> None:
    chosen = sampler(params, prompt=[0])
    assert [chosen.pick(np.array([-3.0], dtype=np.float32)).token for _ in range(3)] == [0, 0, 0]


@pytest.mark.parametrize("params", ALL_KINDS, ids=str)
def test_the_only_allowed_token_is_taken_however_improbable(params: SamplingParams) -> None:
    logits = np.array([90.0, -90.0, 80.0, -1e30], dtype=np.float32)
    for only in (1, 3):
        allowed = np.arange(4) == only
        chosen = sampler(params, prompt=[1, 0])
        assert {chosen.pick(logits, allowed).token for _ in range(5)} == {only}


@pytest.mark.parametrize("params", ALL_KINDS, ids=str)
def test_tokens_that_the_engine_rules_out_are_never_taken(params: SamplingParams) -> None:
    logits = np.full(600, -np.inf, dtype=np.float32)
    logits[[1, 300]] = 0.0
    chosen = sampler(params, prompt=[1, 2])
    assert {chosen.pick(logits).token for _ in range(60)} <= {1, 300}


@pytest.mark.parametrize("params", ALL_KINDS, ids=str)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_broken_logits_are_an_error_of_the_engine_even_where_they_are_masked(
    params: SamplingParams, bad: float
) -> None:
    logits = LOGITS.copy()
    logits[4] = bad
    for allowed in (None, mask(1, 2)):
        with pytest.raises(EngineError, match="logit of"):
            sampler(params).pick(logits, allowed)


@pytest.mark.parametrize("params", ALL_KINDS, ids=str)
def test_logits_that_rule_everything_out_are_an_error_of_the_engine(params: SamplingParams) -> None:
    with pytest.raises(EngineError, match="logit of -inf"):
        sampler(params).pick(np.full(4, -np.inf, dtype=np.float32))


@pytest.mark.parametrize("params", ALL_KINDS, ids=str)
def test_a_mask_that_leaves_nothing_is_an_error_of_the_request(params: SamplingParams) -> None:
    logits = np.array([1.0, -np.inf, 2.0], dtype=np.float32)
    for allowed in ([False, False, False], [False, True, False]):
        with pytest.raises(RequestError, match="allows no token"):
            sampler(params).pick(logits, np.array(allowed))


def test_a_mask_of_another_vocabulary_is_refused() -> None:
    with pytest.raises(EngineError, match="mask over 9 tokens meets logits of 8"):
        sampler(SamplingParams()).pick(LOGITS, np.ones(9, dtype=np.bool_))
