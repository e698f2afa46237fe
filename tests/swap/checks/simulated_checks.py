"""Thousands of distribution tests on distributions that were recorded once."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge_autoglm.runtime.decoding.logprobs import log_softmax
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.runtime.urgency import UNHURRIED
from edge_autoglm.swap.checks.randomisation import sign_flip_p_value
from edge_autoglm.values import SamplingParams

Distributions = npt.NDArray[np.float32]
"""``[positions, vocab_size]``: log-probabilities."""


def recorded(model: LanguageModel, windows: Sequence[Sequence[int]]) -> Distributions:
    """Next tokens behind every token of the windows, as the health check sees them."""
    return np.concatenate([log_softmax(model.observe(window)).astype(np.float32) for window in windows])


def recorded_together(model: LanguageModel, windows: Sequence[Sequence[int]], others: int) -> Distributions:
    """The same, while as many other requests run beside it in slots of the same engine."""
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            model.stream(windows[0], SamplingParams(max_new_tokens=16), UNHURRIED).read()  # as urgent as a check

    threads = [threading.Thread(target=ask) for _ in range(others)]
    for thread in threads:
        thread.start()
    try:
        return recorded(model, windows)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def p_values(
    truth: tuple[Distributions, Distributions],
    ratio_of: tuple[Distributions, Distributions],
    samples: int,
    checks: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.float64]:
    """P-values of many checks.

    Args:
        truth: What the reference and the candidate draw their tokens from.
        ratio_of: Whose log-likelihood ratio the statistic is made of.
        samples: Positions, from the first on; more than there are begin again.
        checks: How many.
        rng: Draws.
    """
    differences = np.empty((checks, samples))
    for column in range(samples):
        at = column % len(truth[0])
        x, y = (_draws(log_p[at], checks, rng) for log_p in (truth[0], truth[1]))
        log_p, log_q = ratio_of[0][at].astype(np.float64), ratio_of[1][at].astype(np.float64)
        ratio = np.clip(log_p - log_q, -20.0, 20.0)
        differences[:, column] = ratio[x] - ratio[y]
    return np.array([sign_flip_p_value(row, rng) for row in differences])


def _draws(log_p: npt.NDArray[np.float32], count: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    cumulative = np.cumsum(np.exp(log_p.astype(np.float64)))
    drawn: npt.NDArray[np.intp] = np.searchsorted(cumulative, rng.random(count) * cumulative[-1], side="right")
    return drawn
