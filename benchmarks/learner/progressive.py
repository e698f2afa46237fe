"""Progressive validation: choose, be told what that choice earned, learn, and go on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.learner.contestants.base import Contestant
from benchmarks.learner.stream import FloatArray, Stream

POINTS = 50


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a contestant did on one pass over a stream; errors are 1 - reward, means over steps.

    Attributes:
        error: Of all steps, exploration included.
        last_eighth: Of the last eighth.
        curve: Of all steps so far, at ``POINTS`` evenly spaced steps.
    """

    error: float
    last_eighth: float
    curve: tuple[float, ...]


def play(contestant: Contestant, stream: Stream) -> FloatArray:
    """The losses of each step, ``[steps]``."""
    losses = np.empty(len(stream))
    for step, features in enumerate(stream.features):
        reward = float(stream.rewards[step, contestant.choose(features)])
        contestant.learn(reward)
        losses[step] = 1.0 - reward
    return losses


def summarise(losses: FloatArray) -> Outcome:
    """What is kept of a pass."""
    so_far = np.cumsum(losses) / np.arange(1, len(losses) + 1)
    at = np.linspace(0, len(losses) - 1, POINTS).round().astype(int)
    return Outcome(
        error=float(losses.mean()),
        last_eighth=float(losses[-max(len(losses) // 8, 1) :].mean()),
        curve=tuple(so_far[at].round(4).tolist()),
    )
