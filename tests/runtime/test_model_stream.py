"""What a stream says: its text, its end, its figures; and that nothing but the request has a part in them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from edge_autoglm.errors import EngineError, PromptTooLong, RequestError
from edge_autoglm.runtime.engine import Chunk, Logits
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.model import LanguageModel, ModelLimits
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from edge_autoglm.values import SamplingParams
from tests.checkpoints import VOCAB_SIZE
from tests.waiting import wait_until

EOS = 2
PROMPT = "<|im_start|>user\nis this film good?"


def scripted(tokenizer: Tokenizer, answer: str, slots: int = 2, capacity: int = 128, end: bool = True) -> LanguageModel:
    """A model that continues ``PROMPT`` by ``answer``, token by token, and then ends."""
    prompt, rest = tokenizer.encode(PROMPT), tokenizer.encode(answer)
    script = {(*prompt, *rest[:n]): token for n, token in enumerate([*rest, *([EOS] if end else [])])}
    engine = ScriptedEngine(VOCAB_SIZE, slots, capacity, script=script)
    return LanguageModel(engine, tokenizer, None, [EOS], None, seed=0)


def run(model: LanguageModel, prompt: str = PROMPT, **settings: object) -> tuple[str, str | None]:
    stream = model.stream(model.encode_prompt(prompt), SamplingParams(**settings))  # type: ignore[arg-type]
    text = "".join(stream)
    assert text == stream.text
    return text, stream.finish_reason


@pytest.mark.parametrize("answer", [" good and great", "你好，世界 🙂", "e\u0301\n\n½"])
def test_the_answer_of_the_script_arrives(byte_level: Tokenizer, answer: str) -> None:
    model = scripted(byte_level, answer)
    stream = model.stream(model.encode_prompt(PROMPT), SamplingParams())
    pieces = list(stream)
    assert "".join(pieces) == stream.text == answer
    assert all(pieces)
    assert not any("\ufffd" in piece for piece in pieces)
    assert stream.finish_reason == "eos"
    assert stream.usage.prompt_tokens == len(byte_level.encode(PROMPT))
    assert stream.usage.num_cached_tokens == 0
    assert stream.usage.new_tokens == len(byte_level.encode(answer)) + 1


def test_the_number_of_new_tokens_is_limited(byte_level: Tokenizer) -> None:
    model = scripted(byte_level, " good and great")
    assert run(model, max_new_tokens=1) == (" good", "length")
    assert run(model, max_new_tokens=3) == (" good and great", "length")
    assert run(model, max_new_tokens=4) == (" good and great", "eos")


def test_no_forward_pass_runs_behind_the_last_token(byte_level: Tokenizer) -> None:
    model = scripted(byte_level, " good and great")
    length = len(model.encode_prompt(PROMPT))
    run(model, max_new_tokens=2)
    assert model.engine.length(0) == length + 1


def test_an_unfinished_character_ends_as_the_decoder_says(byte_level: Tokenizer) -> None:
    model = scripted(byte_level, "好")
    assert run(model, max_new_tokens=1) == (byte_level.decode(byte_level.encode("好")[:1]), "length")
    assert run(model, max_new_tokens=1)[0] == "\ufffd"


def test_a_full_slot_ends_the_answer(byte_level: Tokenizer) -> None:
    room = 5
    capacity = len(byte_level.encode(PROMPT)) + room
    model = scripted(byte_level, " good" * 40, capacity=capacity)
    assert run(model) == (" good" * room, "length")


@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        ((" and",), " good"),
        (("nd gr",), " good a"),
        (("great!", "d a"), " goo"),
        ((" go",), ""),
        (("missing", "greater"), " good and great"),
    ],
)
def test_stop_texts_end_the_answer_before_them(byte_level: Tokenizer, stop: tuple[str, ...], expected: str) -> None:
    model = scripted(byte_level, " good and great")
    assert run(model, stop=stop) == (expected, "eos" if "great" in expected else "stop")


def test_a_stop_text_counts_the_tokens_that_were_run(byte_level: Tokenizer) -> None:
    model = scripted(byte_level, " good and great")
    stream = model.stream(model.encode_prompt(PROMPT), SamplingParams(stop=(" and",)))
    assert stream.read() == " good"
    assert stream.usage.new_tokens == 2


def test_times_add_up(byte_level: Tokenizer) -> None:
    model = scripted(byte_level, " good and great")
    stream = model.stream(model.encode_prompt(PROMPT), SamplingParams())
    next(stream)
    running = stream.timings
    assert 0 <= running.queue <= running.ttft <= running.total
    stream.read()
    ended = stream.timings
    assert (ended.queue, ended.ttft) == (running.queue, running.ttft)
    assert ended == stream.timings
    assert ended.total >= running.total


@pytest.mark.parametrize("chunk", [2, 3, 256])
@pytest.mark.parametrize("resident", ["", "<|im_start|>user\nis this", PROMPT])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_chunks_and_prefixes_never_change_an_answer(
    byte_level: Tokenizer, chunk: int, resident: str, temperature: float
) -> None:
    params = SamplingParams(max_new_tokens=20, temperature=temperature, seed=3)
    plain = LanguageModel(ScriptedEngine(VOCAB_SIZE), byte_level, None, [EOS], None)
    tokens = plain.encode_prompt(PROMPT)
    model = LanguageModel(
        ScriptedEngine(VOCAB_SIZE), byte_level, None, [EOS], None, limits=ModelLimits(prefill_chunk=chunk)
    )
    model.make_resident(resident)
    stream = model.stream(tokens, params)
    assert stream.read() == plain.stream(tokens, params).read()
    assert (stream.usage.num_cached_tokens > 0) == (resident != "")


def test_many_threads_get_the_answers_that_they_get_alone(byte_level: Tokenizer) -> None:
    def fresh() -> LanguageModel:
        return LanguageModel(
            ScriptedEngine(VOCAB_SIZE, slots=3), byte_level, None, [EOS], None, limits=ModelLimits(prefill_chunk=4)
        )

    alone, model = fresh(), fresh()
    model.make_resident("<|im_start|>user\nis this")
    words = ["a", "film", "the", "text", "and", "answer", "movie", "of"]
    prompts = [f"<|im_start|>user\nis this {word} good?" for word in words]
    params = SamplingParams(max_new_tokens=12, temperature=0.8, seed=1)
    expected = [alone.stream(alone.encode_prompt(prompt), params).read() for prompt in prompts]
    barrier = threading.Barrier(len(prompts))

    def ask(prompt: str) -> list[str]:
        barrier.wait()
        return [model.stream(model.encode_prompt(prompt), params).read() for _ in range(5)]

    with ThreadPoolExecutor(len(prompts)) as pool:
        for answers, wanted in zip(pool.map(ask, prompts), expected, strict=True):
            assert answers == [wanted] * 5
    wait_until(lambda: model.scheduler.busy == 0)


def test_streams_closed_at_any_point_by_any_thread_free_their_slots(byte_level: Tokenizer) -> None:
    model = LanguageModel(
        ScriptedEngine(VOCAB_SIZE, slots=2), byte_level, None, [EOS], None, limits=ModelLimits(prefill_chunk=4)
    )
    tokens = model.encode_prompt(PROMPT)
    whole = list(model.stream(tokens, SamplingParams(max_new_tokens=20)))

    def ask(number: int) -> bool:
        with model.stream(tokens, SamplingParams(max_new_tokens=20)) as stream:
            taken = [piece for piece, _ in zip(stream, range(number % (len(whole) + 2)), strict=False)]
        return whole[: len(taken)] == taken

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(ask, range(200)))
    wait_until(lambda: (model.scheduler.busy, model.scheduler.waiting) == (0, 0))


def test_streams_interleave_token_by_token(byte_level: Tokenizer) -> None:
    model = LanguageModel(ScriptedEngine(VOCAB_SIZE, slots=2), byte_level, None, [EOS], None)
    tokens = [model.encode_prompt(PROMPT), model.encode_prompt(PROMPT + " and")]
    params = SamplingParams(max_new_tokens=15)
    expected = [model.stream(prompt, params).read() for prompt in tokens]
    streams = [model.stream(prompt, params) for prompt in tokens]
    for _ in range(40):
        for stream in streams:
            next(stream, None)
    assert [stream.text for stream in streams] == expected


def test_the_bos_token_is_put_in_front_once(byte_level: Tokenizer) -> None:
    model = LanguageModel(ScriptedEngine(VOCAB_SIZE), byte_level, None, [EOS], add_bos_id=0)
    assert model.encode_prompt("a") == [0, *byte_level.encode("a")]
    assert model.encode_prompt("<|endoftext|>a") == [0, *byte_level.encode("a")]
    assert model.encode_prompt("") == [0]


def test_prompts_that_do_not_fit_are_refused(byte_level: Tokenizer) -> None:
    model = LanguageModel(ScriptedEngine(VOCAB_SIZE, capacity=16), byte_level, None, [EOS], None)
    assert len(model.encode_prompt("z" * 15)) == 15
    for ask in (
        lambda: model.encode_prompt("z" * 16),
        lambda: model.stream([5] * 16, SamplingParams()),
        lambda: model.make_resident("z" * 30),
        lambda: model.score([5] * 14, [[1, 2, 3]]),
    ):
        with pytest.raises(PromptTooLong, match="holds 16"):
            ask()
    assert model.stream([5] * 15, SamplingParams()).read() != ""
    assert len(model.score([5] * 14, [[1, 2]]).logprobs) == 1


def test_empty_prompts_are_refused(byte_level: Tokenizer) -> None:
    model = LanguageModel(ScriptedEngine(VOCAB_SIZE), byte_level, None, [EOS], None)
    with pytest.raises(RequestError, match="empty"):
        model.stream(model.encode_prompt(""), SamplingParams())
    with pytest.raises(RequestError, match="empty"):
        model.score([], [[1]])


def test_settings_out_of_range_are_refused(byte_level: Tokenizer) -> None:
    with pytest.raises(RequestError, match="prefill_chunk is 1"):
        ModelLimits(prefill_chunk=1)
    model = LanguageModel(ScriptedEngine(VOCAB_SIZE), byte_level, None, [EOS], None)
    with pytest.raises(RequestError, match="seed is -3"):
        model.stream([5], SamplingParams(seed=-3))


class BrokenEngine(ScriptedEngine):
    """Answers with NaN."""

    def forward(self, chunks: Sequence[Chunk]) -> list[Logits]:
        return [np.full_like(logits, np.nan) for logits in super().forward(chunks)]


def test_logits_that_are_no_numbers_are_an_error(byte_level: Tokenizer) -> None:
    model = LanguageModel(BrokenEngine(VOCAB_SIZE), byte_level, None, [EOS], None)
    for temperature in (0.0, 1.0):
        with pytest.raises(EngineError, match="logit of nan"):
            model.stream([5, 6], SamplingParams(temperature=temperature)).read()
    with pytest.raises(EngineError, match="logit of nan"):
        model.score([5, 6], [[1]])
    wait_until(lambda: model.scheduler.busy == 0)


def sampled(model: LanguageModel, seed: int | None = None) -> str:
    return model.stream([5, 6, 7], SamplingParams(max_new_tokens=12, temperature=1.0, seed=seed)).read()


def test_the_same_seed_and_requests_give_the_same_answers(byte_level: Tokenizer) -> None:
    first, second, other = (
        LanguageModel(ScriptedEngine(VOCAB_SIZE), byte_level, None, [EOS], None, seed=seed) for seed in (1, 1, 2)
    )
    answers = [sampled(first) for _ in range(3)]
    assert answers == [sampled(second) for _ in range(3)]
    assert len(set(answers)) == 3
    assert answers != [sampled(other) for _ in range(3)]
    assert sampled(first, seed=9) == sampled(other, seed=9)


def test_greedy_requests_and_forks_do_not_disturb_the_seeds(byte_level: Tokenizer) -> None:
    plain, busy = (LanguageModel(ScriptedEngine(VOCAB_SIZE), byte_level, None, [EOS], None, seed=1) for _ in range(2))
    expected = [sampled(plain) for _ in range(2)]
    busy.stream([5, 6, 7], SamplingParams(max_new_tokens=3)).read()
    assert [sampled(busy), sampled(busy.fork(1))] == expected


def test_a_fork_answers_the_same_in_its_own_slots_and_outlives_its_model(byte_level: Tokenizer) -> None:
    model = scripted(byte_level, " good and great")
    model.make_resident(PROMPT)
    fork = model.fork(1)
    assert fork.kv is model.kv
    assert (fork.engine.facts.slots, model.engine.facts.slots) == (1, 2)
    assert fork.fingerprint == model.fingerprint
    model.close()
    assert run(fork) == (" good and great", "eos")


def test_fingerprints_cover_engine_and_tokenizer(byte_level: Tokenizer, byte_fallback: Tokenizer) -> None:
    engine, other = ScriptedEngine(VOCAB_SIZE), ScriptedEngine(VOCAB_SIZE, seed=1)
    models = [
        LanguageModel(engine, byte_level, None, [EOS], None),
        LanguageModel(engine, byte_fallback, None, [EOS], None),
        LanguageModel(other, byte_level, None, [EOS], None),
    ]
    assert len({model.fingerprint for model in models}) == 3
