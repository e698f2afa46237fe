"""Static prefixes that are shorter than they could be.

What stands in front of the first input is prefilled once; what stands behind it is computed at every request. A variant
that puts its instruction behind the text pays for it each time, unless the instruction moves to the front.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge_autoglm.errors import TemplateError
from edge_autoglm.prompts.checks.findings import Finding
from edge_autoglm.prompts.checks.places import CheckedTask
from edge_autoglm.prompts.checks.renderings import rendered
from edge_autoglm.prompts.checks.text_model import TextModel
from edge_autoglm.prompts.render import static_prefix
from edge_autoglm.prompts.retrieved import PASSAGES, SHOTS
from edge_autoglm.prompts.task import LABELS, Task, Variant

_WORTH_MOVING = 8
"""Tokens; less than that is hardly felt."""

_CUE_ENDS = (":", "：")

_INPUT = "Qzx{}vkJ"
"""Stands for an input; nothing that a template's own text has in it."""


def check_prefixes(checked: CheckedTask, model: TextModel) -> Iterator[Finding]:
    """Static text behind an input, and prefixes that end before the first input does begin."""
    for variant in checked.task.variants:
        if variant.messages is not None and model.chat is None:
            continue
        field = checked.field_of(variant, _with_first_input(checked.task, variant))
        prefix = len(model.prefix_tokens(static_prefix(checked.task, variant, model.chat)))
        behind = _behind(checked.task, variant, model)
        if behind >= _WORTH_MOVING:
            message = (
                f"variant {variant.name} has a static prefix of {prefix} tokens, and {behind} static tokens behind the "
                "first input, which every request computes again"
            )
            yield checked.finding("warning", "prefix", field, message, "Put what need not be last before the input.")
        lost = _in_front(checked.task, variant, model) - prefix
        if lost >= _WORTH_MOVING:
            message = (
                f"variant {variant.name} has {lost} tokens in front of the first input that depend on the request, so "
                f"that its static prefix ends at {prefix}"
            )
            yield checked.finding("warning", "prefix", field, message, "Take conditions out of the beginning.")


def _behind(task: Task, variant: Variant, model: TextModel) -> int:
    """Static tokens behind the first input, of the variant's own text: what a chat template adds cannot be moved."""
    texts = _own_texts(task, variant)
    first = next((i for i, text in enumerate(texts) if _position(task, text) is not None), None)
    if first is None:
        return 0
    behind = [texts[first][_position(task, texts[first]) :], *texts[first + 1 :]]
    if variant.prompt is not None:
        behind[-1] = _without_cue(behind[-1])
    return sum(len(model.encode(_without_inputs(task, text).strip())) for text in behind)


def _without_cue(text: str) -> str:
    """Less a last line such as ``Answer:``, which has to stand right before the answer."""
    return text.rpartition("\n")[0] if text.rstrip().endswith(_CUE_ENDS) else text


def _in_front(task: Task, variant: Variant, model: TextModel) -> int:
    """Tokens before the first input, as a request renders it."""
    prompt = rendered(task, variant, _stand_ins(task), model) or ""
    position = _position(task, prompt)
    return 0 if position is None else len(model.prefix_tokens(prompt[:position]))


def _own_texts(task: Task, variant: Variant) -> list[str]:
    """The prompt, or each message; nothing where a template does not take such inputs."""
    values = {**_stand_ins(task), LABELS: task.labels, SHOTS: [], PASSAGES: []}
    compiled = variant.compiled
    templates = [content for _, content in compiled.messages] if compiled.prompt is None else [compiled.prompt]
    try:
        return [template.render(**values) for template in templates]
    except TemplateError:
        return []


def _with_first_input(task: Task, variant: Variant) -> str:
    if variant.messages is None:
        return "prompt"
    texts = _own_texts(task, variant)
    return f"messages[{next((i for i, text in enumerate(texts) if _position(task, text) is not None), 0)}].content"


def _stand_ins(task: Task) -> dict[str, str]:
    return {name: _INPUT.format(i) for i, name in enumerate(task.inputs)}


def _position(task: Task, text: str) -> int | None:
    """Of the first input in a rendered text; ``None`` if it shows none."""
    found = [at for stand_in in _stand_ins(task).values() if (at := text.find(stand_in)) >= 0]
    return min(found, default=None)


def _without_inputs(task: Task, text: str) -> str:
    for stand_in in _stand_ins(task).values():
        text = text.replace(stand_in, "")
    return text
