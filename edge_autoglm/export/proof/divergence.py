"""How far the predictions of one engine are from those of another, token by token."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import ExportError
from edge_autoglm.runtime.engine import Chunk, Engine, Logits

_LOGITS_AT_ONCE = 1 << 22
"""Logits asked of an engine in one step, 16 MB: a vocabulary of 150,000 is read in chunks of 27 tokens."""
_CHUNK = 64
_MIN_CHUNK = 2
"""A chunk of one token is a decode step, which rounds differently (see ``runtime/engine.py``)."""
_HIGHEST_NLL = 700.0
"""Keeps the perplexity of a broken engine a finite number, which JSON can hold."""

Sums = npt.NDArray[np.float64]


class Divergence:
    """Running comparison of two predictions of the same tokens.

    Elements are computed in float32, sums over the vocabulary and over tokens in float64: the mean KL is right to about
    1e-7 nats.
    """

    def __init__(self) -> None:
        self.tokens = 0
        self._reference_nll = 0.0
        self._candidate_nll = 0.0
        self._kl = 0.0
        self._agreed = 0

    def add(self, reference: Logits, candidate: Logits, targets: Sequence[int]) -> None:
        """Take in some positions.

        Args:
            reference: ``[n, vocab]``.
            candidate: Likewise; the same array for a model that is compared with itself.
            targets: The token that follows each position.

        Raises:
            ExportError: A logit is NaN or infinite, or the vocabularies differ.
        """
        if reference.shape != candidate.shape:
            raise ExportError(
                f"the original has {reference.shape[1]} logits a token, the engine {candidate.shape[1]}",
                "Compare it with the checkpoint that it was made from.",
            )
        weights, reference_log_sum = _softmax_parts(reference, "original")
        _, candidate_log_sum = _softmax_parts(candidate, "engine")
        rows = np.arange(len(targets))
        self._reference_nll += float((reference_log_sum - reference[rows, targets]).sum())
        self._candidate_nll += float((candidate_log_sum - candidate[rows, targets]).sum())
        # KL(p || q) = sum p (log p - log q) = mean under p of the logits' difference, less that of their log-sums.
        difference = (weights * (reference - candidate)).sum(axis=1, dtype=np.float64)
        kl = difference / weights.sum(axis=1, dtype=np.float64) - (reference_log_sum - candidate_log_sum)
        self._kl += float(np.maximum(kl, 0.0).sum())
        self._agreed += int((reference.argmax(axis=1) == candidate.argmax(axis=1)).sum())
        self.tokens += len(targets)

    def figures(self) -> DivergenceFigures:
        """Means over the tokens so far."""
        return DivergenceFigures(
            tokens=self.tokens,
            reference_perplexity=_perplexity(self._reference_nll / self.tokens),
            perplexity=_perplexity(self._candidate_nll / self.tokens),
            kl=self._kl / self.tokens,
            top1=self._agreed / self.tokens,
        )


@dataclass(frozen=True, slots=True)
class DivergenceFigures:
    """Means over all predicted tokens.

    Attributes:
        tokens: How many.
        reference_perplexity: Exponential of the mean negative log-likelihood, of the original.
        perplexity: Of the engine under test.
        kl: Mean ``KL(original || engine)`` a token, in nats.
        top1: Share of tokens for which both find the same token most probable.
    """

    tokens: int
    reference_perplexity: float
    perplexity: float
    kl: float
    top1: float


def compare_windows(
    reference: Engine,
    candidate: Engine,
    windows: Sequence[Sequence[int]],
    progress: Callable[[int, int], None],
) -> DivergenceFigures:
    """Let both engines predict every token of each window from those before it, in lockstep.

    Args:
        reference: The original; slot 0 is used.
        candidate: The engine under test; slot 0 is used. If it is ``reference`` itself, it runs once.
        windows: Tokens, at least two each, that fit a slot.
        progress: Told of windows done and their number.

    Raises:
        ExportError: A logit is NaN or infinite, or the vocabularies differ.
    """
    divergence = Divergence()
    for done, window in enumerate(windows):
        progress(done, len(windows))
        reference.truncate(0, 0)
        candidate.truncate(0, 0)
        for begin, end in _chunks(len(window) - 1, reference.facts.vocab_size):
            chunk = Chunk(0, window[begin:end], range(end - begin))
            [expected] = reference.forward([chunk])
            found = expected if candidate is reference else candidate.forward([chunk])[0]
            divergence.add(expected, found, window[begin + 1 : end + 1])
    progress(len(windows), len(windows))
    return divergence.figures()


def _chunks(tokens: int, vocab_size: int) -> Iterator[tuple[int, int]]:
    size = min(_CHUNK, max(_MIN_CHUNK, _LOGITS_AT_ONCE // vocab_size))
    begin = 0
    while begin < tokens:
        end = begin + size
        if tokens - end < _MIN_CHUNK:
            end = tokens
        yield begin, end
        begin = end


def _perplexity(nll: float) -> float:
    return math.exp(min(nll, _HIGHEST_NLL))


def _softmax_parts(logits: Logits, name: str) -> tuple[Logits, Sums]:
    """``exp(logits - max)`` ``[n, vocab]``, and the logarithm of the sum of ``exp(logits)`` ``[n]``."""
    largest, smallest = logits.max(axis=1), logits.min(axis=1)
    if not (np.isfinite(largest).all() and np.isfinite(smallest).all()):
        raise ExportError(
            f"the {name} gives logits that are NaN or infinite",
            "Export in fp32 first: if that fails as well, the checkpoint is not sound.",
        )
    weights: Logits = np.exp(logits - largest[:, None])
    return weights, largest + np.log(weights.sum(axis=1, dtype=np.float64))
