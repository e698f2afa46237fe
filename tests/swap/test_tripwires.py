from __future__ import annotations

import numpy as np
import pytest

from edge_autoglm.swap.baseline import Baseline, Means
from edge_autoglm.swap.policy import TripwirePolicy
from edge_autoglm.swap.traffic import Served, Traffic
from edge_autoglm.swap.tripwires import Detector, Tripwires


def usual(requests: int = 100, seconds: float = 0.1, reward: float | None = 0.8) -> Means:
    means = Means()
    for _ in range(requests):
        means = means.with_request(Served(1, seconds))
        means = means if reward is None else means.with_reward(reward)
    return means


def tripped(before: Means, served: list[Served], rewards: list[float] | None = None, **policy: float) -> list[str]:
    """Why, if requests of generation 2 trip a wire."""
    reasons: list[str] = []
    wires = Tripwires(2, before, TripwirePolicy(**policy), reasons.append)  # type: ignore[arg-type]
    for request in served:
        wires.served(request)
    for reward in rewards or []:
        wires.rewarded(Served(2, 0.1), reward)
    return reasons


def test_failures_trip_at_the_fourth() -> None:
    assert tripped(usual(), [Served(2, 0.0, failed=True)] * 3) == []
    assert tripped(usual(), [Served(2, 0.0, failed=True)] * 9) == ["more requests fail than before generation 2"]


def test_garbage_slowness_and_bad_feedback_trip() -> None:
    assert "empty, broken or endless" in tripped(usual(), [Served(2, 0.1, garbage=True)] * 9)[0]
    assert "take longer" in tripped(usual(), [Served(2, 0.4)] * 40)[0]
    assert "feedback is worse" in tripped(usual(), [], [0.0] * 60)[0]


def test_what_was_usual_before_trips_nothing() -> None:
    rng = np.random.default_rng(1)
    before = Means()
    for _ in range(200):
        before = before.with_request(Served(1, rng.exponential(0.1), failed=rng.random() < 0.1))
        before = before.with_reward(float(rng.random() < 0.6))
    same = [Served(2, rng.exponential(0.1), failed=rng.random() < 0.1) for _ in range(400)]
    assert tripped(before, same, [float(rng.random() < 0.6) for _ in range(400)]) == []


def test_without_a_history_only_what_needs_none_is_watched() -> None:
    assert tripped(Means(), [Served(2, 100.0)] * 400, [0.0] * 400) == []
    assert tripped(Means(), [Served(2, 0.0, failed=True)] * 9)


def test_only_the_first_requests_of_that_generation_are_watched() -> None:
    failing = [Served(2, 0.0, failed=True)] * 20
    assert tripped(usual(), [Served(3, 0.0, failed=True)] * 50) == []
    assert tripped(usual(), [Served(2, 0.1)] * 50 + failing, requests=50) == []
    assert tripped(usual(), [Served(2, 0.1)] * 50 + failing, requests=60)


def test_false_alarms_are_as_rare_as_they_are_said_to_be() -> None:
    rng = np.random.default_rng(3)
    lengths = []
    for _ in range(60):
        detector, readings = Detector(0.2, 200.0), rng.random(20_000) < 0.2
        lengths.append(next((step for step, bad in enumerate(readings) if detector.alarms(float(bad))), 20_000))
    assert np.mean(lengths) > 200


def test_a_fault_that_begins_late_is_found_as_soon() -> None:
    detector = Detector(0.05, 10_000.0)
    assert not any(detector.alarms(0.0) for _ in range(5000))
    assert [detector.alarms(1.0) for _ in range(5)].index(True) <= 4


@pytest.mark.parametrize("reward", [0.0, 1.0])
def test_feedback_reaches_the_generation_that_answered(reward: float) -> None:
    traffic, baseline = Traffic(), Baseline(1)
    traffic.watch(baseline)
    traffic.served(Served(1, 0.5), "a")
    traffic.served(Served(2, 0.5), "b")
    for decision in ("a", "b", "unknown", "a"):
        traffic.rewarded(decision, reward)
    assert (baseline.means.requests, baseline.means.rewards, baseline.means.reward) == (1, 1, reward)
    traffic.unwatch(baseline)
    traffic.served(Served(1, 0.5))
    assert baseline.means.requests == 1
