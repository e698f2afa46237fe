"""What a model answered to an example, and the answer as a metric sees it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge_autoglm.prompts.calibration import calibrated
from edge_autoglm.prompts.rewrite import Labelled
from edge_autoglm.prompts.task import Task, Variant


@dataclass(frozen=True, slots=True)
class Outcome:
    """One scored prompt.

    Attributes:
        logprobs: Log-probability of each label in the task's order, uncalibrated; empty for a task that generates text.
        text: What was generated; empty for a task that classifies.
        prompt_tokens: Of the whole prompt.
        cached_tokens: Of them, those that needed no forward pass.
    """

    logprobs: tuple[float, ...]
    text: str
    prompt_tokens: int
    cached_tokens: int


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer beside what was wanted.

    Attributes:
        expect: The right label, or the text wanted.
        text: The label, or the text that was generated.
        logprobs: Label -> log-probability, normalised over the labels; empty for generated text.
    """

    expect: str
    text: str
    logprobs: Mapping[str, float]


def answers(
    task: Task, variant: Variant, examples: Sequence[Labelled], outcomes: Sequence[Outcome]
) -> tuple[Answer, ...]:
    """Answers of a variant, its calibration applied: as a request would get them."""
    return tuple(_answer(task, variant, example, outcome) for example, outcome in zip(examples, outcomes, strict=True))


def _answer(task: Task, variant: Variant, example: Labelled, outcome: Outcome) -> Answer:
    if not task.labels:
        return Answer(example.expect, outcome.text, {})
    joint = calibrated(task, variant, outcome.logprobs)
    normalised = joint - np.logaddexp.reduce(joint)
    by_label = dict(zip(task.labels, normalised.tolist(), strict=True))
    return Answer(example.expect, task.labels[int(joint.argmax())], by_label)


def example_key(example: Labelled) -> str:
    """Names an example's inputs in a file of scores; says nothing of what they are."""
    canonical = json.dumps(sorted(example.inputs.items()), ensure_ascii=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()[:16]
