"""The learner notices that one arm gets feedback less often, and remembers it."""

from __future__ import annotations

import random
from pathlib import Path

from edge_autoglm.learn.exploration import forced
from edge_autoglm.learn.gate.feedback_rates import FeedbackRates
from edge_autoglm.learn.learner import Learner, Limits
from edge_autoglm.learn.policies import make_policy
from edge_autoglm.learn.rate_watch import RateWatch
from edge_autoglm.learn.records import DecisionRecord
from edge_autoglm.values import Decision
from tests.learn.streams import ARMS, assert_same_state, some_features

SHARES = (0.5, 0.25, 0.25)


def stream(learner: Learner, steps: int, silent: str) -> None:
    """Half of all decisions get feedback, those for the arm ``silent`` seldom."""
    rng = random.Random(1)
    for number in range(steps):
        arm = rng.choices(ARMS, SHARES)[0]
        decision = Decision(f"d{number}", arm, SHARES[ARMS.index(arm)], SHARES)
        learner.record(decision, "mood", ARMS, some_features(number), generation=1)
        if rng.random() < (0.05 if arm == silent else 0.5):
            learner.feedback(decision.id, 1.0)


def test_an_arm_that_loses_its_feedback_raises_an_alarm_that_outlives_a_restart(tmp_path: Path) -> None:
    policy = make_policy("ridge", seed=1)
    with Learner.open(tmp_path, policy=policy, limits=Limits(snapshot_bytes=1)) as live:
        stream(live, 700, silent="plain")
        alarm = live.status().rate_alarms["mood"]
        assert live.status().snapshot_bytes > 0
    assert alarm.arm == "plain"
    assert alarm.rate < 0.15 < 0.4 < alarm.others_rate
    with Learner.open(tmp_path, policy=policy) as reopened:
        assert reopened.status().rate_alarms == {"mood": alarm}
        assert_same_state(reopened, live)


def test_arms_that_get_feedback_alike_and_choices_of_the_caller_raise_none() -> None:
    with Learner.open(None, policy=make_policy("ridge", seed=1)) as learner:
        stream(learner, 700, silent="none of them")
        for number in range(300):
            learner.record(forced("plain"), "topic", ARMS, some_features(number), generation=1)
        assert learner.status().rate_alarms == {}


def test_decisions_that_queue_change_nothing_of_what_the_test_sees() -> None:
    watch, rates, rng = RateWatch(), FeedbackRates(), random.Random(1)
    for number in range(900):
        arm = rng.choices(ARMS, SHARES)[0]
        record = DecisionRecord(f"d{number}", "mood", arm, 0.5, ARMS, some_features(0), 1, 0.0, propensities=SHARES)
        watch.decided(record)
        rates.decided(record.id, arm, dict(zip(ARMS, SHARES, strict=True)))
        if number > 400 and rng.random() < (0.02 if arm == "short" else 0.4):
            watch.rewarded(record)
            rates.rewarded(record.id)
    assert watch.alarms() == {"mood": rates.alarm()}
    assert watch.state().facts["tasks"] == [["mood", rates.state().facts]]
