"""One request on one leased generation: render, tokenise, then score the labels or decode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edge_autoglm.errors import InputRejected
from edge_autoglm.prompts import Task, Variant, label_texts, render
from edge_autoglm.runtime.model import LanguageModel, TokenStream
from edge_autoglm.values import Timings, Usage


@dataclass(frozen=True, slots=True)
class Answer:
    """What a variant answered; the fields are those of `Reply`."""

    text: str
    label: str | None
    scores: dict[str, float]
    usage: Usage
    timings: Timings


def answer(model: LanguageModel, task: Task, variant: Variant, inputs: Mapping[str, str]) -> Answer:
    """Answer a whole request."""
    if task.kind == "classify":
        return _classify(model, task, variant, inputs)
    stream = stream_answer(model, task, variant, inputs)
    text = "".join(stream)
    return Answer(text.strip(), None, {}, stream.usage, stream.timings)


def stream_answer(model: LanguageModel, task: Task, variant: Variant, inputs: Mapping[str, str]) -> TokenStream:
    """Answer a request piece by piece.

    Raises:
        InputRejected: The task classifies, so that there is nothing to stream.
    """
    if task.kind == "classify":
        raise InputRejected(f"task {task.name} answers with a label, there is nothing to stream", "Use run instead.")
    return model.stream(model.encode_prompt(_render(model, task, variant, inputs)), variant.sampling)


def _classify(model: LanguageModel, task: Task, variant: Variant, inputs: Mapping[str, str]) -> Answer:
    prompt = _render(model, task, variant, inputs)
    texts = label_texts(task, variant, prompt)
    tokens = [model.label_tokens(prompt, texts[label]) for label in task.labels]
    scores = model.score(model.encode_prompt(prompt), tokens)
    joint = np.asarray(scores.logprobs)
    normalised = joint - np.logaddexp.reduce(joint)
    label = task.labels[int(joint.argmax())]
    by_label = dict(zip(task.labels, normalised.tolist(), strict=True))
    return Answer(label, label, by_label, scores.usage, scores.timings)


def _render(model: LanguageModel, task: Task, variant: Variant, inputs: Mapping[str, str]) -> str:
    # Texts from outside are shielded: a chat marker in them is text, never a special token.
    shielded = {name: model.tokenizer.shield(value) for name, value in inputs.items()}
    return render(task, variant, shielded, None if model.chat is None else model.chat.render)
