from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from edge_autoglm.runtime.engine import Chunk, Logits
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from edge_autoglm.swap.checks.distribution import divergence, kl_divergence, same_vocabulary, t_quantile
from edge_autoglm.swap.checks.texts import MAX_TOKENS, windows
from tests.checkpoints import VOCAB_SIZE
from tests.runtime.tokenizers_for_tests import byte_fallback_json
from tests.swap.world import EOS, TOKENIZER, HookedEngine, first_generation, make_model, scripted

WINDOWS = [TOKENIZER.encode(text) for text in ("It rained all day.", "What a film!", "The end of it")]


def softmax(logits: Logits) -> npt.NDArray[np.float64]:
    weights = np.exp(logits.astype(np.float64))
    probabilities: npt.NDArray[np.float64] = weights / weights.sum(axis=-1, keepdims=True)
    return probabilities


def rules_out(chunks: Sequence[Chunk], logits: list[Logits]) -> list[Logits]:
    for rows in logits:
        rows[:, 7] = -math.inf
    return logits


def test_mean_kl_is_the_mean_over_texts_of_the_divergence_at_each_position() -> None:
    engines = scripted(seed=1), scripted(seed=2)
    found = divergence(make_model(engines[0]), make_model(engines[1]), WINDOWS, 500, np.random.default_rng(0))
    means = []
    for window in WINDOWS:
        chunk = Chunk(0, window, range(len(window)))
        p, q = (softmax(scripted(seed=seed).forward([chunk])[0]) for seed in (1, 2))
        means.append(float(np.mean(np.sum(p * np.log(p / q), axis=-1))))
    assert found.samples == sum(map(len, WINDOWS))
    assert found.mean_kl == pytest.approx(np.mean(means), rel=1e-9)
    expected_bound = np.mean(means) + t_quantile(0.95, 2) * np.std(means, ddof=1) / math.sqrt(3)
    assert found.bound == pytest.approx(expected_bound, rel=1e-9)


def test_kl_is_in_nats() -> None:
    p, q = np.log([0.5, 0.25, 0.25]), np.log([0.25, 0.5, 0.25])
    assert kl_divergence(p, q) == pytest.approx(0.25 * math.log(2))
    assert kl_divergence(p, p) == 0.0


def test_tokens_that_only_the_candidate_rules_out_count_as_infinitely_unlike() -> None:
    whole, cut = make_model(), make_model(HookedEngine(scripted(), rules_out))
    found = divergence(whole, cut, WINDOWS, 100, np.random.default_rng(0))
    assert (found.mean_kl, found.bound) == (math.inf, math.inf)
    assert 0 < divergence(cut, whole, WINDOWS, 100, np.random.default_rng(0)).mean_kl < 0.1


def test_a_model_is_not_told_from_itself_and_is_from_another() -> None:
    same = divergence(make_model(), make_model(), WINDOWS, 30, np.random.default_rng(0))
    assert (same.p_value, same.mean_kl, same.bound) == (1.0, 0.0, 0.0)
    assert divergence(make_model(), make_model(scripted(seed=5)), WINDOWS, 30, np.random.default_rng(0)).p_value < 0.01


def test_no_more_positions_are_used_than_were_asked_for() -> None:
    assert divergence(make_model(), make_model(), WINDOWS, 20, np.random.default_rng(0)).samples == 20


@pytest.mark.parametrize(("degrees", "exact"), [(3, 2.3534), (5, 2.0150), (8, 1.8595), (20, 1.7247), (100, 1.6602)])
def test_quantiles_of_t(degrees: int, exact: float) -> None:
    assert t_quantile(0.95, degrees) == pytest.approx(exact, rel=0.02)


def test_a_vocabulary_is_compared_token_by_token() -> None:
    active = first_generation()
    texts = windows(active, 2)
    assert same_vocabulary(active.model, make_model(scripted(seed=5)), texts)
    assert not same_vocabulary(active.model, make_model(ScriptedEngine(VOCAB_SIZE + 1)), texts)
    stranger = Tokenizer(byte_fallback_json())
    assert not same_vocabulary(active.model, make_model(tokenizer=stranger), texts)
    begins = LanguageModel(scripted(), TOKENIZER, None, [EOS], add_bos_id=1)
    assert not same_vocabulary(active.model, begins, texts)


def test_windows_are_short_and_mix_probes_with_shipped_texts() -> None:
    found = windows(first_generation(), 2)
    assert all(0 < len(window) <= MAX_TOKENS for window in found)
    assert found[0] == TOKENIZER.encode("It rained all day.")
    assert len(found) > 40
    assert sum(map(len, found)) >= 1000
