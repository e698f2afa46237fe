"""The temperature that follows the entropy."""

from __future__ import annotations

import math

import numpy as np

from edge_autoglm.runtime.decoding.truncation import softmax_weights
from edge_autoglm.runtime.engine import Logits
from edge_autoglm.sampling_params import AdaptiveTemperature, SamplingParams

_NEGLIGIBLE = np.float32(-1e30)


def temperature_for(logits: Logits, params: SamplingParams) -> float:
    """The temperature of one token of a request that is not greedy.

    Args:
        logits: ``[vocab_size]``, minus infinity for what cannot be drawn; the highest one finite.
        params: Of the request.
    """
    if params.adaptive_temperature is None:
        return params.temperature
    return adapted(params.adaptive_temperature, entropy(logits))


def adapted(rule: AdaptiveTemperature, nats: float) -> float:
    """The temperature at an entropy; the formula stands at `AdaptiveTemperature`."""
    share = 2.0 ** (-rule.midpoint / nats) if nats > 0.0 else 0.0
    return rule.low + (rule.high - rule.low) * share


def entropy(logits: Logits) -> float:
    """Entropy of the softmax of ``[vocab_size]`` logits, in nats."""
    weights = logits.copy()
    softmax_weights(weights)
    total = float(weights.sum(dtype=np.float64))
    surprise = logits - logits.max()
    # A token of weight 0 adds 0, where 0 times minus infinity is NaN.
    np.maximum(surprise, _NEGLIGIBLE, out=surprise)
    surprise *= weights
    return max(math.log(total) - float(surprise.sum(dtype=np.float64)) / total, 0.0)
