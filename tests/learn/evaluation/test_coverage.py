"""The intervals hold the truth at every look, in at least 95 % of logs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from edge_autoglm.learn.evaluation.estimators import Course, doubly_robust, ips, snips
from tests.learn.evaluation.logs import SimulatedLogs, simulate

ESTIMATORS: tuple[Callable[..., Course], ...] = (ips, snips, doubly_robust)


def coverage(logs: SimulatedLogs, estimate: Callable[..., Course]) -> float:
    """Share of runs whose interval holds the truth at every step."""
    steps = logs.truth.shape[1]
    course = estimate(logs.replayed, np.arange(1, steps + 1), 0.05)
    return float(((course.low <= logs.truth) & (logs.truth <= course.high)).all(axis=1).mean())


@pytest.mark.parametrize("estimate", ESTIMATORS)
@pytest.mark.parametrize("learning", [False, True])
def test_intervals_hold_the_truth_at_every_look(estimate: Callable[..., Course], learning: bool) -> None:
    assert coverage(simulate(60, 200, 8, seed=0, learning=learning), estimate) >= 0.95


@pytest.mark.heavy
@pytest.mark.parametrize("learning", [False, True])
@pytest.mark.parametrize("arms", [2, 4, 8])
def test_intervals_hold_the_truth_at_every_look_in_1000_logs(arms: int, learning: bool) -> None:
    check_coverage(4, arms, learning=learning)


@pytest.mark.heavy
@pytest.mark.parametrize(
    "settings", [{"fractional": True}, {"known": False}, {"max_weight": 20.0}, {"floor": 0.2}], ids=str
)
def test_intervals_hold_the_truth_in_other_logs(settings: dict[str, float]) -> None:
    check_coverage(2, 8, learning=True, **settings)


def check_coverage(batches: int, arms: int, **settings: float) -> None:
    logs = [simulate(250, 400, arms, seed, **settings) for seed in range(batches)]  # type: ignore[arg-type]
    for estimate in ESTIMATORS:
        share = float(np.mean([coverage(log, estimate) for log in logs]))
        print(f"{arms} arms, {settings}, {estimate.__name__}: {share:.4f}")
        assert share >= 0.95


def test_intervals_close_in_on_the_truth() -> None:
    logs = simulate(12, 2000, 4, seed=1, floor=0.3)
    for estimate in ESTIMATORS:
        course = estimate(logs.replayed, np.array([100, 2000]), 0.05)
        widths = np.median(course.high - course.low, axis=0)
        assert widths[1] < 0.3
        assert widths[1] < 0.5 * widths[0]
        assert np.abs(course.estimates - logs.truth[:, [99, 1999]])[:, 1].mean() < 0.05


def test_a_model_narrows_the_interval_where_all_propensities_are_known() -> None:
    known, unknown = (simulate(12, 2000, 4, seed=2, floor=0.3, known=known) for known in (True, False))
    end = np.array([2000])
    with_model, without = doubly_robust(known.replayed, end, 0.05), ips(known.replayed, end, 0.05)
    assert np.median(with_model.high - with_model.low) < 0.9 * np.median(without.high - without.low)
    blind = doubly_robust(unknown.replayed, end, 0.05)
    assert np.median(blind.high - blind.low) > np.median(with_model.high - with_model.low)
    # The estimate itself needs the logged arm's propensity alone.
    assert blind.estimates == pytest.approx(with_model.estimates, abs=1e-9)


@pytest.mark.parametrize("estimate", ESTIMATORS)
def test_what_is_lost_is_bounded_as_what_is_earned(estimate: Callable[..., Course]) -> None:
    earned = simulate(3, 300, 4, seed=3, floor=0.3).replayed
    lost = replace(earned, rewards=1.0 - earned.rewards, expected=1.0 - earned.expected)
    counts = np.array([50, 300])
    ours, mirrored = estimate(earned, counts, 0.05), estimate(lost, counts, 0.05)
    assert ours.high == pytest.approx(1.0 - mirrored.low)
    assert ours.low == pytest.approx(1.0 - mirrored.high)
