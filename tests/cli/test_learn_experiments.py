"""``learn experiments`` on a state folder in which experiments ran."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from edge_autoglm.cli import main
from edge_autoglm.learn.experiments.experiment import Experiment
from edge_autoglm.learn.experiments.registry import Experiments
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.learner import Learner

ARMS = ("plain", "polite", "short")
FEATURES = Features(np.array([3]), np.array([1.0]), "reply")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two experiments of one task, 120 sessions each: in one of them a variant is far better."""
    folder, rng = tmp_path_factory.mktemp("experiments") / "state", random.Random(0)
    with Learner.open(folder, seed=0) as learner:
        experiments = Experiments(learner.key, seed=0)
        for name, variants in (("shorter", ("plain", "short")), ("politer", ("plain", "polite"))):
            experiment = Experiment(name, "reply", variants)
            experiments.set(experiment)
            for number in range(120):
                decision = experiments.decide("reply", ARMS, f"session {number}")
                assert decision is not None
                learner.record(decision, "reply", ARMS, FEATURES, generation=1)
                learner.feedback(decision.id, float(rng.random() < (0.9 if decision.arm == "polite" else 0.3)))
            experiments.remove(experiment.name)
    return folder


def learn(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["learn", "experiments", *map(str, arguments)])


def test_each_experiment_has_a_table_and_a_verdict(state: Path) -> None:
    result = learn(state)
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert said.index("shorter, version 1 (task reply)") < said.index("politer, version 1 (task reply)")
    assert "short may be better or worse than plain: " in said
    assert "polite is better than plain: +0." in said


def test_figures_are_written_as_json(state: Path, tmp_path: Path) -> None:
    result = learn(state, "--json", tmp_path / "figures.json")
    assert result.exit_code == 0, result.output
    shorter, politer = json.loads((tmp_path / "figures.json").read_text())["experiments"]
    assert (shorter["name"], politer["name"], politer["version"]) == ("shorter", "politer", 1)
    assert [variant["variant"] for variant in politer["variants"]] == ["plain", "polite"]
    assert sum(variant["units"] for variant in politer["variants"]) == 120
    [difference] = politer["differences"]
    assert 0.0 < difference["interval"]["low"] < 0.6 < difference["interval"]["high"] <= 1.0
    assert difference["course"][-1] == [difference["counted"], difference["interval"]]
    assert [check["mismatch"] for check in politer["checks"]] == [False, False]


def test_a_plot_is_drawn(state: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the plot needs the extra bench")
    result = learn(state, "--plot", tmp_path / "plot.png")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_a_state_without_experiments_says_so(tmp_path: Path) -> None:
    Learner.open(tmp_path / "state").close()
    result = learn(tmp_path / "state", "--json", tmp_path / "figures.json")
    assert result.exit_code == 0, result.output
    assert "no experiment has decided anything yet" in result.output
    assert json.loads((tmp_path / "figures.json").read_text()) == {"experiments": []}


def test_a_folder_without_a_state_is_named(tmp_path: Path) -> None:
    result = learn(tmp_path)
    assert result.exit_code == 1
    assert "holds no learner's state" in " ".join(result.output.split())


def test_the_help_shows_a_file(state: Path) -> None:
    result = learn("--help")
    assert result.exit_code == 0
    assert "variants: [plain, polite]" in result.output
