"""The real model gives the same greedy tokens however a prompt reaches its slot."""

from __future__ import annotations

import pytest

from edge_autoglm import Bundle
from edge_autoglm.demo.snippets import load_snippets
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.facade.loading import load_model
from edge_autoglm.prompts import load_task, render, static_prefix
from edge_autoglm.runtime.model import LanguageModel, ModelLimits
from edge_autoglm.values import SamplingParams

NEW_TOKENS = SamplingParams(max_new_tokens=8)


@pytest.fixture(scope="module")
def model(smollm2_int8: Bundle) -> LanguageModel:
    """SmolLM2-135M-Instruct in int8."""
    return load_model(smollm2_int8, 2, RuntimeConfig(slots=1, context_length=512))


def _greedy(model: LanguageModel, prompt: str) -> tuple[str, int]:
    stream = model.stream(model.encode_prompt(prompt), NEW_TOKENS)
    return stream.read(), stream.usage.num_cached_tokens


def _with_chunks(model: LanguageModel, size: int, slots: int = 1) -> LanguageModel:
    return LanguageModel(
        model.engine.fork(slots),
        model.tokenizer,
        model.chat,
        eos_token_ids=(0, 2),
        add_bos_id=None,
        limits=ModelLimits(prefill_chunk=size),
    )


@pytest.mark.timeout(900)
def test_fifty_real_prompts_plain_chunked_restored_and_side_by_side(model: LanguageModel, smollm2_int8: Bundle) -> None:
    task = load_task(next(file for file in smollm2_int8.task_files() if file.stem == "sentiment"))
    few_shot = task.variant("few_shot")
    prefix = static_prefix(task, few_shot)
    chunked, resident = _with_chunks(model, 17), _with_chunks(model, 64)
    assert resident.make_resident(prefix)[1] > 40
    prompts = [render(task, few_shot, {"text": snippet.text}) for snippet in load_snippets(50, seed=11)]
    crowd = _with_chunks(model, 256, slots=4)
    streams = [crowd.stream(crowd.encode_prompt(prompt), NEW_TOKENS) for prompt in prompts]
    differences = []
    for prompt, stream in zip(prompts, streams, strict=True):
        (plain, none_cached), (in_chunks, _), (restored, cached) = (
            _greedy(each, prompt) for each in (model, chunked, resident)
        )
        assert (none_cached, cached > 40) == (0, True)
        side_by_side = stream.read()
        if not plain == in_chunks == restored == side_by_side:
            differences.append((plain, in_chunks, restored, side_by_side))
    assert not differences


def test_the_model_knows_a_capital(model: LanguageModel) -> None:
    prompt = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    assert _greedy(model, prompt)[0] == "The capital of France is Paris."
