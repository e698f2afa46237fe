"""What is cached, chunked, shared or drafted never changes an answer, on any engine."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from edge_autoglm.errors import EngineError
from edge_autoglm.runtime.model import LanguageModel, ModelLimits
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from edge_autoglm.values import SamplingParams
from tests.checkpoints import SPECIAL_TOKENS, tiny_tokenizer_json

TOKENIZER = Tokenizer(tiny_tokenizer_json())
EOS = SPECIAL_TOKENS.index("<|im_end|>")
STATIC = "<|im_start|>user\nis this text of a movie good or bad?\n"
PROMPTS = [STATIC + rest for rest in ("a", "good film.", "你好 🙂", "the great and the bad of the film 1984")]
GREEDY = SamplingParams(max_new_tokens=12)
LABELS = [[200], [201, 202, 203], [204, 205]]


def new_model(engine_factory: Any, prefill_chunk: int = 256, speculate: bool = True) -> LanguageModel:
    limits = ModelLimits(prefill_chunk=prefill_chunk, speculate=speculate)
    return LanguageModel(engine_factory(3, 128), TOKENIZER, None, [EOS], None, limits=limits)


def answers(model: LanguageModel, keep: bool = False) -> list[tuple[str, list[float]]]:
    tokens = [model.encode_prompt(prompt) for prompt in PROMPTS]
    return [(model.stream(prompt, GREEDY, keep=keep).read(), model.score(prompt, LABELS).logprobs) for prompt in tokens]


@pytest.mark.parametrize("prefill_chunk", [2, 5, 16])
def test_chunks_do_not_change_an_answer(engine_factory: Any, prefill_chunk: int) -> None:
    assert answers(new_model(engine_factory, prefill_chunk)) == answers(new_model(engine_factory))


def test_resident_prefixes_do_not_change_an_answer(engine_factory: Any) -> None:
    expected = answers(new_model(engine_factory))
    model = new_model(engine_factory)
    tokens, computed = model.make_resident(STATIC)
    assert len(tokens) == computed > 15
    assert answers(model) == expected
    model.make_resident(PROMPTS[3])  # now every prompt but one departs from a resident one
    assert answers(model) == expected
    assert model.kv.stats.tokens_skipped > 8 * computed


def test_what_requests_leave_behind_does_not_change_an_answer(engine_factory: Any) -> None:
    expected = answers(new_model(engine_factory))
    model = new_model(engine_factory)
    assert answers(model, keep=True) == expected
    assert answers(model, keep=True) == expected
    assert model.kv.stats.hits >= len(PROMPTS) * 3


def test_a_second_turn_is_answered_as_from_the_beginning(engine_factory: Any) -> None:
    turn = TOKENIZER.encode(" and the user?\n")

    def talk(keep: bool) -> list[str]:
        model, tokens, texts = new_model(engine_factory), TOKENIZER.encode(STATIC), []
        for _ in range(3):
            tokens = [*tokens, *turn]
            texts.append(model.stream(tokens, SamplingParams(max_new_tokens=6), keep=keep).read())
            tokens += TOKENIZER.encode(texts[-1])
        assert (model.kv.stats.tokens_skipped > 0) is keep
        return texts

    assert talk(keep=True) == talk(keep=False)


def test_drafts_do_not_change_an_answer(engine_factory: Any) -> None:
    params = SamplingParams(max_new_tokens=60)
    tokens = TOKENIZER.encode(STATIC * 2)
    plain, quick = (new_model(engine_factory, speculate=each).stream(tokens, params) for each in (False, True))
    assert quick.read() == plain.read()
    assert quick.usage.new_tokens == plain.usage.new_tokens


def test_requests_at_the_same_time_do_not_change_an_answer(engine_factory: Any) -> None:
    model = new_model(engine_factory, 7)
    model.make_resident(STATIC)
    expected = answers(model)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: answers(model), range(6))) == [expected] * 6


def test_streams_that_share_their_steps_say_what_they_say_alone(engine_factory: Any) -> None:
    expected = answers(new_model(engine_factory))
    model = new_model(engine_factory)
    tokens = [model.encode_prompt(prompt) for prompt in PROMPTS]
    streams = [model.stream(prompt, GREEDY) for prompt in tokens]
    scores = [model.submit_score(prompt, LABELS) for prompt in tokens]
    together = zip((stream.read() for stream in streams), (one.result().logprobs for one in scores), strict=True)
    assert list(together) == expected


def test_a_fork_that_shares_the_held_kv_gives_the_same_answers(engine_factory: Any) -> None:
    model = new_model(engine_factory)
    tokens, _ = model.make_resident(STATIC)
    expected = answers(model)
    fork = model.fork(1)
    assert fork.pin(tokens)
    assert fork.make_resident(STATIC) == (tokens, 0)
    model.close()
    assert fork.kv.stats.pinned_bytes > 0
    assert answers(fork) == expected
    fork.close()
    assert fork.kv.stats.pinned_bytes == 0


def test_models_that_share_slots_answer_alike_and_close_in_any_order(engine_factory: Any) -> None:
    serving = new_model(engine_factory)
    expected = answers(serving)
    joined = serving.fork()
    joined.join(serving)
    joined.join(serving)  # a second time changes nothing
    assert joined.engine is serving.engine
    assert answers(joined) == answers(serving) == expected
    third = joined.fork()
    third.join(joined)
    joined.close()
    joined.close()  # idempotent: it gives up its share once
    assert answers(serving) == expected
    serving.close()
    assert answers(third) == expected
    third.close()
    with pytest.raises(EngineError, match="closed"):
        answers(third)
    with pytest.raises(EngineError, match="closed"):
        serving.fork().join(serving)
