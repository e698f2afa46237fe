"""Requests, decisions and rewards for the learner's tests."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from edge_autoglm.learn.features import Features
from edge_autoglm.learn.learner import Learner
from edge_autoglm.learn.policy import FrozenPolicy
from edge_autoglm.learn.records import DecisionRecord, FeedbackRecord, Record
from edge_autoglm.learn.segments import read_journal

ARMS = ("plain", "polite", "short")


def some_features(seed: int) -> Features:
    rng = np.random.default_rng(seed)
    return Features(rng.integers(0, 2**32, 6), rng.normal(size=6))


def decide(learner: Learner, policy: FrozenPolicy, seed: int, task: str = "mood") -> str:
    """Record one decision; returns its id."""
    features = some_features(seed)
    decision = policy.pull(ARMS, features)
    learner.record(decision, task, ARMS, features, generation=1)
    return decision.id


def run_stream(learner: Learner, steps: int, seed: int = 0) -> list[str]:
    """Decisions with late, missing and fractional rewards; returns the ids that were rewarded, in order."""
    rng, policy = random.Random(seed), learner.frozen()
    waiting: list[str] = []
    rewarded: list[str] = []
    for step in range(steps):
        waiting.append(decide(learner, policy, seed=1000 * seed + step, task=rng.choice(["mood", "topic"])))
        if rng.random() < 0.6:
            late = waiting.pop(rng.randrange(len(waiting)))
            learner.feedback(late, rng.choice([0.0, 1.0, rng.random()]))
            rewarded.append(late)
    return rewarded


def records_of(folder: Path) -> list[Record]:
    records: list[Record] = []
    read_journal(folder, records.append)
    return records


def rewarded_ids(folder: Path) -> list[str]:
    return [record.id for record in records_of(folder) if isinstance(record, FeedbackRecord)]


def decided_ids(folder: Path) -> list[str]:
    return [record.id for record in records_of(folder) if isinstance(record, DecisionRecord)]


def assert_same_state(ours: Learner, theirs: Learner) -> None:
    """Bit for bit."""
    np.testing.assert_array_equal(ours.policy.model.z, theirs.policy.model.z)
    np.testing.assert_array_equal(ours.policy.model.n, theirs.policy.model.n)
    first, second = ours.status(), theirs.status()
    assert first.arms == second.arms
    assert (first.decisions, first.feedbacks) == (second.decisions, second.feedbacks)
    assert (first.pending, first.expired) == (second.pending, second.expired)
