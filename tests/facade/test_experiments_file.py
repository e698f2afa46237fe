"""The file of experiments: what it may say, and how changes are noticed."""

from __future__ import annotations

import logging
import os
import random
import textwrap
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from edge_autoglm.errors import ExperimentError
from edge_autoglm.facade import experiments_file
from edge_autoglm.facade.experiments_file import load_experiments
from edge_autoglm.facade.experiments_watch import ExperimentsWatch
from edge_autoglm.learn.experiments.experiment import Experiment

SMALL = "version: 1\nexperiments:\n  - {name: politer, task: reply, variants: [plain, polite]}\n"
SHORTER = SMALL.replace("politer", "shorter")
EXAMPLE = textwrap.dedent(
    "".join(line + "\n" for line in (experiments_file.__doc__ or "").splitlines() if line.startswith("    "))
)


def written(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def test_the_documented_example_is_read(tmp_path: Path) -> None:
    found = load_experiments(written(tmp_path / "experiments.yaml", EXAMPLE))
    start = datetime(2027, 1, 4, tzinfo=timezone.utc)
    assert found == (
        Experiment("politer", "reply", ("plain", "polite"), (1.0, 1.0), rollout=0.2),
        Experiment(
            "shots",
            "sentiment",
            ("plain", "question"),
            (1.0, 3.0),
            version=2,
            start=start,
            end=start + timedelta(days=28),
        ),
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", r"e.yaml: the file is empty \(line 1\)\. Write .version: 1"),
        ("{", r"e.yaml: the file is not YAML: .*line 1"),
        ("- a", r"e.yaml: the file is a list \(line 1\)"),
        ("version: 2\nexperiments: []", r"e.yaml: version is 2, not 1 \(line 1\)"),
        ("version: 1\nexperiments: []\nexperiment: []", r"e.yaml: experiment is an unknown key \(line 3\)"),
        (SMALL.replace("task: reply, ", ""), r"experiments\[0\] has no task \(line 3\)"),
        (SMALL.replace("task", "rolout: 1, task"), r"experiments\[0\].rolout is an unknown key \(line 3\)"),
        (SMALL.replace("task", "rollout: half, task"), r"experiments\[0\].rollout is the text 'half' \(line 3\)"),
        (SMALL.replace("task", "rollout: 2, task"), r"\[0\] is wrong: .* politer: the rollout is 2.0 \(line 3\)"),
        (SMALL.replace("task", "enabled: yes, task"), r"experiments\[0\].enabled is yes \(line 3\). Write true or"),
        (SMALL.replace("task", "version: 1.5, task"), r"experiments\[0\].version is 1.5"),
        (SMALL.replace("task", "start: soon, task"), r"experiments\[0\].start is 'soon', no time"),
        (SMALL.replace("task", "start: 2027-01-04, task"), r"the start .* has no time zone \(line 3\). Add one"),
        (SMALL.replace("[plain, polite]", "[plain]"), r"it has 1 variants \(line 3\)"),
        (SMALL.replace("[plain, polite]", "[]"), r"experiments\[0\].variants has 0 elements"),
        (SMALL.replace("polite]", "{name: polite, wait: 2}]"), r"variants\[1\].wait is an unknown key"),
        (SMALL.replace("polite]", "{name: polite, weight: -2}]"), r"its weights are \[1.0, -2.0\] \(line 3\)"),
        (SMALL + SMALL.splitlines()[2], r"experiments\[1\] is named politer, as one before it \(line 4\)"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(ExperimentError, match=said):
        load_experiments(written(tmp_path / "e.yaml", content))


def test_whatever_a_file_holds_the_error_is_one_that_a_request_survives(tmp_path: Path) -> None:
    path, rng, wrong = tmp_path / "e.yaml", random.Random(1), 0
    whole = EXAMPLE.encode()
    for _ in range(400):
        at, length = rng.randrange(len(whole)), rng.randrange(1, 12)
        path.write_bytes(
            whole[:at] + rng.choice((b"", rng.randbytes(length), b": ", b"[*a", b"9" * 30)) + whole[at + length :]
        )
        try:
            load_experiments(path)
        except ExperimentError:
            wrong += 1
    assert wrong > 100


class Follower:
    """A watch with a clock of its own, and what it said."""

    def __init__(self, path: Path) -> None:
        self.now = 0.0
        self.said: list[tuple[str, ...]] = []
        self.watch = ExperimentsWatch(path, self.apply, lambda: self.now)

    def apply(self, experiments: tuple[Experiment, ...]) -> None:
        self.said.append(tuple(experiment.name for experiment in experiments))

    def look(self, after: float = 1.0) -> list[tuple[str, ...]]:
        self.now += after
        self.watch.check()
        return self.said


def aged(path: Path, seconds: float) -> None:
    """As if it had been written earlier."""
    written_at = path.stat().st_mtime_ns - int(seconds * 1e9)
    os.utime(path, ns=(written_at, written_at))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path / "experiments.yaml", SMALL)


def test_a_change_is_noticed_within_a_second_and_not_looked_for_more_often(file: Path) -> None:
    follower = Follower(file)
    assert follower.look(0.0) == [("politer",)]
    written(file, SHORTER)
    assert follower.look(0.9) == [("politer",)]
    assert follower.look(0.2) == [("politer",), ("shorter",)]
    assert follower.look() == [("politer",), ("shorter",)]


def test_a_second_change_within_the_resolution_of_the_time_stamp_is_noticed(file: Path) -> None:
    follower, stamp = Follower(file), file.stat().st_mtime_ns
    written(file, SHORTER)  # of the same size, and in the same inode
    os.utime(file, ns=(stamp, stamp))
    assert follower.look() == [("politer",), ("shorter",)]


def test_a_file_that_has_not_changed_for_long_is_not_read_again(file: Path) -> None:
    aged(file, 60.0)
    follower, stamp = Follower(file), file.stat().st_mtime_ns
    written(file, SHORTER)
    os.utime(file, ns=(stamp, stamp))  # no change that a look could see
    assert follower.look() == [("politer",)]


def test_a_file_that_replaces_it_is_noticed(file: Path) -> None:
    aged(file, 60.0)
    follower, stamp = Follower(file), file.stat().st_mtime_ns
    aside = written(file.with_name("aside"), SHORTER)
    os.utime(aside, ns=(stamp, stamp))
    aside.replace(file)
    assert follower.look() == [("politer",), ("shorter",)]


def test_a_broken_edit_changes_nothing_and_is_warned_of_once(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    follower = Follower(file)
    with caplog.at_level(logging.WARNING, "edge_autoglm"):
        written(file, SMALL + "  - {name: half a li")
        for _ in range(5):
            assert follower.look() == [("politer",)]
        assert len(caplog.records) == 1
        assert "experiments.yaml: the file is not YAML" in caplog.text
        written(file, SMALL.replace("task", "tusk"))
        for _ in range(5):
            follower.look()
        assert len(caplog.records) == 2
        written(file, SHORTER)
        assert follower.look() == [("politer",), ("shorter",)]
    assert len(caplog.records) == 2


def test_a_deleted_file_changes_nothing_until_it_is_back(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    follower = Follower(file)
    with caplog.at_level(logging.WARNING, "edge_autoglm"):
        file.unlink()
        for _ in range(5):
            assert follower.look() == [("politer",)]
        assert len(caplog.records) == 1
        assert "cannot be read" in caplog.text
        written(file, SMALL)
        assert follower.look() == [("politer",)]
        written(file, SHORTER)
        assert follower.look() == [("politer",), ("shorter",)]


def test_it_must_be_right_at_first(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="cannot be read"):
        Follower(tmp_path / "experiments.yaml")
