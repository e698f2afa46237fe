"""What is cached, chunked or shared never changes an answer, on any engine."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from edge_autoglm.values import SamplingParams
from tests.checkpoints import SPECIAL_TOKENS, tiny_tokenizer_json

TOKENIZER = Tokenizer(tiny_tokenizer_json())
EOS = SPECIAL_TOKENS.index("<|im_end|>")
STATIC = "<|im_start|>user\nis this text of a movie good or bad?\n"
PROMPTS = [STATIC + rest for rest in ("a", "good film.", "你好 🙂", "the great and the bad of the film 1984")]
GREEDY = SamplingParams(max_new_tokens=12)
LABELS = [[200], [201, 202, 203], [204, 205]]


def new_model(engine_factory: Any, prefill_chunk: int = 256) -> LanguageModel:
    return LanguageModel(engine_factory(3, 128), TOKENIZER, None, [EOS], None, prefill_chunk)


def answers(model: LanguageModel) -> list[tuple[str, list[float]]]:
    tokens = [model.encode_prompt(prompt) for prompt in PROMPTS]
    return [(model.stream(prompt, GREEDY).read(), model.score(prompt, LABELS).logprobs) for prompt in tokens]


@pytest.mark.parametrize("prefill_chunk", [2, 5, 16])
def test_chunks_do_not_change_an_answer(engine_factory: Any, prefill_chunk: int) -> None:
    assert answers(new_model(engine_factory, prefill_chunk)) == answers(new_model(engine_factory))


def test_resident_prefixes_do_not_change_an_answer(engine_factory: Any) -> None:
    expected = answers(new_model(engine_factory))
    model = new_model(engine_factory)
    assert model.make_resident(STATIC) > 15
    assert answers(model) == expected
    model.make_resident(PROMPTS[3])  # now every prompt but one departs from a resident one
    assert answers(model) == expected


def test_requests_at_the_same_time_do_not_change_an_answer(engine_factory: Any) -> None:
    model = new_model(engine_factory, 7)
    model.make_resident(STATIC)
    expected = answers(model)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: answers(model), range(6))) == [expected] * 6


def test_a_fork_with_shared_prefixes_gives_the_same_answers(engine_factory: Any) -> None:
    model = new_model(engine_factory)
    model.make_resident(STATIC)
    expected = answers(model)
    fork = model.fork(1)
    fork.prefixes.share(model.prefixes)
    assert fork.make_resident(STATIC) == 0
    model.close()
    assert answers(fork) == expected
    fork.close()
