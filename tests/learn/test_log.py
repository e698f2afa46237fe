"""The journal as a log: what was drawn, with the reward that came."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_autoglm.errors import StateError
from edge_autoglm.learn.exploration import forced
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.learner import Learner
from edge_autoglm.learn.log import read_log
from edge_autoglm.learn.rewards.signals import Accepted, Edited, Signal
from tests.learn.history import ARMS, TASK, write_history

FEATURES = Features(np.array([3]), np.array([1.0]), TASK, ("length",), np.array([2.5]))


def logged_reward(state: Path, *signals: Signal) -> tuple[float | None, float]:
    with Learner.open(state, seed=1) as learner:
        decision = learner.frozen().pull(ARMS, FEATURES)
        learner.record(decision, TASK, ARMS, FEATURES, generation=1)
        for signal in signals:
            learner.feedback(decision.id, signal)
    [logged] = read_log(state)[TASK]
    assert (logged.arm, logged.propensity) == (decision.arm, decision.propensity)
    assert logged.propensities == pytest.approx(decision.propensities)
    assert logged.features.dense.tolist() == [2.5]
    return logged.reward, logged.weight


@pytest.mark.parametrize(
    ("signals", "reward", "weight"),
    [
        ((), None, 1.0),
        ((0.25,), 0.25, 1.0),
        ((Edited(0.4),), 0.6, 0.3),
        ((Accepted(), Edited(0.4)), (0.15 * 1.0 + 0.15 * 0.6) / 0.3, 0.3),
        ((Edited(0.4), 0.25), 0.25, 1.0),
    ],
)
def test_what_was_said_outweighs_what_was_done(
    tmp_path: Path, signals: tuple[Signal, ...], reward: float | None, weight: float
) -> None:
    found, counted = logged_reward(tmp_path / "state", *signals)
    assert found == (None if reward is None else pytest.approx(reward))
    assert counted == pytest.approx(weight)


def test_what_the_app_named_is_no_draw(tmp_path: Path) -> None:
    with Learner.open(tmp_path / "state", seed=1) as learner:
        learner.record(forced("plain"), TASK, ARMS, FEATURES, generation=1)
    assert read_log(tmp_path / "state") == {}


def test_a_history_is_read_in_order_and_left_as_it_is(tmp_path: Path) -> None:
    state = write_history(tmp_path / "state", requests=60)
    before = {path.name: path.read_bytes() for path in state.iterdir()}
    log = read_log(state)
    assert list(log) == [TASK]
    assert len(log[TASK]) == 60
    assert {path.name: path.read_bytes() for path in state.iterdir()} == before


def test_a_folder_without_a_state_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="holds no learner's state"):
        read_log(tmp_path)
