from __future__ import annotations

import math

import pytest

from edge_autoglm.errors import EngineError, RequestError
from edge_autoglm.runtime.engine import Chunk
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.model import LanguageModel, ModelLimits
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from tests.checkpoints import VOCAB_SIZE
from tests.runtime.engines_for_tests import CountingEngine

TOKENS = [5, 80, 17, 200, 9]


@pytest.fixture
def model(byte_level: Tokenizer) -> LanguageModel:
    return LanguageModel(CountingEngine(VOCAB_SIZE, capacity=64), byte_level, None, [2], None)


def reference(label: list[int]) -> float:
    """Token by token, in plain Python floats."""
    engine = ScriptedEngine(VOCAB_SIZE)
    total = 0.0
    for n, token in enumerate(label):
        engine.truncate(0, 0)
        [[logits]] = engine.forward([Chunk(0, [*TOKENS, *label[:n]])])
        values = [float(value) for value in logits]
        total += values[token] - math.log(math.fsum(math.exp(value) for value in values))
    return total


def calls(model: LanguageModel) -> int:
    assert isinstance(model.engine, CountingEngine)
    return model.engine.passes


@pytest.mark.parametrize("labels", [[[3], [4]], [[3, 8], [4]], [[3, 8, 8, 1], [3, 8], [3]]])
def test_scores_are_log_probabilities_of_the_continuation(model: LanguageModel, labels: list[list[int]]) -> None:
    assert model.score(TOKENS, labels).logprobs == pytest.approx([reference(label) for label in labels], abs=1e-12)


def test_labels_of_one_token_take_one_forward_pass(model: LanguageModel) -> None:
    model.score(TOKENS, [[token] for token in range(50)])
    assert calls(model) == 1


@pytest.mark.parametrize(
    ("labels", "passes"),
    [
        ([[3, 8, 1]], 1),
        ([[4], [3, 8, 1], [5], [3, 8, 1]], 1),
        ([[3, 8, 1], [4], [5, 6]], 2),
        ([[3, 8, 1], [3, 8], [3, 8, 8], [3]], 3),
    ],
    ids=["one", "one among short ones, twice", "two", "three that begin alike"],
)
def test_one_longer_label_rides_along_and_each_further_one_takes_a_pass(
    model: LanguageModel, labels: list[list[int]], passes: int
) -> None:
    scores = model.score(TOKENS, labels)
    assert calls(model) == passes
    assert scores.logprobs == pytest.approx([reference(label) for label in labels], abs=1e-12)


@pytest.mark.parametrize("chunk", [2, 3, 5])
def test_chunks_change_no_score(model: LanguageModel, byte_level: Tokenizer, chunk: int) -> None:
    engine = ScriptedEngine(VOCAB_SIZE, capacity=64)
    chunked = LanguageModel(engine, byte_level, None, [2], None, limits=ModelLimits(prefill_chunk=chunk))
    prompt, labels = [7] * 23, [[3, 8, 1, 4], [5], [5, 6]]
    assert chunked.score(prompt, labels).logprobs == model.score(prompt, labels).logprobs


def test_both_ways_agree(model: LanguageModel) -> None:
    """What a long label adds behind its first token is what that token's successor scores as a label of its own."""
    pairs = [(token, token + 1) for token in range(40, 60)]
    together = model.score(TOKENS, [list(pair) for pair in pairs]).logprobs
    first = model.score(TOKENS, [[token] for token, _ in pairs]).logprobs
    rest = [model.score([*TOKENS, token], [[successor]]).logprobs[0] for token, successor in pairs]
    assert together == [a + b for a, b in zip(first, rest, strict=True)]


def test_a_label_does_not_depend_on_the_others(model: LanguageModel) -> None:
    alone = [model.score(TOKENS, [label]).logprobs[0] for label in ([3, 8, 1], [4], [3, 9])]
    assert model.score(TOKENS, [[3, 8, 1], [4], [3, 9]]).logprobs == alone
    assert model.score(TOKENS, [[3, 9], [3, 8, 1], [4]]).logprobs == [alone[2], alone[0], alone[1]]


def test_probabilities_of_all_tokens_sum_to_one(model: LanguageModel) -> None:
    logprobs = model.score(TOKENS, [[token] for token in range(VOCAB_SIZE)]).logprobs
    assert math.fsum(map(math.exp, logprobs)) == pytest.approx(1.0, abs=1e-12)


def test_usage_counts_what_was_cached(model: LanguageModel, byte_level: Tokenizer) -> None:
    prompt = "this is a good film and the text"
    plain = model.score(model.encode_prompt(prompt), [[3], [4, 5]])
    tokens, computed = model.make_resident("this is a good")
    assert len(tokens) == computed == 7
    cached = model.score(model.encode_prompt(prompt), [[3], [4, 5]])
    assert cached.logprobs == plain.logprobs
    assert (plain.usage.num_cached_tokens, cached.usage.num_cached_tokens) == (0, 7)
    assert cached.usage.prompt_tokens == len(byte_level.encode(prompt))
    assert cached.usage.new_tokens == 0
    assert 0 <= cached.timings.queue <= cached.timings.ttft == cached.timings.total


@pytest.mark.parametrize("labels", [[], [[]], [[3], []]])
def test_labels_without_tokens_are_refused(model: LanguageModel, labels: list[list[int]]) -> None:
    with pytest.raises(RequestError, match="label"):
        model.score(TOKENS, labels)


@pytest.mark.parametrize("label", [[VOCAB_SIZE], [3, VOCAB_SIZE], [-1]])
def test_labels_outside_the_vocabulary_are_refused(model: LanguageModel, label: list[int]) -> None:
    with pytest.raises(EngineError, match="label"):
        model.score(TOKENS, [[3], label])
    assert calls(model) == 0


@pytest.mark.parametrize(
    ("prompt", "label", "expected"),
    [
        ("Sentiment:", " positive", " positive"),
        ("Sentiment:\n", "positive", "positive"),
        ("a goo", "d film", "d film"),
        ("", "good", "good"),
    ],
    ids=["after a colon", "after a line break", "merging with the prompt", "without a prompt"],
)
def test_label_tokens_are_those_behind_the_prompt(
    model: LanguageModel, byte_level: Tokenizer, prompt: str, label: str, expected: str
) -> None:
    tokens = model.label_tokens(prompt, label)
    assert byte_level.decode(tokens) == expected
    if prompt and not prompt.endswith("goo"):
        assert byte_level.encode(prompt) + tokens == byte_level.encode(prompt + label)
