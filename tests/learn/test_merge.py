"""What several devices learnt adds up to what one would have learnt from all their rewards."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edge_autoglm.errors import PolicyError, StateDamaged, StateError, StateNotWritable
from edge_autoglm.learn.context.featurise import featurise
from edge_autoglm.learn.exploration import forced
from edge_autoglm.learn.learner import Learner, Limits
from edge_autoglm.learn.merge import merge_statistics
from edge_autoglm.learn.models.base import RewardModel
from edge_autoglm.learn.models.mixture import MixtureModel
from edge_autoglm.learn.policies import make_policy
from edge_autoglm.learn.policy import VariantPolicy
from edge_autoglm.learn.segments import segment_number, segment_paths
from edge_autoglm.learn.snapshot_format import decode
from edge_autoglm.learn.statistics import read_statistics
from tests.learn.streams import ARMS, assert_same_state, learnt, run_stream, some_features
from tests.learn.test_journal import no_file_may_grow_beyond
from tests.learn.test_snapshot import SMALL, TIGHT, flipped


def ridge() -> VariantPolicy:
    """With one strength: how much each of several is trusted depends on the order of the rewards."""
    return make_policy("ridge", seed=1, lambdas=(3.0,))


def teach(learner: Learner, first: int, count: int) -> None:
    """Rewards that follow from the features: the same ones teach the same, wherever they come."""
    for number in range(first, first + count):
        features = some_features(number)
        decision = forced(ARMS[number % 3])
        learner.record(decision, "mood", ARMS, features, generation=1)
        learner.feedback(decision.id, 1.0 if features.dense[number % 3] > 0.0 else 0.0)


def exported(folder: Path, first: int, count: int, policy: VariantPolicy) -> Path:
    """Statistics of a device."""
    with Learner.open(None, policy=policy) as device:
        teach(device, first, count)
        device.export_statistics(folder / f"{first}.safetensors")
    return folder / f"{first}.safetensors"


def solved(model: RewardModel) -> RewardModel:
    """A ridge follows each reward and solves exactly now and then, as it does at a merge."""
    model.forget("mood", kept=1.0)
    return model


def means(policy: VariantPolicy) -> npt.NDArray[np.float64]:
    model = solved(policy.model)
    return np.array([model.estimate(ARMS, some_features(seed)).means for seed in range(900, 960)])


def test_twenty_devices_know_what_one_would_know(tmp_path: Path) -> None:
    files = [exported(tmp_path, 20 * device, 20, ridge()) for device in range(20)]
    merged = merge_statistics(files, tmp_path / "all.safetensors", ridge())
    with Learner.open(None, policy=ridge()) as pooled:
        teach(pooled, 0, 400)
    np.testing.assert_allclose(means(merged), means(pooled.policy), atol=1e-6)
    assert np.ptp(means(merged)) > 0.1  # they know something
    read = ridge()
    read.restore(read_statistics(tmp_path / "all.safetensors").policy)
    np.testing.assert_array_equal(means(read), means(merged))


def test_state_folders_are_merged_like_their_statistics(tmp_path: Path) -> None:
    files = []
    for device in range(3):
        folder = tmp_path / f"device{device}"
        with Learner.open(folder, policy=ridge(), limits=SMALL) as learner:
            teach(learner, 30 * device, 30)
            learner.export_statistics(tmp_path / f"{device}.safetensors")
        files.append(tmp_path / f"{device}.safetensors")
    folders = [tmp_path / f"device{device}" for device in range(3)]
    by_files = merge_statistics(files, tmp_path / "a", ridge())
    by_folders = merge_statistics(folders, tmp_path / "b", ridge())
    assert learnt(by_files) == learnt(by_folders)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("limits", [Limits(), SMALL, TIGHT], ids=["journal", "snapshots", "compacted"])
def test_a_merge_is_repeated_by_a_replay(tmp_path: Path, limits: Limits) -> None:
    theirs = exported(tmp_path, 500, 50, ridge())
    with Learner.open(tmp_path / "state", policy=ridge(), limits=limits) as live:
        teach(live, 0, 10)
        before = learnt(live.policy)
        assert live.merge(theirs)
        assert learnt(live.policy) != before
        teach(live, 10, 60)
        assert live.status().merges == 1
    theirs.unlink()  # the state folder keeps what it needs
    with Learner.open(tmp_path / "state", policy=ridge(), limits=limits) as reopened:
        assert_same_state(reopened, live)


def test_the_same_file_is_merged_once(tmp_path: Path) -> None:
    theirs = exported(tmp_path, 500, 50, ridge())
    with Learner.open(tmp_path / "state", policy=ridge()) as live:
        assert live.merge(theirs)
        known = learnt(live.policy)
        assert not live.merge(theirs)
        assert learnt(live.policy) == known
    with Learner.open(tmp_path / "state", policy=ridge()) as reopened:
        assert not reopened.merge(theirs)


def test_merged_files_go_when_no_replay_needs_them(tmp_path: Path) -> None:
    theirs = exported(tmp_path, 500, 50, ridge())
    with Learner.open(tmp_path / "state", policy=ridge(), limits=replace(TIGHT, journal_bytes=1)) as live:
        live.merge(theirs)
        assert len(list((tmp_path / "state").glob("merged-*"))) == 1
        run_stream(live, 150)
    assert segment_number(segment_paths(tmp_path / "state")[0]) > 1
    assert not list((tmp_path / "state").glob("merged-*"))
    with Learner.open(tmp_path / "state", policy=ridge()) as reopened:
        assert_same_state(reopened, live)
        assert not reopened.merge(theirs)


def test_statistics_hold_no_id_no_feature_and_no_word(tmp_path: Path) -> None:
    text = {"text": "Zanzibar's quokka whispered"}
    with Learner.open(tmp_path / "state", seed=1) as learner:
        ids = []
        for _ in range(20):
            features = featurise("mood", text, {"user": "Augusta"}, learner.key)
            decision = learner.frozen().pull(ARMS, features)
            learner.record(decision, "mood", ARMS, features, generation=1)
            learner.feedback(decision.id, 1.0, source="ada@lovelace.example")
            ids.append(decision.id)
        learner.export_statistics(tmp_path / "out")
        key = learner.key
    content = (tmp_path / "out").read_bytes()
    stored = b"".join(path.read_bytes() for path in (tmp_path / "state").iterdir()) + content
    for word in ["Zanzibar", "quokka", "Augusta", "lovelace"]:
        assert word.encode() not in stored
    for secret in [*(one.encode() for one in ids), key, key.hex().encode()]:
        assert secret not in content
    assert not any(str(index) in json.dumps(decode(content).facts) for index in features.indices.tolist())
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_merged_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    ours, others = exported(tmp_path, 0, 20, ridge()), make_policy("ridge", seed=1, lambdas=(7.0,))
    theirs = exported(tmp_path, 100, 20, others)
    with Learner.open(tmp_path / "state", policy=ridge()) as live:
        known, size = learnt(live.policy), live.status().journal_bytes
        with pytest.raises(PolicyError, match="lambdas"):
            live.merge(theirs)
        with pytest.raises(StateError, match="cannot be read"):
            live.merge(tmp_path / "absent")
        flipped(ours, 200)
        with pytest.raises(StateDamaged, match="Export them again"):
            live.merge(ours)
        assert (learnt(live.policy), live.status().journal_bytes) == (known, size)
        assert not list((tmp_path / "state").glob("merged-*"))
        ours.write_bytes((tmp_path / "100.safetensors").read_bytes()[:50])
        with pytest.raises(StateDamaged):
            live.merge(ours)


def test_a_snapshot_is_no_file_of_statistics(tmp_path: Path) -> None:
    with Learner.open(tmp_path / "state", policy=ridge(), limits=SMALL) as live:
        teach(live, 0, 60)
        with pytest.raises(StateDamaged, match="something else"):
            live.merge(next((tmp_path / "state").glob("snapshot-*")))


def test_a_lost_or_altered_merged_file_is_damage(tmp_path: Path) -> None:
    theirs = exported(tmp_path, 500, 50, ridge())
    with Learner.open(tmp_path / "state", policy=ridge()) as live:
        live.merge(theirs)
    kept = next((tmp_path / "state").glob("merged-*"))
    kept.write_bytes(exported(tmp_path, 700, 5, ridge()).read_bytes())  # sound, but not what was merged
    with pytest.raises(StateDamaged, match="missing or altered"):
        Learner.open(tmp_path / "state", policy=ridge())
    kept.unlink()
    with pytest.raises(StateDamaged, match="missing or altered"):
        Learner.open(tmp_path / "state", policy=ridge())


def test_a_full_disk_refuses_a_merge(tmp_path: Path) -> None:
    theirs = exported(tmp_path, 500, 50, ridge())
    with Learner.open(tmp_path / "state", policy=ridge()) as live:
        for room in (10, live.status().journal_bytes + 20):
            with no_file_may_grow_beyond(room), pytest.raises(StateNotWritable):
                live.merge(theirs)
        with no_file_may_grow_beyond(10), pytest.raises(StateNotWritable):
            live.export_statistics(tmp_path / "out")
        assert not (tmp_path / "out").exists()
        assert learnt(live.policy) == learnt(ridge())
        assert live.merge(theirs)
    with Learner.open(tmp_path / "state", policy=ridge()) as reopened:
        assert_same_state(reopened, live)


def test_the_default_policy_merges_its_context_free_means_as_if_pooled(tmp_path: Path) -> None:
    files = [exported(tmp_path, 40 * device, 40, VariantPolicy()) for device in range(4)]
    merged = merge_statistics(random.Random(1).sample(files, 4), tmp_path / "all")
    with Learner.open(None) as pooled:
        teach(pooled, 0, 160)
    np.testing.assert_allclose(context_free(merged), context_free(pooled.policy), atol=1e-6)


def context_free(policy: VariantPolicy) -> npt.NDArray[np.float64]:
    assert isinstance(policy.model, MixtureModel)
    return policy.model.models["context_free"].estimate(ARMS, some_features(1)).means
