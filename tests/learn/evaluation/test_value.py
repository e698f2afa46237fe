"""`evaluate` on logs of real policies and models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from edge_autoglm.errors import InvalidReward, PolicyError
from edge_autoglm.learn.evaluation.logged import LoggedDecision
from edge_autoglm.learn.evaluation.value import PolicyValue, evaluate
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.models.context_free import ContextFreeModel
from edge_autoglm.learn.models.ridge import RidgeModel
from edge_autoglm.learn.policy import VariantPolicy

ARMS = ("plain", "polite", "short")
BEST = {"day": "polite", "night": "short"}
FEATURES = {
    "day": Features(np.array([1]), np.array([1.0]), names=("dark",), dense=np.array([0.0])),
    "night": Features(np.array([2]), np.array([1.0]), names=("dark",), dense=np.array([1.0])),
}


class Fixed:
    """Always wants the best arm of the time of day, or always one arm."""

    def __init__(self, arm: str | None = None) -> None:
        self.arm = arm

    def propensities(self, arms: Sequence[str], context: Features) -> npt.NDArray[np.float64]:
        best = BEST["night" if context.dense[0] else "day"]
        return np.array([float(arm == (self.arm or best)) for arm in arms])


def make_log(decisions: int, seed: int = 0, silent: float = 0.0) -> list[LoggedDecision]:
    """Even choices; the best arm earns 0.9, others 0.3; feedback is missing with probability `silent`."""
    rng = np.random.default_rng(seed)
    log = []
    for _ in range(decisions):
        time = "day" if rng.random() < 0.5 else "night"
        arm = ARMS[rng.integers(3)]
        reward = float(rng.random() < (0.9 if arm == BEST[time] else 0.3))
        given = None if rng.random() < silent else reward
        log.append(LoggedDecision(ARMS, FEATURES[time], arm, 1 / 3, given, propensities=np.full(3, 1 / 3)))
    return log


def test_the_value_of_a_fixed_policy_is_found_by_all_three() -> None:
    value = evaluate(make_log(2000), Fixed(), RidgeModel())
    for interval in (value.ips, value.snips, value.dr):
        assert interval.estimate == pytest.approx(0.9, abs=0.05)
        assert interval.low < 0.9 < interval.high
        assert interval.high - interval.low < 0.25
    assert value.dr.high - value.dr.low < value.ips.high - value.ips.low
    assert value.logged == pytest.approx(0.5, abs=0.03)
    assert value.n == 2000
    assert value.effective_sample_size == pytest.approx(2000 / 3, rel=0.05)


def test_the_courses_end_with_the_intervals() -> None:
    value = evaluate(make_log(500), Fixed("plain"), ContextFreeModel())
    assert value.counts[0] == 1
    assert value.counts[-1] == 500
    assert len(value.counts) <= 200
    for name, course in value.courses.items():
        last = getattr(value, name)
        assert (course.estimates[-1], course.low[-1], course.high[-1]) == (last.estimate, last.low, last.high)
        assert ((course.low <= course.estimates) & (course.estimates <= course.high)).all()
        assert len(course.low) == len(value.counts)


def test_a_policy_that_learns_is_judged_by_what_it_would_have_chosen() -> None:
    policy = VariantPolicy(seed=1)
    value = evaluate(make_log(1000), policy, RidgeModel())
    assert policy.propensities(ARMS, FEATURES["night"])[2] > 0.8  # it was trained on the log
    assert 0.75 < value.dr.estimate < 0.93
    assert value.dr.low > value.logged  # better than the log, and surely so


def test_missing_rewards_are_left_out_not_counted_as_0() -> None:
    whole, thinned = (
        evaluate(make_log(1000), Fixed(), RidgeModel()),
        evaluate(make_log(2000, silent=0.5), Fixed(), RidgeModel()),
    )
    assert thinned.n == pytest.approx(1000, abs=60)
    assert thinned.dr.estimate == pytest.approx(whole.dr.estimate, abs=0.05)
    assert all(share == pytest.approx(0.5, abs=0.05) for share in thinned.missing.values())
    assert whole.missing == {"plain": 0.0, "polite": 0.0, "short": 0.0}


def test_capped_weights_keep_the_bounds() -> None:
    capped = evaluate(make_log(1500), Fixed(), ContextFreeModel(), max_weight=1.5)
    # Half of the policy's choices are left: 0.45 earned, at least, and 0.05 missed.
    for interval in (capped.ips, capped.snips, capped.dr):
        assert interval.low < 0.45 < 0.9 < interval.high
    assert capped.ips.estimate == pytest.approx(0.45, abs=0.05)


def test_a_policy_that_does_what_the_log_did_earns_what_the_log_did() -> None:
    class Even:
        def propensities(self, arms: Sequence[str], context: Features) -> npt.NDArray[np.float64]:
            return np.full(len(arms), 1.0 / len(arms))

    value = evaluate(make_log(800), Even(), ContextFreeModel())
    assert value.ips.estimate == pytest.approx(value.logged)
    assert value.snips.estimate == pytest.approx(value.logged)
    assert value.effective_sample_size == pytest.approx(800)


def test_logs_without_the_other_propensities_can_be_evaluated_too() -> None:
    log = [
        LoggedDecision(logged.arms, logged.features, logged.arm, logged.propensity, logged.reward)
        for logged in make_log(1500)
    ]
    value: PolicyValue = evaluate(log, Fixed(), RidgeModel())
    assert value.dr.low < 0.9 < value.dr.high
    assert value.dr.estimate == pytest.approx(0.9, abs=0.05)


def test_arms_may_come_and_go() -> None:
    log = make_log(300)
    log[100:200] = [
        LoggedDecision(("plain", "polite"), logged.features, "plain", 0.5, 0.5, propensities=np.array([0.5, 0.5]))
        for logged in log[100:200]
    ]
    value = evaluate(log, Fixed("plain"), ContextFreeModel())
    assert value.n == 300
    assert value.dr.low <= value.dr.estimate <= value.dr.high


def test_the_explanation_says_what_was_found() -> None:
    value = evaluate(make_log(600, silent=0.2), Fixed(), RidgeModel())
    said = value.explain()
    assert f"would have earned {value.dr} (doubly robust, 95% at any time)" in said
    assert "no reward: plain 2" in said or "no reward: plain 1" in said


def test_what_cannot_be_evaluated_is_refused() -> None:
    with pytest.raises(PolicyError, match="no decision with a reward"):
        evaluate(make_log(5, silent=1.0), Fixed(), RidgeModel())
    for settings in ({"alpha": 0.0}, {"max_weight": 0.0}, {"max_weight": float("nan")}):
        with pytest.raises(PolicyError):
            evaluate(make_log(5), Fixed(), RidgeModel(), **settings)
    features = FEATURES["day"]
    for arm, propensity, propensities in (
        ("formal", 0.5, None),
        ("plain", 0.0, None),
        ("plain", 0.5, np.full(3, 1 / 3)),
        ("plain", 0.5, np.array([0.5, 0.5])),
        ("plain", 0.5, np.array([0.5, 0.7, -0.2])),
    ):
        with pytest.raises(PolicyError):
            LoggedDecision(ARMS, features, arm, propensity, 1.0, propensities=propensities)
    with pytest.raises(InvalidReward):
        LoggedDecision(ARMS, features, "plain", 0.5, float("nan"))
