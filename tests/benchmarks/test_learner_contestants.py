import random

import numpy as np
import pytest

from benchmarks.learner.contestants.base import Entry, open_contestant
from benchmarks.learner.contestants.river_bandits import BUCKETS, by_name
from benchmarks.learner.contestants.scaling import OnlineScaler
from benchmarks.learner.contestants.vw import command, shared_line
from benchmarks.learner.grid import river_grid, vw_grid
from benchmarks.learner.progressive import play
from benchmarks.learner.settings import FILE, LINUCB, MAIN, our_entries, read_entries
from benchmarks.learner.stream import dense
from benchmarks.learner.tune import best
from edge_autoglm.learn.features import Features
from tests.benchmarks.learner_streams_for_tests import signs

MIXED = Features(
    np.array([7, 7 + BUCKETS]), np.array([0.5, 0.25]), "t", ("a b", "c:d", "zero"), np.array([1.5, -2.0, 0.0])
)


def test_standardisation_is_that_of_all_rows_so_far() -> None:
    rows = np.random.default_rng(0).normal(5.0, 3.0, size=(40, 2))
    scaler = OnlineScaler()
    for count, row in enumerate(rows.tolist(), start=1):
        scaled = scaler.scaled(dense("t", {"x": row[0], "y": row[1]}))
        seen = rows[:count]
        if count > 1:
            np.testing.assert_allclose(scaled, (seen[-1] - seen.mean(axis=0)) / seen.std(axis=0), rtol=1e-9)


def test_standardisation_goes_by_name() -> None:
    scaler = OnlineScaler()
    for x in (0.0, 2.0):
        scaler.scaled(dense("t", {"x": x}))
    assert scaler.scaled(dense("t", {"new": 9.0, "x": 4.0})).round(3).tolist() == [0.0, 1.225]


def test_vw_gets_every_feature_that_is_not_zero_under_a_name_it_can_read() -> None:
    assert shared_line(MIXED, None) == f"shared |s a_b:1.5 c_d:-2.0 |w 7:0.5 {7 + BUCKETS}:0.25"


def test_river_gets_a_constant_and_words_folded_into_buckets() -> None:
    assert by_name(MIXED, None) == {"constant": 1.0, "a b": 1.5, "c:d": -2.0, "zero": 0.0, "#7": 0.75}


def test_vws_command_line_has_no_options_of_ours() -> None:
    line = command({"squarecb": True, "gamma_scale": 10.0, "coin": False, "scaled": True})
    assert line == "--cb_explore_adf -q sa -q wa --squarecb --gamma_scale 10.0"


def test_of_all_trials_the_best_of_each_kind_is_frozen_and_the_best_with_each_optimiser() -> None:
    ranked = [
        Entry("vw cover", "vw", "cover", {"cover": 4}),
        Entry("vw regcb coin", "vw", "regcb", {"coin": True}),
        Entry("river ucb", "river", "ucb", {"delta": 1.0}),
        Entry("vw cover ftrl", "vw", "cover", {"ftrl": True}),
        Entry("vw cover coin", "vw", "cover", {"coin": True}),
        Entry("river ucb", "river", "ucb", {"delta": 0.5}),
    ]
    assert [(entry.name, entry.options) for entry in best(ranked)] == [
        ("river ucb", {"delta": 1.0}),
        ("vw cover", {"cover": 4}),
        ("vw cover ftrl", {"ftrl": True}),
        ("vw regcb coin", {"coin": True}),
    ]


def test_the_frozen_settings_are_among_those_that_were_tried() -> None:
    entries = read_entries(FILE)
    assert {MAIN, LINUCB} <= {entry.name for entry in entries}
    assert {entry.kind for entry in entries if entry.family == "vw"} >= {"squarecb", "regcb", "cover", "epsilon"}
    assert any("ftrl" in entry.options for entry in entries if entry.family == "vw")
    tried = [*our_entries(), *vw_grid(), *river_grid()]
    assert all(entry in tried for entry in entries)


@pytest.mark.parametrize("kind", ["mixture", "ridge", "thompson", "river"])
def test_ours_learn_a_stream_that_can_be_learnt(kind: str) -> None:
    pytest.importorskip("river")
    stream = signs(300)
    losses = play(open_contestant(Entry(kind, "ours", kind), stream.arms, seed=1), stream)
    assert losses[-100:].mean() < 0.2


@pytest.mark.oracle
@pytest.mark.parametrize("kind", ["squarecb", "regcb", "cover", "epsilon", "bag"])
def test_vw_learns_a_stream_that_can_be_learnt(kind: str) -> None:
    pytest.importorskip("vowpalwabbit")
    stream = signs(1000)
    entry = next(entry for entry in vw_grid() if entry.kind == kind and entry.options["scaled"])
    assert play(open_contestant(entry, stream.arms, seed=1), stream)[-300:].mean() < 0.3


@pytest.mark.parametrize("kind", ["linucb", "epsilon_greedy", "thompson", "ucb"])
def test_river_plays_its_bandits(kind: str) -> None:
    pytest.importorskip("river")
    stream = signs(200)
    entry = next(entry for entry in river_grid() if entry.kind == kind)
    losses = play(open_contestant(entry, stream.arms, seed=random.Random(1).randrange(9)), stream)
    assert losses[-100:].mean() < (0.2 if kind == "linucb" else 0.7)
