"""Intervals of experiments hold at all times at once, though all requests of a session have one variant."""

from __future__ import annotations

import pytest

from edge_autoglm.learn.experiments.experiment import Experiment
from edge_autoglm.learn.experiments.results import ALPHA
from edge_autoglm.learn.experiments.series import Series, SeriesKey
from edge_autoglm.learn.gate.difference import Difference
from edge_autoglm.learn.gate.exposure import Exposure
from tests.learn.experiments.traffic import World

EVEN = Experiment("politer", "reply", ("plain", "polite"))
UNEVEN = Experiment("politer", "reply", ("plain", "polite"), weights=(4.0, 1.0))
SESSIONS = 150
ALIKE = World({"plain": 0.0, "polite": 0.0}, spread=0.45, most=20)
"""A session's rewards have a correlation of 0.27: its requests say little more than its first one."""
BETTER = World({"plain": 0.0, "polite": 0.2}, spread=0.25, most=8)


def series_of(experiment: Experiment) -> Series:
    return Series(SeriesKey(experiment.name, 1, experiment.task, experiment.variants, experiment.shares))


def ever_wrong(experiment: Experiment, world: World, seed: int) -> bool:
    """Whether the interval of the difference is wrong at any look; there is one after each unit that counts."""
    series, truth, looked = series_of(experiment), world.effect["polite"] - world.effect["plain"], 0
    for decided, rewarded in world.run(experiment, SESSIONS, seed):
        if rewarded is None:
            series.decided(decided, decided.experiment.unit)
            continue
        series.rewarded(decided, decided.experiment.unit, rewarded)
        gain = series.gains[0]
        if gain.count > looked:
            looked = gain.count
            interval = gain.interval(ALPHA / 2)
            if not interval.low <= truth <= interval.high:
                return True
    return False


def naive_ever_wrong(world: World, seed: int) -> bool:
    """The same if each request counted for itself."""
    gain = Difference(0.5)
    truth = world.effect["polite"] - world.effect["plain"]
    for decided, rewarded in world.run(EVEN, SESSIONS, seed):
        if rewarded is not None:
            gain.observe(Exposure.served(decided.arm == "polite", 0.5), rewarded.reward)
            interval = gain.interval(ALPHA / 2)
            if not interval.low <= truth <= interval.high:
                return True
    return False


def share_wrong(experiment: Experiment, world: World, runs: int) -> float:
    return sum(ever_wrong(experiment, world, seed) for seed in range(runs)) / runs


@pytest.mark.parametrize(("experiment", "world"), [(EVEN, ALIKE), (UNEVEN, BETTER)], ids=["null", "better, 1 in 5"])
def test_an_interval_is_hardly_ever_wrong_at_any_look(experiment: Experiment, world: World) -> None:
    assert share_wrong(experiment, world, runs=12) <= 0.1


@pytest.mark.heavy
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("experiment", "world", "runs"),
    [(EVEN, ALIKE, 2000), (UNEVEN, ALIKE, 500), (EVEN, BETTER, 500)],
    ids=["null", "null, 1 in 5", "better"],
)
def test_at_most_5_percent_of_intervals_are_ever_wrong(experiment: Experiment, world: World, runs: int) -> None:
    share = share_wrong(experiment, world, runs)
    print(f"ever wrong: {share:.4f} of {runs}")
    assert share <= ALPHA


@pytest.mark.heavy
def test_requests_that_count_for_themselves_are_wrong_far_too_often() -> None:
    share = sum(naive_ever_wrong(ALIKE, seed) for seed in range(300)) / 300
    print(f"a request at a time: {share:.4f}")
    assert share > 2 * ALPHA
