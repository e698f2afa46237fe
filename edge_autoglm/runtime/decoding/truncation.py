"""Which tokens may be drawn: top-k, top-p and min-p, without sorting the vocabulary.

Everything is done in place on one array, a number a token: fresh arrays of the size of a vocabulary cost more in page
faults than in arithmetic. What is dropped is multiplied away rather than assigned, as a branch a token costs more too.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_autoglm.runtime.engine import Logits
from edge_autoglm.sampling_params import SamplingParams

Weights = npt.NDArray[np.float32]
"""Proportional to probabilities; the highest is 1."""
Ids = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]
"""``[vocab_size]``: true for what stays."""

_BLOCK = 256
_COLDEST, _HOTTEST = 1e-30, 1e30
"""Within float32; beyond them lie only the arg-max and the uniform distribution."""


def kept_tokens(logits: Logits, temperature: float, params: SamplingParams) -> tuple[Ids | None, Weights]:
    """Apply temperature, then top-k, then top-p, then min-p (the order of ``transformers``).

    Weights are float32, as logits are, and their sums float64. Among equally probable tokens the lower ids are kept.

    Args:
        logits: ``[vocab_size]``, the highest one finite; overwritten.
        temperature: Above 0.
        params: Names the truncations.

    Returns:
        Ids in ascending order, or ``None`` for the whole vocabulary, and their weights: 0 for what is not kept.
    """
    ids = None
    if 0 < params.top_k < len(logits):
        ids = np.flatnonzero(largest(logits, params.top_k))
        logits = logits[ids]
    softmax_weights(logits, temperature)
    if params.top_p < 1.0:
        _keep_nucleus(logits, params.top_p)
    if params.min_p > 0.0:
        np.multiply(logits, logits >= params.min_p, out=logits)
    return ids, logits


def rule_out(logits: Logits, kept: Mask) -> None:
    """Set the logits outside the mask to minus infinity, in place; no logit may be NaN."""
    limits = kept.astype(np.float32)
    limits -= 0.5
    limits *= np.float32(np.inf)
    np.minimum(logits, limits, out=logits)


def softmax_weights(logits: Logits, temperature: float = 1.0) -> None:
    """Softmax without its division, in place: ``exp((logits - highest) / temperature)``."""
    # Engines that mask with the lowest float32 overflow to -inf here, which weighs as little.
    with np.errstate(over="ignore"):
        logits -= logits.max()
        if temperature != 1.0:
            logits /= min(max(temperature, _COLDEST), _HOTTEST)
    np.exp(logits, out=logits)


def largest(values: Logits, count: int) -> Mask:
    """Mask of the ``count`` largest values, at least 1; the first ones among equals."""
    return _from_least(values, np.partition(values, -count)[-count], count)


def _from_least(values: Logits | Weights, least: np.float32, count: int) -> Mask:
    """`largest`, where the smallest of them is known."""
    kept: Mask = values >= least
    surplus = int(np.count_nonzero(kept)) - count
    if surplus > 0:
        kept[np.flatnonzero(values == least)[-surplus:]] = False
    return kept


def reaching(weights: Weights, target: float) -> int:
    """The position at which the running sum reaches a target above 0, or its own end if that comes first.

    It never is one of weight 0. Sums of blocks come first: a running sum over all is several times slower.
    """
    sums = np.cumsum(np.add.reduceat(weights, np.arange(0, len(weights), _BLOCK), dtype=np.float64))
    target = min(target, sums[-1])
    block = int(np.searchsorted(sums, target))
    before = sums[block - 1] if block else 0.0
    start = block * _BLOCK
    within = np.cumsum(weights[start : start + _BLOCK], dtype=np.float64)
    return start + int(np.searchsorted(within, min(target - before, within[-1])))


def _keep_nucleus(weights: Weights, p: float) -> None:
    """Keep the smallest set of most probable tokens that reaches p.

    All tokens below ``(1 - p) / n`` weigh less than ``1 - p`` together, so the set lies within the others: only those
    are sorted, and only by value.
    """
    total = float(weights.sum(dtype=np.float64))
    candidates = weights.take(np.flatnonzero(weights >= (1.0 - p) * total / len(weights)))
    candidates.sort()
    descending = candidates[::-1]
    last = reaching(descending, p * total)
    np.multiply(weights, _from_least(weights, descending[last], last + 1), out=weights)
