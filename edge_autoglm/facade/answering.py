"""One request on one leased generation: render, tokenise, then score the labels or decode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edge_autoglm.errors import InputRejected
from edge_autoglm.prompts import Task, Variant
from edge_autoglm.runtime.model import LanguageModel, TokenStream
from edge_autoglm.swap.asking import render_request, score_request
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
    return model.stream(model.encode_prompt(render_request(model, task, variant, inputs)), variant.sampling)


def _classify(model: LanguageModel, task: Task, variant: Variant, inputs: Mapping[str, str]) -> Answer:
    prompt = render_request(model, task, variant, inputs)
    scores = score_request(model, task, variant, prompt)
    joint = np.asarray(scores.logprobs)
    normalised = joint - np.logaddexp.reduce(joint)
    label = task.labels[int(joint.argmax())]
    by_label = dict(zip(task.labels, normalised.tolist(), strict=True))
    return Answer(label, label, by_label, scores.usage, scores.timings)
