"""How good answers are: one number, the larger the better."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from edge_autoglm.errors import EvolveError
from edge_autoglm.evolve.answers import Answer
from edge_autoglm.prompts.task import Kind

Measure = Callable[[Sequence[Answer]], float]
"""A metric of the app's own: answers -> a number, the larger the better."""

_WORD = re.compile(r"\w+", re.UNICODE)


@dataclass(frozen=True, slots=True)
class Metric:
    """A named measure.

    Attributes:
        name: For people.
        measure: See `Measure`.
        each: The same for one answer, where the measure is the mean over answers; else ``None``.
        share: Whether each answer counts 0 or 1, so that the measure is a share.
    """

    name: str
    measure: Measure
    each: Callable[[Answer], float] | None = None
    share: bool = False


def metric(chosen: str | Measure | None, kind: Kind) -> Metric:
    """A metric by name, an app's own, or the usual one of a kind of task.

    Raises:
        EvolveError: There is none of that name, or it is for tasks of the other kind.
    """
    if callable(chosen):
        return Metric(getattr(chosen, "__name__", "metric"), chosen)
    of_kind = METRICS[kind]
    if chosen is None:
        return next(iter(of_kind.values()))
    if chosen not in of_kind:
        cure = f"Name one of {', '.join(of_kind)} for a task of the kind {kind}."
        raise EvolveError(f"there is no metric {chosen!r} for this task", cure)
    return of_kind[chosen]


def confidence(answers: Sequence[Answer]) -> float:
    """Mean log-probability of the right label, to rank prompts that are equally good; 0 for generated text."""
    if not answers or not answers[0].logprobs:
        return 0.0
    return float(np.mean([answer.logprobs[answer.expect] for answer in answers]))


def _right(answer: Answer) -> float:
    return float(answer.text == answer.expect)


def _negative_log_loss(answer: Answer) -> float:
    return answer.logprobs[answer.expect]


def _balanced_accuracy(answers: Sequence[Answer]) -> float:
    """Mean over the labels that occur of the share of each that was found (Brodersen et al. 2010)."""
    labels = sorted({answer.expect for answer in answers})
    found = [[_right(answer) for answer in answers if answer.expect == label] for label in labels]
    return float(np.mean([np.mean(group) for group in found]))


def _macro_f1(answers: Sequence[Answer]) -> float:
    """Mean of the labels' F1 over the labels that occur: 2 tp / (2 tp + fp + fn)."""
    wanted = Counter(answer.expect for answer in answers)
    given = Counter(answer.text for answer in answers)
    right = Counter(answer.expect for answer in answers if answer.text == answer.expect)
    return float(np.mean([2 * right[label] / (wanted[label] + given[label]) for label in wanted]))


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]


def _exact(answer: Answer) -> float:
    return float(_words(answer.text) == _words(answer.expect))


def _contains(answer: Answer) -> float:
    return float(answer.expect.casefold() in answer.text.casefold())


def _token_f1(answer: Answer) -> float:
    """F1 of the words that two texts have in common (Rajpurkar et al. 2016, SQuAD)."""
    given, wanted = _words(answer.text), _words(answer.expect)
    common = sum((Counter(given) & Counter(wanted)).values())
    return 2 * common / (len(given) + len(wanted)) if common else 0.0


def _mean(name: str, each: Callable[[Answer], float], *, share: bool = False) -> Metric:
    return Metric(name, lambda answers: float(np.mean([each(answer) for answer in answers])), each, share)


def _by_name(*metrics: Metric) -> Mapping[str, Metric]:
    return MappingProxyType({each.name: each for each in metrics})


METRICS: Mapping[Kind, Mapping[str, Metric]] = MappingProxyType(
    {
        "classify": _by_name(
            _mean("accuracy", _right, share=True),
            Metric("balanced_accuracy", _balanced_accuracy),
            Metric("macro_f1", _macro_f1),
            _mean("log_loss", _negative_log_loss),
        ),
        "generate": _by_name(
            _mean("token_f1", _token_f1),
            _mean("exact_match", _exact, share=True),
            _mean("contains", _contains, share=True),
        ),
    }
)
"""By kind of task; the first is the usual one. ``log_loss`` is negated, so that more is better."""
