"""Finds the best of many prompts without scoring all of them on everything: sequential halving on shared examples.

Karnin, Koren and Somekh (2013), "Almost Optimal Exploration in Multi-Armed Bandits", algorithm 3: in each of log2(n)
rounds every prompt that is left is scored on equally many more examples, and the worse half goes. Two departures. All
prompts see the same examples in the same order, so that comparisons are paired and the luck of the draw is common to
both sides. And what a round does not need, because scores are known or the examples are used up, goes to the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

Value = tuple[float, ...]
"""The larger the better; later elements decide between equals."""


class Contest(Protocol):
    """What races: prompts by number, on examples in a fixed order."""

    def missing(self, arm: int, count: int) -> int:
        """What it costs to know ``value(arm, count)``; grows with ``count``."""

    def value(self, arm: int, count: int) -> Value:
        """How good a prompt is on the first ``count`` examples; spends what is missing."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The outcome of a race.

    Attributes:
        arms: What is left, the best first.
        count: Examples that these were compared on; 0 if the budget was not enough to compare anything.
        rounds: For each round, how many raced and on how many examples.
    """

    arms: tuple[int, ...]
    count: int
    rounds: tuple[tuple[int, int], ...]


def race(contest: Contest, arms: Sequence[int], examples: int, budget: int, keep: int = 1) -> Ranking:
    """Race until ``keep`` arms are left, and compare those on as many examples as the budget allows.

    Args:
        contest: See `Contest`.
        arms: Of which earlier ones win where values are equal.
        examples: That there are.
        budget: Most that may be spent.
        keep: Arms to be left, at least 1.
    """
    alive, count = list(arms), 0
    rounds: list[tuple[int, int]] = []
    left, planned = budget, rounds_of(len(alive), keep)
    for number in range(planned):
        sizes = _sizes(len(alive), keep, planned - number)
        before, count = count, _affordable(contest, alive, count, examples, _share(left, sizes, count, examples))
        if not count:
            break
        left -= sum(contest.missing(arm, count) for arm in alive)
        if count > before:
            values = {arm: contest.value(arm, count) for arm in alive}
            alive.sort(key=values.__getitem__, reverse=True)  # stable: earlier ones stay in front of their equals
            rounds.append((len(alive), count))
        everything_known = count == examples
        alive = alive[: keep if everything_known or number + 1 == planned else max(keep, math.ceil(len(alive) / 2))]
        if everything_known:
            break
    return Ranking(tuple(alive), count, tuple(rounds))


def rounds_of(arms: int, keep: int) -> int:
    """Rounds of a race: halvings from ``arms`` to ``keep``, and one in which those that are left are compared."""
    return math.ceil(math.log2(arms / keep)) + 1 if arms > keep else 1


def _sizes(arms: int, keep: int, rounds: int) -> list[int]:
    """How many race in each of the rounds that are left."""
    sizes = [arms]
    while len(sizes) < rounds:
        sizes.append(max(keep, math.ceil(sizes[-1] / 2)))
    return [min(size, arms) for size in sizes]


def _share(budget: int, sizes: Sequence[int], count: int, examples: int) -> int:
    """What a round may spend: equal parts, but for rounds that run out of examples, whose rest the others get."""
    low, high = budget // len(sizes), budget
    while low < high:
        middle = (low + high + 1) // 2
        if _spent(middle, sizes, count, examples) <= budget:
            low = middle
        else:
            high = middle - 1
    return low


def _spent(share: int, sizes: Sequence[int], count: int, examples: int) -> int:
    """What all rounds take if each may spend a share, and nothing is known."""
    total = 0
    for size in sizes:
        more = min(share // size, examples - count)
        total += size * more
        count += more
    return total


def _affordable(contest: Contest, alive: Sequence[int], least: int, most: int, budget: int) -> int:
    """The most examples on which all can be scored within a budget; at least ``least``, which are known."""
    low, high = least, most
    while low < high:
        middle = (low + high + 1) // 2
        if sum(contest.missing(arm, middle) for arm in alive) <= budget:
            low = middle
        else:
            high = middle - 1
    return low
