"""Hand-written variants as forms: what is lifted means the same, and what cannot be told apart is left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge_autoglm.prompts import builtin_task_files, load_task, render
from edge_autoglm.prompts.rewrite import Material
from edge_autoglm.prompts.rewrite.build import build
from edge_autoglm.prompts.rewrite.lift import lift
from edge_autoglm.prompts.task import Task, Variant
from edge_autoglm.values import Message
from tests.prompts.rewrite.drafts import Chat, material, pairs, sentiment

LIBRARY = [load_task(path) for path in builtin_task_files()]


@pytest.mark.parametrize("task", LIBRARY, ids=lambda task: task.name)
def test_whatever_is_lifted_from_the_library_renders_as_before(task: Task, chat: Chat) -> None:
    lifted = 0
    for variant in task.variants:
        form = lift(variant, Material(task))
        if form is None:
            continue
        lifted += 1
        built = build(form, Material(task))
        assert built.sampling == variant.sampling
        for probe in task.probes:
            assert render(task, built, probe, chat) == render(task, variant, probe, chat)
    assert lifted >= len(task.variants) - 2


def test_the_parts_of_a_completion() -> None:
    variant = Variant("v", prompt="Judge.\n\nReview: {{ text }}\nQuestion: good?\nAnswer: I say")
    form = lift(variant, material(sentiment()))
    assert form is not None
    assert (form.instruction, form.fields, form.question) == ("Judge.", (("text", "Review"),), "Question: good?")
    assert (form.cue, form.lead_in, form.layout.pair) == ("Answer", "I say", "{name}: {value}")


def test_the_parts_of_a_chat() -> None:
    messages = (
        Message(role="system", content="You judge."),
        Message(role="user", content="Is it {{ labels | join(' or ') }}?\n{{ text }}"),
    )
    variant = Variant("v", messages=messages, answer="Mood:", verbalizer={"positive": " yes", "negative": " no"})
    form = lift(variant, material(sentiment()))
    assert form is not None
    assert (form.system, form.instruction, form.fields) == (
        "You judge.", "Is it positive or negative?", (("text", ""),),
    )  # fmt: skip
    assert (form.scheme, form.words) == ("yes_no", {"positive": "yes", "negative": "no"})


def test_several_inputs() -> None:
    task = pairs()
    form = lift(task.variant("named"), material(task))
    assert form is not None
    assert form.fields == (("text", "Text"), ("reply", "Reply"))
    assert form.cue == "Fits"


@pytest.mark.parametrize(
    "prompt",
    [
        "{% if text %}Review: {{ text }}{% endif %}\nSentiment:",
        "Review: {{ text }} and {{ text }}\nSentiment:",
        "Review: bad\nSentiment: negative\n\nReview: {{ text }}\nSentiment:",
        "Say {labels}.\n\nReview: {{ text }}\nSentiment:",
        "This {{ text }} is",
    ],
)
def test_what_cannot_be_told_apart_has_no_form(prompt: str) -> None:
    assert lift(Variant("v", prompt=prompt), material(sentiment())) is None


def test_turns_and_soft_prompts_have_no_form() -> None:
    turns = tuple(Message(role=role, content="{{ text }}") for role in ("user", "assistant", "user"))
    assert lift(Variant("v", messages=turns), material(sentiment())) is None
    review = sentiment().variant("review")
    assert lift(replace(review, soft_prompt="tone-1"), material(sentiment())) is None
