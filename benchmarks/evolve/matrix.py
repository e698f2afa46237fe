"""Many prompts on many examples, all of it scored once; races are then replayed on the table."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.evolve.world import World, counted
from edge_autoglm.evolve.answers import Answer
from edge_autoglm.evolve.racing import Value, race
from edge_autoglm.prompts.rewrite import OPERATORS, Draft, Material, seeds

STEPS = 4
"""Of a random rewrite, at most."""


@dataclass(frozen=True)
class Matrix:
    """Right or wrong, and how sure, ``[prompts, examples]``."""

    right: npt.NDArray[np.float64]
    sure: npt.NDArray[np.float64]


class Replay:
    """A race's view of a matrix: prompts and examples in another order."""

    def __init__(self, matrix: Matrix, arms: Sequence[int], examples: npt.NDArray[np.intp]) -> None:
        self._right = matrix.right[arms][:, examples]
        self._sure = matrix.sure[arms][:, examples]
        self._seen = [0] * len(arms)
        self.calls = 0

    def missing(self, arm: int, count: int) -> int:
        return max(count - self._seen[arm], 0)

    def value(self, arm: int, count: int) -> Value:
        self.calls += self.missing(arm, count)
        self._seen[arm] = max(count, self._seen[arm])
        return float(self._right[arm, :count].mean()), float(self._sure[arm, :count].mean())


def scored(world: World, domain: str, prompts: int, examples: int, seed: int = 0) -> tuple[Matrix, list[str]]:
    """Seeds and random rewrites on the labelled rows; rewrites use other development rows as solved examples."""
    material = Material(world.task, world.development(domain, 800, 840))
    drafts = _drafts(world, material, prompts, random.Random(seed))
    rows, scorer = world.development(domain, end=examples), world.scorer()
    table: list[tuple[Answer, ...]] = []
    with counted(f"{domain}: every prompt on every example", len(drafts)) as bar:
        for draft in drafts:
            table.append(world.answers(scorer, draft.variant, rows))
            bar.advance(bar.task_ids[0])
    right = np.array([[answer.text == answer.expect for answer in row] for row in table], dtype=np.float64)
    sure = np.array([[answer.logprobs[answer.expect] for answer in row] for row in table])
    return Matrix(right, sure), [" > ".join(map(str, draft.steps)) for draft in drafts]


def replayed(matrix: Matrix, share: float, seeds_: int) -> dict[str, Any]:
    """Races for a share of the calls of scoring everything, each in another order of prompts and examples."""
    prompts, examples = matrix.right.shape
    values = matrix.right.mean(axis=1)
    reached, spent, uniform = [], [], []
    for seed in range(seeds_):
        rng = np.random.default_rng(seed)
        arms, order = rng.permutation(prompts).tolist(), rng.permutation(examples)
        replay = Replay(matrix, arms, order)
        winner = arms[race(replay, range(prompts), examples, int(share * matrix.right.size)).arms[0]]
        reached.append(float(values[winner] / values.max()))
        spent.append(replay.calls / matrix.right.size)
        each = max(int(share * examples), 1)
        means = [matrix.right[arm, order[:each]].mean() for arm in arms]
        uniform.append(float(values[arms[int(np.argmax(means))]] / values.max()))
    return {
        "share_allowed": share,
        "share_spent": max(spent),
        "exhaustive_best": float(values.max()),
        "reached_mean": float(np.mean(reached)),
        "reached_least": float(np.min(reached)),
        "races_at_95_percent": float(np.mean(np.array(reached) >= 0.95)),
        "uniform_reached_mean": float(np.mean(uniform)),
        "uniform_at_95_percent": float(np.mean(np.array(uniform) >= 0.95)),
        "reached": reached,
    }


def _drafts(world: World, material: Material, count: int, rng: random.Random) -> list[Draft]:
    roots = list(seeds(world.task, material))
    found = {draft.key: draft for draft in roots}
    while len(found) < count:
        draft = rng.choice(roots)
        for _ in range(rng.randint(1, STEPS)):
            proposals = rng.choice(list(OPERATORS.values())).proposals(draft, material, rng)
            draft = next((each for each in proposals if each.wants is None), draft)
        found.setdefault(draft.key, draft)
    return list(found.values())[:count]
