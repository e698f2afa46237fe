"""A restart comes up on the last good generation: its model, its prompts and its policy."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from edge_autoglm import Bundle, Runtime, RuntimeConfig, Swapped, export_model
from edge_autoglm.errors import BundleError, RequestError, StateNotWritable, SwapError
from edge_autoglm.learn.policies import make_policy
from edge_autoglm.swap.health import HealthPolicy
from edge_autoglm.swap.policy import SwapPolicy
from edge_autoglm.swap.store.layout import BUNDLE, POLICY, RECORD
from edge_autoglm.swap.store.listing import KeptGeneration, list_generations
from edge_autoglm.swap.store.store import GenerationStore
from tests.checkpoints import write_tiny_llama
from tests.swap.store.parts import WEIGHTS, flip

# What a check finds is not what is tested here.
LENIENT = SwapPolicy(HealthPolicy(max_kl=None, max_latency_ratio=None))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def reworded(bundle: Bundle, task_files: list[Path], tmp_path: Path) -> Bundle:
    """The same model with other prompts."""
    changed = tmp_path / "mood.yaml"
    mood = next(file for file in task_files if file.name == "mood.yaml")
    changed.write_text(mood.read_text().replace("name: framed", "name: reframed"))
    return bundle.derive(tmp_path / "reworded", [changed])


def opened(bundle: Bundle | Path, state: Path, **settings: object) -> Runtime:
    fields = {"seed": 1, "context_length": 256, "promote_every": None, "swap_policy": LENIENT} | settings
    return Runtime.open(bundle, state, threads=1, config=RuntimeConfig(**fields))  # type: ignore[arg-type]


def teach(runtime: Runtime, best: str, rounds: int = 60) -> None:
    for number in range(rounds):
        reply = runtime.run("mood", {"text": f"film {number}"})
        runtime.feedback(reply.id, 1.0 if reply.variant == best else 0.0)


def share(runtime: Runtime, variant: str = "framed") -> float:
    """How often a variant is chosen."""
    chosen = [runtime.run("mood", {"text": f"x {number}"}).variant for number in range(30)]
    return chosen.count(variant) / len(chosen)


def versions(state: Path) -> dict[str, str]:
    """Version -> standing; the active one has a star."""
    return {_version(one): one.record.standing.value for one in list_generations(state) if one.record is not None}


def _version(one: KeptGeneration) -> str:
    return f"{one.record.version if one.record is not None else '?'}{'*' if one.active else ''}"


def test_the_first_start_is_written_down(bundle: Bundle, state: Path) -> None:
    with opened(bundle, state) as runtime:
        assert runtime.generation == 1
    assert versions(state) == {"1.0.0*": "good"}
    with opened(bundle, state) as runtime:
        assert runtime.generation == 1
    assert versions(state) == {"1.0.0*": "good"}


def test_a_promoted_policy_is_there_after_a_restart_and_what_was_learnt_since_waits(
    bundle: Bundle, state: Path
) -> None:
    with opened(bundle, state) as runtime:
        teach(runtime, "framed")
    with opened(bundle, state) as runtime:
        assert share(runtime) < 0.7  # learnt, and not promoted
        assert runtime.learner.promote() == Swapped(2)
        assert share(runtime) > 0.7
        teach(runtime, "plain", 200)
    with opened(bundle, state) as runtime:
        assert runtime.generation == 2
        assert share(runtime) > 0.7
        assert runtime.learner.promote() == Swapped(3)
        assert share(runtime, "plain") > 0.4
    assert versions(state) == {"1.0.0": "good", "1.0.1": "good", "1.0.2*": "good"}


def test_a_rollback_holds_over_a_restart_and_numbers_are_not_used_again(bundle: Bundle, state: Path) -> None:
    with opened(bundle, state) as runtime:
        assert runtime.learner.promote() == Swapped(2)
        runtime.learner.rollback()
    with opened(bundle, state) as runtime:
        assert runtime.generation == 1
        assert runtime.learner.promote() == Swapped(3)
    assert versions(state) == {"1.0.0": "good", "1.0.1": "given up", "1.0.2*": "good"}


def test_prompts_that_were_swapped_in_outlive_a_restart_and_their_folder(
    bundle: Bundle, reworded: Bundle, state: Path, tmp_path: Path
) -> None:
    brought = bundle.derive(tmp_path / "brought", bundle.task_files())
    with opened(brought, state) as runtime:
        assert runtime.swap(reworded) == Swapped(2)
    shutil.rmtree(reworded.root)
    shutil.rmtree(brought.root)
    with opened(brought.root, state) as runtime:
        assert (runtime.generation, runtime.tasks) == (2, {"mood": ("plain", "reframed", "chat")})
        assert runtime.learner.promote() == Swapped(3)
    assert versions(state) == {"1.0.0": "good", "1.1.0": "good", "1.1.1*": "good"}
    kept = [state / "generations" / f"00000{number}" / BUNDLE / WEIGHTS for number in (1, 2, 3)]
    assert len({path.stat().st_ino for path in kept}) == 1


def test_a_new_release_of_the_app_goes_first_and_an_old_bundle_does_not_come_back(
    bundle: Bundle, reworded: Bundle, state: Path
) -> None:
    with opened(bundle, state) as runtime:
        teach(runtime, "framed")
        runtime.learner.promote()
    with opened(reworded, state) as runtime:
        assert (runtime.generation, "reframed" in runtime.tasks["mood"]) == (3, True)
    with opened(bundle, state) as runtime:
        assert (runtime.generation, "reframed" in runtime.tasks["mood"]) == (3, True)
    assert versions(state) == {"1.0.0": "good", "1.0.1": "good", "1.1.0*": "good"}


def test_a_bundle_that_was_given_up_is_no_new_release(bundle: Bundle, reworded: Bundle, state: Path) -> None:
    with opened(bundle, state) as runtime:
        runtime.swap(reworded)
        runtime.learner.rollback()
    with opened(reworded, state) as runtime:
        assert "framed" in runtime.tasks["mood"]


def test_a_new_release_that_cannot_be_used_leaves_what_answers(
    bundle: Bundle, reworded: Bundle, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened(bundle, state).close()
    flip(reworded.root / WEIGHTS, 5000)
    with caplog.at_level(logging.WARNING), opened(reworded, state) as runtime:
        assert runtime.generation == 1
    assert f"the new bundle is not used: {reworded.root / WEIGHTS} is damaged" in caplog.text


def test_a_new_release_goes_first_where_the_active_generation_is_damaged(
    bundle: Bundle, reworded: Bundle, state: Path
) -> None:
    with opened(bundle, state) as runtime:
        runtime.learner.promote()
    flip(state / "generations" / "000002" / RECORD, 7)
    with opened(reworded, state) as runtime:
        assert (runtime.generation, "reframed" in runtime.tasks["mood"]) == (3, True)


@pytest.mark.parametrize("file", [RECORD, POLICY, f"{BUNDLE}/prompts/mood.yaml", f"{BUNDLE}/manifest.json"])
def test_a_damaged_generation_falls_back_to_the_one_before(
    bundle: Bundle, state: Path, caplog: pytest.LogCaptureFixture, file: str
) -> None:
    with opened(bundle, state) as runtime:
        runtime.learner.promote()
        assert runtime.learner.promote() == Swapped(3)
    path = state / "generations" / "000003" / file
    flip(path, path.stat().st_size // 2)
    with caplog.at_level(logging.WARNING), opened(bundle, state) as runtime:
        assert runtime.generation == 2
        assert runtime.run("mood", {"text": "x"}).label
        assert runtime.learner.promote() == Swapped(4)
    assert str(path) in caplog.text
    assert versions(state)[f"1.0.{2 if file == RECORD else 3}*"] == "good"  # a damaged record names no version
    with opened(bundle, state) as runtime:
        assert runtime.generation == 4


def test_where_nothing_kept_is_whole_the_bundle_of_the_app_is_used(bundle: Bundle, state: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(bundle.root, own)
    with opened(own, state) as runtime:
        runtime.learner.promote()
    shutil.rmtree(own)
    shutil.copytree(bundle.root, own)
    shared = state / "generations" / "000001" / BUNDLE / WEIGHTS
    shared.write_bytes(b"x" * shared.stat().st_size)
    with opened(own, state) as runtime:
        assert runtime.generation == 3
        assert runtime.run("mood", {"text": "x"}).label
    assert versions(state) == {"1.0.0": "given up", "1.0.1": "given up", "1.0.2*": "good"}
    shutil.rmtree(state / "generations" / "000003" / BUNDLE)
    shutil.rmtree(own)
    with pytest.raises(BundleError, match="own does not exist"):
        opened(own, state)


def test_another_model_is_another_major_version(
    bundle: Bundle, task_files: list[Path], state: Path, tmp_path: Path
) -> None:
    opened(bundle, state).close()
    checkpoint = write_tiny_llama(tmp_path / "other", seed=9)
    other = export_model(checkpoint, tmp_path / "other.bundle", "fp32", tasks=task_files, proof=False)
    with opened(other, state) as runtime:
        assert runtime.generation == 2
    assert versions(state) == {"1.0.0": "good", "2.0.0*": "good"}


def test_an_app_that_learns_with_another_policy_now_gets_a_generation_of_its_own(
    bundle: Bundle, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(bundle, state) as runtime:
        teach(runtime, "framed")
        runtime.learner.promote()
    with caplog.at_level(logging.WARNING), opened(bundle, state, policy=make_policy("ridge")) as runtime:
        assert runtime.generation == 3
    assert "generation 2 goes on with another policy" in caplog.text
    assert versions(state) == {"1.0.0": "good", "1.0.1": "good", "1.0.2*": "good"}


def test_generations_that_cannot_be_written_down_do_not_keep_the_app_from_starting(
    bundle: Bundle, state: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise StateNotWritable("the disk is full", "Free some.")

    monkeypatch.setattr(GenerationStore, "add", full)
    with caplog.at_level(logging.WARNING), opened(bundle, state) as runtime:
        assert runtime.generation == 1
        assert runtime.run("mood", {"text": "x"}).label
    assert "generation 1 is not kept, and a restart does not come up on it: the disk is full" in caplog.text
    monkeypatch.undo()
    with opened(bundle, state) as runtime:
        assert runtime.generation == 1


def test_a_bundle_that_is_none_makes_no_state(state: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        opened(tmp_path / "none", state)
    assert not state.exists()


def test_the_last_n_are_kept(bundle: Bundle, state: Path) -> None:
    with opened(bundle, state, keep_generations=2) as runtime:
        for number in (2, 3, 4):
            assert runtime.learner.promote() == Swapped(number)
    assert list(versions(state)) == ["1.0.2", "1.0.3*"]
    with opened(bundle, state) as runtime:
        assert runtime.generation == 4


def test_a_rollback_after_a_restart_returns_to_what_is_kept(bundle: Bundle, reworded: Bundle, state: Path) -> None:
    with opened(bundle, state) as runtime:
        assert runtime.swap(reworded) == Swapped(2)
    with opened(bundle, state) as runtime:
        assert "reframed" in runtime.tasks["mood"]
        assert runtime.learner.rollback().generation == 1
        assert "framed" in runtime.tasks["mood"]
        assert runtime.run("mood", {"text": "x"}, variant="framed").generation == 1
        with pytest.raises(SwapError, match="roll back"):
            runtime.learner.rollback()
    with opened(bundle, state) as runtime:
        assert runtime.generation == 1


def test_rewards_of_before_a_restart_count_towards_a_promotion(bundle: Bundle, state: Path) -> None:
    for _ in range(2):
        with opened(bundle, state, promote_every=30) as runtime:
            teach(runtime, "framed", 16)
            if (promotion := runtime.learner._in_flight) is not None:
                promotion.result()
    assert list_generations(state)[-1].number == 2


def test_a_policy_file_that_is_none_ends_the_start_and_leaves_no_lock(bundle: Bundle, state: Path) -> None:
    with pytest.raises(RequestError, match=r"nowhere\.yaml"):
        opened(bundle, state, swap_policy=state / "nowhere.yaml")
    opened(bundle, state).close()
