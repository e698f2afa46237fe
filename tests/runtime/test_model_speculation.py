"""Drafts by prompt look-up save forward passes and change nothing else."""

from __future__ import annotations

import pytest

from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.model import LanguageModel, ModelLimits
from edge_autoglm.runtime.requests.stream import TokenStream
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from edge_autoglm.values import SamplingParams
from tests.checkpoints import VOCAB_SIZE
from tests.runtime.engines_for_tests import CountingEngine, RoundingEngine
from tests.waiting import GatedEngine

EOS = 2
PROMPT = [5, 6, 7, 8]
LIST = "1. good film\n2. good film\n3. good film\n4. good film\n5. good film\n6. good film\n"


def repeating(tokenizer: Tokenizer, answer: str = LIST) -> dict[tuple[int, ...], int]:
    """A script that answers ``PROMPT`` by a text, and then ends."""
    so_far, steps = list(PROMPT), {}
    for token in [*tokenizer.encode(answer), EOS]:
        steps[tuple(so_far)] = token
        so_far.append(token)
    return steps


def ask(
    tokenizer: Tokenizer, speculate: bool, params: SamplingParams, engine: ScriptedEngine | None = None
) -> tuple[TokenStream, int]:
    """The stream, read to its end, and the forward passes that it took."""
    engine = engine or CountingEngine(VOCAB_SIZE, script=repeating(tokenizer))
    model = LanguageModel(engine, tokenizer, None, [EOS], None, limits=ModelLimits(speculate=speculate))
    stream = model.stream(PROMPT, params)
    stream.read()
    assert isinstance(engine, CountingEngine)
    return stream, engine.passes


def test_an_answer_that_repeats_itself_takes_fewer_passes(byte_level: Tokenizer) -> None:
    plain, plain_passes = ask(byte_level, False, SamplingParams(max_new_tokens=200))
    quick, passes = ask(byte_level, True, SamplingParams(max_new_tokens=200))
    assert quick.text == plain.text == LIST
    assert quick.finish_reason == plain.finish_reason == "eos"
    assert quick.usage.new_tokens == plain.usage.new_tokens == plain_passes == len(byte_level.encode(LIST)) + 1
    assert (plain.usage.drafted_tokens, plain.usage.accepted_tokens) == (0, 0)
    assert quick.usage.drafted_tokens >= quick.usage.accepted_tokens > 0
    assert passes == plain_passes - quick.usage.accepted_tokens


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(max_new_tokens=25),
        SamplingParams(stop=("5. good",)),
        SamplingParams(stop=("m\n4.",), logprobs=2),
        SamplingParams(max_new_tokens=200, logprobs=3),
        SamplingParams(max_new_tokens=200, temperature=1.0, seed=3),
        SamplingParams(max_new_tokens=200, temperature=6.0, seed=4, top_k=9),
        SamplingParams(max_new_tokens=200, repetition_penalty=1.5, logprobs=0),
    ],
    ids=["limit", "stop", "stop inside a draft", "logprobs", "sampled", "hot", "penalty"],
)
def test_drafts_change_no_token_and_no_figure(byte_level: Tokenizer, params: SamplingParams) -> None:
    plain, _ = ask(byte_level, False, params)
    quick, _ = ask(byte_level, True, params)
    assert quick.text == plain.text
    assert quick.finish_reason == plain.finish_reason
    assert quick.logprobs == plain.logprobs
    assert quick.usage.new_tokens == plain.usage.new_tokens
    assert quick.usage.accepted_tokens > 0 or params.temperature > 5


@pytest.mark.parametrize("room", range(20, 30))
def test_a_slot_that_fills_up_ends_drafts_in_time(byte_level: Tokenizer, room: int) -> None:
    runs = []
    for speculate in (False, True):
        engine = CountingEngine(VOCAB_SIZE, capacity=len(PROMPT) + room, script=repeating(byte_level))
        stream, _ = ask(byte_level, speculate, SamplingParams(max_new_tokens=200), engine)
        runs.append((stream.text, stream.finish_reason, stream.usage.new_tokens))
        assert stream.usage.new_tokens == room
    assert runs[0] == runs[1]


def test_an_engine_that_rounds_decode_steps_is_given_no_drafts(byte_level: Tokenizer) -> None:
    engine = RoundingEngine(VOCAB_SIZE, script=repeating(byte_level))
    stream, passes = ask(byte_level, True, SamplingParams(max_new_tokens=200), engine)
    assert stream.text == LIST
    assert stream.usage.drafted_tokens == 0
    assert passes == stream.usage.new_tokens


def test_beside_other_requests_nothing_is_drafted(byte_level: Tokenizer) -> None:
    engine = GatedEngine(VOCAB_SIZE, slots=2, script=repeating(byte_level))
    model = LanguageModel(engine, byte_level, None, [EOS], None)
    stream = model.stream(PROMPT, SamplingParams(max_new_tokens=200))
    engine.wait_for_pass(1)
    other = model.stream([100, 101, 102], SamplingParams(max_new_tokens=200))
    engine.open_gate()
    assert stream.read() == LIST
    shared = [chunks for chunks in engine.passes if len(chunks) == 2]
    assert len(shared) == stream.usage.new_tokens - 1, "as long as both run, they share every pass"
    assert all(len(chunk.tokens) == 1 for chunks in shared[1:] for chunk in chunks)
    other.close()
