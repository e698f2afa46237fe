"""Snapshots: what is taken up from one equals a replay of the whole journal, bit for bit."""

from __future__ import annotations

import logging
import random
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_autoglm.errors import PolicyError, StateDamaged
from edge_autoglm.learn.learner import Learner, LearnerStatus, Limits, read_status
from edge_autoglm.learn.models.base import ModelState
from edge_autoglm.learn.policies import make_policy
from edge_autoglm.learn.policy import VariantPolicy
from edge_autoglm.learn.reading import read_policy
from edge_autoglm.learn.segments import segment_number, segment_paths
from edge_autoglm.learn.snapshot_format import decode, encode
from edge_autoglm.learn.snapshot_store import snapshot_paths
from edge_autoglm.values import FeedbackOutcome
from tests.learn.streams import (
    ARMS,
    assert_same_state,
    compare_two,
    decide,
    learnt,
    run_stream,
    some_features,
    some_signal,
    state_bytes,
)

SMALL = Limits(segment_bytes=4000, snapshot_bytes=1, journal_bytes=10**9)
"""Snapshots as often as their own size allows; nothing is dropped."""
TIGHT = Limits(segment_bytes=4000, snapshot_bytes=1, journal_bytes=30_000)
"""The same, and the journal's beginning goes."""


def policy() -> VariantPolicy:
    """Small enough that its snapshots are many."""
    return make_policy("ridge", seed=1)


@dataclass(frozen=True)
class Recorded:
    """A state folder that may be damaged, and what its learner knew."""

    folder: Path
    known: bytes
    status: LearnerStatus

    def assert_known_by(self, learner: Learner) -> None:
        assert learner.status().arms == self.status.arms  # says more where they differ
        assert state_bytes(learner) == self.known


@pytest.fixture(scope="module")
def recorded_once(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    folder = tmp_path_factory.mktemp("recorded")
    with Learner.open(folder, policy=policy(), limits=TIGHT) as live:
        run_stream(live, 400)
    return Recorded(folder, state_bytes(live), live.status())


@pytest.fixture
def tight(recorded_once: Recorded, tmp_path: Path) -> Recorded:
    """Of a journal whose beginning is gone."""
    shutil.copytree(recorded_once.folder, tmp_path / "tight")
    assert first_segment(tmp_path / "tight") > 1
    return replace(recorded_once, folder=tmp_path / "tight")


def journal_only(folder: Path, into: Path) -> Path:
    """The folder as it would be without any snapshot."""
    shutil.copytree(folder, into)
    for path in snapshot_paths(into):
        path.unlink()
    return into


def flipped(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def first_segment(folder: Path) -> int:
    return segment_number(segment_paths(folder)[0])


@pytest.mark.parametrize("name", ["mixture", "ridge", "ftrl", "thompson"])
def test_a_snapshot_and_the_tail_give_what_the_whole_journal_gives(tmp_path: Path, name: str) -> None:
    settings = make_policy(name, seed=1)
    with Learner.open(tmp_path / "a", policy=settings, limits=SMALL) as live:
        run_stream(live, 120)
        compare_two(live, live.frozen(), 5)
    assert snapshot_paths(tmp_path / "a")[-1].name > "snapshot-000001"
    whole = journal_only(tmp_path / "a", tmp_path / "b")
    with Learner.open(tmp_path / "a", policy=settings) as taken_up, Learner.open(whole, policy=settings) as replayed:
        assert_same_state(taken_up, live)
        assert_same_state(replayed, live)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sessions=st.lists(st.integers(1, 30), min_size=1, max_size=3),
    segment=st.integers(500, 9000),
    pending=st.integers(1, 40),
    seed=st.integers(0, 99),
)
def test_any_sessions_end_where_the_whole_journal_ends(
    tmp_path_factory: pytest.TempPathFactory, sessions: list[int], segment: int, pending: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("state")
    limits = Limits(max_pending=pending, segment_bytes=segment, snapshot_bytes=1)
    rng = random.Random(seed)
    for number, steps in enumerate(sessions):
        with Learner.open(folder / "a", policy=policy(), limits=limits) as live:
            frozen = live.frozen()
            recent: list[str] = []
            for step in range(steps):
                recent.append(decide(live, frozen, 1000 * number + step, rng.choice(["mood", "topic"])))
                if rng.random() < 0.8:
                    live.feedback(rng.choice(recent[-pending:]), some_signal(rng), rng.choice([None, "ada", "ben"]))
    whole = journal_only(folder / "a", folder / "b")
    with Learner.open(whole, policy=policy(), limits=limits) as replayed:
        assert_same_state(replayed, live)


def test_old_segments_go_and_the_newest_stay(tight: Recorded) -> None:
    assert len(snapshot_paths(tight.folder)) == 2
    sizes = [path.stat().st_size for path in segment_paths(tight.folder)]
    assert tight.status.journal_bytes == sum(sizes) > TIGHT.journal_bytes
    assert replace(read_status(tight.folder), state=None) == replace(tight.status, state=None)
    with Learner.open(tight.folder, policy=policy()) as reopened:
        tight.assert_known_by(reopened)


def test_without_a_snapshot_nothing_is_dropped(tmp_path: Path) -> None:
    limits = Limits(segment_bytes=4000, snapshot_bytes=10**9, journal_bytes=1)
    with Learner.open(tmp_path, policy=policy(), limits=limits) as live:
        run_stream(live, 100)
    assert first_segment(tmp_path) == 1
    assert not snapshot_paths(tmp_path)


@pytest.mark.parametrize("place", [0, 7, 20, 100, 500, -1])
def test_a_damaged_snapshot_is_passed_over_for_the_one_before(
    tight: Recorded, caplog: pytest.LogCaptureFixture, place: int
) -> None:
    newest = snapshot_paths(tight.folder)[-1]
    flipped(newest, place)
    with caplog.at_level(logging.WARNING), Learner.open(tight.folder, policy=policy()) as reopened:
        tight.assert_known_by(reopened)
    assert str(newest) in caplog.text


@pytest.mark.parametrize("length", [0, 1, 8, 300, -1])
def test_a_truncated_snapshot_is_passed_over(tight: Recorded, length: int) -> None:
    newest = snapshot_paths(tight.folder)[-1]
    newest.write_bytes(newest.read_bytes()[:length])
    with Learner.open(tight.folder, policy=policy()) as reopened:
        tight.assert_known_by(reopened)


def test_the_next_snapshot_takes_the_place_of_a_damaged_one_and_not_of_the_sound_one(tight: Recorded) -> None:
    sound, damaged = snapshot_paths(tight.folder)
    flipped(damaged, 50)
    with Learner.open(tight.folder, policy=policy(), limits=TIGHT) as reopened:
        frozen, number = reopened.frozen(), 0
        while damaged.exists():
            reopened.feedback(decide(reopened, frozen, number), 1.0)
            number += 1
    assert len(snapshot_paths(tight.folder)) == 2
    assert sound.exists()
    flipped(snapshot_paths(tight.folder)[-1], 50)
    with Learner.open(tight.folder, policy=policy()) as again:
        assert_same_state(again, reopened)


def test_without_a_sound_snapshot_the_whole_journal_is_replayed(tmp_path: Path) -> None:
    with Learner.open(tmp_path, policy=policy(), limits=SMALL) as live:
        run_stream(live, 100)
    for path in snapshot_paths(tmp_path):
        flipped(path, 60)
    with Learner.open(tmp_path, policy=policy()) as reopened:
        assert_same_state(reopened, live)


def test_without_a_sound_snapshot_or_the_journals_beginning_the_state_is_damaged(tight: Recorded) -> None:
    for path in snapshot_paths(tight.folder):
        path.unlink()
    with pytest.raises(StateDamaged, match=r"begins with journal-0000\d\d\.log, and no snapshot"):
        Learner.open(tight.folder, policy=policy())
    with pytest.raises(StateDamaged, match="no snapshot"):
        read_status(tight.folder)


def test_a_journal_that_ends_before_its_snapshot_is_damaged(tmp_path: Path) -> None:
    with Learner.open(tmp_path, policy=policy(), limits=SMALL) as live:
        run_stream(live, 100)
    for path in segment_paths(tmp_path)[2:]:
        path.unlink()
    with pytest.raises(StateDamaged, match=r"journal-.*is missing"):
        Learner.open(tmp_path, policy=policy())


def test_a_segment_cut_before_its_snapshot_is_damaged(tmp_path: Path) -> None:
    big = Limits(segment_bytes=10**7, snapshot_bytes=1)
    with Learner.open(tmp_path, policy=policy(), limits=big) as live:
        run_stream(live, 100)
    path = segment_paths(tmp_path)[0]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:20]))
    with pytest.raises(StateDamaged, match="what a snapshot has seen after it is missing"):
        Learner.open(tmp_path, policy=policy())


def test_a_snapshot_of_another_journal_is_noticed(tmp_path: Path) -> None:
    big = Limits(segment_bytes=10**7, snapshot_bytes=1)
    for name in ("a", "b"):
        with Learner.open(tmp_path / name, policy=policy(), limits=big) as live:
            run_stream(live, 100)
    shutil.copy(snapshot_paths(tmp_path / "a")[-1], snapshot_paths(tmp_path / "b")[-1])
    with pytest.raises(StateDamaged, match=r"journal-000001\.log, line \d+"):
        Learner.open(tmp_path / "b", policy=policy())


def test_another_policy_learns_again_from_the_whole_journal(tmp_path: Path) -> None:
    with Learner.open(tmp_path / "a", policy=policy(), limits=SMALL) as live:
        run_stream(live, 100)
    whole = journal_only(tmp_path / "a", tmp_path / "b")
    other = make_policy("ridge", seed=1, lambdas=(5.0,))
    with Learner.open(tmp_path / "a", policy=other) as switched, Learner.open(whole, policy=other) as expected:
        assert_same_state(switched, expected)


def test_another_policy_learns_from_what_is_left_of_the_journal(
    tight: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    other = make_policy("ridge", seed=1, lambdas=(5.0,))
    with caplog.at_level(logging.WARNING), Learner.open(tight.folder, policy=other, limits=TIGHT) as switched:
        assert "learns again" in caplog.text
        assert switched.status().arms == tight.status.arms
        trained = learnt(switched.policy)
        run_stream(switched, 120, seed=5)
    assert trained not in (learnt(other), learnt(switched.policy))
    caplog.clear()
    with Learner.open(tight.folder, policy=other) as reopened:
        assert_same_state(reopened, switched)
    assert not caplog.text  # it has a snapshot of its own by now


def test_a_policy_that_cannot_be_written_down_keeps_the_whole_journal(tmp_path: Path) -> None:
    linear_model = pytest.importorskip("river.linear_model")
    river = make_policy("river", seed=1, prototype=linear_model.LogisticRegression())
    with Learner.open(tmp_path, policy=river, limits=TIGHT) as live:
        run_stream(live, 60)
    assert first_segment(tmp_path) == 1
    assert not snapshot_paths(tmp_path)
    with Learner.open(tmp_path, policy=river) as reopened:
        assert reopened.status() == live.status()
        expected = live.frozen().propensities(ARMS, some_features(1))
        np.testing.assert_array_equal(reopened.frozen().propensities(ARMS, some_features(1)), expected)


def test_an_answered_id_is_known_after_the_journal_forgot_it(tmp_path: Path) -> None:
    with Learner.open(tmp_path, policy=policy(), limits=replace(TIGHT, journal_bytes=1)) as live:
        first = decide(live, live.frozen(), 0)
        live.feedback(first, 1.0)
        run_stream(live, 150)
    assert first_segment(tmp_path) > 1
    with Learner.open(tmp_path, policy=policy()) as reopened:
        assert reopened.feedback(first, 0.0) is FeedbackOutcome.DUPLICATE


def test_reading_changes_nothing_and_sees_the_same(tight: Recorded) -> None:
    before = {path.name: path.read_bytes() for path in tight.folder.iterdir()}
    with Learner.open(tight.folder, policy=policy()) as live:
        assert learnt(read_policy(tight.folder, policy())) == learnt(live.policy)
    assert {path.name: path.read_bytes() for path in tight.folder.iterdir()} == before


def test_what_a_killed_process_was_writing_aside_is_cleared(tmp_path: Path) -> None:
    Learner.open(tmp_path).close()
    (tmp_path / ".snapshot.partial").write_bytes(b"half")
    (tmp_path / ".journal-000002.log.partial-0badcafe").write_bytes(b"half")
    Learner.open(tmp_path).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["journal-000001.log", "key", "lock"]


def test_snapshots_are_for_the_owner_only(tmp_path: Path) -> None:
    with Learner.open(tmp_path, policy=policy(), limits=SMALL) as live:
        run_stream(live, 100)
    assert {path.stat().st_mode & 0o777 for path in snapshot_paths(tmp_path)} == {0o600}


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(PolicyError, match="journal_bytes is 0"):
        Limits(journal_bytes=0)


def test_the_format_keeps_every_bit_and_can_be_read_by_others(tmp_path: Path) -> None:
    arrays = {
        "f": np.array([[1.0, -0.0], [np.nan, 1e-320]]),
        "i": np.arange(3, dtype=np.int32),
        "none": np.zeros((0, 4)),
        "one": np.array(3.5),
        "turned": np.arange(6.0).reshape(2, 3).T,
    }
    facts = {"name": "ünï", "deep": [1, {"x": None}], "third": 1 / 3, "digits": "0" * 64}
    content = encode(ModelState(facts, arrays))
    read = decode(content)
    assert read.facts == facts
    for name, array in arrays.items():
        assert read.arrays[name].dtype == array.dtype
        assert read.arrays[name].shape == array.shape
        assert read.arrays[name].tobytes() == array.tobytes()
    assert read.arrays["f"].flags.writeable
    path = tmp_path / "state.safetensors"
    path.write_bytes(content)
    others = pytest.importorskip("safetensors.numpy").load_file(path)
    assert others["turned"].tolist() == arrays["turned"].tolist()


def test_any_flipped_bit_of_the_format_is_noticed() -> None:
    content = encode(ModelState({"a": 1}, {"x": np.arange(4.0)}))
    for position in range(len(content)):
        for bit in (1, 0x20, 0x80):
            damaged = bytearray(content)
            damaged[position] ^= bit
            with pytest.raises(ValueError, match=r"."):
                decode(bytes(damaged))
    for length in range(len(content)):
        with pytest.raises(ValueError, match=r"."):
            decode(content[:length])
    with pytest.raises(ValueError, match="checksum"):
        decode(content + b"\0")


@pytest.mark.parametrize("state", [ModelState({"x": object()}), ModelState({}, {"x": np.array(["text"])})])
def test_what_the_format_does_not_hold_is_refused(state: ModelState) -> None:
    with pytest.raises(ValueError, match=r"not JSON|of type"):
        encode(state)
