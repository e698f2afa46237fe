from __future__ import annotations

import pytest

from edge_autoglm.errors import RequestError
from edge_autoglm.runtime.engine import Chunk
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from edge_autoglm.values import SamplingParams
from tests.checkpoints import VOCAB_SIZE

STATIC = "<|im_start|>user\nthis is a text. is the film good?\n"


def new_model(tokenizer: Tokenizer, slots: int = 2, add_bos_id: int | None = None) -> LanguageModel:
    return LanguageModel(ScriptedEngine(VOCAB_SIZE, slots), tokenizer, None, [2], add_bos_id, slot_timeout=0.01)


def cached(model: LanguageModel, prompt: str) -> int:
    stream = model.stream(model.encode_prompt(prompt), SamplingParams(max_new_tokens=1))
    stream.read()
    return stream.usage.num_cached_tokens


def test_requests_start_behind_the_resident_text(byte_level: Tokenizer) -> None:
    model = new_model(byte_level)
    prefilled = model.make_resident(STATIC)
    assert prefilled == len(byte_level.stable_tokens(STATIC)) >= len(byte_level.encode(STATIC)) - 2
    for rest in ("good", " the movie", "\n\n", "你好", "<|im_end|>\n"):
        assert cached(model, STATIC + rest * 3) == prefilled
    assert model.prefixes.nbytes == prefilled * model.engine.facts.kv_bytes_per_token


def test_it_is_computed_once(byte_level: Tokenizer) -> None:
    model = new_model(byte_level)
    assert model.make_resident(STATIC) > 0
    assert model.make_resident(STATIC) == 0
    assert model.make_resident(STATIC[:20]) == 0
    assert len(model.prefixes) == 1


def test_a_longer_text_continues_a_shorter_one(byte_level: Tokenizer) -> None:
    model = new_model(byte_level)
    first = model.make_resident(STATIC)
    longer = STATIC + "the answer is good and great: "
    assert model.make_resident(longer) == len(byte_level.stable_tokens(longer)) - first
    assert len(model.prefixes) == 1


def test_the_slot_is_free_afterwards(byte_level: Tokenizer) -> None:
    model = new_model(byte_level, slots=1)
    model.make_resident(STATIC)
    assert model.slots.free == 1
    with model.slots.acquire(0), pytest.raises(RequestError, match="became free"):
        model.make_resident("another text of some length")


@pytest.mark.parametrize("text", ["", "a", "<|im_end|>"])
def test_less_than_two_tokens_are_not_worth_it(byte_level: Tokenizer, text: str) -> None:
    model = new_model(byte_level)
    assert model.make_resident(text) == 0
    assert len(model.prefixes) == 0


def test_the_bos_token_is_part_of_it(byte_level: Tokenizer) -> None:
    model = new_model(byte_level, add_bos_id=0)
    assert model.make_resident(STATIC) == len(byte_level.stable_tokens(STATIC)) + 1
    assert cached(model, STATIC + "good film") == len(byte_level.stable_tokens(STATIC)) + 1


def test_a_next_generation_takes_over_what_it_needs(byte_level: Tokenizer) -> None:
    old = new_model(byte_level)
    old.make_resident(STATIC)
    old.make_resident("another text that nobody needs any more")
    new = old.fork(2)
    new.prefixes.share(old.prefixes)
    assert new.make_resident(STATIC) == 0
    new.prefixes.release_shared()
    old.close()
    assert len(new.prefixes) == 1
    assert cached(new, STATIC + "good film") == len(byte_level.stable_tokens(STATIC))


def test_what_is_resident_is_the_kv_of_the_tokens(byte_level: Tokenizer) -> None:
    model = new_model(byte_level)
    count = model.make_resident(STATIC)
    tokens = [*byte_level.encode(STATIC)[:count], 7, 8]
    hit = model.prefixes.longest(tokens)
    assert hit is not None
    model.engine.copy_in(1, *hit)
    [restored] = model.engine.forward([Chunk(1, tokens[count:])])
    [fresh] = ScriptedEngine(VOCAB_SIZE).forward([Chunk(0, tokens)])
    assert restored.tolist() == fresh.tolist()
