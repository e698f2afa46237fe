"""ADWIN, and what its alarms do: relearn after a change, cost nothing where there is none."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.drift import ADWIN, DriftWatch
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.policy import VariantPolicy


def test_a_change_of_the_mean_is_found_soon_and_the_old_part_dropped() -> None:
    rng, adwin = np.random.default_rng(0), ADWIN()
    found = [step for step in range(2000) if adwin.add(float(rng.random() < (0.2 if step < 1000 else 0.6)))]
    assert 1000 < found[0] < 1130
    assert adwin.mean == pytest.approx(0.6, abs=0.08)


def test_a_stationary_stream_is_not_cut() -> None:
    rng = np.random.default_rng(1)
    for _ in range(10):
        adwin = ADWIN(delta=1e-4)
        assert not any(adwin.add(value) for value in rng.random(2000).tolist())
        assert adwin.width == 2000
        assert adwin.mean == pytest.approx(0.5, abs=0.05)


def test_memory_is_logarithmic_in_the_window() -> None:
    adwin = ADWIN()
    for _ in range(20_000):
        adwin.add(0.5)
    assert sum(len(row) for row in adwin.state()["rows"]) < 90


def test_a_restored_adwin_goes_on_alike() -> None:
    rng, adwin, restored = np.random.default_rng(3), ADWIN(), ADWIN()
    for value in rng.random(777).tolist():
        adwin.add(value)
    restored.restore(json.loads(json.dumps(adwin.state())))
    for value in (0.4 + 0.6 * rng.random(500)).tolist():
        assert adwin.add(value) == restored.add(value)
    assert adwin.state() == restored.state()


def test_errors_that_shrink_are_no_alarm_and_errors_that_grow_are() -> None:
    watch = DriftWatch()
    assert not any(watch.sees("mood", 0.5 if step < 300 else 0.1, 0.0, 1.0) for step in range(600))
    assert any(watch.sees("mood", 0.9, 0.0, 1.0) for _ in range(100))
    assert watch.alarms == {"mood": 1}  # one change, one alarm
    assert watch.clone().alarms == {}


@pytest.mark.parametrize("settings", [{"delta": 0.0}, {"delta": 1.0}, {"kept": -0.1}, {"kept": 1.1}])
def test_a_setting_out_of_range_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(PolicyError, match=next(iter(settings))):
        DriftWatch(**settings)


def errors(policy: VariantPolicy, steps: int, drift_at: int | None, seed: int) -> list[float]:
    """Right arm by the sign of one of three features; after the drift, it is the other arm."""
    rng, made = np.random.default_rng(seed), []
    for step in range(steps):
        x = rng.normal(size=3)
        features = Features(np.zeros(0, np.int64), np.zeros(0), "mood", ("a", "b", "c"), x)
        right = (x[0] + 0.3 * x[1] > 0) != (drift_at is not None and step >= drift_at)
        decision = policy.pull(("no", "yes"), features)
        reward = float(decision.arm == ("yes" if right else "no"))
        policy.update(decision.id, reward)
        made.append(1.0 - reward)
    return made


def test_after_an_abrupt_drift_the_last_eighth_is_as_good_as_a_stationary_one() -> None:
    drifted, stationary = VariantPolicy(seed=1), VariantPolicy(seed=1)
    after = np.mean(errors(drifted, 2400, 1200, seed=0)[-300:])
    quiet = np.mean(errors(stationary, 2400, None, seed=0)[-300:])
    assert after <= 2 * quiet + 0.01
    assert drifted.watch.alarms.get("mood", 0) >= 1
    assert stationary.watch.alarms == {}


@pytest.mark.oracle
@pytest.mark.slow  # River's module takes seconds to import
def test_adwin_cuts_where_rivers_does() -> None:
    drift: Any = pytest.importorskip("river.drift")
    rng = np.random.default_rng(5)
    for _ in range(20):
        ours, theirs = ADWIN(delta=0.002), drift.ADWIN(delta=0.002)
        levels = rng.random(4)
        for step in range(2400):
            value = float(rng.random() < levels[step // 600])
            theirs.update(value)
            assert ours.add(value) == theirs.drift_detected, step
            assert ours.width == theirs.width
            if theirs.drift_detected:  # River starts anew at the next value
                break
