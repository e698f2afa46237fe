"""What each operator brought, from the search's own lineage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edge_autoglm.evolve.candidates import CENTRED, Candidate, Judge
from edge_autoglm.prompts.rewrite import Draft


@dataclass(frozen=True, slots=True)
class Contribution:
    """How an operator's steps went.

    Attributes:
        operator: Its name.
        tried: Rewrites that were scored.
        better: Those that beat what they were made from.
        mean_gain: Mean of the metric's difference to what they were made from, on the examples that both have seen.
        best_gain: The largest.
        in_result: Evolved variants of the result that have such a step.
    """

    operator: str
    tried: int
    better: int
    mean_gain: float
    best_gain: float
    in_result: int


def contributions(judge: Judge, tried: Mapping[str, Candidate], result: Iterable[Draft]) -> list[Contribution]:
    """Of every operator that made a candidate with a known parent; the one that gained most comes first.

    Most rewrites make a prompt worse, so that means are below 0 for good operators too: see ``better`` and
    ``best_gain``.
    """
    gains: dict[str, list[float]] = defaultdict(list)
    for child in tried.values():
        parent = tried.get(child.parent)
        if parent is None:
            continue
        gain = _gain(judge, child, parent)
        if gain is not None:
            gains[child.operator].append(gain)
    if judge.centring_gains:
        gains[CENTRED.operator] += judge.centring_gains
    used = [{step.operator for step in draft.steps} for draft in result]
    found = [_contribution(name, all_gains, used) for name, all_gains in gains.items()]
    return sorted(found, key=lambda each: (-each.mean_gain, each.operator))


def _gain(judge: Judge, child: Candidate, parent: Candidate) -> float | None:
    """On what both were measured on; the parent has seen as much as its child at least, unless it fell out."""
    count = min(judge.seen(child), judge.seen(parent))
    ours, theirs = judge.standing(child, count), judge.standing(parent, count)
    return None if ours is None or theirs is None else ours.value - theirs.value


def _contribution(name: str, gains: list[float], used: list[set[str]]) -> Contribution:
    better = sum(gain > 0 for gain in gains)
    in_result = sum(name in steps for steps in used)
    return Contribution(name, len(gains), better, sum(gains) / len(gains), max(gains), in_result)
