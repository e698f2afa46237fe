"""A state folder with a history: long texts suit one variant, short ones another."""

from __future__ import annotations

import random
from pathlib import Path

from edge_autoglm.learn.context import featurise
from edge_autoglm.learn.exploration import Optimism, forced
from edge_autoglm.learn.learner import Learner
from edge_autoglm.learn.policy import VariantPolicy

TASK = "mood"
ARMS = ("plain", "polite", "shots")
LONG = {"plain": 0.3, "polite": 0.9, "shots": 0.5}
SHORT = {"plain": 0.8, "polite": 0.2, "shots": 0.5}


def write_history(state: Path, requests: int = 400, seed: int = 0) -> Path:
    """Decisions of an exploring policy, four of five with a reward, and one that the app named."""
    rng = random.Random(seed)
    with Learner.open(state, seed=seed, policy=VariantPolicy(exploration=Optimism(floor=0.4))) as learner:
        policy = learner.frozen()
        for number in range(requests):
            text, means = ("a film " * 12, LONG) if rng.random() < 0.5 else ("good", SHORT)
            features = featurise(TASK, {"text": text}, {"noise": rng.random()}, learner.key)
            decision = policy.pull(ARMS, features)
            learner.record(decision, TASK, ARMS, features, generation=1)
            if rng.random() < 0.8:
                learner.feedback(decision.id, float(rng.random() < means[decision.arm]))
            if number % 50 == 49:
                policy = learner.frozen()
        named = forced("plain")
        learner.record(named, TASK, ARMS, features, generation=1)
        learner.feedback(named.id, 1.0)
    return state
