"""A hundred kills with SIGKILL: what was acknowledged is there, once, and replays to the same state."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_autoglm.learn.learner import Learner
from edge_autoglm.learn.policy import VariantPolicy
from edge_autoglm.learn.records import DecisionRecord, FeedbackRecord
from edge_autoglm.learn.segments import segment_paths
from tests.learn.streams import assert_same_state, records_of, rewarded_ids

KILLS = 100
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


@pytest.mark.stress
def test_a_hundred_kills_lose_nothing_acknowledged_and_double_nothing(host: KillHost, tmp_path: Path) -> None:
    rng = random.Random(0)
    rewards = 0
    for folder in (tmp_path / str(number) for number in range(FOLDERS)):
        acknowledged: set[str] = set()
        journalled: list[str] = []
        for kill in range(KILLS // FOLDERS):
            # Retried: ids acknowledged before, and the last ones, of which only the journal knows how they ended.
            retried = rng.sample(sorted(acknowledged), min(3, len(acknowledged))) + journalled[-3:]
            after = 0 if kill % 5 == 4 else rng.randrange(1, 30)
            printed = host.run_and_kill(
                folder, rng.randrange(10**6), rng.uniform(0, 0.004), after, sorted(set(retried))
            )
            acknowledged |= printed["applied"]
            assert printed["duplicate"] <= set(journalled)
            assert not printed["applied"] & set(journalled)
            journalled = rewarded_ids(folder) if segment_paths(folder) else []
            assert acknowledged <= set(journalled)
            assert len(journalled) == len(set(journalled))
        assert_replays_to_exactly_its_records(folder)
        rewards += len(acknowledged)
    assert rewards > 5 * KILLS  # the kills hit running streams


def assert_replays_to_exactly_its_records(folder: Path) -> None:
    """Against a policy that is fed the records by hand, and against a second replay."""
    expected, decided, rewarded = VariantPolicy(), {}, 0
    for record in records_of(folder):
        if isinstance(record, DecisionRecord):
            decided[record.id] = record
        if isinstance(record, FeedbackRecord):
            rewarded += 1
            expected.learn(decided[record.id].features, decided[record.id].arm, record.reward)
    with Learner.open(folder) as first:
        np.testing.assert_array_equal(first.policy.model.z, expected.model.z)
        np.testing.assert_array_equal(first.policy.model.n, expected.model.n)
        assert (first.status().decisions, first.status().feedbacks) == (len(decided), rewarded)
    with Learner.open(folder) as second:
        assert_same_state(first, second)
