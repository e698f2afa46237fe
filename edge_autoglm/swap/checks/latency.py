"""Is the candidate's model as fast as the active one?"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_autoglm.runtime.model import LanguageModel

Clock = Callable[[], float]
"""Seconds, from any origin."""

_DECODE_STEPS = 8
_SHORTEST = 2
"""Tokens in front of the decode steps."""


@dataclass(frozen=True, slots=True)
class LatencyRatios:
    """How many times as long as the reference the candidate takes; medians over the rounds.

    Attributes:
        prefill: For a prompt.
        decode: For a few decode steps.
    """

    prefill: float
    decode: float


def latency_ratios(
    reference: LanguageModel, candidate: LanguageModel, tokens: Sequence[int], rounds: int, clock: Clock
) -> LatencyRatios:
    """Time both models in turn, so that other load on the device slows both.

    The first run of each, which allocates, is not counted; in every other round the other model goes first.

    Args:
        reference: Is measured against.
        candidate: Is measured.
        tokens: Of a prompt.
        rounds: Measurements of each model.
        clock: Measures.
    """
    models = (reference, candidate)
    for model in models:
        _seconds(model, tokens, clock)
    ratios = []
    for index in range(rounds):
        seconds = {id(model): _seconds(model, tokens, clock) for model in models[:: 1 if index % 2 else -1]}
        slower = zip(seconds[id(candidate)], seconds[id(reference)], strict=True)
        ratios.append([mine / other for mine, other in slower])
    prefill, decode = (statistics.median(column) for column in zip(*ratios, strict=True))
    return LatencyRatios(prefill, decode)


def _seconds(model: LanguageModel, tokens: Sequence[int], clock: Clock) -> tuple[float, float]:
    """Of a prefill, and of some decode steps."""
    started = clock()
    model.try_out(tokens)
    prefilled = clock()
    model.try_out(tokens[:_SHORTEST], _DECODE_STEPS)
    return prefilled - started, clock() - prefilled
