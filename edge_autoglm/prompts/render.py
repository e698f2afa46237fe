"""From a variant and a request's inputs to the text that the model reads."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence

from edge_autoglm.errors import InputRejected, TemplateError
from edge_autoglm.prompts.retrieved import NOTHING, Retrieved, variables
from edge_autoglm.prompts.retrieved_samples import retrieved_samples
from edge_autoglm.prompts.sentinels import sentinel_texts
from edge_autoglm.prompts.task import LABELS, Task, Variant
from edge_autoglm.prompts.text import unusable
from edge_autoglm.sandbox import constants
from edge_autoglm.values import Message

ChatRenderer = Callable[[Sequence[Message]], str]
"""Puts messages together with the model's chat template, generation prompt included."""


def render(
    task: Task,
    variant: Variant,
    inputs: Mapping[str, str],
    chat: ChatRenderer | None = None,
    retrieved: Retrieved = NOTHING,
) -> str:
    """The prompt of a request. Inputs are values: nothing in them is read as template source.

    Args:
        task: The task that ``variant`` belongs to.
        variant: How to put it.
        inputs: Exactly the task's inputs.
        chat: The model's chat template; needed by variants of chat style.
        retrieved: What the variant's ``shots`` and ``passages`` show; values like the inputs.

    Raises:
        InputRejected: An input is missing, superfluous, not a text, has a NUL or half a surrogate pair, or all are so
            empty that there is nothing to ask the model.
        TemplateError: The template fails on these inputs, or is of chat style and there is no ``chat``.
    """
    check_inputs(task, inputs)
    prompt = _fill(task, variant, inputs, chat, retrieved)
    if not prompt:
        cause = f"variant {variant.name} of task {task.name} has nothing to ask: its inputs are empty"
        raise InputRejected(cause, f"Give a text for {', '.join(task.inputs)}.")
    return prompt


def check_inputs(task: Task, inputs: Mapping[str, str]) -> None:
    """Refuse inputs that do not fit the task.

    Raises:
        InputRejected: See ``render``.
    """
    cure = f"Give exactly the inputs of the task, as texts: {', '.join(task.inputs)}."
    for name in task.inputs:
        if name not in inputs:
            raise InputRejected(f"task {task.name} got no input {name!r}", cure)
    for name, text in inputs.items():
        if name not in task.inputs:
            raise InputRejected(f"task {task.name} has no input {name!r}", cure)
        if not isinstance(text, str):
            raise InputRejected(f"input {name!r} of task {task.name} is of type {type(text).__name__}", cure)
        problem = unusable(text)
        if problem is not None:
            raise InputRejected(f"input {name!r} of task {task.name} {problem}", "Take it out of the text.")


def label_texts(task: Task, variant: Variant, prompt: str) -> dict[str, str]:
    """The text that stands for each label right after the rendered prompt.

    That is the verbalizer's text. A label without one stands for itself, with a space before it, unless the prompt ends
    in white space or the label is in a script that sets no spaces between words (East Asian wide characters).
    """
    return {label: variant.verbalizer.get(label) or _spaced(label, prompt) for label in task.labels}


def static_prefix(task: Task, variant: Variant, chat: ChatRenderer | None = None) -> str:
    """The longest text that every rendering of the variant starts with: what can be prefilled before any request.

    It is found by rendering with many different inputs (short, long, of different first characters, and made from the
    texts and numbers that the templates compare with) and taking what the results share. Sampling can show that a
    prefix is too long, never that it is right: a template can branch on something that no sample has. So the result is
    a proposal, and whoever uses it compares tokens with the actual prompt of each request.

    Raises:
        TemplateError: The template fails on every sample, or is of chat style and there is no ``chat``.
    """
    prefix: str | None = None
    failure: TemplateError | None = None
    for inputs, retrieved in _samples(task, variant):
        try:
            rendered = _fill(task, variant, inputs, chat, retrieved)
        except TemplateError as error:  # a request with such an input would fail as well, so it has no prefix to share
            failure = error
            continue
        prefix = rendered if prefix is None else _shared(prefix, rendered)
        if not prefix:
            return ""
    if prefix is None and failure is not None:
        raise failure
    return prefix or ""


def _fill(
    task: Task, variant: Variant, inputs: Mapping[str, str], chat: ChatRenderer | None, retrieved: Retrieved
) -> str:
    shown = variables(retrieved, task.labels, variant.verbalizer, variant.shots, variant.passages)
    values: dict[str, object] = {**inputs, LABELS: task.labels, **shown}
    compiled = variant.compiled
    if compiled.prompt is not None:
        return compiled.prompt.render(**values)
    if chat is None:
        cause = f"variant {variant.name} of task {task.name} is a chat, and the model has no chat template"
        raise TemplateError(cause, "Use a variant with a prompt instead of messages, or a model with a chat template.")
    messages = [Message(role=role, content=content.render(**values)) for role, content in compiled.messages]
    answer = "" if compiled.answer is None else compiled.answer.render(**values)
    return chat(messages) + answer


def _samples(task: Task, variant: Variant) -> Iterator[tuple[dict[str, str], Retrieved]]:
    """Inputs, and what is retrieved, that differ in as many ways as the variant's templates may tell apart."""
    found = [value for source in variant.sources().values() for value in constants(source, variant.name)]
    texts = sentinel_texts(found)
    yield from zip(_input_samples(task, texts), retrieved_samples(task, variant, texts), strict=False)


def _input_samples(task: Task, texts: Sequence[str]) -> Iterator[dict[str, str]]:
    for i, text in enumerate(texts):
        yield dict.fromkeys(task.inputs, text)
        if len(task.inputs) > 1:
            yield {name: texts[(i + 7 * place) % len(texts)] for place, name in enumerate(task.inputs)}
            for name in task.inputs:
                yield {**dict.fromkeys(task.inputs, texts[-1]), name: text}


def _shared(one: str, other: str) -> str:
    """The longest text that both start with."""
    for i, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return one[:i]
    return min(one, other, key=len)


def _spaced(label: str, prompt: str) -> str:
    spaceless = not prompt or prompt[-1].isspace() or unicodedata.east_asian_width(label[0]) in "WF"
    return label if spaceless else f" {label}"
