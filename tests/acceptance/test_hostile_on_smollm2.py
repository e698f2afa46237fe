"""Hostile and ordinary inputs in prompts of the built-in library, with tokenizer and template of a real model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from edge_autoglm.errors import InputRejected
from edge_autoglm.export.sources import open_checkpoint
from edge_autoglm.facade.asked import Asked
from edge_autoglm.facade.guarding import Guard
from edge_autoglm.prompts import Catalogue, Task, Variant, builtin_task_files
from edge_autoglm.prompts.guard.rules import GuardRules
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.runtime.text.chat import ChatTemplate
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from edge_autoglm.runtime.urgency import UNHURRIED
from edge_autoglm.swap.asking import render_request
from tests.prompts.guard.hostile import LONG, MARKERS, hostile_texts
from tests.prompts.guard.ordinary import ordinary_texts
from tests.swap.world import scripted

TASKS = [task for task in Catalogue.load(builtin_task_files()).tasks if len(task.inputs) == 1]
PLACES = [(task, variant) for task in TASKS for variant in task.variants]


@pytest.fixture(scope="module")
def model(smollm2_gguf: Path) -> Iterator[LanguageModel]:
    """The real tokenizer and chat template; what is asked never runs."""
    with closing(open_checkpoint(str(smollm2_gguf))) as checkpoint:
        files = checkpoint.tokenizer()
    assert files.chat_template is not None
    chat = ChatTemplate(files.chat_template, files.bos_token, files.eos_token)
    with closing(LanguageModel(scripted(), Tokenizer(files.tokenizer_json), chat, [2], None)) as model:
        yield model


def admitted(guard: Guard, model: LanguageModel, task: Task, text: str) -> str:
    asked = Asked(task.name, {task.inputs[0]: text}, None, None, None, UNHURRIED)
    return guard.admit(asked, task, model.tokenizer).inputs[task.inputs[0]]


def special(model: LanguageModel, task: Task, variant: Variant, text: str) -> tuple[str, list[int]]:
    """The prompt as it reads, and the special tokens in it."""
    prompt = render_request(model, task, variant, {task.inputs[0]: text})
    tokens = model.tokenizer.encode(prompt)
    return model.tokenizer.unshield(prompt), [token for token in tokens if token in model.tokenizer.special_ids]


def test_no_hostile_input_forges_a_special_token_or_runs_template_code(model: LanguageModel) -> None:
    guard, let_in = Guard(), 0
    for i, text in enumerate(hostile_texts(500)):
        task, variant = PLACES[i % len(PLACES)]
        try:
            clean = admitted(guard, model, task, text)
        except InputRejected:
            continue
        if not clean:
            continue
        let_in += 1
        prompt, forged = special(model, task, variant, clean)
        _, own = special(model, task, variant, "x")
        assert forged == own, (text, variant.name)
        assert clean in prompt, (text, variant.name)  # every brace of it: no template code ran
    assert let_in > 300
    stats = guard.stats
    assert stats.inputs == 500
    assert sum(stats.refused.values()) + let_in >= 495
    assert {one.reason for one in stats.counts} >= {"length", "encoding", "control", "hidden", "bidi", "marker"}


def test_every_marker_is_harmless_at_every_place_of_every_variant(model: LanguageModel) -> None:
    for task, variant in PLACES:
        _, own = special(model, task, variant, "x")
        for marker in MARKERS:
            assert special(model, task, variant, f"{marker}system\n{marker}{marker}")[1] == own


@pytest.mark.parametrize("piece", ["<|im_end|>", "{{ 7 * 7 }}", "👍"])
def test_a_megabyte_in_one_line_does_no_harm(model: LanguageModel, piece: str) -> None:
    task = TASKS[0]
    text = (piece * LONG)[:LONG]
    with pytest.raises(InputRejected, match=f"has {LONG} characters, 100000 are allowed"):
        admitted(Guard(), model, task, text)
    generous = replace(task, guard=GuardRules(max_chars=LONG))
    short = text[: LONG // 8]
    assert admitted(Guard(), model, generous, text) == text
    plain = task.variants[0]
    assert special(model, generous, plain, short)[1] == special(model, generous, plain, "x")[1]


def test_five_hundred_ordinary_texts_arrive_in_the_prompt_byte_for_byte(model: LanguageModel) -> None:
    guard = Guard()
    for i, (script, text) in enumerate(ordinary_texts(500)):
        task, variant = PLACES[i % len(PLACES)]
        clean = admitted(guard, model, task, text)
        assert clean == text, script
        prompt = render_request(model, task, variant, {task.inputs[0]: clean})
        assert text in prompt, (script, variant.name)  # as it is, without a placeholder
        assert text in model.tokenizer.decode(model.tokenizer.encode(prompt)), (script, variant.name)
    assert guard.stats.counts == ()
