"""From logits to the next token."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import EngineError, RequestError
from edge_autoglm.runtime.engine import Logits
from edge_autoglm.values import SamplingParams

Sampler = Callable[[Logits], int]
"""Takes the logits ``[vocab_size]`` of one position."""

_Ids = npt.NDArray[np.intp]
_Float64 = npt.NDArray[np.float64]


def make_sampler(params: SamplingParams, seed: int) -> Sampler:
    """The sampler for one request.

    Args:
        params: Temperature 0 is greedy; ties go to the lowest id.
        seed: Of the request's own PCG64 stream; one uniform number is drawn a token.

    Raises:
        RequestError: The seed is negative.
    """
    if seed < 0:
        raise RequestError(f"seed is {seed}", "Give 0 or more.")
    if params.temperature == 0.0:
        return _greedy
    rng = np.random.Generator(np.random.PCG64(seed))

    def sample(logits: Logits) -> int:
        ids, probabilities = kept_tokens(logits, params)
        cumulated = np.cumsum(probabilities)
        drawn = int(np.searchsorted(cumulated, rng.random() * cumulated[-1], side="right"))
        chosen = min(drawn, len(cumulated) - 1)
        return chosen if ids is None else int(ids[chosen])

    return sample


def _greedy(logits: Logits) -> int:
    token = int(logits.argmax())
    _check_finite(logits[token])
    return token


def kept_tokens(logits: Logits, params: SamplingParams) -> tuple[_Ids | None, _Float64]:
    """Apply temperature, then top-k, then top-p (the order of ``transformers``).

    Returns:
        Ids of the tokens kept, most probable first, or ``None`` for the whole vocabulary in its own order; and their
        weights, proportional to probabilities.
    """
    highest = logits.max()
    _check_finite(highest)
    scaled = (logits.astype(np.float64) - float(highest)) / params.temperature
    ids = _top_k(scaled, params.top_k) if 0 < params.top_k < len(scaled) else None
    weights = np.exp(scaled if ids is None else scaled[ids])
    if params.top_p == 1.0:
        return ids, weights
    return _top_p(ids, weights, params.top_p)


def _top_k(scaled: _Float64, k: int) -> _Ids:
    """Ids of the k largest, largest first, the lower id first among equals."""
    least = np.partition(scaled, -k)[-k]
    candidates = np.flatnonzero(scaled >= least)
    return candidates[np.argsort(-scaled[candidates], kind="stable")][:k]


def _top_p(ids: _Ids | None, weights: _Float64, p: float) -> tuple[_Ids, _Float64]:
    """The smallest set of most probable tokens that reaches p.

    All tokens below ``(1 - p) / n`` weigh less than ``1 - p`` together, so the set lies within the others: only those
    are sorted.
    """
    total = float(weights.sum())
    if ids is None:
        ids = np.flatnonzero(weights >= (1.0 - p) / len(weights) * total)
        order = np.argsort(-weights[ids], kind="stable")
        ids = ids[order]
        weights = weights[ids]
    count = int(np.searchsorted(np.cumsum(weights), p * total, side="left")) + 1
    return ids[:count], weights[:count]


def _check_finite(highest: np.floating) -> None:
    # The maximum is NaN if anything is, so one comparison covers the whole row.
    if not np.isfinite(highest):
        raise EngineError(
            f"the engine answered with a logit of {highest}", "Verify the bundle, or export it at a higher precision."
        )
