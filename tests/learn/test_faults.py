"""A disk that is full at any byte, writes that are torn at any byte, and floods: refused or absorbed, never poison."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_autoglm.errors import StateNotWritable
from edge_autoglm.learn.exploration import forced
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.learner import Learner, Limits
from edge_autoglm.learn.models.ftrl import FTRLModel
from edge_autoglm.learn.models.mixture import MixtureModel
from edge_autoglm.learn.policies import make_policy
from edge_autoglm.learn.policy import VariantPolicy
from edge_autoglm.learn.segments import segment_paths
from edge_autoglm.learn.snapshot_store import snapshot_paths
from tests.learn.streams import ARMS, assert_same_state, decide, learnt, run_stream, some_features
from tests.learn.test_journal import no_file_may_grow_beyond

LIMITS = Limits(segment_bytes=3000, snapshot_bytes=1, journal_bytes=6000)
OLD_JOURNAL = Path(__file__).parent / "data" / "journal_schema_1"


def policy() -> VariantPolicy:
    return make_policy("ridge", seed=1)


def test_a_snapshot_without_room_is_logged_and_the_reward_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A snapshot is larger than the journal's segments here: the limit hits it alone."""
    with Learner.open(tmp_path, policy=policy(), limits=LIMITS) as live:
        run_stream(live, 60)
        before = [path.name for path in snapshot_paths(tmp_path)]
        with caplog.at_level(logging.WARNING), no_file_may_grow_beyond(live.status().snapshot_bytes // 2):
            run_stream(live, 100, seed=1)
        assert "no snapshot was taken" in caplog.text
        assert [path.name for path in snapshot_paths(tmp_path)] == before
        assert not list(tmp_path.glob(".*partial*"))
        run_stream(live, 100, seed=2)
        assert [path.name for path in snapshot_paths(tmp_path)] != before
    with Learner.open(tmp_path, policy=policy()) as reopened:
        assert_same_state(reopened, live)


def test_a_device_that_fails_at_any_flush_loses_nothing_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Segments, snapshots and folders are flushed: each of the first flushes fails once."""
    fsync = os.fsync
    for failing_call in range(1, 40, 3):
        calls, applied = 0, 0

        def failing(descriptor: int) -> None:
            nonlocal calls
            calls += 1
            if calls == failing_call:  # noqa: B023 - used within the same turn of the loop
                raise OSError(28, os.strerror(28))
            fsync(descriptor)

        folder = tmp_path / str(failing_call)
        with Learner.open(folder, policy=policy(), limits=LIMITS) as live, monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing)
            frozen, ids = live.frozen(), []
            for number in range(25):
                try:
                    ids.append(decide(live, frozen, number))
                    live.feedback(ids[-1], 1.0)
                    applied += 1
                except StateNotWritable:
                    continue
        with Learner.open(folder, policy=policy(), limits=LIMITS) as reopened:
            assert reopened.status().feedbacks >= applied
            assert {reopened.feedback(decision_id, 1.0).value for decision_id in ids} <= {"applied", "duplicate"}
            known = learnt(reopened.policy)
        with Learner.open(folder, policy=policy()) as again:
            assert learnt(again.policy) == known


FULL_DISK = """
import sys
from pathlib import Path
from edge_autoglm.errors import StateNotWritable
from edge_autoglm.learn.learner import Learner
from tests.learn.streams import assert_same_state, decide
from tests.learn.test_faults import LIMITS, policy
folder, ballast = Path(sys.argv[1]), Path(sys.argv[1]) / "ballast"
ballast.write_bytes(bytes(int(sys.argv[2])))
refused = applied = 0
with Learner.open(folder / "state", policy=policy(), limits=LIMITS) as live:
    for number in range(80):
        try:
            live.feedback(decide(live, live.frozen(), number), 1.0)
            applied += 1
        except StateNotWritable:
            refused += 1
with Learner.open(folder / "state", policy=policy(), limits=LIMITS) as reopened:
    assert reopened.status().feedbacks == applied
    assert_same_state(reopened, live)
ballast.unlink()
with Learner.open(folder / "state", policy=policy(), limits=LIMITS) as reopened:
    assert reopened.feedback(decide(reopened, reopened.frozen(), 999), 1.0).value == "applied"
print(applied, refused)
"""


def on_a_small_disk(folder: Path, ballast: int) -> subprocess.CompletedProcess[str]:
    """Run the stream on a file system of 96 KiB of its own, of which the ballast takes a part."""
    inside = f'mount -t tmpfs -o size=96k none {folder} && exec "$0" -c "$1" {folder} {ballast}'
    return subprocess.run(
        ["unshare", "-Urm", "sh", "-c", inside, sys.executable, FULL_DISK],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )


def may_mount() -> bool:
    """Containers often forbid it."""
    try:
        command = ["unshare", "-Urm", "sh", "-c", "mount -t tmpfs none /mnt"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not may_mount(), reason="needs a user namespace that may mount a tmpfs")
@pytest.mark.parametrize(
    "ballast", [50_000, *(pytest.param(ballast, marks=pytest.mark.slow) for ballast in range(28_000, 80_000, 4000))]
)
def test_a_full_disk_refuses_and_keeps_what_it_took(tmp_path: Path, ballast: int) -> None:
    done = on_a_small_disk(tmp_path, ballast)
    assert done.returncode == 0, done.stderr
    applied, refused = map(int, done.stdout.split())
    assert applied
    assert refused


@pytest.mark.parametrize(("lines", "step"), [(1, 1), (4, 23)])
def test_a_journal_cut_at_any_byte_of_its_end_is_taken_up_to_the_last_whole_record(
    tmp_path: Path, lines: int, step: int
) -> None:
    with Learner.open(tmp_path, policy=policy(), limits=Limits(snapshot_bytes=1)) as live:
        run_stream(live, 40)
    with Learner.open(tmp_path, policy=policy()) as live:  # no snapshot knows of these
        for number in range(3):
            live.feedback(decide(live, live.frozen(), number), 0.5)
    assert snapshot_paths(tmp_path)
    (path,) = segment_paths(tmp_path)
    content = path.read_bytes()
    start = len(content)
    for _ in range(lines):
        start = content.rfind(b"\n", 0, start - 1) + 1
    for cut in range(start, len(content), step):
        path.write_bytes(content[:cut])
        whole = content[:cut].rpartition(b"\n")[0]
        with Learner.open(tmp_path, policy=policy()) as opened:
            assert opened.status().decisions == whole.count(b'"k":"decision"')
            assert opened.status().feedbacks == whole.count(b'"k":"feedback"')
            assert opened.status().torn_bytes == cut - len(whole) - 1


def test_a_journal_of_the_first_schema_is_read_and_continued(tmp_path: Path) -> None:
    shutil.copytree(OLD_JOURNAL, tmp_path / "state")
    (tmp_path / "state" / "key").write_bytes(b"0123456789abcdef")
    with Learner.open(tmp_path / "state", policy=VariantPolicy()) as opened:
        status = opened.status()
        assert (status.decisions, status.feedbacks, status.pending) == (12, 7, 5)
        assert {arm.task for arm in status.arms} == {"mood", "topic"}
        assert learnt(opened.policy) != learnt(VariantPolicy())
        run_stream(opened, 20)
    names = [path.name for path in segment_paths(tmp_path / "state")]
    assert names == [f"journal-00000{number}.log" for number in (1, 2, 3, 4)]
    assert b'"schema": 2' in segment_paths(tmp_path / "state")[-1].read_bytes()
    assert (OLD_JOURNAL / names[2]).read_bytes() == (tmp_path / "state" / names[2]).read_bytes()
    with Learner.open(tmp_path / "state", policy=VariantPolicy()) as reopened:
        assert_same_state(reopened, opened)


def test_a_full_disk_refuses_to_continue_a_journal_of_the_first_schema(tmp_path: Path) -> None:
    shutil.copytree(OLD_JOURNAL, tmp_path / "state")
    (tmp_path / "state" / "key").write_bytes(b"0123456789abcdef")
    with no_file_may_grow_beyond(20), pytest.raises(StateNotWritable):
        Learner.open(tmp_path / "state")
    Learner.open(tmp_path / "state").close()


def test_a_million_distinct_features_fill_a_table_of_a_fixed_size() -> None:
    rng = np.random.default_rng(1)
    with Learner.open(None, seed=1, limits=Limits(max_pending=50)) as learner:
        for number in range(200):
            features = Features(rng.integers(0, 2**62, 5000), rng.normal(size=5000), "mood")
            decision = forced(ARMS[number % 3])
            learner.record(decision, "mood", ARMS, features, generation=1)
            learner.feedback(decision.id, float(rng.random() < 0.5))
        after = learner.frozen().propensities(ARMS, some_features(1))
        size, model = len(learnt(learner.policy)), learner.policy.model
    assert np.isfinite(after).all()
    assert isinstance(model, MixtureModel)
    sparse = model.models["ftrl"]
    assert isinstance(sparse, FTRLModel)
    assert size < 20 * 2**sparse.learner.bits + 100_000  # a place, z and n for each coordinate


def test_dense_names_that_never_repeat_do_not_grow_what_is_kept() -> None:
    sizes = []
    with Learner.open(None, seed=1, limits=Limits(max_pending=50)) as learner:
        for number in range(5):
            names = tuple(f"{number}.{place}" for place in range(80))
            features = Features(np.zeros(0, np.int64), np.zeros(0), "mood", names, np.ones(80))
            decision = forced(ARMS[number % 3])
            learner.record(decision, "mood", ARMS, features, generation=1)
            learner.feedback(decision.id, 1.0)
            sizes.append(len(learnt(learner.policy)))
    assert sizes[-1] < 1.1 * sizes[-2]
