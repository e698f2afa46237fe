"""Variants as a request would render them, without a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge_autoglm.errors import PromptError
from edge_autoglm.prompts.checks.text_model import TextModel
from edge_autoglm.prompts.render import render
from edge_autoglm.prompts.task import Task, Variant
from edge_autoglm.values import Message


def stand_in_chat(messages: Sequence[Message]) -> str:
    """In place of a chat template that nobody gave: every role and content, and where the answer begins."""
    turns = [f"[{message['role']}]\n{message['content']}\n" for message in messages]
    return "".join(turns) + "[assistant]\n"


def rendered(task: Task, variant: Variant, inputs: Mapping[str, str], model: TextModel | None) -> str | None:
    """The prompt; ``None`` where the model's chat template refuses it, or there is none for a chat."""
    if model is None:
        return render(task, variant, inputs, stand_in_chat)
    try:
        return render(task, variant, {name: model.shield(text) for name, text in inputs.items()}, model.chat)
    except PromptError:
        return None


def on_probes(task: Task, variant: Variant, model: TextModel | None) -> tuple[str, ...]:
    """The prompts of all probes that can be rendered."""
    prompts = (rendered(task, variant, probe, model) for probe in task.probes)
    return tuple(prompt for prompt in prompts if prompt is not None)
