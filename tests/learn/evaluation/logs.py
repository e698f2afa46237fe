"""Logs of simulated bandits, many at once, with the truth beside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_autoglm.learn.evaluation.replay import Replayed

FloatArray = npt.NDArray[np.float64]
CONTEXTS = 3


@dataclass(frozen=True)
class SimulatedLogs:
    replayed: Replayed
    """With an axis of runs in front."""
    truth: FloatArray
    """Average value of the policy so far, ``[runs, n]``."""


def simulate(
    runs: int,
    steps: int,
    arms: int,
    seed: int,
    *,
    floor: float = 0.02,
    learning: bool = False,
    fractional: bool = False,
    known: bool = True,
    max_weight: float = np.inf,
) -> SimulatedLogs:
    """An adaptive, nearly greedy log over contexts of different best arms; policy and log disagree on most of them.

    Args:
        runs: Independent logs.
        steps: Decisions of each, all with a reward.
        arms: To choose from.
        seed: Of everything.
        floor: Share that the log explores.
        learning: Whether the policy learns from the log; else it always wants the arm that is best.
        fractional: Rewards between 0 and 1 instead of either.
        known: Whether the log has the propensities of all arms.
        max_weight: Cap on weights.
    """
    rng = np.random.default_rng(seed)
    row = np.arange(runs)
    worth = rng.uniform(0.1, 0.9, (runs, CONTEXTS, arms))
    sums, counts = np.full((runs, CONTEXTS, arms), 0.5), np.ones((runs, CONTEXTS, arms))
    columns: dict[str, list[FloatArray]] = {}
    for _ in range(steps):
        context = rng.integers(CONTEXTS, size=runs)
        # The log believes in context-free means, so it explores the policy's arms by its floor alone.
        believed = (sums.sum(axis=1) / counts.sum(axis=1)).argmax(axis=1)
        logged = np.full((runs, arms), floor / arms)
        logged[row, believed] += 1.0 - floor
        means = sums[row, context] / counts[row, context]
        wanted = means.argmax(axis=1) if learning else worth[row, context].argmax(axis=1)
        target = np.full((runs, arms), 0.05 / arms)
        target[row, wanted] += 0.95
        chosen = (rng.random(runs)[:, None] > np.cumsum(logged, axis=1)).sum(axis=1).clip(max=arms - 1)
        mean = worth[row, context, chosen]
        reward = rng.beta(4 * mean, 4 * (1 - mean)) if fractional else (rng.random(runs) < mean).astype(float)
        value = (target * worth[row, context]).sum(axis=1)
        weights = np.minimum(target / logged, max_weight)
        fields = {
            "chosen": chosen, "rewards": reward, "weights": weights[row, chosen], "target": weights * logged,
            "arm_weights": weights if known else np.full_like(weights, np.inf), "expected": means, "value": value,
        }  # fmt: skip
        for name, column in fields.items():
            columns.setdefault(name, []).append(column)
        sums[row, context, chosen] += reward
        counts[row, context, chosen] += 1.0
    stacked = {name: np.stack(column, axis=1) for name, column in columns.items()}
    truth = np.cumsum(stacked.pop("value"), axis=1) / np.arange(1, steps + 1)
    chosen = stacked.pop("chosen").astype(np.int64)
    return SimulatedLogs(Replayed(chosen, **stacked), truth)
