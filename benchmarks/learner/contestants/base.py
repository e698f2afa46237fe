"""What every contestant can do, and how its settings are written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from edge_autoglm.learn.features import Features

Option = str | float | bool


class Contestant(Protocol):
    """A bandit over fixed arms, named by their places."""

    def choose(self, features: Features) -> int:
        """Place of the arm to play."""
        ...

    def learn(self, reward: float) -> None:
        """What the last choice earned, in 0..1."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A contestant with its settings, as they are written to a file.

    Attributes:
        name: As tables call it; begins with its family.
        family: ``ours``, ``vw`` or ``river``.
        kind: Of the family: a policy of ours, an exploration of VW, a bandit of River.
        options: What the family understands.
    """

    name: str
    family: str
    kind: str
    options: dict[str, Option] = field(default_factory=dict)


def open_contestant(entry: Entry, arms: Sequence[str], seed: int) -> Contestant:
    """Make a contestant; its package is imported only now."""
    if entry.family == "vw":
        from benchmarks.learner.contestants.vw import VowpalWabbit

        return VowpalWabbit(entry.kind, entry.options, arms, seed)
    if entry.family == "river":
        from benchmarks.learner.contestants.river_bandits import RiverBandit

        return RiverBandit(entry.kind, entry.options, arms, seed)
    from benchmarks.learner.contestants.ours import OurPolicy

    return OurPolicy(entry.kind, entry.options, arms, seed)
