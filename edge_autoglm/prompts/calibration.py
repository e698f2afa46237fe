"""What a prompt makes of a label before it has read anything, and how that is taken off the scores.

A small model leans: a chat lead-in may give ``positive`` 90 % whatever the text says. If that lean is known as one log
prior a label, it is subtracted from the label's score:

    s_y = log p(y | prompt) - log prior_y

That is contextual calibration (Zhao et al. 2021, "Calibrate Before Use", eq. 1 with W = diag(1 / prior) and b = 0, the
form they recommend) before its normalisation. Priors are plain numbers, ``calibration:`` of a variant in a task file.

Two ways to estimate them, both from rows of scores that the caller's model gave for the *same variant, uncalibrated*:
``contextual_priors`` from inputs without content, ``centred_priors`` from ordinary inputs whose labels are not needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import InputRejected, PromptError
from edge_autoglm.prompts.fields import Field
from edge_autoglm.prompts.render import ChatRenderer, render
from edge_autoglm.prompts.task import Task, Variant

CONTENT_FREE = ("N/A", "[MASK]", "")
"""Inputs that say nothing, as in Zhao et al. 2021, section 5."""


def calibrated(task: Task, variant: Variant, logprobs: Sequence[float]) -> npt.NDArray[np.float64]:
    """Scores of the labels, the variant's priors taken off; not normalised. The one place where that happens.

    Args:
        task: Whose labels were scored.
        variant: Whose prompt they were scored behind; one without priors leaves the scores as they are.
        logprobs: Natural logarithm of each label's probability, in the task's order.
    """
    scores = np.asarray(logprobs, dtype=np.float64)
    if not variant.calibration:
        return scores
    priors = np.asarray([variant.calibration[label] for label in task.labels], dtype=np.float64)
    settled: npt.NDArray[np.float64] = scores - priors
    return settled


def contextual_priors(labels: Sequence[str], rows: Sequence[Sequence[float]]) -> dict[str, float]:
    """Log priors from inputs without content: the mean of the probabilities (Zhao et al. 2021, section 5).

    Args:
        labels: Of the task, in its order.
        rows: Log-probabilities of the labels for each of `content_free_inputs`.

    Raises:
        PromptError: There are no rows, or one is not of as many finite numbers as there are labels.
    """
    probabilities = np.exp(_normalised(labels, rows))
    return _priors(labels, np.log(np.maximum(probabilities.mean(axis=0), np.finfo(np.float64).tiny)))


def centred_priors(labels: Sequence[str], rows: Sequence[Sequence[float]]) -> dict[str, float]:
    """Log priors that centre the scores of unlabelled inputs: the mean of the log-probabilities.

    After it the labels have equal mean scores over these inputs; with two labels, the mean log-odds is 0. It is Batch
    Calibration (Zhou et al. 2023, "Batch Calibration: Rethinking Calibration for In-Context Learning and Prompt
    Engineering", eq. 7) with a mean over logarithms in place of probabilities, which a few sure answers do not rule. It
    supposes that the labels are about equally frequent among the inputs.

    Args:
        labels: Of the task, in its order.
        rows: Log-probabilities of the labels for each input; some tens are enough for two labels.

    Raises:
        PromptError: As for ``contextual_priors``.
    """
    return _priors(labels, _normalised(labels, rows).mean(axis=0))


def content_free_inputs(task: Task, variant: Variant, chat: ChatRenderer | None = None) -> tuple[dict[str, str], ...]:
    """Inputs that say nothing, less those for which the variant has nothing to ask.

    Raises:
        TemplateError: The variant is of chat style and there is no ``chat``.
    """
    found = [dict.fromkeys(task.inputs, text) for text in CONTENT_FREE]
    return tuple(inputs for inputs in found if _renders(task, variant, inputs, chat))


def read_calibration(field: Field, labels: Sequence[str]) -> dict[str, float]:
    """The field ``calibration`` of a variant in a task file: label -> log prior, for every label.

    Raises:
        TaskFileError: The task has no labels, one is missing or unknown, or a prior is not a finite number.
    """
    if not labels:
        raise field.error("is given for a task that generates text", "Remove it, or make the kind classify.")
    priors: dict[str, float] = {}
    for label, value in field.entries().items():
        if label not in labels:
            raise value.error("is not one of the labels", f"Use only {', '.join(labels)}.")
        priors[label] = _finite(value)
    for label in labels:
        if label not in priors:
            raise field.error(f"has no prior for {label}", f"Give one for each of {', '.join(labels)}.")
    return {label: priors[label] for label in labels}


def _finite(field: Field) -> float:
    number = field.number()
    if not np.isfinite(number):
        raise field.error(f"is {number}", "Write a finite number, the logarithm of the label's prior.")
    return number


def _normalised(labels: Sequence[str], rows: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    """``[rows, labels]`` log-probabilities that sum to one in each row."""
    table = np.asarray(rows, dtype=np.float64)
    if table.ndim != 2 or not len(table) or table.shape[1] != len(labels) or not np.isfinite(table).all():
        cause = f"label priors need rows of {len(labels)} finite scores, and got an array of shape {table.shape}"
        raise PromptError(cause, "Score at least one input, with a log-probability for every label.")
    normalised: npt.NDArray[np.float64] = table - np.logaddexp.reduce(table, axis=1, keepdims=True)
    return normalised


def _priors(labels: Sequence[str], logs: npt.NDArray[np.float64]) -> dict[str, float]:
    normalised = logs - np.logaddexp.reduce(logs)
    return {label: round(float(value), 6) for label, value in zip(labels, normalised, strict=True)}


def _renders(task: Task, variant: Variant, inputs: Mapping[str, str], chat: ChatRenderer | None) -> bool:
    try:
        render(task, variant, inputs, chat)
    except InputRejected:
        return False
    return True
