"""Sampling as its definitions say: one token after the other, in float64, everything sorted."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edge_autoglm.values import SamplingParams


def softmax(logits: Sequence[float]) -> list[float]:
    highest = max(logits)
    weights = [math.exp(logit - highest) for logit in logits]
    return [weight / math.fsum(weights) for weight in weights]


def distribution(logits: Sequence[float], params: SamplingParams, top_p: float, min_p: float) -> dict[int, float]:
    """Probabilities of the tokens kept; the truncations that cut between tokens are given apart."""
    scaled = [float(logit) / params.temperature for logit in logits]
    order = sorted(range(len(scaled)), key=lambda token: (-scaled[token], token))
    if params.top_k:
        order = order[: params.top_k]
    probabilities = softmax([scaled[token] for token in order])
    if top_p < 1:
        count = next((n for n in range(1, len(order)) if math.fsum(probabilities[:n]) >= top_p), len(order))
        order, probabilities = order[:count], probabilities[:count]
    kept = [rank for rank, probability in enumerate(probabilities) if probability >= min_p * probabilities[0]]
    total = math.fsum(probabilities[rank] for rank in kept)
    return {order[rank]: probabilities[rank] / total for rank in kept}
