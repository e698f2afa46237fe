"""``learn status`` and ``learn replay`` on a state folder with a history."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edge_autoglm.cli import main
from tests.learn.history import TASK, write_history


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_history(tmp_path_factory.mktemp("learn") / "state")


def learn(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["learn", *map(str, arguments)])


def figures(path: Path, *arguments: str | Path) -> dict[str, Any]:
    result = learn(*arguments, "--json", path)
    assert result.exit_code == 0, result.output
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_status_counts_and_says_who_wins(state: Path, tmp_path: Path) -> None:
    found = figures(tmp_path / "status.json", "status", state)
    assert found["decisions"] == 401
    [winners] = found["winners"]
    assert winners["task"] == TASK
    assert winners["regions"][0]["requests"] == 400


def test_replay_values_policies_on_the_log(state: Path, tmp_path: Path) -> None:
    found = figures(
        tmp_path / "r.json", "replay", state, "--policy", "always:shots", "--policy", "ridge", "--policy", "even"
    )
    values = {value["policy"]: value for value in found["values"]}
    assert values["always:shots"]["dr"]["low"] <= 0.5 <= values["always:shots"]["dr"]["high"]
    assert values["ridge"]["dr"]["estimate"] > values["even"]["dr"]["estimate"]
    assert values["even"]["rewards"] == values["ridge"]["rewards"] < 400


@pytest.mark.parametrize("command", ["status", "replay"])
def test_a_plot_is_drawn(state: Path, tmp_path: Path, command: str) -> None:
    pytest.importorskip("matplotlib", reason="the plot needs the extra bench")
    result = learn(command, state, "--plot", tmp_path / "plot.png")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--policy", "always:rude"], "no request had a variant 'rude'"),
        (["--policy", "best"], "there is no policy 'best' to replay"),
        (["--policy", "river"], "there is no policy 'river' to replay"),
        (["--task", "quiz"], "no task 'quiz'"),
        (["--alpha", "2"], "alpha is 2.0"),
    ],
)
def test_replay_names_what_is_wrong(state: Path, arguments: list[str], said: str) -> None:
    result = learn("replay", state, *arguments)
    assert result.exit_code == 1
    assert said in " ".join(result.output.split())


@pytest.mark.parametrize("command", ["status", "replay"])
def test_a_folder_without_a_state_is_named(tmp_path: Path, command: str) -> None:
    result = learn(command, tmp_path)
    assert result.exit_code == 1
    assert "holds no learner's state" in " ".join(result.output.split())
