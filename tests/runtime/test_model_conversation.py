"""A conversation goes on from its last turn, and says what it would say from the beginning."""

from __future__ import annotations

import pytest

from edge_autoglm.runtime.engine import Chunk
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.kv.store import KVStore
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.runtime.requests.stream import TokenStream
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from edge_autoglm.values import SamplingParams
from tests.checkpoints import VOCAB_SIZE
from tests.runtime.engines_for_tests import RoundingEngine
from tests.waiting import wait_until

EOS = 2
TURNS = ([5, 80, 17, 200, 9], [31, 32, 33], [44, 45, 46, 47])


def new_model(tokenizer: Tokenizer, engine: ScriptedEngine | None = None, budget: int = 1 << 20) -> LanguageModel:
    engine = engine or ScriptedEngine(VOCAB_SIZE)
    kv = KVStore(engine.facts.fingerprint, budget)
    return LanguageModel(engine, tokenizer, None, [EOS], None, kv)


def say(model: LanguageModel, tokens: list[int], params: SamplingParams) -> TokenStream:
    stream = model.stream(tokens, params, keep=True)
    stream.read()
    return stream


def answer_tokens(tokens: list[int], count: int) -> list[int]:
    """What ``ScriptedEngine`` decodes greedily behind some tokens."""
    engine, answer = ScriptedEngine(VOCAB_SIZE), list(tokens)
    for _ in range(count):
        engine.truncate(0, 0)
        [[logits]] = engine.forward([Chunk(0, answer)])
        answer.append(int(logits.argmax()))
    return answer[len(tokens) :]


@pytest.mark.parametrize("exact", [True, False], ids=["exact decode", "rounding decode"])
def test_each_turn_starts_behind_the_one_before(byte_level: Tokenizer, exact: bool) -> None:
    kind = ScriptedEngine if exact else RoundingEngine
    model = new_model(byte_level, kind(VOCAB_SIZE))
    greedy = SamplingParams(max_new_tokens=8)
    tokens: list[int] = []
    for turn in TURNS:
        before, tokens = tokens, [*tokens, *turn]
        stream = say(model, tokens, greedy)
        answer = answer_tokens(tokens, 8)
        assert stream.read() == byte_level.decode(answer)
        # The last token of an answer was picked, but never ran; of a rounding engine only prompts are reused.
        held = len(before) if exact else len(before) - 8
        assert stream.usage.num_cached_tokens == max(held - 1 if exact else held, 0)
        tokens += answer
    assert model.kv.stats.pinned_bytes == 0


@pytest.mark.parametrize("budget", [0, 100, 1 << 20], ids=["nothing held", "little held", "all held"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_what_is_held_changes_no_answer(byte_level: Tokenizer, budget: int, temperature: float) -> None:
    params = SamplingParams(max_new_tokens=8, temperature=temperature, seed=5)
    kept, tokens = new_model(byte_level, budget=budget), [3]
    for turn in TURNS:
        tokens = [*tokens, *turn]
        text = say(kept, tokens, params).text
        assert text == new_model(byte_level).stream(tokens, params).read()
        tokens += byte_level.encode(text)
    assert kept.kv.stats.nbytes <= budget


def test_an_answer_that_was_cut_short_leaves_its_prompt(byte_level: Tokenizer) -> None:
    model = new_model(byte_level)
    tokens = [*TURNS[0], *TURNS[1]]
    with model.stream(tokens, SamplingParams(max_new_tokens=100), keep=True) as stream:
        next(stream)
    wait_until(lambda: model.kv.covered(tokens) == len(tokens))  # by the step that the first token came from
    assert say(model, [*tokens, 60, 61], SamplingParams(max_new_tokens=2)).usage.num_cached_tokens == len(tokens)


def test_requests_that_ask_for_nothing_to_be_kept_leave_nothing(byte_level: Tokenizer) -> None:
    model = new_model(byte_level)
    model.stream(TURNS[0], SamplingParams(max_new_tokens=8)).read()
    assert model.kv.stats.nbytes == 0
