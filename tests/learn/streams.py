"""Requests, decisions and rewards for the learner's tests."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from edge_autoglm.learn.features import Features
from edge_autoglm.learn.learner import Learner
from edge_autoglm.learn.policy import FrozenPolicy, VariantPolicy
from edge_autoglm.learn.records import DecisionRecord, FeedbackRecord, Record
from edge_autoglm.learn.rewards.price import AnswerCost
from edge_autoglm.learn.rewards.signals import Accepted, Edited, Preferred, Retried, Signal, Stars, Thumbs
from edge_autoglm.learn.segments import BEGINNING, read_journal
from edge_autoglm.learn.snapshot import take_snapshot, to_model_state
from edge_autoglm.learn.snapshot_format import encode

ARMS = ("plain", "polite", "short")


NAMES = ("length", "hour", "battery")


def some_features(seed: int, task: str = "mood") -> Features:
    rng = np.random.default_rng(seed)
    return Features(rng.integers(0, 2**32, 6), rng.normal(size=6), task, NAMES, rng.normal(size=3))


def decide(learner: Learner, policy: FrozenPolicy, seed: int, task: str = "mood") -> str:
    """Record one decision; returns its id."""
    features = some_features(seed, task)
    decision = policy.pull(ARMS, features)
    learner.record(decision, task, ARMS, features, generation=1, cost=AnswerCost(seed % 3, seed % 50))
    return decision.id


def some_signal(rng: random.Random) -> Signal:
    signals: list[Signal] = [
        0.0,
        1.0,
        rng.random(),
        Thumbs(True),
        Stars(2),
        Accepted(),
        Edited(rng.random()),
        Retried(),
    ]
    return rng.choice(signals)


def run_stream(learner: Learner, steps: int, seed: int = 0) -> list[str]:
    """Decisions with late, missing and repeated signals of all kinds and sources; returns the ids that got one."""
    rng, policy = random.Random(seed), learner.frozen()
    waiting: list[str] = []
    rewarded: list[str] = []
    for step in range(steps):
        waiting.append(decide(learner, policy, seed=1000 * seed + step, task=rng.choice(["mood", "topic"])))
        if rng.random() < 0.6:
            late = waiting.pop(rng.randrange(len(waiting)))
            learner.feedback(late, some_signal(rng), rng.choice([None, None, "ada", "ben", "eve"]))
            rewarded.append(late)
        if rng.random() < 0.1:
            learner.feedback(rng.choice(rewarded or waiting), some_signal(rng))
    return rewarded


def compare_two(learner: Learner, policy: FrozenPolicy, seed: int) -> None:
    """Two decisions of a task, one preferred over the other."""
    better, worse = decide(learner, policy, seed), decide(learner, policy, seed + 1)
    learner.feedback(better, Preferred(over=worse))


def records_of(folder: Path) -> list[Record]:
    records: list[Record] = []
    read_journal(folder, records.append)
    return records


def rewarded_ids(folder: Path) -> list[str]:
    return [record.id for record in records_of(folder) if isinstance(record, FeedbackRecord)]


def decided_ids(folder: Path) -> list[str]:
    return [record.id for record in records_of(folder) if isinstance(record, DecisionRecord)]


def state_bytes(learner: Learner) -> bytes:
    """All that a learner knows, to the bit."""
    return encode(to_model_state(take_snapshot(learner._state, BEGINNING)))


def assert_same_state(ours: Learner, theirs: Learner) -> None:
    """Bit for bit."""
    assert ours.status().arms == theirs.status().arms  # says more where they differ
    assert state_bytes(ours) == state_bytes(theirs)


def learnt(policy: VariantPolicy) -> bytes:
    """All that a policy knows, to the bit."""
    return encode(policy.state())
