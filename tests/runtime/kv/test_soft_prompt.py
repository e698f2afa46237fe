"""Virtual tokens, the file of a soft prompt, and what a model does with both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edge_autoglm.errors import DamagedBundle, EngineError, ForeignSoftPrompt, MemoryBudgetExceeded, RequestError
from edge_autoglm.runtime.engine import Chunk, KVSegment
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.kv.pack_format import PackKey
from edge_autoglm.runtime.kv.packs import load_pack, save_pack
from edge_autoglm.runtime.kv.soft_prompt import SoftPrompt, load_soft_prompt
from edge_autoglm.runtime.kv.store import KVStore
from edge_autoglm.runtime.kv.virtual_tokens import VIRTUAL, check_held, count_virtual, virtual_tokens
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.values import SamplingParams
from tests.checkpoints import VOCAB_SIZE
from tests.swap.world import CHAT, EOS, TOKENIZER

NAME = "tuned"
STANDS_FOR = [7, 8, 9, 10]
"""Tokens whose KV the soft prompt of these tests is: the same logits must come of both."""


def kv_of(tokens: Sequence[int], engine: ScriptedEngine) -> KVSegment:
    own = engine.fork(1)
    own.forward([Chunk(0, tokens)])
    return own.copy_out(0, 0, len(tokens))


def model_over(engine: ScriptedEngine, nbytes: int = 1 << 20) -> LanguageModel:
    return LanguageModel(engine, TOKENIZER, CHAT, [EOS], None, KVStore(engine.facts.fingerprint, nbytes))


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine(VOCAB_SIZE, slots=2)


@pytest.fixture
def soft(engine: ScriptedEngine) -> SoftPrompt:
    return SoftPrompt.of(kv_of(STANDS_FOR, engine))


def test_virtual_tokens_are_negative_in_order_and_their_own() -> None:
    one, other = virtual_tokens("0" * 64, 3), virtual_tokens("f" * 64, 3)
    assert all(token in VIRTUAL for token in (*one, *other))
    assert len({*one, *other}) == 6
    assert (count_virtual([*one, 4, 5]), count_virtual(one), count_virtual([4])) == (3, 3, 0)
    assert all(np.int64(token) == token for token in (*one, *other))


@pytest.mark.parametrize("held", [0, 2])
def test_a_virtual_token_that_is_left_is_an_error(held: int) -> None:
    with pytest.raises(EngineError, match=f"of 3 virtual tokens of a soft prompt, the KV of {held} is held"):
        check_held([*virtual_tokens("a" * 64, 3), 5], held)
    check_held([*virtual_tokens("a" * 64, 3), 5], 3)


def test_the_file_gives_back_what_was_written(engine: ScriptedEngine, soft: SoftPrompt, tmp_path: Path) -> None:
    path = tmp_path / "tuned.kv"
    path.write_bytes(soft.to_bytes())
    read = load_soft_prompt(path, engine.facts.fingerprint)
    assert read.tokens == soft.tokens
    np.testing.assert_array_equal(read.segment.arrays[0], soft.segment.arrays[0])


def test_one_of_another_engine_is_refused_with_the_cure(soft: SoftPrompt, tmp_path: Path) -> None:
    path = tmp_path / "tuned.kv"
    path.write_bytes(soft.to_bytes())
    with pytest.raises(ForeignSoftPrompt, match="it was made for engine 'scripted-") as raised:
        load_soft_prompt(path, "another")
    assert str(path) in raised.value.cause
    assert "Import the soft prompt again" in raised.value.cure


def test_a_damaged_file_is_named(engine: ScriptedEngine, soft: SoftPrompt, tmp_path: Path) -> None:
    path, content = tmp_path / "tuned.kv", soft.to_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(DamagedBundle, match=r"tuned\.kv: it is damaged"):
            load_soft_prompt(path, engine.facts.fingerprint)
    for end in (0, 7, 40, len(content) - 1):
        path.write_bytes(content[:end])
        with pytest.raises(DamagedBundle, match=r"tuned\.kv"):
            load_soft_prompt(path, engine.facts.fingerprint)
    path.unlink()
    with pytest.raises(DamagedBundle, match=r"tuned\.kv cannot be read: No such file"):
        load_soft_prompt(path, engine.facts.fingerprint)


def test_a_prompt_behind_it_goes_on_as_behind_the_tokens_it_stands_for(
    engine: ScriptedEngine, soft: SoftPrompt
) -> None:
    model = model_over(engine)
    model.hold_soft_prompt(NAME, soft)
    text = TOKENIZER.encode("the film is")
    prompt = model.encode_prompt("the film is", NAME)
    assert prompt == [*soft.tokens, *text]
    params = SamplingParams(max_new_tokens=12, temperature=0.8, seed=3, repetition_penalty=1.3)
    plain = model_over(engine.fork(2))
    # The penalty sees the vocabulary's tokens only, so these two differ where it strikes those it stands for.
    unpenalised = SamplingParams(max_new_tokens=12, temperature=0.8, seed=3)
    assert model.stream(prompt, unpenalised).read() == plain.stream([*STANDS_FOR, *text], unpenalised).read()
    assert model.stream(prompt, params).read()
    labels = [[20], [21, 22], [23, 24, 25]]
    assert model.score(prompt, labels).logprobs == plain.score([*STANDS_FOR, *text], labels).logprobs
    model.close()
    plain.close()


def test_all_virtual_tokens_are_cached_even_before_a_prompt_of_one_token(
    engine: ScriptedEngine, soft: SoftPrompt
) -> None:
    model = model_over(engine)
    model.hold_soft_prompt(NAME, soft)
    for count in (1, 2, 3):
        tokens = [*soft.tokens, *range(30, 30 + count)]
        stream = model.stream(tokens, SamplingParams(max_new_tokens=2))
        stream.read()
        assert stream.usage.num_cached_tokens == len(STANDS_FOR)
    model.close()


def test_what_is_not_held_is_an_error_and_no_answer(engine: ScriptedEngine, soft: SoftPrompt) -> None:
    model = model_over(engine)
    with pytest.raises(EngineError, match="does not hold the soft prompt tuned"):
        model.encode_prompt("the film", NAME)
    other = model.stream(TOKENIZER.encode("the film is good"), SamplingParams(max_new_tokens=4))
    with pytest.raises(EngineError, match="of 4 virtual tokens of a soft prompt, the KV of 0 is held"):
        model.stream([*soft.tokens, 30, 31], SamplingParams(max_new_tokens=2)).read()
    with pytest.raises(EngineError, match="of 4 virtual tokens"):
        model.score([*soft.tokens, 30, 31], [[20]])
    assert other.read()
    with pytest.raises(RequestError, match="the prompt is empty"):
        model.stream(soft.tokens, SamplingParams())
    model.close()


def test_it_is_never_evicted_until_the_model_closes(engine: ScriptedEngine, soft: SoftPrompt) -> None:
    room = 64 * engine.facts.kv_bytes_per_token
    model = model_over(engine, room)
    model.hold_soft_prompt(NAME, soft)
    for start in range(0, 200, 40):
        model.prefill([1 + (start + place) % 300 for place in range(50)])
    assert model.kv.stats.evictions
    assert model.kv.covered(soft.tokens) == len(STANDS_FOR)
    fork = model.fork(1)
    assert fork.pin_soft_prompt(NAME)
    model.close()
    assert fork.kv.stats.pinned_bytes == soft.segment.nbytes
    fork.close()
    assert fork.kv.stats.pinned_bytes == 0


def test_one_that_does_not_fit_the_budget_is_refused(engine: ScriptedEngine, soft: SoftPrompt) -> None:
    model = model_over(engine, nbytes=8)
    with pytest.raises(MemoryBudgetExceeded):
        model.hold_soft_prompt(NAME, soft)
    model.close()


def test_a_static_part_behind_it_is_resident_with_it(engine: ScriptedEngine, soft: SoftPrompt) -> None:
    model = model_over(engine)
    model.hold_soft_prompt(NAME, soft)
    tokens, computed = model.make_resident("Say how the day was in a word: ", NAME)
    assert tokens[: len(STANDS_FOR)] == soft.tokens
    assert computed == len(tokens) - len(STANDS_FOR) > 0
    # Too short to be computed as a prompt is: the soft prompt alone is resident.
    assert model.make_resident("", NAME) == (soft.tokens, 0)
    model.close()


def test_a_pack_of_resident_prefixes_keeps_what_stands_behind_it(
    engine: ScriptedEngine, soft: SoftPrompt, tmp_path: Path
) -> None:
    model = model_over(engine)
    model.hold_soft_prompt(NAME, soft)
    tokens, _ = model.make_resident("Say how the day was in a word: ", NAME)
    key = PackKey(engine.facts.fingerprint, "t", "k", "b")
    save_pack(tmp_path / "prefixes.kv", key, model.kv)
    store = KVStore(engine.facts.fingerprint, 1 << 20)
    assert load_pack(tmp_path / "prefixes.kv", key, store).reason is None
    assert store.covered(tokens) == len(tokens)
    model.close()
