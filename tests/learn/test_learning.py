"""What it is for: with a swap every hundred rewards, requests end up at the best variants."""

from __future__ import annotations

import numpy as np
import pytest

from edge_autoglm.learn.context import featurise
from edge_autoglm.learn.learner import Learner

REQUESTS = 800
SWAP_EVERY = 100
ACCURACIES = {"plain": 0.85, "short": 0.82, "long": 0.65, "polite": 0.55, "quiz": 0.5, "chinese": 0.5}


def requests(rng: np.random.Generator) -> list[str]:
    """Texts of varying length, wording and punctuation, which tell nothing of the variants."""
    words = [f"{onset}{vowel}{coda}" for onset in "bdfgklmn" for vowel in "aeiou" for coda in ("n", "rt", "sh")]
    return [" ".join(rng.choice(words, rng.integers(3, 30))) + rng.choice([".", "!", "?", " 7"]) for _ in range(800)]


def chosen_arms(seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    arms = list(ACCURACIES)
    chosen = []
    with Learner.open(None, seed=seed) as learner:
        for number, text in enumerate(requests(rng)):
            if number % SWAP_EVERY == 0:
                policy = learner.frozen()
            features = featurise("mood", {"text": text}, None, learner.key)
            decision = policy.pull(arms, features)
            learner.record(decision, "mood", arms, features, generation=1 + number // SWAP_EVERY)
            learner.feedback(decision.id, float(rng.random() < ACCURACIES[decision.arm]))
            chosen.append(decision.arm)
    return chosen


@pytest.fixture(scope="module")
def runs() -> list[list[str]]:
    return [chosen_arms(seed) for seed in range(8)]


def test_the_last_requests_go_to_the_best_variants(runs: list[list[str]]) -> None:
    """Expected accuracy, so that the luck of single answers plays no part."""
    accuracies = [np.mean([ACCURACIES[arm] for arm in run[-200:]]) for run in runs]
    assert np.mean(accuracies) > max(ACCURACIES.values()) - 0.05
    assert np.mean(accuracies) > np.mean(list(ACCURACIES.values())) + 0.15


def test_every_variant_is_still_tried_at_the_end(runs: list[list[str]]) -> None:
    late = [arm for run in runs for arm in run[-200:]]
    # The floor grants each of six arms 1/300: about 5 of 1,600 requests.
    assert all(late.count(arm) >= 2 for arm in ACCURACIES)


def test_the_first_requests_are_spread_evenly(runs: list[list[str]]) -> None:
    early = [arm for run in runs for arm in run[:SWAP_EVERY]]
    assert all(0.1 < early.count(arm) / len(early) < 0.24 for arm in ACCURACIES)
