"""Strategies at equal calls, seed by seed: run for real, judged on development rows that none of them saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from benchmarks.evolve.world import LABELLED, World, accuracy
from edge_autoglm.evolve import EvolveSettings
from edge_autoglm.evolve.metrics import metric
from edge_autoglm.evolve.optimizer import evolve_task
from edge_autoglm.evolve.splits import split


def compare(
    world: World, domain: str, settings: EvolveSettings, strategies: Sequence[str], seeds: Sequence[int], unseen: int
) -> dict[str, Any]:
    """Accuracy of what each strategy found, by seed."""
    examples = world.development(domain, LABELLED, LABELLED + unseen)
    measured = metric(settings.metric, world.task.kind)
    found: dict[str, list[dict[str, Any]]] = {strategy: [] for strategy in strategies}
    for seed in seeds:
        for strategy in strategies:
            chosen = replace(settings, strategy=strategy, seed=seed)
            splits = split(world.development(domain), chosen.shares, seed, world.task.labels)
            scorer = world.scorer(chosen.budget)
            task, report = evolve_task(world.model, world.task, scorer, splits, chosen, measured)
            best = report.variants[0]
            answered = world.answers(world.scorer(), task.variant(best.name), examples)
            result = {"seed": seed, "calls": report.calls["search"], "candidates": report.candidates}
            result |= {"validation": best.validation.value.estimate, "unseen": accuracy(answered)}
            found[strategy].append({**result, "made_by": list(best.made_by), "variant": best.name})
            print(domain, strategy, result, flush=True)
    means = {
        strategy: {key: float(np.mean([run[key] for run in runs])) for key in ("validation", "unseen", "calls")}
        for strategy, runs in found.items()
    }
    return {"settings": asdict(settings), "unseen_rows": unseen, "means": means, "runs": found}
