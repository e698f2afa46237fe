"""Several answers to one prompt: the most probable first, or the one that most of them agree on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edge_autoglm.errors import RequestError
from edge_autoglm.facade.futures import in_order, then
from edge_autoglm.runtime.decoding.consensus import Consensus, majority, parsed
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.runtime.requests.stream import TokenStream
from edge_autoglm.runtime.urgency import Urgency
from edge_autoglm.values import Completion, SamplingParams


@dataclass(frozen=True, slots=True)
class Samples:
    """Answers to one prompt.

    Attributes:
        best: The answer to use: the most probable one that parses to what the majority says, or, without a parser, the
            most probable of all.
        completions: All of them, by mean log-probability of their tokens, the highest first.
        consensus: Votes of the parsed answers (self-consistency, Wang et al. 2022); ``None`` without a parser.
    """

    best: Completion
    completions: tuple[Completion, ...]
    consensus: Consensus[Any] | None

    @classmethod
    def of(cls, completions: Sequence[Completion], parse: Callable[[str], Any] | None) -> Samples:
        """Rank completions, and count the votes of what they parse to.

        Args:
            completions: With log-probabilities; at least one.
            parse: From a text to the answer in it; ``None`` or a ``ValueError`` if there is none.
        """
        ranked = sorted(completions, key=_mean_logprob, reverse=True)
        if parse is None:
            return cls(ranked[0], tuple(ranked), None)
        answers = parsed([completion.text for completion in ranked], parse)
        consensus = majority(answers)
        best = next(one for one, answer in zip(ranked, answers, strict=True) if answer is consensus.answer)
        return cls(best, tuple(ranked), consensus)


def sample_answers(
    model: LanguageModel, tokens: Sequence[int], params: SamplingParams, samples: int, urgency: Urgency, in_flight: int
) -> list[TokenStream]:
    """Continue a prompt several times, with seeds drawn from the request's own; all are read to their end.

    The prompt is computed once where the KV store has room for it; so many samples run or wait at a time.

    Raises:
        RequestError: ``samples`` is below 1, or decoding is greedy: all answers would be the same.
    """
    if samples < 1:
        raise RequestError(f"samples is {samples}", "Ask for at least 1.")
    if samples > 1 and params.greedy:
        raise RequestError(f"{samples} samples of greedy decoding are the same", "Give a temperature above 0.")
    params = replace(params, logprobs=params.logprobs or 0)
    seeds: Sequence[int | None] = [None] * samples if params.seed is None else _seeds(params.seed, samples)
    if samples > 1:
        model.prefill(tokens, urgency)

    def submit(seed: int | None) -> Future[TokenStream]:
        stream = model.stream(tokens, replace(params, seed=seed), urgency)
        return then(stream.future, lambda _: _read(stream))

    return in_order(seeds, submit, in_flight)


def _read(stream: TokenStream) -> TokenStream:
    stream.read()
    return stream


def _seeds(seed: int, count: int) -> list[int]:
    """One a sample; the first is the request's, so that one sample is what ``generate`` gives."""
    return [seed, *np.random.SeedSequence(seed).generate_state(count - 1, np.uint64).tolist()]


def _mean_logprob(completion: Completion) -> float:
    """Length-normalised, so that short answers are not preferred for being short."""
    if not completion.logprobs:
        return 0.0
    return sum(one.logprob for one in completion.logprobs) / len(completion.logprobs)
