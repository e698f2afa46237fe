"""Compare an engine with the original: windows of held-out text, then greedy answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge_autoglm.export.proof.budgets import Budget
from edge_autoglm.export.proof.divergence import compare_windows
from edge_autoglm.export.proof.figures import Proof
from edge_autoglm.export.proof.generations import (
    GenerationFigures,
    Generations,
    compare_generations,
    generate_greedily,
)
from edge_autoglm.export.proof.language import Language
from edge_autoglm.export.proof.prompts import PROMPTS
from edge_autoglm.export.texts import Text
from edge_autoglm.runtime.engine import Engine
from edge_autoglm.values import Progress


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured.

    Attributes:
        windows: Of the held-out text.
        window_tokens: Tokens of each; cut to what a slot holds.
        new_tokens: Of each greedy answer.
    """

    windows: int = 12
    window_tokens: int = 512
    new_tokens: int = 32

    def within(self, capacity: int) -> Extent:
        """The same for a model of that context length."""
        return Extent(self.windows, min(self.window_tokens, capacity), min(self.new_tokens, capacity // 2))


@dataclass(frozen=True, slots=True)
class Terms:
    """What is proved.

    Attributes:
        precision: Of the engine under test.
        budget: Limits that apply.
        text: Held-out.
        extent: How much of it.
    """

    precision: str
    budget: Budget
    text: Text
    extent: Extent = Extent()


def prove(reference: Engine, candidate: Engine, language: Language, terms: Terms, progress: Progress) -> Proof:
    """Measure how far an engine is from the original; the proof says whether that is within its budget.

    Args:
        reference: The original, with a slot for each of `PROMPTS`.
        candidate: The engine under test, likewise; ``reference`` itself if there is nothing to compare with.
        language: Of both.
        terms: What to prove.
        progress: Stages ``perplexity``, in windows, and ``generations``, in tokens.

    Raises:
        UnusableText: The text is too short.
        ExportError: An engine gives no finite logits, or the vocabularies differ.
    """
    extent = terms.extent.within(min(reference.facts.capacity, candidate.facts.capacity))
    windows = language.windows(terms.text, extent.windows, extent.window_tokens)
    divergence = compare_windows(reference, candidate, windows, lambda done, total: progress("perplexity", done, total))
    generations = _generations(reference, candidate, language, extent, progress)
    return Proof(
        precision=terms.precision,
        reference="itself" if candidate is reference else "fp32",
        text_sha256=terms.text.sha256,
        windows=extent.windows,
        window_tokens=extent.window_tokens,
        predicted_tokens=divergence.tokens,
        reference_perplexity=divergence.reference_perplexity,
        perplexity=divergence.perplexity,
        kl=divergence.kl,
        top1=divergence.top1,
        generations=generations.count,
        new_tokens=extent.new_tokens,
        identical_generations=generations.identical,
        common_prefix=generations.common_prefix,
        reference_degenerate=generations.reference_degenerate,
        degenerate=generations.degenerate,
        max_kl=terms.budget.max_kl,
        max_perplexity_increase=terms.budget.max_perplexity_increase,
    )


def _generations(
    reference: Engine, candidate: Engine, language: Language, extent: Extent, progress: Progress
) -> GenerationFigures:
    room = min(reference.facts.capacity, candidate.facts.capacity) - extent.new_tokens
    prompts = [language.prompt(question)[-room:] for question in PROMPTS]
    engines = [reference] if candidate is reference else [reference, candidate]
    total = extent.new_tokens * len(engines)
    answers: list[Generations] = []
    for engine in engines:
        start = extent.new_tokens * len(answers)
        report = _shifted(progress, start, total)
        answers.append(generate_greedily(engine, prompts, extent.new_tokens, language.eos_token_ids, report))
    return compare_generations(answers[0], answers[-1])


def _shifted(progress: Progress, start: int, total: int) -> Callable[[int, int], None]:
    return lambda done, _: progress("generations", start + done, total)
