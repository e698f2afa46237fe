"""Scores are sums of log-probabilities, whatever is held and however many passes they take."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.errors import EngineError
from edge_autoglm.runtime.engine import Chunk, Logits
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.kv.store import KVStore
from edge_autoglm.runtime.requests.reside import prefilled
from edge_autoglm.runtime.requests.score import Scores, Scoring
from tests.runtime.requests.driving import Driven, drive

VOCAB_SIZE = 32
PROMPT = [3, 1, 4, 1, 5, 9]


def by_hand(prompt: Sequence[int], label: Sequence[int]) -> float:
    """In double precision, one token at a time, from the engine alone."""
    engine, total, tokens = ScriptedEngine(VOCAB_SIZE), 0.0, list(prompt)
    for token in label:
        engine.truncate(0, 0)
        [logits] = engine.forward([Chunk(0, tokens)])
        row = logits[-1].astype(np.float64)
        total += float(row[token]) - math.log(np.exp(row).sum())
        tokens.append(token)
    return total


def score(labels: Sequence[Sequence[int]], kv: KVStore | None = None) -> Driven[Scores]:
    engine = ScriptedEngine(VOCAB_SIZE)
    engine.forward([Chunk(0, [7, 7, 7])])  # what another request left
    store = KVStore(engine.facts.fingerprint, 1 << 16) if kv is None else kv
    return drive(Scoring(store, PROMPT, labels).steps, engine)


_LABELS = st.lists(st.lists(st.integers(0, VOCAB_SIZE - 1), min_size=1, max_size=5), min_size=1, max_size=5)


@given(_LABELS)
def test_scores_are_those_of_one_token_at_a_time(labels: list[list[int]]) -> None:
    assert score(labels).result.logprobs == pytest.approx([by_hand(PROMPT, label) for label in labels], abs=1e-4)


@pytest.mark.parametrize(
    ("labels", "passes"),
    [
        ([[1], [2], [3]], [6]),
        ([[1], [2, 3, 4], [5]], [8]),
        ([[1, 2], [3, 4, 5]], [7, 3]),
        ([[1, 2], [3, 4, 5], [6, 7], [8]], [7, 3, 2]),
        ([[1, 2], [1, 2], [1, 2]], [7]),
    ],
)
def test_one_pass_is_enough_for_one_long_label(labels: list[list[int]], passes: list[int]) -> None:
    assert score(labels).lengths == passes


def test_what_is_held_changes_no_score_and_saves_its_tokens() -> None:
    labels = [[1, 2, 3], [4], [5, 6]]
    engine = ScriptedEngine(VOCAB_SIZE)
    kv = KVStore(engine.facts.fingerprint, 1 << 16)
    drive(prefilled(kv, PROMPT), engine)
    plain, cached = score(labels), score(labels, kv)
    assert cached.result.logprobs == plain.result.logprobs
    assert (plain.result.usage.num_cached_tokens, cached.result.usage.num_cached_tokens) == (0, len(PROMPT) - 2)
    assert cached.lengths == [4, 2]


def test_no_token_is_new_and_times_are_in_order() -> None:
    result = score([[1], [2, 3]]).result
    assert (result.usage.prompt_tokens, result.usage.new_tokens) == (len(PROMPT), 0)
    assert 0 <= result.timings.queue <= result.timings.ttft == result.timings.total


class BrokenEngine(ScriptedEngine):
    """Answers with NaN."""

    def forward(self, chunks: Sequence[Chunk]) -> list[Logits]:
        return [np.full_like(logits, np.nan) for logits in super().forward(chunks)]


def test_logits_that_are_no_numbers_are_an_error() -> None:
    engine = BrokenEngine(VOCAB_SIZE)
    with pytest.raises(EngineError, match="nan"):
        drive(Scoring(KVStore(engine.facts.fingerprint, 0), PROMPT, [[1]]).steps, engine)
