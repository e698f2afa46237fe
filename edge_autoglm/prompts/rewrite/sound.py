"""Whether a variant passes the checks of a task file, so that a draft can be written into one."""

from __future__ import annotations

from collections.abc import Sequence

from edge_autoglm.errors import PromptError
from edge_autoglm.prompts.render import render
from edge_autoglm.prompts.task import LABELS, Task, Variant
from edge_autoglm.sandbox import undeclared_variables
from edge_autoglm.values import Message


def is_sound(task: Task, variant: Variant) -> bool:
    """Whether it uses every input and nothing unknown, tells the labels apart, and renders on the task's examples."""
    texts = [variant.verbalizer.get(label, label).strip() for label in task.labels]
    return len(set(texts)) == len(texts) and _uses_its_inputs(task, variant) and _renders(task, variant)


def _uses_its_inputs(task: Task, variant: Variant) -> bool:
    try:
        used = {name for source in variant.sources().values() for name in undeclared_variables(source, variant.name)}
    except PromptError:
        return False
    return set(task.inputs) <= used <= {*task.inputs, *([LABELS] if task.labels else [])}


def _renders(task: Task, variant: Variant) -> bool:
    try:
        for inputs in (*task.probes, *(question.inputs for question in task.golden)):
            render(task, variant, inputs, _contents_only)
    except PromptError:
        return False
    return True


def _contents_only(messages: Sequence[Message]) -> str:
    """Stands in for the model's chat template."""
    return "\n".join(message["content"] for message in messages)
