"""Does every variant answer its task's probes?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edge_autoglm.prompts.calibration import calibrated
from edge_autoglm.prompts.task import Task, Variant
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.runtime.urgency import UNHURRIED
from edge_autoglm.swap.asking import render_request, score_request
from edge_autoglm.swap.carried import same_model, same_variant
from edge_autoglm.swap.garbage import NO_CHARACTER
from edge_autoglm.swap.generation import Generation
from edge_autoglm.swap.outcome import cause_of
from edge_autoglm.values import SamplingParams

MIN_LOOP = 4
"""Repetitions from which on an endless one is told from emphasis."""

_LONG = 16
"""Tokens of an answer in which a longer unit that is repeated shows."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe of a task, put by one of its variants."""

    task: Task
    variant: Variant
    number: int
    """From 1, as people count."""
    inputs: Mapping[str, str]

    def __str__(self) -> str:
        return f"task {self.task.name}, variant {self.variant.name}, probe {self.number}"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the answer to a probe.

    Attributes:
        cause: For people.
        weak: Whether a working model may do so now and then: an answer came, but is empty, broken or a loop.
    """

    cause: str
    weak: bool = False


@dataclass(frozen=True, slots=True)
class Answers:
    """Outcome for all probes.

    Attributes:
        faults: Each names task, variant and probe.
        tolerated: Weak answers where the active generation's are not, in a number that another model may give.
        asked: Probes that the candidate answered or failed.
        carried: Probes not asked, because model and variant are those of the active generation.
        excused: Faults that the active generation has as well: the candidate is no worse for them.
    """

    faults: tuple[str, ...]
    tolerated: int
    asked: int
    carried: int
    excused: int


def check_answers(
    candidate: Generation,
    active: Generation,
    reference: LanguageModel,
    *,
    max_probes: int,
    new_tokens: int,
    max_weak: float,
) -> Answers:
    """Put the probes to the candidate, as requests would be.

    Args:
        candidate: Not live yet.
        active: What answers now.
        reference: Fork of the active generation's model, so that no request waits for a slot.
        max_probes: Of a task.
        new_tokens: Tokens to decode for a probe of a text task.
        max_weak: Share of the probes, rounded up, to which another model may answer weakly in words that are in use: a
            model that is a little different stumbles elsewhere. One that answers all of them so is broken.
    """
    faults: list[str] = []
    weak: list[str] = []
    asked = carried = excused = good = 0
    known = same_model(candidate.model, active.model)
    for probe in probes(candidate, max_probes):
        kept = same_variant(probe.task, probe.variant, active.catalogue)
        if kept and known:
            carried += 1
            continue
        asked += 1
        fault = fault_of(candidate.model, probe, new_tokens)
        if fault is None:
            good += probe.task.kind == "generate"
        elif kept and fault_of(reference, probe, new_tokens) is not None:
            excused += 1
        else:
            (weak if kept and fault.weak else faults).append(f"{probe}: {fault.cause}")
    if not good or len(weak) > math.ceil(max_weak * asked):
        return Answers((*faults, *weak), 0, asked, carried, excused)
    return Answers(tuple(faults), len(weak), asked, carried, excused)


def probes(generation: Generation, max_probes: int) -> Iterator[Probe]:
    """The first ``max_probes`` probes of every task, by every variant."""
    for task in generation.catalogue.tasks:
        for variant in task.variants:
            for number, inputs in enumerate(task.probes[:max_probes], start=1):
                yield Probe(task, variant, number, inputs)


def fault_of(model: LanguageModel, probe: Probe, new_tokens: int) -> Fault | None:
    """What is wrong with the answer to a probe, if anything is."""
    try:
        prompt = render_probe(model, probe)
        if probe.task.kind == "classify":
            return _fault_of_scores(model, probe, prompt)
        return _fault_of_text(model, probe, prompt, new_tokens)
    except Exception as error:  # whatever a request would fail with
        return Fault(cause_of(error))


def render_probe(model: LanguageModel, probe: Probe) -> str:
    """The prompt, made as for a request."""
    return render_request(model, probe.task, probe.variant, probe.inputs)


def _fault_of_scores(model: LanguageModel, probe: Probe, prompt: str) -> Fault | None:
    scores = score_request(model, probe.task, probe.variant, prompt, UNHURRIED).result()
    settled = calibrated(probe.task, probe.variant, scores.logprobs).tolist()
    for label, logprob in zip(probe.task.labels, settled, strict=True):
        if not math.isfinite(logprob):
            return Fault(f"label {label} has log-probability {logprob}")
    return None


def _fault_of_text(model: LanguageModel, probe: Probe, prompt: str, new_tokens: int) -> Fault | None:
    # Greedy, so that a verdict does not depend on luck; NaN among the logits is an error of the sampler.
    greedy = SamplingParams(max_new_tokens=new_tokens, stop=probe.variant.sampling.stop)
    stream = model.stream(model.encode_prompt(prompt, probe.variant.soft_prompt), greedy, UNHURRIED)
    text = stream.read()
    if not text:
        return Fault(f"answers nothing (ended by {stream.finish_reason})", weak=True)
    if not text.strip(NO_CHARACTER):
        return Fault("answers bytes that are no characters", weak=True)
    if stream.finish_reason != "length" or stream.usage.new_tokens < MIN_LOOP:
        return None
    repeats = _repeats(text)
    if repeats >= stream.usage.new_tokens:
        return Fault(f"answers {text!r}, the same token over and over", weak=True)
    if repeats >= MIN_LOOP and stream.usage.new_tokens >= _LONG:
        return Fault(f"answers {text!r}, the same words over and over", weak=True)
    return None


def _repeats(text: str) -> int:
    """How often the shortest unit that makes up the text occurs in it, a beginning of it at the end included."""
    period = next(size for size in range(1, len(text) + 1) if text[size:] == text[:-size])
    return math.ceil(len(text) / period)
