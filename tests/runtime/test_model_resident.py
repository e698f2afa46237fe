"""Resident texts: computed once, found by every request that begins with them, evictable once nobody pins them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from edge_autoglm.errors import MemoryBudgetExceeded, RequestError
from edge_autoglm.runtime.engine import Chunk
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.kv.store import KVStore
from edge_autoglm.runtime.model import LanguageModel, ModelLimits
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from edge_autoglm.values import SamplingParams
from tests.checkpoints import VOCAB_SIZE
from tests.waiting import GatedEngine, wait_past, wait_until

STATIC = "<|im_start|>user\nthis is a text. is the film good?\n"


def new_model(tokenizer: Tokenizer, slots: int = 2, add_bos_id: int | None = None) -> LanguageModel:
    return LanguageModel(ScriptedEngine(VOCAB_SIZE, slots), tokenizer, None, [2], add_bos_id)


def computed(model: LanguageModel, text: str) -> int:
    return model.make_resident(text)[1]


def cached(model: LanguageModel, prompt: str) -> int:
    stream = model.stream(model.encode_prompt(prompt), SamplingParams(max_new_tokens=1))
    stream.read()
    return stream.usage.num_cached_tokens


def test_requests_start_behind_the_resident_text(byte_level: Tokenizer) -> None:
    model = new_model(byte_level)
    tokens, ran = model.make_resident(STATIC)
    assert list(tokens) == byte_level.stable_tokens(STATIC)
    assert len(tokens) == ran >= len(byte_level.encode(STATIC)) - 2
    for rest in ("good", " the movie", "\n\n", "你好", "<|im_end|>\n"):
        assert cached(model, STATIC + rest * 3) == len(tokens)
    assert model.kv.stats.pinned_bytes == len(tokens) * model.engine.facts.kv_bytes_per_token


def test_it_is_computed_once(byte_level: Tokenizer) -> None:
    model = new_model(byte_level)
    assert computed(model, STATIC) > 0
    held = model.kv.stats.nbytes
    assert computed(model, STATIC) == 0
    assert computed(model, STATIC[:20]) == 0
    assert model.kv.stats.nbytes == held


def test_a_longer_text_continues_a_shorter_one(byte_level: Tokenizer) -> None:
    model = new_model(byte_level)
    first, _ = model.make_resident(STATIC)
    tokens, ran = model.make_resident(STATIC + "the answer is good and great: ")
    assert ran == len(tokens) - len(first)
    assert model.kv.stats.nbytes == len(tokens) * model.engine.facts.kv_bytes_per_token


def test_texts_that_begin_alike_share_that_beginning(byte_level: Tokenizer) -> None:
    model = new_model(byte_level)
    first, _ = model.make_resident(STATIC + "is it good? yes: ")
    second, ran = model.make_resident(STATIC + "the answer is short: ")
    alike = next(n for n, (one, other) in enumerate(zip(first, second, strict=False)) if one != other)
    assert ran == len(second) - alike < len(second) - 10
    assert model.kv.stats.nbytes == (len(first) + ran) * model.engine.facts.kv_bytes_per_token


def test_the_slot_is_free_afterwards(byte_level: Tokenizer) -> None:
    model = new_model(byte_level, slots=1)
    model.make_resident(STATIC)
    wait_until(lambda: model.scheduler.busy == 0)


def test_it_waits_for_a_slot_like_any_request(byte_level: Tokenizer) -> None:
    engine = GatedEngine(VOCAB_SIZE, slots=1)
    model = LanguageModel(engine, byte_level, None, [2], None, limits=ModelLimits(slot_timeout=0.2))
    stream = model.stream([5, 6, 7], SamplingParams(max_new_tokens=400))
    engine.wait_for_pass(1)
    with ThreadPoolExecutor(1) as pool:
        refused = pool.submit(model.make_resident, STATIC)
        wait_until(lambda: model.scheduler.waiting == 1)
        wait_past(0.2)
        engine.let(1)
        with pytest.raises(RequestError, match="became free"):
            refused.result()
    engine.open_gate()
    stream.close()


@pytest.mark.parametrize("text", ["", "a", "<|im_end|>"])
def test_less_than_two_tokens_are_not_worth_it(byte_level: Tokenizer, text: str) -> None:
    model = new_model(byte_level)
    assert model.make_resident(text) == ((), 0)
    assert model.kv.stats.nbytes == 0


def test_the_bos_token_is_part_of_it(byte_level: Tokenizer) -> None:
    model = new_model(byte_level, add_bos_id=0)
    tokens, ran = model.make_resident(STATIC)
    assert list(tokens) == [0, *byte_level.stable_tokens(STATIC)]
    assert ran == len(tokens) == cached(model, STATIC + "good film")


def test_a_next_generation_pins_what_it_needs_and_the_rest_may_go(byte_level: Tokenizer) -> None:
    old = new_model(byte_level)
    shared, _ = old.make_resident(STATIC)
    dropped, _ = old.make_resident("another text that nobody needs any more")
    new = old.fork(2)
    assert new.pin(shared)
    per_token = old.engine.facts.kv_bytes_per_token
    assert old.kv.stats.pinned_bytes == (len(shared) + len(dropped)) * per_token
    old.close()
    assert new.kv.stats.pinned_bytes == len(shared) * per_token
    assert new.kv.covered(dropped) == len(dropped), "evictable, not freed"
    assert cached(new, STATIC + "good film") == len(shared)
    new.close()
    assert new.kv.stats.pinned_bytes == 0


def test_only_what_is_held_can_be_pinned(byte_level: Tokenizer) -> None:
    model = new_model(byte_level)
    tokens, _ = model.make_resident(STATIC)
    assert not model.pin([*tokens, 5])
    assert not model.pin([5, *tokens])
    assert model.pin(tokens[:4])


def small_store(engine: ScriptedEngine, tokens: int) -> KVStore:
    return KVStore(engine.facts.fingerprint, tokens * engine.facts.kv_bytes_per_token)


def test_resident_texts_displace_what_is_not_pinned_and_nothing_else(byte_level: Tokenizer) -> None:
    engine = ScriptedEngine(VOCAB_SIZE)
    model = LanguageModel(engine, byte_level, None, [2], None, small_store(engine, 30))
    conversation = model.encode_prompt("this film is a film that is good")
    model.stream(conversation, SamplingParams(max_new_tokens=1), keep=True).read()
    assert model.kv.covered(conversation) == len(conversation)
    first, _ = model.make_resident("the movie is about the text of the user")
    assert model.kv.covered(first) == len(first)
    model.make_resident("<|im_start|>user\nthis is a text")
    assert model.kv.covered(first) == len(first)
    assert model.kv.stats.evictions > 0
    with pytest.raises(MemoryBudgetExceeded, match="budget"):
        model.make_resident("a great movie, and more than there is room for in here")
    assert cached(model, "the movie is about the text of the user, said he") == len(first)


def test_a_prompt_that_several_requests_bring_is_computed_once(byte_level: Tokenizer) -> None:
    model = new_model(byte_level)
    tokens = model.encode_prompt(STATIC)
    model.prefill(tokens)
    assert model.kv.covered(tokens) == len(tokens)
    assert model.kv.stats.pinned_bytes == 0
    # Two tokens at least are run, so that the last one's logits are those of a prefill.
    assert cached(model, STATIC) == len(tokens) - 2


def test_what_is_resident_is_the_kv_of_the_tokens(byte_level: Tokenizer) -> None:
    model = new_model(byte_level)
    resident, _ = model.make_resident(STATIC)
    tokens = [*resident, 7, 8]
    hit = model.kv.longest(tokens)
    assert hit is not None
    engine = ScriptedEngine(VOCAB_SIZE)
    engine.copy_in(1, hit.segments, hit.length)
    [restored] = engine.forward([Chunk(1, tokens[hit.length :])])
    [fresh] = engine.forward([Chunk(0, tokens)])
    assert restored.tolist() == fresh.tolist()
