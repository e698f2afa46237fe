"""How good the hand-written variants are: on the labelled rows, and the promising ones on the rows for reports."""

from __future__ import annotations

from benchmarks.evolve.world import World, accuracy, counted
from edge_autoglm.evolve.answers import Answer
from edge_autoglm.prompts.task import PLAIN

MARGIN = 0.05
"""A variant that is so much worse than the best on the labelled rows is not scored on a thousand others."""


def development(world: World, domain: str) -> dict[str, float]:
    """Accuracy of each hand-written variant on the labelled rows."""
    examples, scorer = world.development(domain), world.scorer()
    found = {}
    with counted(f"{domain}: hand-written, labelled rows", len(world.task.variants)) as bar:
        for variant in world.task.variants:
            found[variant.name] = accuracy(world.answers(scorer, variant, examples))
            bar.advance(bar.task_ids[0])
    return found


def reported(world: World, domain: str, count: int) -> dict[str, tuple[Answer, ...]]:
    """Answers of the promising ones, and of ``plain``, on the rows for reports."""
    measured = development(world, domain)
    best = max(measured.values())
    chosen = [name for name, value in measured.items() if value >= best - MARGIN or name == PLAIN]
    examples, scorer = world.report(domain, count), world.scorer()
    found = {}
    with counted(f"{domain}: hand-written, rows for reports", len(chosen)) as bar:
        for name in chosen:
            found[name] = world.answers(scorer, world.task.variant(name), examples)
            bar.advance(bar.task_ids[0])
    return found
