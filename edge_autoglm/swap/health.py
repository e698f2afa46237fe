"""What a generation must show before it goes live."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import chain

import numpy as np

from edge_autoglm.errors import RequestError
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.swap.carried import same_model
from edge_autoglm.swap.checks.answers import MIN_LOOP, check_answers
from edge_autoglm.swap.checks.chat_prompts import chat_kl
from edge_autoglm.swap.checks.distribution import Divergence, divergence, same_vocabulary
from edge_autoglm.swap.checks.endings import never_ends
from edge_autoglm.swap.checks.golden import ask_golden
from edge_autoglm.swap.checks.language import language_faults
from edge_autoglm.swap.checks.latency import Clock, latency_ratios
from edge_autoglm.swap.checks.texts import windows
from edge_autoglm.swap.generation import Generation
from edge_autoglm.swap.outcome import cause_of

_OTHER_TOKENIZER = (
    "output distribution: tokenizer or vocabulary are not those of the active generation, so that it cannot be "
    "compared; set max_kl to None to let a model of another family in"
)
_LEAST_ALPHA = 0.001
_TIMED_TOKENS = 64
"""Of a prefill that is timed. Requests to the active generation wait for the engine no longer than that takes."""


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """Limits of the health check, and how much work it may do beside the requests.

    Whether a candidate's model differs *at all* is told by a test with a known rate of false alarms, ``alpha``; how
    much it *may* differ is up to ``max_kl``. One that claims the weights of the active generation must not differ at
    all, whatever ``max_kl``.

    Attributes:
        max_kl: Divergence of the next-token distributions from the active generation's, in nats, which the candidate
            must be below at 95 % confidence. On SmolLM2-135M, from int8: w8a8 0.03, int4 0.07, a mid layer of garbage
            11, one left out 0.2 to 0.7. 0 lets in what the test cannot tell from the active generation only: for a
            new export of the same weights. ``None`` lets a model of another family in.
        alpha: Probability of the alarm for a model that has not changed; 0.001 or more.
        samples: Next tokens that are drawn from each model for the test.
        max_latency_ratio: To the active generation's latency, of a prefill and of a decode step; ``None`` does not
            measure it.
        latency_rounds: Measurements of each generation.
        max_golden_drop: What the share of right answers to a task's golden questions may be below the active
            generation's; ``None`` does not ask them.
        max_golden: Golden questions of each task.
        golden_tokens: Decoded for a golden question of a text task.
        max_probes: Of each task.
        new_tokens: Decoded for a probe of a text task; fewer than 4 would not show a token that is repeated, fewer
            than 16 not words that are.
        max_weak: Share of the probes, rounded up, to which another model may answer with nothing, broken characters or
            a loop where the active generation does not. A good w8a8 does so to 1 of 100, where int8 just does not.

    Raises:
        RequestError: A value is out of range.
    """

    max_kl: float | None = 0.3
    alpha: float = 0.01
    samples: int = 200
    max_latency_ratio: float | None = 2.5
    latency_rounds: int = 9
    max_golden_drop: float | None = 0.1
    max_golden: int = 32
    golden_tokens: int = 32
    max_probes: int = 2
    new_tokens: int = 16
    max_weak: float = 0.05

    def __post_init__(self) -> None:
        self._check("max_kl", self.max_kl is None or self.max_kl >= 0, "0 or more, or None")
        self._check("alpha", _LEAST_ALPHA <= self.alpha < 1, f"{_LEAST_ALPHA} to 1")
        ratio = self.max_latency_ratio
        self._check("max_latency_ratio", ratio is None or ratio > 0, "more than 0, or None")
        drop = self.max_golden_drop
        self._check("max_weak", 0 <= self.max_weak <= 1, "0 to 1")
        self._check("max_golden_drop", drop is None or 0 <= drop <= 1, "0 to 1, or None")
        least = {"new_tokens": MIN_LOOP, "samples": 20}
        for name in ("samples", "latency_rounds", "max_golden", "golden_tokens", "max_probes", "new_tokens"):
            self._check(name, getattr(self, name) >= least.get(name, 1), f"{least.get(name, 1)} or more")

    def _check(self, name: str, holds: bool, cure: str) -> None:
        if not holds:
            raise RequestError(f"HealthPolicy.{name} is {getattr(self, name)}", f"Give {cure}.")


@dataclass(frozen=True, slots=True)
class HealthReport:
    """Result of a health check.

    Attributes:
        reasons: Why it failed; each names what was measured or, for an answer, task, variant and probe.
        figures: ``answers_asked``, ``answers_carried`` (known from the active generation), ``answers_excused`` (no
            worse than the active generation's), ``answers_tolerated``, ``golden_asked``, ``golden_right``,
            ``golden_right_now`` (by the active generation), ``shared_model`` (1.0: model and chat template are the
            active generation's, so that there is no difference to measure), ``mean_kl``, ``kl_bound``, ``unchanged_p``
            (p-value of "nothing has changed"), ``samples``, ``chat_kl``, ``prefill_ratio``, ``decode_ratio``. Those not
            measured are absent.
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
    with closing(active.model.fork()) as reference:
        case = _Case(candidate, active, reference, policy, clock)
        report = HealthReport((), {})
        for parts in _stages(case):
            report = _merged(report, *(_part(part, case) for part in parts))
            if not report.passed:  # later parts would repeat it in other words
                break
        return report


@dataclass(frozen=True, slots=True)
class _Case:
    candidate: Generation
    active: Generation
    reference: LanguageModel
    policy: HealthPolicy
    clock: Clock


_Check = Callable[[_Case], HealthReport]


def _stages(case: _Case) -> tuple[tuple[_Check, ...], ...]:
    if _shares_model(case):
        return (_policy,), (_answers,), (_golden, _shared)
    return (_policy, _language), (_answers,), (_golden, _ending, _distribution, _latency)


def _shares_model(case: _Case) -> bool:
    """Whether weights cannot differ: one that was loaded anew may claim them only."""
    candidate, active = case.candidate.model, case.active.model
    return same_model(candidate, active) and candidate.shares_weights(active)


def _part(part: _Check, case: _Case) -> HealthReport:
    """A part of the check; whatever goes wrong in it is the candidate's fault, as the active generation answers."""
    try:
        return part(case)
    except Exception as error:
        return HealthReport((f"{part.__name__.strip('_')}: {cause_of(error)}",), {})


def _policy(case: _Case) -> HealthReport:
    broken = case.candidate.policy.broken_numbers()
    return HealthReport((f"policy: {broken} of its numbers are not finite",) if broken else (), {})


def _answers(case: _Case) -> HealthReport:
    policy = case.policy
    answers = check_answers(
        case.candidate,
        case.active,
        case.reference,
        max_probes=policy.max_probes,
        new_tokens=policy.new_tokens,
        max_weak=policy.max_weak,
    )
    return HealthReport(
        answers.faults,
        {
            "answers_asked": float(answers.asked),
            "answers_carried": float(answers.carried),
            "answers_excused": float(answers.excused),
            "answers_tolerated": float(answers.tolerated),
        },
    )


def _language(case: _Case) -> HealthReport:
    candidate, active = case.candidate.model, case.active.model
    faults = language_faults(candidate, active)
    if case.policy.max_kl is not None and not same_vocabulary(active, candidate, _windows(case)):
        faults.insert(0, _OTHER_TOKENIZER)
    return HealthReport(tuple(faults), {})


def _golden(case: _Case) -> HealthReport:
    limit, policy = case.policy.max_golden_drop, case.policy
    if limit is None:
        return HealthReport((), {})
    scores = ask_golden(case.candidate, case.active, case.reference, policy.max_golden, policy.golden_tokens)
    reasons = tuple(
        f"golden questions of task {score.task}: {score.right} of {score.asked} right, {score.right_now} by the active "
        f"generation; a drop of {score.drop:.3g} is above max_golden_drop {limit:g}"
        for score in scores
        if score.drop > limit
    )
    figures = {
        "golden_asked": float(sum(score.asked for score in scores)),
        "golden_right": float(sum(score.right for score in scores)),
        "golden_right_now": float(sum(score.right_now for score in scores)),
    }
    return HealthReport(reasons, figures if scores else {})


def _ending(case: _Case) -> HealthReport:
    fault = never_ends(case.candidate, case.active, case.reference)
    return HealthReport(() if fault is None else (fault,), {})


def _shared(_: _Case) -> HealthReport:
    """Weights are those of the active generation, and so are the slots once the candidate joins it: nothing to run."""
    return HealthReport((), {"shared_model": 1.0, "mean_kl": 0.0})


def _distribution(case: _Case) -> HealthReport:
    limit, candidate = case.policy.max_kl, case.candidate.model
    if limit is None:
        return HealthReport((), {})
    rng = np.random.default_rng(case.candidate.number)  # a second attempt is drawn afresh, and can be repeated
    found = divergence(case.reference, candidate, _windows(case), case.policy.samples, rng)
    chats = chat_kl(case.candidate, case.active, case.reference, case.policy.max_probes)
    figures = {
        "mean_kl": found.mean_kl,
        "kl_bound": found.bound,
        "unchanged_p": found.p_value,
        "samples": float(found.samples),
        **({} if chats is None else {"chat_kl": chats}),
    }
    return HealthReport(tuple(_distribution_faults(case, limit, found, chats)), figures)


def _distribution_faults(case: _Case, limit: float, found: Divergence, chats: float | None) -> Iterator[str]:
    claims = case.candidate.model.engine.facts.fingerprint == case.active.model.engine.facts.fingerprint
    if (claims or limit == 0) and found.p_value <= case.policy.alpha:
        why = "it claims the weights of the active generation" if claims else "max_kl is 0"
        yield (
            f"output distribution: {why}, but {found.samples} next tokens tell them apart (p = {found.p_value:.2g}, "
            f"alpha {case.policy.alpha:g})"
        )
    elif limit > 0 and not found.bound <= limit:
        yield (
            f"output distribution: mean KL {found.mean_kl:.3g}, at 95 % confidence up to {found.bound:.3g}, is above "
            f"max_kl {limit:g}"
        )
    if chats is not None and chats > limit:
        yield f"chat template: answers to chats differ by a mean KL of {chats:.3g}, above max_kl {limit:g}"


def _latency(case: _Case) -> HealthReport:
    limit = case.policy.max_latency_ratio
    if limit is None:
        return HealthReport((), {})
    tokens = list(chain(*_windows(case)))[:_TIMED_TOKENS]
    rounds = case.policy.latency_rounds
    ratios = latency_ratios(case.reference, case.candidate.model, tokens, rounds, case.clock)
    slow = (
        f"latency: a prefill takes {ratios.prefill:.3g} and a decode step {ratios.decode:.3g} times as long as the "
        f"active generation's, above max_latency_ratio {limit:g}"
    )
    figures = {"prefill_ratio": ratios.prefill, "decode_ratio": ratios.decode}
    return HealthReport((slow,) if max(figures.values()) > limit else (), figures)


def _windows(case: _Case) -> list[list[int]]:
    return windows(case.active, case.policy.max_probes)


def _merged(*reports: HealthReport) -> HealthReport:
    reasons = tuple(reason for report in reports for reason in report.reasons)
    return HealthReport(reasons, {name: value for report in reports for name, value in report.figures.items()})
