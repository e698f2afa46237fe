"""How often the promotion gate errs when one looks at every step, how soon it is right, and what intervals cover."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks import record
from benchmarks.learner.checks import Check
from benchmarks.learner.processes import in_processes
from benchmarks.learner.progress import bar
from benchmarks.learner.stream import FloatArray
from benchmarks.learner.versions import versions
from edge_autoglm.learn.evaluation.logged import LoggedDecision
from edge_autoglm.learn.evaluation.value import evaluate
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.gate.decision import Verdict
from edge_autoglm.learn.gate.exposure import Exposure
from edge_autoglm.learn.gate.gate import Gate
from edge_autoglm.learn.models.context_free import ContextFreeModel

NAME = "learner_nulls"
SHARE, GAP, ALPHA = 0.2, 0.15, 0.05
NULL_RATES = (0.5, 0.8)
GAP_RATES = (0.5, 0.6, 0.7, 0.8)
ARMS = ("plain", "polite", "short", "long")
ARM_RATES = (0.35, 0.5, 0.6, 0.75)
LOGGING, TARGET = (0.7, 0.1, 0.1, 0.1), (0.1, 0.1, 0.2, 0.6)
_NEVER = -1.0
_BLOCK = 50
_ASK_EVERY = 100


@dataclass(frozen=True, slots=True)
class Trials:
    """Consecutive runs of one kind.

    Attributes:
        kind: ``null``, ``gap`` or ``coverage``.
        rate: Mean reward of the champion; nothing to coverage.
        first: Seed of the first run.
        count: Of runs.
        steps: Feedbacks of a run.
    """

    kind: str
    rate: float
    first: int
    count: int
    steps: int


def outcomes(trials: Trials) -> list[float]:
    """One a run: the feedback at which the gate promoted, -1 for never; for coverage, 1 if the interval held."""
    seeds = range(trials.first, trials.first + trials.count)
    if trials.kind == "coverage":
        return [float(covered(seed, trials.steps)) for seed in seeds]
    gap = GAP if trials.kind == "gap" else 0.0
    return [promoted_at(seed, trials.rate, trials.rate + gap, trials.steps) for seed in seeds]


def promoted_at(seed: int, champion: float, challenger: float, steps: int) -> float:
    """Feedbacks until the gate promotes, which looks after every one of them; -1 where it does not.

    Once it has decided, the gate stays with it and counts no further: asking now and then finds what every look found.
    """
    rng = np.random.default_rng(seed)
    served, luck = rng.random(steps) < SHARE, rng.random(steps)
    rewards = (luck < np.where(served, challenger, champion)).astype(float).tolist()
    gate = Gate("champion", "challenger")
    for step, (chosen, reward) in enumerate(zip(served.tolist(), rewards, strict=True), start=1):
        gate.feedback(Exposure.served(chosen, SHARE), reward)
        if step % _ASK_EVERY == 0 or step == steps:
            decision = gate.decide()
            if decision.verdict is Verdict.PROMOTE:
                return float(round(decision.champion_feedbacks + decision.challenger_feedbacks))
            if decision.verdict is Verdict.REJECT:
                return _NEVER
    return _NEVER


@dataclass(frozen=True, slots=True)
class FixedShares:
    """A policy that looks at nothing."""

    shares: tuple[float, ...]

    def propensities(self, arms: Sequence[str], context: Features) -> FloatArray:
        """The same for every request, ``[arms]``."""
        return np.array(self.shares)


def covered(seed: int, steps: int) -> bool:
    """Whether the doubly robust interval, the one to quote, holds the truth at every point of a log."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(ARMS), steps, p=LOGGING)
    rewards = (rng.random(steps) < np.array(ARM_RATES)[chosen]).astype(float)
    nothing = Features(np.zeros(0, np.int64), np.zeros(0), "coverage")
    shares = np.array(LOGGING)
    log = [
        LoggedDecision(ARMS, nothing, ARMS[arm], LOGGING[arm], reward, propensities=shares)
        for arm, reward in zip(chosen.tolist(), rewards.tolist(), strict=True)
    ]
    value = evaluate(log, FixedShares(TARGET), ContextFreeModel(), ALPHA)
    truth = float(np.dot(TARGET, ARM_RATES))
    course = value.courses["dr"]
    return bool(((course.low <= truth) & (truth <= course.high)).all())


def run(runs: int, steps: int, workers: int, records: Path, console: Console) -> Path:
    """Run everything and write the record; its path."""
    plan = [("null", rate, runs, steps) for rate in NULL_RATES]
    plan += [("gap", rate, max(runs // 4, 1), steps) for rate in GAP_RATES]
    plan += [("coverage", 0.0, max(runs // 4, 1), 400)]
    trials = [
        Trials(kind, rate, first, min(_BLOCK, count - first), length)
        for kind, rate, count, length in plan
        for first in range(0, count, _BLOCK)
    ]
    found: dict[Trials, list[float]] = {}
    with bar(sum(each.count for each in trials), console) as advance:
        for each, results in in_processes(outcomes, trials, workers):
            found[each] = results
            advance(f"{each.kind} {each.rate:g}", each.count)
    samples: dict[str, list[float]] = {}
    for each in trials:
        samples.setdefault(f"{each.kind}/{each.rate:g}", []).extend(found[each])
    config = {"runs": runs, "steps": steps, "share": SHARE, "gap": GAP, "alpha": ALPHA, "versions": versions()}
    return record.write(NAME, config, samples, {"summary": summary(samples)}, records)


def summary(samples: dict[str, list[float]]) -> dict[str, dict[str, Any]]:
    """Share and median of promotions, and the share of logs whose interval held."""
    found: dict[str, dict[str, Any]] = {}
    for name, values in samples.items():
        if name.startswith("coverage"):
            found[name] = {"runs": len(values), "covered": sum(values) / len(values)}
            continue
        promoted = [value for value in values if value != _NEVER]
        found[name] = {
            "runs": len(values),
            "promoted": len(promoted) / len(values),
            # A run that never promotes counts as one that needs for ever.
            "median": statistics.median(value if value != _NEVER else float("inf") for value in values)
            if len(promoted) * 2 > len(values)
            else None,
        }
    return found


def checks(found: dict[str, dict[str, Any]]) -> Iterator[Check]:
    """What the gate and the intervals promise; each as a figure that must not be above a bound."""
    for name, figures in found.items():
        kind, _, rate = name.partition("/")
        if kind == "null":
            yield Check(name, f"false promotions, both at {rate}", figures["promoted"], ALPHA)
        elif kind == "gap":
            yield Check(name, "runs without a promotion", 1.0 - figures["promoted"], 0.05)
            yield Check(name, "median feedbacks to a promotion", figures["median"] or float("inf"), 450.0)
        else:
            yield Check(name, "logs whose interval misses the truth", 1.0 - figures["covered"], ALPHA)
