"""The learner: late and repeated feedback, replay, and what it refuses."""

from __future__ import annotations

import errno
import json
import math
import os
import random
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edge_autoglm.errors import (
    InvalidReward,
    PolicyError,
    StateDamaged,
    StateError,
    StateLocked,
    StateNotWritable,
    UnknownDecision,
)
from edge_autoglm.learn.context import featurise
from edge_autoglm.learn.exploration import forced
from edge_autoglm.learn.journal import Journal
from edge_autoglm.learn.learner import Learner, Limits, read_status
from edge_autoglm.learn.policies import make_policy
from edge_autoglm.learn.policy import VariantPolicy
from edge_autoglm.learn.records import DecisionRecord, FeedbackRecord
from edge_autoglm.values import FeedbackOutcome
from tests.learn.streams import (
    ARMS,
    assert_same_state,
    decide,
    decided_ids,
    learnt,
    records_of,
    rewarded_ids,
    run_stream,
    some_features,
)
from tests.learn.test_journal import no_file_may_grow_beyond


def test_replay_gives_the_live_state_bit_for_bit(tmp_path: Path) -> None:
    live = Learner.open(tmp_path, seed=1, limits=Limits(segment_bytes=5000))
    run_stream(live, 300)
    live.close()
    with Learner.open(tmp_path, seed=1, limits=Limits(segment_bytes=5000)) as reopened:
        assert_same_state(reopened, live)
        assert reopened.key == live.key


def test_a_restart_in_between_changes_nothing(tmp_path: Path) -> None:
    with Learner.open(tmp_path) as first:
        run_stream(first, 100, seed=1)
    with Learner.open(tmp_path) as second:
        run_stream(second, 100, seed=2)
    expected = VariantPolicy()
    decided = {}
    for record in records_of(tmp_path):
        if isinstance(record, DecisionRecord):
            decided[record.id] = record
        elif isinstance(record, FeedbackRecord) and record.weight:
            expected.learn(decided[record.id].features, decided[record.id].arm, record.reward, record.weight)
    assert learnt(second.policy) == learnt(expected)


def test_the_joined_features_are_those_of_decision_time(tmp_path: Path) -> None:
    policy = make_policy("ridge", seed=1)
    with Learner.open(tmp_path, policy=policy) as learner:
        frozen = learner.frozen()
        ids = [decide(learner, frozen, seed) for seed in range(50)]
    with Learner.open(tmp_path, policy=policy) as learner:
        arm = {arm.arm: arm.pulls for arm in learner.status().arms}
        assert sum(arm.values()) == 50
        assert learner.feedback(ids[3], 1.0) is FeedbackOutcome.APPLIED
        chosen = next(arm.arm for arm in learner.status().arms if arm.feedbacks)
        expected = policy.clone()
        expected.learn(some_features(3), chosen, 1.0)
        assert learnt(learner.policy) == learnt(expected)


def test_a_repeated_reward_changes_nothing_even_after_a_restart(tmp_path: Path) -> None:
    with Learner.open(tmp_path, seed=1) as learner:
        decision_id = decide(learner, learner.frozen(), 1)
        assert learner.feedback(decision_id, 1.0) is FeedbackOutcome.APPLIED
        assert learner.feedback(decision_id, 0.0) is FeedbackOutcome.DUPLICATE
        known = learnt(learner.policy)
    with Learner.open(tmp_path, seed=1) as learner:
        assert learner.feedback(decision_id, 0.0) is FeedbackOutcome.DUPLICATE
        assert learnt(learner.policy) == known
    assert rewarded_ids(tmp_path) == [decision_id]


@pytest.mark.parametrize("reward", [math.nan, math.inf, -0.1, 1.1, True, "1", None])
def test_an_invalid_reward_is_refused_and_may_be_given_right_later(tmp_path: Path, reward: float) -> None:
    with Learner.open(tmp_path, seed=1) as learner:
        decision_id = decide(learner, learner.frozen(), 1)
        with pytest.raises(InvalidReward):
            learner.feedback(decision_id, reward)
        assert learnt(learner.policy) == learnt(VariantPolicy())
        assert learner.feedback(decision_id, 0.5) is FeedbackOutcome.APPLIED


def test_a_reward_that_the_journal_holds_twice_or_without_its_decision_counts_once_or_not(tmp_path: Path) -> None:
    """What an interrupt between the journal and the memory, or a smaller ``max_pending``, can lead to."""
    with Learner.open(tmp_path, seed=1) as learner:
        decision_id = decide(learner, learner.frozen(), 1)
        learner.feedback(decision_id, 1.0)
    journal = Journal(tmp_path, lambda record: None)
    journal.append(FeedbackRecord(decision_id, 0.0, 0.0))
    journal.append(FeedbackRecord("stranger", 0.0, 0.0))
    journal.close()
    with Learner.open(tmp_path, seed=1) as reopened:
        assert_same_state(reopened, learner)


def test_an_id_never_handed_out_is_unknown() -> None:
    with Learner.open(None) as learner, pytest.raises(UnknownDecision, match="'nobody' was never recorded"):
        learner.feedback("nobody", 1.0)


def test_too_many_pending_expire_as_missing_and_stay_so_after_a_restart(tmp_path: Path) -> None:
    with Learner.open(tmp_path, seed=1, limits=Limits(max_pending=20)) as learner:
        frozen = learner.frozen()
        ids = [decide(learner, frozen, seed) for seed in range(30)]
        with pytest.raises(UnknownDecision, match="expired"):
            learner.feedback(ids[0], 1.0)
        assert learner.feedback(ids[10], 1.0) is FeedbackOutcome.APPLIED
        status = learner.status()
        assert (status.pending, status.expired, status.feedbacks) == (19, 10, 1)
    with Learner.open(tmp_path, seed=1, limits=Limits(max_pending=20)) as learner:
        assert (learner.status().pending, learner.status().expired) == (19, 10)
        with pytest.raises(UnknownDecision, match="expired"):
            learner.feedback(ids[0], 1.0)


def test_no_word_of_a_request_reaches_the_disk(tmp_path: Path) -> None:
    text = "Zanzibar's quokka whispered, ¿quién? 电影院 to ada@lovelace.example"
    context = {"user": "Augusta Byron", "screen": "tiny"}
    with Learner.open(tmp_path, seed=1) as learner:
        features = featurise("mood", {"text": text}, context, learner.key)
        decision = learner.frozen().pull(ARMS, features)
        learner.record(decision, "mood", ARMS, features, generation=1)
        learner.feedback(decision.id, 1.0)
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()).lower()
    words = ["zanzibar", "quokka", "whispered", "quién", "电影", "lovelace", "example", "augusta", "byron", "tiny"]
    for word in words:
        assert word.encode() not in stored
        assert json.dumps(word).strip('"').encode() not in stored
    assert features.indices.tolist()[0] in [int(number) for number in re.findall(rb"\d+", stored)]


def test_the_key_is_random_private_and_kept(tmp_path: Path) -> None:
    keys = []
    for name in ("a", "b", "a"):
        with Learner.open(tmp_path / name, seed=1) as learner:
            keys.append(learner.key)
    assert keys[0] == keys[2] != keys[1]
    assert len(keys[0]) == 16
    assert (tmp_path / "a" / "key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700


def test_a_seed_in_memory_repeats_the_run() -> None:
    states = []
    for _ in range(2):
        with Learner.open(None, seed=7) as learner:
            run_stream(learner, 200)
            states.append((learnt(learner.policy), learner.status().arms, learner.key))
    assert states[0] == states[1]


def test_a_restart_with_the_same_seed_does_not_repeat_the_draws(tmp_path: Path) -> None:
    drawn = []
    for _ in range(2):
        with Learner.open(tmp_path, seed=7) as learner:
            frozen = learner.frozen()
            drawn.append([frozen.pull(ARMS, some_features(0)).arm for _ in range(60)])
            decide(learner, frozen, 1)
    assert drawn[0] != drawn[1]


def test_feedback_from_many_threads_replays_to_the_same_state(tmp_path: Path) -> None:
    live = Learner.open(tmp_path, seed=1, limits=Limits(segment_bytes=20_000))
    frozen = live.frozen()

    def work(worker: int) -> int:
        applied = 0
        for step in range(40):
            decision_id = decide(live, frozen, seed=1000 * worker + step)
            with ThreadPoolExecutor(2) as twice:
                outcomes = list(twice.map(live.feedback, [decision_id] * 2, [0.25, 0.75]))
            applied += outcomes.count(FeedbackOutcome.APPLIED)
            live.frozen()
        return applied

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(work, range(6))) == 240
    live.close()
    with Learner.open(tmp_path, seed=1) as replayed:
        assert_same_state(replayed, live)
        assert replayed.status().feedbacks == 240


def test_a_full_disk_refuses_feedback_without_learning_from_it(tmp_path: Path) -> None:
    with Learner.open(tmp_path, seed=1) as learner:
        decision_id = decide(learner, learner.frozen(), 1)
        with (
            no_file_may_grow_beyond(learner.status().journal_bytes + 20),
            pytest.raises(StateNotWritable, match=str(tmp_path)),
        ):
            learner.feedback(decision_id, 1.0)
        assert learnt(learner.policy) == learnt(VariantPolicy())
        assert learner.status().pending == 1
        assert learner.feedback(decision_id, 1.0) is FeedbackOutcome.APPLIED
    with Learner.open(tmp_path, seed=1) as reopened:
        assert_same_state(reopened, learner)


def test_a_full_disk_refuses_a_decision_without_recording_it(tmp_path: Path) -> None:
    with Learner.open(tmp_path, seed=1) as learner:
        frozen = learner.frozen()
        with (
            no_file_may_grow_beyond(learner.status().journal_bytes + 20),
            pytest.raises(StateNotWritable, match=str(tmp_path)),
        ):
            decide(learner, frozen, 1)
        assert learner.status().decisions == 0
        decide(learner, frozen, 2)
    assert len(decided_ids(tmp_path)) == 1


def test_a_failing_device_refuses_feedback_without_learning_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with Learner.open(tmp_path, seed=1) as learner:
        decision_id = decide(learner, learner.frozen(), 1)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing)
            with pytest.raises(StateNotWritable, match="Input/output error"):
                learner.feedback(decision_id, 1.0)
        assert learnt(learner.policy) == learnt(VariantPolicy())
        with pytest.raises(StateNotWritable, match="failed earlier"):
            learner.feedback(decision_id, 1.0)
    with Learner.open(tmp_path, seed=1) as reopened:  # the record did reach this disk
        assert reopened.feedback(decision_id, 1.0) is FeedbackOutcome.DUPLICATE


def test_a_folder_below_a_file_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    for state in (tmp_path / "file", tmp_path / "file" / "state"):
        with pytest.raises(StateNotWritable, match=str(state)):
            Learner.open(state)
    assert (tmp_path / "file").read_text() == "not a folder"


def test_a_folder_without_room_for_the_first_file_is_not_writable(tmp_path: Path) -> None:
    with no_file_may_grow_beyond(8), pytest.raises(StateNotWritable, match=str(tmp_path)):
        Learner.open(tmp_path)
    Learner.open(tmp_path).close()  # nothing half-written, and the lock is free again


@pytest.mark.parametrize("name", ["lock", "key", "journal-000001.log"])
def test_a_state_file_that_cannot_be_opened_is_not_writable(tmp_path: Path, name: str) -> None:
    Learner.open(tmp_path).close()
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(StateNotWritable, match=str(tmp_path)):
        Learner.open(tmp_path)


def test_one_runtime_at_a_time(tmp_path: Path) -> None:
    with Learner.open(tmp_path):
        with pytest.raises(StateLocked, match=str(tmp_path)):
            Learner.open(tmp_path)
        other = f"from edge_autoglm.learn.learner import Learner; Learner.open({str(tmp_path)!r})"
        failed = subprocess.run([sys.executable, "-c", other], capture_output=True, text=True, check=False)
        assert "StateLocked" in failed.stderr
    Learner.open(tmp_path).close()


def test_a_lost_or_cut_key_is_damage(tmp_path: Path) -> None:
    with Learner.open(tmp_path) as learner:
        decide(learner, learner.frozen(), 1)
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(StateDamaged, match=r"key has 5 bytes, not 16"):
        Learner.open(tmp_path)
    (tmp_path / "key").unlink()
    with pytest.raises(StateDamaged, match=r"key has 0 bytes"):
        Learner.open(tmp_path)


def test_damage_frees_the_lock_again(tmp_path: Path) -> None:
    with Learner.open(tmp_path) as learner:
        run_stream(learner, 10)
    journal = tmp_path / "journal-000001.log"
    whole = journal.read_bytes()
    journal.write_bytes(whole.replace(b"mood", b"mode", 1))
    with pytest.raises(StateDamaged, match=r"journal-000001\.log, line"):
        Learner.open(tmp_path)
    journal.write_bytes(whole)
    Learner.open(tmp_path).close()


def test_a_decision_is_recorded_once_and_among_its_arms() -> None:
    with Learner.open(None) as learner:
        decision = forced("plain")
        learner.record(decision, "mood", ARMS, some_features(1), generation=1)
        with pytest.raises(PolicyError, match="recorded already"):
            learner.record(decision, "mood", ARMS, some_features(1), generation=1)
        with pytest.raises(PolicyError, match="'stray'"):
            learner.record(forced("stray"), "mood", ARMS, some_features(1), generation=1)
        assert learner.status().decisions == 1


def test_a_closed_learner_says_so(tmp_path: Path) -> None:
    learner = Learner.open(tmp_path)
    decision_id = decide(learner, learner.frozen(), 1)
    learner.close()
    learner.close()
    for act in (lambda: learner.feedback(decision_id, 1.0), lambda: decide(learner, learner.frozen(), 2)):
        with pytest.raises(StateError, match="closed"):
            act()


def test_status_counts_a_task_and_arm(tmp_path: Path) -> None:
    rng, pulls = random.Random(1), []
    with Learner.open(tmp_path) as learner:
        for step in range(300):
            arm = rng.choice(ARMS[:2])
            decision = forced(arm)
            learner.record(decision, "mood", ARMS, some_features(step), generation=1)
            learner.feedback(decision.id, 1.0 if arm == "plain" else 0.25)
            pulls.append(arm)
        status = learner.status()
        assert read_status(tmp_path) == status  # also while it is open
    assert [(arm.task, arm.arm) for arm in status.arms] == [("mood", "plain"), ("mood", "polite"), ("mood", "short")]
    plain, polite, short = status.arms
    assert (plain.pulls, plain.feedbacks, plain.mean_reward) == (pulls.count("plain"), pulls.count("plain"), 1.0)
    assert polite.mean_reward == 0.25
    assert (short.pulls, short.feedbacks, short.mean_reward, short.recent_share) == (0, 0, None, 0.0)
    assert plain.recent_share == pulls[-200:].count("plain") / 200
    assert status.state == str(tmp_path)
    assert status.journal_bytes == (tmp_path / "journal-000001.log").stat().st_size


def test_reading_the_status_of_nothing_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="holds no learner's state"):
        read_status(tmp_path / "absent")
    assert not list(tmp_path.iterdir())


def test_torn_bytes_are_reported(tmp_path: Path) -> None:
    with Learner.open(tmp_path) as learner:
        run_stream(learner, 5)
    with (tmp_path / "journal-000001.log").open("ab") as file:
        file.write(b"0123456")
    assert read_status(tmp_path).torn_bytes == 7
    with Learner.open(tmp_path) as learner:
        assert learner.status().torn_bytes == 7
    assert read_status(tmp_path).torn_bytes == 0
