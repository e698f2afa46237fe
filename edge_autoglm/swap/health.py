"""What a generation must show before it goes live."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from edge_autoglm.errors import RequestError
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.swap.answers import MIN_LOOP, check_answers
from edge_autoglm.swap.carried import same_model
from edge_autoglm.swap.comparison import (
    Clock,
    comparison_texts,
    latency_ratio,
    mean_kl,
    run_once,
    same_tokens,
)
from edge_autoglm.swap.generation import Generation
from edge_autoglm.swap.outcome import cause_of

_OTHER_TOKENIZER = (
    "output distribution: tokenizer or vocabulary are not those of the active generation, so that it cannot be "
    "compared; set max_kl to None to let a model of another family in"
)


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """Limits of the health check, and how much work it may do beside the requests.

    Attributes:
        max_kl: Divergence of the next-token distributions from the active generation's, in nats, mean over the probes;
            ``None`` lets a model of another family in.
        max_latency_ratio: To the active generation's latency; ``None`` does not measure it.
        max_probes: Of each task.
        new_tokens: Decoded for a probe of a text task; fewer than 4 would not show a loop.
        latency_rounds: Measurements of each generation.

    Raises:
        RequestError: A value is out of range.
    """

    max_kl: float | None = 0.5
    max_latency_ratio: float | None = 3.0
    max_probes: int = 2
    new_tokens: int = 8
    latency_rounds: int = 7

    def __post_init__(self) -> None:
        if self.max_kl is not None and not self.max_kl >= 0:
            raise RequestError(f"HealthPolicy.max_kl is {self.max_kl}", "Give 0 or more, or None.")
        if self.max_latency_ratio is not None and not self.max_latency_ratio > 0:
            raise RequestError(
                f"HealthPolicy.max_latency_ratio is {self.max_latency_ratio}", "Give more than 0, or None."
            )
        for name, least in (("max_probes", 1), ("new_tokens", MIN_LOOP), ("latency_rounds", 1)):
            if getattr(self, name) < least:
                raise RequestError(f"HealthPolicy.{name} is {getattr(self, name)}", f"Give {least} or more.")


@dataclass(frozen=True, slots=True)
class HealthReport:
    """Result of a health check.

    Attributes:
        reasons: Why it failed; each names what was measured or, for an answer, task, variant and probe.
        figures: ``answers_asked``, ``answers_carried`` (known from the active generation), ``answers_excused`` (no
            worse than the active generation's), ``shared_model`` (1.0: model and chat template are the active
            generation's, so that there is no difference to measure), ``mean_kl``, ``latency_ratio``.
    """

    reasons: tuple[str, ...]
    figures: Mapping[str, float]

    @property
    def passed(self) -> bool:
        """Whether the candidate may go live."""
        return not self.reasons


def check(
    candidate: Generation, active: Generation, policy: HealthPolicy, clock: Clock = time.perf_counter
) -> HealthReport:
    """Compare a candidate with the active generation, which goes on answering.

    Only what can differ is run: where the model is shared, its answers to unchanged variants, its distributions and
    its speed are those of the active generation.

    Args:
        candidate: Not live yet.
        active: Leased by the caller.
        policy: Limits.
        clock: Measures latency, in seconds.

    Raises:
        EdgeAutoGLMError: The active generation is closed.
    """
    # A fork has slots of its own: the check takes none from the requests.
    with closing(active.model.fork(slots=1)) as reference:
        answers = _merged(_weights(candidate), _answers(candidate, active, reference, policy))
        if not answers.passed:  # the rest would repeat it in other words
            return answers
        texts = comparison_texts(active, policy.max_probes)
        if same_model(candidate.model, active.model):
            return _merged(answers, _shared(candidate.model, texts))
        return _merged(
            answers,
            _distribution(candidate.model, reference, texts, policy.max_kl),
            _latency(candidate.model, reference, texts, policy, clock),
        )


def _weights(candidate: Generation) -> HealthReport:
    broken = candidate.policy.broken_numbers()
    return HealthReport((f"policy: {broken} of its numbers are not finite",) if broken else (), {})


def _answers(candidate: Generation, active: Generation, reference: LanguageModel, policy: HealthPolicy) -> HealthReport:
    answers = check_answers(candidate, active, reference, policy.max_probes, policy.new_tokens)
    return HealthReport(
        answers.faults,
        {
            "answers_asked": float(answers.asked),
            "answers_carried": float(answers.carried),
            "answers_excused": float(answers.excused),
        },
    )


def _shared(candidate: LanguageModel, texts: Sequence[str]) -> HealthReport:
    """Weights are those of the active generation; what is new are the slots, so that they have to work."""
    figures = {"shared_model": 1.0, "mean_kl": 0.0}
    try:
        run_once(candidate, texts[0])
    except Exception as error:
        return HealthReport((f"trial run: {cause_of(error)}",), figures)
    return HealthReport((), figures)


def _distribution(
    candidate: LanguageModel, reference: LanguageModel, texts: Sequence[str], max_kl: float | None
) -> HealthReport:
    if max_kl is None:
        return HealthReport((), {})
    try:
        if not same_tokens(reference, candidate, texts):
            return HealthReport((_OTHER_TOKENIZER,), {})
        kl = mean_kl(reference, candidate, texts)
    except Exception as error:
        return HealthReport((f"output distribution: {cause_of(error)}",), {})
    reasons = () if kl <= max_kl else (f"output distribution: mean KL {kl:.3g} is above max_kl {max_kl:g}",)
    return HealthReport(reasons, {"mean_kl": kl})


def _latency(
    candidate: LanguageModel, reference: LanguageModel, texts: Sequence[str], policy: HealthPolicy, clock: Clock
) -> HealthReport:
    limit = policy.max_latency_ratio
    if limit is None:
        return HealthReport((), {})
    try:
        ratio = latency_ratio(reference, candidate, max(texts, key=len), policy.latency_rounds, clock)
    except Exception as error:
        return HealthReport((f"latency: {cause_of(error)}",), {})
    slow = f"latency: {ratio:.3g} times that of the active generation, above max_latency_ratio {limit:g}"
    return HealthReport(() if ratio <= limit else (slow,), {"latency_ratio": ratio})


def _merged(*reports: HealthReport) -> HealthReport:
    reasons = tuple(reason for report in reports for reason in report.reasons)
    return HealthReport(reasons, {name: value for report in reports for name, value in report.figures.items()})
