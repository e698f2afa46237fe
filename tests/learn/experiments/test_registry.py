"""Which experiment takes a request, and changes while requests go on."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from edge_autoglm.errors import ExperimentError
from edge_autoglm.learn.experiments.experiment import Experiment
from edge_autoglm.learn.experiments.registry import Experiments
from edge_autoglm.values import Decision
from tests.learn.experiments.traffic import KEY

ARMS = ("plain", "polite", "short")
POLITER = Experiment("politer", "reply", ("plain", "polite"), rollout=0.5)
SHORTER = Experiment("shorter", "reply", ("plain", "short"))
SESSIONS = [f"session {number}" for number in range(400)]


def registry(*experiments: Experiment) -> Experiments:
    made = Experiments(KEY, seed=1)
    made.replace_file(experiments)
    return made


def names(experiments: Experiments, arms: tuple[str, ...] = ARMS) -> list[str | None]:
    """Of the experiments that take the sessions."""
    decisions = [experiments.decide("reply", arms, session) for session in SESSIONS]
    return [None if one is None or one.experiment is None else one.experiment.experiment for one in decisions]


def test_a_decision_tells_its_chances_and_its_experiment() -> None:
    experiments = registry(replace(SHORTER, weights=(3.0, 1.0), version=4))
    decision = experiments.decide("reply", ARMS, "user 7")
    assert isinstance(decision, Decision)
    assert decision.propensities == (0.75, 0.0, 0.25)
    assert decision.propensity == decision.propensities[ARMS.index(decision.arm)]
    assignment = decision.experiment
    assert assignment is not None
    assert (assignment.experiment, assignment.version, assignment.control) == ("shorter", 4, "plain")
    again, other = experiments.decide("reply", ARMS, "user 7"), experiments.decide("reply", ARMS, None)
    assert again is not None
    assert (again.arm, again.experiment) == (decision.arm, assignment)
    assert again.id != decision.id
    assert other is not None
    assert other.experiment == replace(assignment, unit=None)


def test_the_first_experiment_that_a_session_falls_into_takes_it() -> None:
    both = names(registry(POLITER, SHORTER))
    alone = names(registry(POLITER))
    assert Counter(both).keys() == {"politer", "shorter"}
    assert [name == "politer" for name in both] == [name == "politer" for name in alone]
    assert set(names(registry(SHORTER, POLITER))) == {"shorter"}


def test_another_tasks_requests_take_no_part() -> None:
    assert registry(POLITER, SHORTER).decide("mood", ARMS, "user 7") is None


def test_the_apps_setting_wins_over_the_files_until_it_is_removed() -> None:
    experiments = registry(POLITER, SHORTER)
    before = names(experiments)
    experiments.set(replace(POLITER, rollout=1.0))
    assert set(names(experiments)) == {"politer"}
    experiments.replace_file([POLITER, SHORTER])
    assert set(names(experiments)) == {"politer"}
    experiments.set(replace(POLITER, enabled=False))
    assert set(names(experiments)) == {"shorter"}
    assert [one.enabled for one in experiments.list()] == [False, True]
    experiments.remove("politer")
    assert names(experiments) == before


def test_what_the_app_did_not_set_cannot_be_removed() -> None:
    experiments = registry(POLITER)
    with pytest.raises(ExperimentError, match=r"set no experiment 'politer'\. Disable it in the file"):
        experiments.remove("politer")


def test_an_experiment_on_a_variant_that_the_task_lacks_is_passed_over_with_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    experiments = registry(replace(POLITER, rollout=1.0), SHORTER)
    with caplog.at_level(logging.WARNING, "edge_autoglm"):
        assert set(names(experiments, ("plain", "short"))) == {"shorter"}
        assert [record.getMessage() for record in caplog.records] == [
            "experiment politer takes no requests, since the task reply has no variant polite"
        ]
    assert set(names(experiments, ARMS)) == {"politer"}


def test_starts_and_ends_are_kept() -> None:
    now = datetime(2027, 1, 4, tzinfo=timezone.utc)
    experiments = Experiments(KEY, 1, lambda: now)
    experiments.set(replace(SHORTER, start=now + timedelta(hours=1), end=now + timedelta(hours=3)))
    found = []
    for _ in range(4):
        found.append(experiments.decide("reply", ARMS, "user 7") is not None)
        now += timedelta(hours=1)
    assert found == [False, True, True, False]


def test_changes_by_several_threads_leave_every_request_with_one_setting_or_another() -> None:
    experiments = registry(SHORTER)
    chances = {"politer": (0.5, 0.5, 0.0), "shorter": (0.5, 0.0, 0.5)}
    wrong: list[object] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            for session in SESSIONS[:50]:
                decision = experiments.decide("reply", ARMS, session)
                assigned = None if decision is None else decision.experiment
                if decision is None or assigned is None or decision.propensities != chances[assigned.experiment]:
                    wrong.append(decision)

    def change() -> None:
        for version in range(1, 200):
            experiments.set(replace(POLITER, version=version))
            experiments.replace_file([replace(SHORTER, version=version)])
        experiments.set(replace(POLITER, rollout=0.0))

    asking = [threading.Thread(target=ask) for _ in range(3)]
    changing = [threading.Thread(target=change) for _ in range(3)]
    for thread in (*asking, *changing):
        thread.start()
    for thread in changing:
        thread.join()
    done.set()
    for thread in asking:
        thread.join()
    assert wrong == []
    assert set(names(experiments)) == {"shorter"}
