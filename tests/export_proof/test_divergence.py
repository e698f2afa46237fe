"""KL, perplexity and top-1 against a plain float64 computation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_autoglm.errors import ExportError
from edge_autoglm.export.proof.divergence import Divergence, compare_windows
from edge_autoglm.export.proof.language import Language
from edge_autoglm.export.texts import heldout_text
from edge_autoglm.runtime.engine import Chunk, Engine
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine

Array = npt.NDArray[np.float32]


def _log_softmax(logits: Array) -> npt.NDArray[np.float64]:
    wide = logits.astype(np.float64)
    result: npt.NDArray[np.float64] = wide - np.logaddexp.reduce(wide, axis=1)[:, None]
    return result


def _plain(reference: Array, candidate: Array, targets: npt.NDArray[np.int64]) -> tuple[float, float, float, float]:
    p, q = _log_softmax(reference), _log_softmax(candidate)
    rows = np.arange(len(targets))
    kl = (np.exp(p) * (p - q)).sum(axis=1).mean()
    top1 = (p.argmax(axis=1) == q.argmax(axis=1)).mean()
    return float(np.exp(-p[rows, targets].mean())), float(np.exp(-q[rows, targets].mean())), float(kl), float(top1)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 40),
    st.integers(2, 400),
    st.floats(0.01, 30.0),
    st.floats(0.0, 5.0),
    st.floats(-200.0, 200.0),
)
def test_figures_are_those_of_the_definition(
    seed: int, tokens: int, vocab: int, spread: float, noise: float, shift: float
) -> None:
    rng = np.random.default_rng(seed)
    reference = (rng.standard_normal((tokens, vocab)) * spread + shift).astype(np.float32)
    candidate = (reference + rng.standard_normal((tokens, vocab)) * noise).astype(np.float32)
    targets = rng.integers(0, vocab, tokens)
    divergence = Divergence()
    for part in np.array_split(np.arange(tokens), min(3, tokens)):
        divergence.add(reference[part], candidate[part], targets[part].tolist())
    found = divergence.figures()
    reference_perplexity, perplexity, kl, top1 = _plain(reference, candidate, targets)
    assert found.tokens == tokens
    assert found.reference_perplexity == pytest.approx(reference_perplexity, rel=1e-4)
    assert found.perplexity == pytest.approx(perplexity, rel=1e-4)
    assert found.kl == pytest.approx(kl, rel=1e-4, abs=2e-5)
    assert found.top1 == top1


def test_a_small_divergence_is_not_lost_in_rounding() -> None:
    rng = np.random.default_rng(0)
    reference = (rng.standard_normal((64, 50_000)) * 3).astype(np.float32)
    candidate = (reference + rng.standard_normal(reference.shape) * 3e-3).astype(np.float32)
    divergence = Divergence()
    divergence.add(reference, candidate, [0] * 64)
    *_, kl, _ = _plain(reference, candidate, np.zeros(64, dtype=np.int64))
    assert 1e-6 < kl < 1e-5
    assert divergence.figures().kl == pytest.approx(kl, abs=2e-7)


def test_the_same_logits_are_exactly_no_distance() -> None:
    logits = (np.random.default_rng(1).standard_normal((8, 300)) * 10).astype(np.float32)
    divergence = Divergence()
    divergence.add(logits, logits.copy(), [3] * 8)
    figures = divergence.figures()
    assert figures.kl == 0.0
    assert figures.top1 == 1.0
    assert figures.perplexity == figures.reference_perplexity


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("broken", ["original", "engine"])
def test_logits_that_are_no_numbers_are_refused(value: float, broken: str) -> None:
    sound = np.zeros((3, 5), dtype=np.float32)
    bad = sound.copy()
    bad[1, 2] = value
    pair = (bad, sound) if broken == "original" else (sound, bad)
    with pytest.raises(ExportError, match=f"the {broken} gives logits that are NaN or infinite"):
        Divergence().add(*pair, [0, 0, 0])


def test_a_hopeless_engine_has_a_finite_perplexity() -> None:
    logits = np.zeros((1, 2), dtype=np.float32)
    sure = np.array([[5000.0, 0.0]], dtype=np.float32)
    divergence = Divergence()
    divergence.add(logits, sure, [1])
    assert np.isfinite(divergence.figures().perplexity)


def test_windows_are_predicted_token_by_token(engine: Engine, language: Language) -> None:
    windows = language.windows(heldout_text(), 3, 130)  # 129 predictions: two chunks, and one of a single token merged
    told: list[tuple[int, int]] = []
    other = ScriptedEngine(vocab_size=engine.facts.vocab_size, slots=1)
    found = compare_windows(engine, other, windows, lambda done, total: told.append((done, total)))
    plain = []
    for window in windows:
        engine.truncate(0, 0)
        other.truncate(0, 0)
        chunk = Chunk(0, window, range(129))
        [reference], [candidate] = engine.forward([chunk]), other.forward([chunk])
        plain.append(_plain(reference, candidate, np.array(window[1:])))
    assert found.tokens == 3 * 129
    assert found.kl == pytest.approx(np.mean([kl for _, _, kl, _ in plain]), rel=1e-5)
    assert found.perplexity == pytest.approx(np.exp(np.mean([np.log(p) for _, p, _, _ in plain])), rel=1e-5)
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_large_vocabulary_is_read_in_small_pieces() -> None:
    class Counting(ScriptedEngine):
        longest = 0

        def forward(self, chunks):  # type: ignore[no-untyped-def]
            self.longest = max(self.longest, *(len(chunk.tokens) for chunk in chunks))
            return super().forward(chunks)

    engine = Counting(vocab_size=300_000, slots=1)
    compare_windows(engine, engine, [list(range(30))], lambda done, total: None)
    assert 2 <= engine.longest <= 16


def test_engines_of_different_vocabulary_are_not_compared() -> None:
    with pytest.raises(ExportError, match="the original has 7 logits a token, the engine 8"):
        compare_windows(ScriptedEngine(7), ScriptedEngine(8), [[1, 2, 3]], lambda done, total: None)
