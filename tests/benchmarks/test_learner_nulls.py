import numpy as np
import pytest

from benchmarks.learner.nulls import Trials, checks, covered, outcomes, promoted_at, summary
from edge_autoglm.learn.gate.decision import Verdict
from edge_autoglm.learn.gate.exposure import Exposure
from edge_autoglm.learn.gate.gate import Gate


def test_asking_now_and_then_finds_the_step_at_which_the_gate_decided() -> None:
    seed, steps = 3, 800
    rng = np.random.default_rng(seed)
    served, luck = rng.random(steps) < 0.2, rng.random(steps)
    gate = Gate("champion", "challenger")
    for step in range(steps):
        gate.feedback(Exposure.served(bool(served[step]), 0.2), float(luck[step] < (0.9 if served[step] else 0.6)))
        if gate.decide().verdict is not Verdict.KEEP_GOING:
            break
    assert gate.decide().verdict is Verdict.PROMOTE
    assert promoted_at(seed, 0.6, 0.9, steps) == step + 1


def test_without_a_difference_few_runs_promote() -> None:
    found = outcomes(Trials("null", 0.5, 0, 20, 200))
    assert sum(value >= 0 for value in found) <= 3


def test_an_interval_holds_the_truth_of_a_log() -> None:
    assert sum(covered(seed, 100) for seed in range(10)) >= 8


def test_runs_that_never_promote_count_as_endless() -> None:
    found = summary({"null/0.5": [-1.0, -1.0, -1.0, 7.0], "gap/0.6": [100.0, 300.0, -1.0], "coverage/0": [1.0, 0.0]})
    assert found["null/0.5"] == {"runs": 4, "promoted": 0.25, "median": None}
    assert found["gap/0.6"]["median"] == 300.0
    assert found["coverage/0"]["covered"] == 0.5
    assert [check.holds for check in checks(found)] == [False, False, True, False]


def test_a_gate_that_never_promotes_breaks_its_promise() -> None:
    found = {check.what: check for check in checks(summary({"gap/0.5": [-1.0, -1.0]}))}
    assert not found["median feedbacks to a promotion"].holds
    assert found["runs without a promotion"].found == pytest.approx(1.0)
