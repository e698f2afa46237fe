"""Kills with SIGKILL: what was acknowledged is there, once, and is taken up and replayed to the same state."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_autoglm.learn.learner import Learner
from edge_autoglm.learn.segments import segment_number, segment_paths
from edge_autoglm.learn.snapshot_store import snapshot_paths
from edge_autoglm.values import FeedbackOutcome
from tests.learn.kill_host import policy
from tests.learn.streams import assert_same_state, rewarded_ids

FOLDERS = 4


class KillHost:
    """The process of ``kill_host.py``."""

    def __init__(self) -> None:
        root = str(Path(__file__).parents[2])
        # Threads of a BLAS would not survive the fork.
        environment = os.environ | {"PYTHONPATH": root, "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "tests.learn.kill_host"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=root
        )

    def run_and_kill(
        self, folder: Path, seed: int, delay: float, after: int, retried: list[str]
    ) -> dict[str, set[str]]:
        """Ids by outcome that the child printed before it died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{folder} {seed} {delay} {after} {' '.join(retried)}\n")
        self._process.stdin.flush()
        printed: dict[str, set[str]] = {"applied": set(), "duplicate": set()}
        for line in self._process.stdout:
            if line == "killed\n":
                return printed
            outcome, decision_id = line.split()
            printed[outcome].add(decision_id)
        raise AssertionError("the host ended")

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(30)


@pytest.fixture
def host() -> Iterator[KillHost]:
    running = KillHost()
    yield running
    running.close()


@pytest.mark.parametrize("kills", [16, pytest.param(1000, marks=[pytest.mark.heavy, pytest.mark.timeout(3600)])])
def test_kills_lose_nothing_acknowledged_double_nothing_and_replay_alike(
    host: KillHost, tmp_path: Path, kills: int
) -> None:
    rng = random.Random(0)
    rewards = snapshots = dropped = 0
    for killed in (Killed(tmp_path / str(number)) for number in range(FOLDERS)):
        for kill in range(kills // FOLDERS):
            # Retried: ids acknowledged before, and the last ones, of which only the journal knows how they ended.
            retried = {*rng.sample(sorted(killed.acknowledged), min(3, len(killed.acknowledged))), *killed.given[-3:]}
            after = 0 if kill % 5 == 4 else rng.randrange(1, 30)
            delay = rng.uniform(0, 0.004)
            killed.take_in(host.run_and_kill(killed.folder, rng.randrange(10**6), delay, after, sorted(retried)))
        killed.assert_taken_up_and_replayed_alike()
        rewards += len(killed.acknowledged)
        snapshots += len(snapshot_paths(killed.folder))
        dropped += segment_number(segment_paths(killed.folder)[0]) - 1
    assert rewards > 3 * kills  # the kills hit running streams,
    assert snapshots == 2 * FOLDERS or kills < 100  # their snapshots
    assert dropped or kills < 100  # and the end of old segments


class Killed:
    """A state folder between two kills, and every segment that it ever had."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.acknowledged: set[str] = set()
        self.given: list[str] = []
        """Ids with a reward in the journal, in order."""
        self._whole = folder.with_name(f"{folder.name}-whole")
        self._whole.mkdir()

    def take_in(self, printed: dict[str, set[str]]) -> None:
        """Check what a killed run said against what it left."""
        self.acknowledged |= printed["applied"]
        assert printed["duplicate"] <= set(self.given)
        assert not printed["applied"] & set(self.given)
        for path in segment_paths(self.folder):
            shutil.copy(path, self._whole / path.name)
        recent = rewarded_ids(self.folder) if segment_paths(self.folder) else []
        assert len(recent) == len(set(recent))
        known = set(self.given)
        self.given += [one for one in recent if one not in known]
        assert self.acknowledged <= set(self.given)

    def assert_taken_up_and_replayed_alike(self) -> None:
        """From the snapshot and the journal's end, and from all that was ever in the journal."""
        shutil.copy(self.folder / "key", self._whole / "key")
        with (
            Learner.open(self.folder, policy=policy()) as taken_up,
            Learner.open(self._whole, policy=policy()) as whole,
        ):
            assert_same_state(taken_up, whole)
            assert rewarded_ids(self._whole) == self.given
            assert whole.status().feedbacks == len(self.given)
            assert {taken_up.feedback(one, 1.0) for one in sorted(self.acknowledged)} == {FeedbackOutcome.DUPLICATE}
