"""Log-probabilities of the model's own distribution."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import EngineError
from edge_autoglm.runtime.decoding.truncation import largest, softmax_weights
from edge_autoglm.runtime.engine import Logits
from edge_autoglm.values import TokenLogprob


def token_logprob(logits: Logits, token: int, top: int) -> TokenLogprob:
    """Log-probability of a token, and of the most probable ones; good to 1e-6, as float32 logits are.

    Args:
        logits: ``[vocab_size]``, as the engine gave them.
        token: The one chosen.
        top: Number of most probable tokens to name besides; those of probability 0 are left out.

    Raises:
        EngineError: The highest logit is NaN or infinite.
    """
    normaliser = float(logits.max())
    check_finite(normaliser)
    weights = logits.copy()
    softmax_weights(weights)
    normaliser += math.log(float(weights.sum(dtype=np.float64)))
    named = tuple((one, float(logits[one]) - normaliser) for one in _most_probable(logits, min(top, len(logits))))
    return TokenLogprob(token, float(logits[token]) - normaliser, named)


def _most_probable(logits: Logits, count: int) -> list[int]:
    """Ids, most probable first, the lower one first among equals; without those of probability 0."""
    if count == 0:
        return []
    ids = np.flatnonzero(largest(logits, count))
    ids = ids[np.argsort(-logits[ids], kind="stable")]
    return [int(one) for one in ids if logits[one] > -np.inf]


def log_softmax(logits: Logits) -> npt.NDArray[np.float64]:
    """Logarithm of the softmax over the last axis, in float64.

    Raises:
        EngineError: A row has NaN or infinity as its highest logit.
    """
    highest = logits.max(axis=-1, keepdims=True)
    for extreme in (highest.min(), highest.max()):
        check_finite(float(extreme))
    shifted = logits.astype(np.float64) - highest
    result: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def check_finite(highest: float) -> None:
    """Refuse a row of logits by its maximum, which is NaN if any of them is.

    Raises:
        EngineError: It is NaN or infinite.
    """
    if not math.isfinite(highest):
        raise EngineError(
            f"the engine answered with a logit of {highest}", "Verify the bundle, or export it at a higher precision."
        )
