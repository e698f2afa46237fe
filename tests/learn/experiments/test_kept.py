"""Experiments in the state folder: in journal and snapshots, across restarts, and beside what older versions wrote."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.experiments.experiment import Experiment
from edge_autoglm.learn.experiments.registry import Experiments
from edge_autoglm.learn.experiments.results import ExperimentResult
from edge_autoglm.learn.exploration import forced
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.learner import Learner, Limits
from edge_autoglm.learn.log import read_log
from edge_autoglm.learn.policies import make_policy
from edge_autoglm.learn.reading import read_experiments
from edge_autoglm.learn.segments import segment_paths
from edge_autoglm.values import Assignment, Decision, FeedbackOutcome

ARMS = ("plain", "polite", "short")
POLITER = Experiment("politer", "mood", ("polite", "plain"))
FEATURES = Features(np.array([3]), np.array([1.0]), "mood", ("length",), np.array([2.5]))
SMALL = Limits(segment_bytes=4096, snapshot_bytes=4096, journal_bytes=8192)
BEFORE = Path(__file__).parent / "data" / "state_before"


def open_learner(state: Path | None) -> Learner:
    return Learner.open(state, seed=1, policy=make_policy("ridge"), limits=SMALL)


def ask(learner: Learner, experiments: Experiments, session: str | None) -> Decision:
    decision = experiments.decide("mood", ARMS, session) or learner.frozen().pull(ARMS, FEATURES)
    learner.record(decision, "mood", ARMS, FEATURES, generation=1)
    return decision


def live(learner: Learner) -> Experiments:
    experiments = Experiments(learner.key, seed=1)
    experiments.set(POLITER)
    return experiments


def only(results: tuple[ExperimentResult, ...]) -> ExperimentResult:
    [result] = results
    return result


def test_results_survive_restarts_and_the_loss_of_old_segments(tmp_path: Path) -> None:
    rng, given, variants = random.Random(1), 0, {}
    for run in range(3):
        with open_learner(tmp_path) as learner:
            experiments = live(learner)
            for number in range(100):
                decision = ask(learner, experiments, f"session {number // 2}")
                assert variants.setdefault(number // 2, decision.arm) == decision.arm
                if rng.random() < 0.7:
                    learner.feedback(decision.id, float(rng.random() < 0.5))
                    given += 1
            before = only(learner.experiments())
        assert only(read_experiments(tmp_path)) == before
        with open_learner(tmp_path) as learner:
            assert only(learner.experiments()) == before
        assert sum(variant.decisions for variant in before.variants) == 100 * (run + 1)
    assert segment_paths(tmp_path)[0].name != "journal-000001.log"
    assert [variant.variant for variant in before.variants] == ["polite", "plain"]
    assert sum(variant.units for variant in before.variants) == 50
    assert sum(variant.feedbacks for variant in before.variants) == given


def test_feedback_after_a_restart_finds_its_experiment(tmp_path: Path) -> None:
    with open_learner(tmp_path) as learner:
        late = ask(learner, live(learner), "user 7")
        for _ in range(60):  # enough for a snapshot, in which the decision waits
            learner.feedback(ask(learner, Experiments(learner.key), None).id, 1.0)
    assert list(tmp_path.glob("snapshot-*"))
    with open_learner(tmp_path) as learner:
        assert learner.feedback(late.id, 1.0) is FeedbackOutcome.APPLIED
        assert learner.feedback(late.id, 1.0) is FeedbackOutcome.DUPLICATE
        feedbacks = {variant.variant: variant.feedbacks for variant in only(learner.experiments()).variants}
    assert feedbacks == {"polite": 0, "plain": 0} | {late.arm: 1}


def test_the_sessions_key_is_stored_nowhere(tmp_path: Path) -> None:
    with open_learner(tmp_path) as learner:
        for number in range(60):
            learner.feedback(ask(learner, live(learner), f"Jane Doe {number}").id, 1.0)
    assert len(list(tmp_path.iterdir())) > 3
    assert not [path for path in tmp_path.iterdir() if b"Jane" in path.read_bytes()]


def test_the_policy_learns_from_experiments_too(tmp_path: Path) -> None:
    with open_learner(None) as learner:
        experiments = live(learner)
        for _ in range(200):
            decision = ask(learner, experiments, None)
            learner.feedback(decision.id, float(decision.arm == "polite"))
        shares = dict(zip(ARMS, learner.frozen().propensities(ARMS, FEATURES).tolist(), strict=True))
    assert shares["polite"] > shares["plain"]


def test_evaluation_takes_one_decision_of_each_session_and_every_one_without(tmp_path: Path) -> None:
    with open_learner(tmp_path) as learner:
        experiments = live(learner)
        for session in ("a", "b", None, "a", None, "b", "b"):
            ask(learner, experiments, session)
        experiments.set(replace(POLITER, version=2))
        ask(learner, experiments, "a")
    logged = read_log(tmp_path)["mood"]
    assert len(logged) == 2 + 2 + 1
    shares = logged[0].propensities
    assert shares is not None
    assert shares.tolist() == [0.5, 0.5, 0.0]


def test_a_sessions_loyal_feedback_raises_no_alarm_of_the_policys(tmp_path: Path) -> None:
    with open_learner(None) as learner:
        experiments = live(learner)
        for number in range(600):
            decision = ask(learner, experiments, "the one who always answers" if number % 2 else None)
            if number % 2:
                learner.feedback(decision.id, 1.0)
        assert not learner.status().rate_alarms
        drawn, heard = only(learner.experiments()).checks
    assert sum(heard.counts.values()) == 1
    assert sum(drawn.counts.values()) == 300 + 1
    assert not drawn.mismatch


@pytest.mark.parametrize(
    "decision",
    [
        Decision("d", "plain", 0.5, (), Assignment("politer", 1, "plain")),
        Decision("d", "plain", 0.5, (0.5, 0.5, 0.0), Assignment("politer", 1, "rude")),
        Decision("d", "plain", 0.5, (0.5, 0.5, 0.0), Assignment("politer", 1, "short")),
    ],
    ids=["no chances", "no such control", "a control without a chance"],
)
def test_an_assignment_that_does_not_fit_its_decision_is_refused(decision: Decision) -> None:
    with open_learner(None) as learner, pytest.raises(PolicyError, match="propensity"):
        learner.record(decision, "mood", ARMS, FEATURES, generation=1)


def test_a_state_of_before_experiments_goes_on(tmp_path: Path) -> None:
    """Journal and snapshot as the version before wrote them: 8 decisions, 4 of them rewarded."""
    state = tmp_path / "state"
    shutil.copytree(BEFORE, state)
    (state / "key").write_bytes(b"0123456789abcdef")
    with open_learner(state) as learner:
        status = learner.status()
        assert (status.decisions, status.feedbacks, status.pending) == (8, 4, 4)
        assert learner.experiments() == ()
        decision = ask(learner, live(learner), "user 7")
        learner.feedback(decision.id, 1.0)
        found = learner.experiments()
    assert read_experiments(state) == found
    assert len(read_log(state)["mood"]) == 9
    (state / "snapshot-000002.safetensors").unlink()
    assert read_experiments(state) == found


def test_a_journal_without_experiments_is_written_as_before(tmp_path: Path) -> None:
    with open_learner(tmp_path) as learner:
        learner.record(forced("plain"), "mood", ARMS, FEATURES, generation=1)
    assert b"experiment" not in segment_paths(tmp_path)[0].read_bytes()
