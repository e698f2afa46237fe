"""A bandit stream: what a contestant sees of each request, and what every arm would have earned."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge_autoglm.learn.features import Features

FloatArray = npt.NDArray[np.float64]
Kind = Literal["dense", "text"]


@dataclass(frozen=True, slots=True)
class Stream:
    """One pass over a problem, in the order in which it comes.

    Attributes:
        arms: Their names, in a fixed order.
        features: Of each step.
        rewards: What each arm would earn, in 0..1, ``[steps, arms]``; a contestant is told that of its own choice only.
    """

    arms: tuple[str, ...]
    features: tuple[Features, ...]
    rewards: FloatArray

    def __len__(self) -> int:
        """Steps."""
        return len(self.features)

    def best_fixed_error(self) -> float:
        """Mean loss of the arm that is best on the whole stream: a context-free policy that knew it beforehand."""
        return 1.0 - float(self.rewards.mean(axis=0).max())

    def uniform_error(self) -> float:
        """Expected mean loss of choosing evenly."""
        return 1.0 - float(self.rewards.mean())


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """How a stream is made.

    Attributes:
        name: As tables call it.
        kind: ``text`` where hashed words carry the information.
        make: From a seed (order, noise) and the most steps to the stream.
        twin: Of a stream with an abrupt drift half way: the stream that has the new concept from the start.
    """

    name: str
    kind: Kind
    make: Callable[[int, int], Stream]
    twin: str | None = None


def dense(task: str, row: Mapping[str, float]) -> Features:
    """Features that are measured at every step, by name."""
    nothing = np.zeros(0)
    return Features(
        nothing.astype(np.int64), nothing, task, tuple(map(str, row)), np.array(list(row.values()), dtype=np.float64)
    )


def classification(features: Sequence[Features], labels: Sequence[Hashable]) -> Stream:
    """A classification as a bandit: an arm a class, reward 1 for the right one and 0 for all others."""
    classes = sorted(set(labels), key=str)
    place = {label: number for number, label in enumerate(classes)}
    rewards = np.zeros((len(labels), len(classes)))
    rewards[np.arange(len(labels)), [place[label] for label in labels]] = 1.0
    return Stream(tuple(str(label) for label in classes), tuple(features), rewards)


def shuffled(stream: Stream, seed: int, limit: int) -> Stream:
    """At most ``limit`` of its steps, in an order that depends on the seed only."""
    order = np.random.default_rng(seed).permutation(len(stream))[:limit]
    return Stream(stream.arms, tuple(stream.features[place] for place in order), stream.rewards[order])


def then(before: Stream, after: Stream) -> Stream:
    """The first half of one stream and the second half of another of the same length: an abrupt drift.

    Raises:
        ValueError: Their arms or lengths differ.
    """
    if before.arms != after.arms or len(before) != len(after):
        raise ValueError(f"{before.arms} and {after.arms} must be the same arms, over equally many steps")
    half = len(after) // 2
    return Stream(
        after.arms,
        before.features[:half] + after.features[half:],
        np.concatenate((before.rewards[:half], after.rewards[half:])),
    )
