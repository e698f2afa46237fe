"""One request of a task on one leased generation: render, tokenise, then score the labels or decode."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from edge_autoglm.errors import InputRejected
from edge_autoglm.facade.futures import then
from edge_autoglm.prompts import Task, Variant
from edge_autoglm.prompts.calibration import calibrated
from edge_autoglm.prompts.retrieved import NOTHING, Retrieved
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.runtime.requests.output import Output
from edge_autoglm.runtime.requests.score import Scores
from edge_autoglm.runtime.requests.stream import TokenStream
from edge_autoglm.runtime.urgency import Urgency
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


def submit_answer(
    model: LanguageModel,
    task: Task,
    variant: Variant,
    inputs: Mapping[str, str],
    urgency: Urgency,
    retrieved: Retrieved = NOTHING,
) -> Future[Answer]:
    """Answer a whole request."""
    if task.kind == "classify":
        prompt = render_request(model, task, variant, inputs, retrieved)
        scores = score_request(model, task, variant, prompt, urgency)
        return then(scores, lambda scores: _most_probable(task, variant, scores))
    stream = stream_answer(model, task, variant, inputs, urgency, retrieved)  # whoever drops it cancels the request
    return then(stream.future, lambda _: Answer(stream.read().strip(), None, {}, stream.usage, stream.timings))


def stream_answer(
    model: LanguageModel,
    task: Task,
    variant: Variant,
    inputs: Mapping[str, str],
    urgency: Urgency,
    retrieved: Retrieved = NOTHING,
) -> TokenStream:
    """Answer a request piece by piece.

    Raises:
        InputRejected: The task classifies, so that there is nothing to stream.
    """
    if task.kind == "classify":
        raise InputRejected(f"task {task.name} answers with a label, there is nothing to stream", "Use run instead.")
    prompt = model.encode_prompt(render_request(model, task, variant, inputs, retrieved), variant.soft_prompt)
    return model.stream(prompt, variant.sampling, urgency)


def answer_of(output: Output) -> Answer:
    """The whole answer to a request that was streamed, however much of it was read."""
    return Answer(output.text.strip(), None, {}, output.usage, output.timings)


def is_deterministic(task: Task, variant: Variant) -> bool:
    """Whether equal requests get equal answers."""
    return task.kind == "classify" or variant.sampling.greedy


def _most_probable(task: Task, variant: Variant, scores: Scores) -> Answer:
    joint = calibrated(task, variant, scores.logprobs)
    normalised = joint - np.logaddexp.reduce(joint)
    label = task.labels[int(joint.argmax())]
    by_label = dict(zip(task.labels, normalised.tolist(), strict=True))
    return Answer(label, label, by_label, scores.usage, scores.timings)
