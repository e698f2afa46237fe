"""A search with 200 labelled snippets, and what it found on a thousand others."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from benchmarks.evolve import hand_written
from benchmarks.evolve.world import World, accuracy
from edge_autoglm.evolve import EvolveSettings, Shares
from edge_autoglm.evolve.intervals import bounds, difference
from edge_autoglm.evolve.metrics import metric
from edge_autoglm.evolve.optimizer import evolve_task
from edge_autoglm.evolve.splits import split
from edge_autoglm.prompts.task import PLAIN

SHARES = Shares(0.2, 0.8, 0.0)
"""The thousand others are the test."""


def measure(world: World, domain: str, settings: EvolveSettings, reported: int) -> dict[str, Any]:
    """Search, then compare on the rows for reports: with plain, and with the best hand-written variant there.

    The best hand-written variant is chosen with hindsight, on the very rows that are reported.
    """
    splits = split(world.development(domain), settings.shares, settings.seed, world.task.labels)
    scorer, measured = world.scorer(settings.budget), metric(settings.metric, world.task.kind)
    evolved, report = evolve_task(world.model, world.task, scorer, splits, settings, measured)
    written = hand_written.reported(world, domain, reported)
    best = max(written, key=lambda name: accuracy(written[name]))
    chosen = report.variants[0].name  # the best of the result: a hand-written one, if nothing was found to be better
    ours = world.answers(world.scorer(), evolved.variant(chosen), world.report(domain, reported))
    found = {
        "variant": chosen,
        "origin": report.variants[0].origin,
        "accuracy": asdict(bounds(measured, ours)),
        "over_plain": asdict(difference(measured, ours, written[PLAIN])),
        "over_best_hand_written": asdict(difference(measured, ours, written[best])),
    }
    return {
        "search": report.to_json(),
        "computed": scorer.computed,
        "rows_reported": reported,
        "hand_written": {name: asdict(bounds(measured, answered)) for name, answered in written.items()},
        "best_hand_written": best,
        "found": found,
    }
