from pathlib import Path

import numpy as np
import pytest

from benchmarks.learner.progressive import POINTS, play, summarise
from benchmarks.learner.stream import Stream, classification, dense, shuffled, then
from benchmarks.learner.streams import reported, tuning, without_sentiment
from benchmarks.learner.synthetic import abrupt, led, led_swapped, stationary
from edge_autoglm.learn.features import Features
from tests.benchmarks.learner_streams_for_tests import signs


class Scripted:
    """Plays the arms it is given, and keeps what it is told."""

    def __init__(self, choices: list[int]) -> None:
        self.choices = list(choices)
        self.told: list[float] = []

    def choose(self, features: Features) -> int:
        return self.choices[len(self.told)]

    def learn(self, reward: float) -> None:
        self.told.append(reward)


def small() -> Stream:
    return classification([dense("t", {"x": float(x)}) for x in range(4)], ["b", "a", "b", "b"])


def test_an_arm_a_class_and_one_reward_a_step() -> None:
    stream = small()
    assert stream.arms == ("a", "b")
    assert stream.rewards.tolist() == [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    assert stream.best_fixed_error() == 0.25
    assert stream.uniform_error() == 0.5


def test_a_contestant_is_told_the_reward_of_its_own_choice_only() -> None:
    scripted = Scripted([1, 1, 0, 1])
    assert play(scripted, small()).tolist() == [0.0, 1.0, 1.0, 0.0]
    assert scripted.told == [1.0, 0.0, 0.0, 1.0]


def test_a_pass_is_summed_up_by_its_error_its_end_and_its_course() -> None:
    outcome = summarise(np.array([1.0] * 70 + [0.0] * 10))
    assert outcome.error == 0.875
    assert outcome.last_eighth == 0.0
    assert len(outcome.curve) == POINTS
    assert (outcome.curve[0], outcome.curve[-1]) == (1.0, 0.875)


def test_the_order_depends_on_the_seed_and_rewards_go_with_their_features() -> None:
    stream = signs(50)
    first, again, other = (shuffled(stream, seed, 30) for seed in (1, 1, 2))
    assert [f.dense[0] for f in first.features] == [f.dense[0] for f in again.features]
    assert [f.dense[0] for f in first.features] != [f.dense[0] for f in other.features]
    assert len(first) == 30
    for features, rewards in zip(first.features, first.rewards, strict=True):
        assert rewards[first.arms.index("above" if features.dense[0] > 0 else "below")] == 1.0


def test_streams_of_other_arms_are_not_put_together() -> None:
    other = classification([dense("t", {"x": 0.0})] * 4, ["a", "b", "c", "c"])
    with pytest.raises(ValueError, match="same arms"):
        then(small(), other)


def test_a_drift_and_its_twin_share_the_second_half() -> None:
    pytest.importorskip("river")
    drifting, twin = abrupt("led", led, led_swapped)(3, 200), stationary("led", led_swapped)(3, 200)
    same = [
        bool((mine.dense == theirs.dense).all() and (mine_r == theirs_r).all())
        for mine, theirs, mine_r, theirs_r in zip(
            drifting.features, twin.features, drifting.rewards, twin.rewards, strict=True
        )
    ]
    assert all(same[100:])
    assert not any(same[:100])


def test_no_setting_is_chosen_on_a_stream_that_is_reported() -> None:
    nowhere = Path("no such folder")
    names = [spec.name for spec in reported(nowhere)]
    assert not set(names) & {spec.name for spec in tuning(nowhere)}
    assert all(spec.twin in (None, *names) for spec in reported(nowhere))
    assert without_sentiment(nowhere) is not None
