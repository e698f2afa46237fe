"""Sessions that ask several times, are heard of late, and are alike within themselves."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edge_autoglm.learn.experiments.draw import Draw
from edge_autoglm.learn.experiments.experiment import Experiment
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.records import DecisionRecord, FeedbackRecord
from edge_autoglm.values import Assignment

KEY = b"0123456789abcdef"
FEATURES = Features(np.array([3]), np.array([1.0]))


def record(
    experiment: Experiment, decision_id: str, arm: str, unit: int | None = None, arms: tuple[str, ...] | None = None
) -> DecisionRecord:
    """A decision of an experiment."""
    arms = arms or experiment.variants
    shares = experiment.propensities(arms)
    assignment = Assignment(experiment.name, experiment.version, experiment.variants[0], unit)
    share = shares[arms.index(arm)]
    return DecisionRecord(
        decision_id, experiment.task, arm, share, arms, FEATURES, 1, 0.0, propensities=shares, experiment=assignment
    )


def reward(decision_id: str, value: float, weight: float = 1.0) -> FeedbackRecord:
    return FeedbackRecord(decision_id, value, 0.0, weight)


@dataclass(frozen=True)
class World:
    """Users who differ: each has a base rate of liking answers, to which the variant adds the same for all.

    Attributes:
        effect: What a variant adds to the probability of a reward of 1, by its name.
        spread: How far base rates lie around 0.45.
        most: Requests of a session.
        answers: Probability that a request gets feedback.
        late: Mean number of requests, of anyone, until the feedback comes.
    """

    effect: dict[str, float]
    spread: float = 0.25
    most: int = 12
    answers: float = 0.6
    late: float = 30.0

    def run(
        self, experiment: Experiment, sessions: int, seed: int
    ) -> Iterator[tuple[DecisionRecord, FeedbackRecord | None]]:
        """Decisions as they are made, and again with their reward as it comes."""
        rng, draw = random.Random(seed), Draw(experiment)
        active: list[tuple[str, int, float, int]] = []
        due: list[tuple[float, str, DecisionRecord, float]] = []
        begun, now = 0, 0
        while active or begun < sessions:
            if begun < sessions and (len(active) < 5 or rng.random() < 0.15):
                session, base = f"{seed} {begun}", 0.45 + self.spread * rng.uniform(-1.0, 1.0)
                begun += 1
                arm = draw.variant(session, rng)
                if arm is not None:
                    active.append((arm, draw.unit(session, KEY), base, rng.randint(1, self.most)))
                continue
            arm, unit, base, left = active.pop(rng.randrange(len(active)))
            if left > 1:
                active.append((arm, unit, base, left - 1))
            now += 1
            decided = record(experiment, f"{seed} {now}", arm, unit)
            yield decided, None
            if rng.random() < self.answers:
                value = float(rng.random() < base + self.effect[arm])
                heapq.heappush(due, (now + rng.expovariate(1.0 / self.late), decided.id, decided, value))
            while due and due[0][0] <= now:
                _, _, rewarded, value = heapq.heappop(due)
                yield rewarded, reward(rewarded.id, value)
        for _, _, rewarded, value in sorted(due, key=lambda entry: entry[:2]):
            yield rewarded, reward(rewarded.id, value)
