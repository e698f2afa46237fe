"""The repetition penalty."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from edge_autoglm.runtime.engine import Logits


class RepetitionPenalty:
    """Makes tokens that occurred before less probable (CTRL, Keskar et al. 2019).

    Args:
        penalty: Above 0; above 1 discourages repetition, below 1 encourages it.
        tokens: Of the prompt.
    """

    def __init__(self, penalty: float, tokens: Iterable[int]) -> None:
        self._penalty = np.float32(penalty)
        self._seen = set(tokens)
        self._ids = np.array(sorted(self._seen), dtype=np.intp)

    def push(self, token: int) -> None:
        """Note a token of the continuation; how often it occurs makes no difference."""
        if token not in self._seen:
            self._seen.add(token)
            self._ids = np.append(self._ids, token)

    def apply(self, logits: Logits) -> None:
        """Divide the positive logits of seen tokens by the penalty and multiply the negative ones, in place.

        Args:
            logits: ``[vocab_size]``.
        """
        seen = logits[self._ids]
        with np.errstate(over="ignore"):
            logits[self._ids] = np.where(seen < 0, seen * self._penalty, seen / self._penalty)
