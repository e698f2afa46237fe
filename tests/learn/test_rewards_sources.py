"""Caps on sources: no one decides alone, and a hostile one does little harm."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from edge_autoglm.learn.learner import Learner
from edge_autoglm.learn.rewards.sources import SMALLEST_CAP, WINDOW, SourceCaps, hash_source
from edge_autoglm.values import FeedbackOutcome
from tests.learn.streams import ARMS, assert_same_state, decide, learnt, some_features

ERRORS = {"plain": 0.5, "polite": 0.15, "short": 0.4}


def test_one_source_among_many_gives_a_twentieth() -> None:
    caps, given = SourceCaps(), []
    for number in range(2 * WINDOW):
        source = "loud" if number % 2 else f"user{number}"
        weight = caps.grant(source, 1.0)
        caps.add(source, weight)
        given.append((source, weight))
    recent = given[-WINDOW:]
    loud = sum(weight for source, weight in recent if source == "loud")
    assert 0.0 < loud <= SMALLEST_CAP * sum(weight for _, weight in recent) + 1.0
    assert all(weight == 1.0 for source, weight in given if source != "loud")


@pytest.mark.parametrize("sources", [[None], ["me"], ["me", "you"], ["a", "b", "c", "d"]])
def test_sources_that_give_alike_are_never_capped(sources: list[str | None]) -> None:
    caps = SourceCaps()
    for number in range(3 * WINDOW):
        source = sources[number % len(sources)]
        assert caps.grant(source, 1.0) == 1.0
        caps.add(source, 1.0)


def test_a_source_that_was_silent_for_a_window_may_speak_again() -> None:
    caps = SourceCaps()
    for _ in range(WINDOW // 2):
        caps.add(None, 1.0)
        caps.add("loud", caps.grant("loud", 1.0))
    assert caps.grant("loud", 1.0) < 1.0
    for _ in range(WINDOW):
        caps.add(None, 1.0)
    assert caps.grant("loud", 1.0) == 1.0


def test_caps_made_from_what_others_remember_grant_the_same() -> None:
    rng, caps = random.Random(1), SourceCaps()
    for _ in range(3 * WINDOW):
        source = rng.choice(["a", "a", "a", "b", None, None, str(rng.random())])
        caps.add(source, caps.grant(source, rng.random()))
    again = SourceCaps(caps.recent)
    assert [again.grant(source, 1.0) for source in ("a", "b", "new")] == [
        caps.grant(source, 1.0) for source in ("a", "b", "new")
    ]


def test_a_source_is_a_keyed_hash() -> None:
    assert hash_source("ada", b"key") == hash_source("ada", b"key")
    assert len({hash_source("ada", b"key"), hash_source("ada", b"other"), hash_source("ben", b"key")}) == 3
    assert len(hash_source("\ud800" * 1000, b"key")) == 16


def test_a_capped_source_is_answered_recorded_and_teaches_nothing(tmp_path: Path) -> None:
    with Learner.open(tmp_path, seed=1) as learner:
        frozen = learner.frozen()
        for number in range(60):
            learner.feedback(decide(learner, frozen, number), 1.0)
        outcomes, known = [], b""
        for number in range(60, 90):
            known = learnt(learner.policy)
            decision_id = decide(learner, frozen, number)
            outcomes.append(learner.feedback(decision_id, 0.0, source="loud"))
        assert outcomes[0] is FeedbackOutcome.APPLIED
        assert outcomes[-1] is FeedbackOutcome.CAPPED
        assert learnt(learner.policy) == known
        assert learner.feedback(decision_id, 1.0, source="someone else") is FeedbackOutcome.DUPLICATE
        assert learner.status().capped == outcomes.count(FeedbackOutcome.CAPPED) > 20
    with Learner.open(tmp_path, seed=1) as reopened:
        assert_same_state(reopened, learner)
        assert reopened.feedback(decide(reopened, frozen, 99), 0.0, source="loud") is FeedbackOutcome.CAPPED


def last_quarter(hostile: float, steps: int, seed: int, delay: int = 0, missing: float = 0.0) -> float:
    """Error of the choices in the last quarter of a stream.

    ``hostile`` of the feedback comes from one source that always inverts it.
    """
    rng = random.Random(seed)
    errors = np.zeros(steps)
    late: list[tuple[str, float, str]] = []
    with Learner.open(None, seed=seed) as learner:
        for step in range(steps):
            if step % 10 == 0:
                frozen = learner.frozen()
            features = some_features(seed * steps + step)
            decision = frozen.pull(ARMS, features)
            learner.record(decision, "mood", ARMS, features, generation=1)
            wrong = rng.random() < ERRORS[decision.arm]
            errors[step] = ERRORS[decision.arm]
            if rng.random() < missing:
                continue
            inverts = rng.random() < hostile
            late.append((decision.id, float(wrong == inverts), "eve" if inverts else f"user{rng.randrange(50)}"))
            if len(late) > delay:
                learner.feedback(*late.pop(0))
    return float(errors[-steps // 4 :].mean())


def mean_last_quarter(seeds: int, steps: int, hostile: float = 0.0, delay: int = 0, missing: float = 0.0) -> float:
    return float(np.mean([last_quarter(hostile, steps, seed, delay, missing) for seed in range(seeds)]))


def test_a_hostile_fifth_of_the_feedback_costs_less_than_a_tenth() -> None:
    assert mean_last_quarter(2, 300, hostile=0.2) <= mean_last_quarter(2, 300) + 0.10


@pytest.fixture(scope="module")
def clean() -> float:
    return mean_last_quarter(5, 1200)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hostile", "delay", "missing"), [(0.2, 0, 0.0), (0.45, 0, 0.0), (0.0, 100, 0.0), (0.0, 0, 0.8), (0.2, 100, 0.0)]
)
def test_hostile_late_and_missing_feedback_costs_less_than_a_tenth(
    clean: float, hostile: float, delay: int, missing: float
) -> None:
    assert clean < 0.25  # untrained, it is 0.35
    assert mean_last_quarter(5, 1200, hostile, delay, missing) <= clean + 0.10
