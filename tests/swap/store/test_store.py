"""Generations are kept, shared, given up and deleted as they should."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from pathlib import Path

import pytest

from edge_autoglm.bundle import Bundle
from edge_autoglm.bundle.signature import SIGNATURE_NAME
from edge_autoglm.errors import BundleError, StateDamaged, StateError
from edge_autoglm.learn.snapshot_format import encode
from edge_autoglm.swap.store.layout import kept_numbers
from edge_autoglm.swap.store.listing import list_generations
from edge_autoglm.swap.store.new import NewGeneration
from edge_autoglm.swap.store.record import Standing
from edge_autoglm.swap.store.store import GenerationStore
from tests.bundle.samples import tree
from tests.swap.store.parts import WEIGHTS, a_bundle, go_live, keep, policy, policy_file, stored


@pytest.fixture
def store(tmp_path: Path) -> GenerationStore:
    return GenerationStore(tmp_path / "state" / "generations")


def reopened(store: GenerationStore) -> GenerationStore:
    return GenerationStore(store.folder)


def standings(store: GenerationStore) -> dict[int, str]:
    return {record.number: record.standing.value for record in store.records()}


def test_what_went_live_is_there_after_a_restart(store: GenerationStore, tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path)
    go_live(store, bundle, rewards=3)
    active = reopened(store).active()
    assert active is not None
    assert (active.number, str(active.version), active.parent, active.good) == (1, "1.0.0", None, True)
    assert active.metrics == {"mean_kl": 0.01}
    found, known = reopened(store).open(1)
    assert (found.digest, found.fingerprint) == (bundle.digest, bundle.fingerprint)
    assert tree(found.root) == tree(bundle.root)
    assert known is not None
    assert encode(policy().revive(known).state()) == policy_file(3)


def test_a_proposed_one_is_not_what_a_restart_comes_up_on(store: GenerationStore, tmp_path: Path) -> None:
    go_live(store, a_bundle(tmp_path))
    proposed = a_bundle(tmp_path, prompts=1)
    keep(store, proposed)
    again = reopened(store)
    assert [record.number for record in again.candidates()] == [1]
    assert standings(again) == {1: "good", 2: "given up"}
    assert "the process ended" in again.records()[1].standing_reason
    assert not again.knows(proposed.digest)  # nobody found fault with it
    assert again.last_number == 2


def test_the_version_says_what_changed(store: GenerationStore, tmp_path: Path) -> None:
    first = a_bundle(tmp_path)
    bundles = [first, first, a_bundle(tmp_path, prompts=1), a_bundle(tmp_path, weights=b"other")]
    assert [str(go_live(store, bundle).version) for bundle in bundles] == ["1.0.0", "1.0.1", "1.1.0", "2.0.0"]


def test_a_version_that_was_given_up_is_not_used_again(store: GenerationStore, tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path)
    go_live(store, bundle)
    store.give_up(keep(store, bundle, 1).number, "no good", instead=1)
    assert str(go_live(store, bundle, 2).version) == "1.0.2"


def test_a_policy_and_a_prompt_set_take_no_second_copy_of_the_weights(store: GenerationStore, tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path)
    go_live(store, bundle)
    go_live(store, bundle, rewards=1)
    go_live(store, a_bundle(tmp_path, prompts=1))
    weights = {stored(store, number, WEIGHTS).stat().st_ino for number in (1, 2, 3)}
    assert weights == {(bundle.root / WEIGHTS).stat().st_ino}
    prompts = {stored(store, number, "prompts/mood.yaml").stat().st_ino for number in (1, 2, 3)}
    assert len(prompts) == 2
    sizes = [one.nbytes for one in list_generations(store.folder.parent)]
    assert sizes[0] > 5000 > max(sizes[1:])


def test_the_app_may_delete_or_replace_its_bundle_while_it_runs(store: GenerationStore, tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path)
    go_live(store, bundle)
    shutil.rmtree(bundle.root)
    go_live(store, bundle, rewards=1)
    other = a_bundle(tmp_path, weights=b"x" * 5000)  # of the same size
    other.root.rename(bundle.root)
    go_live(store, bundle, rewards=2)
    for number in (1, 2, 3):
        assert store.open(number)[0].digest == bundle.digest
    assert len({stored(store, number, WEIGHTS).stat().st_ino for number in (1, 2, 3)}) == 1


def test_files_that_are_not_what_the_bundle_said_are_not_kept(store: GenerationStore, tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path)
    (bundle.root / WEIGHTS).write_bytes(b"x" * 5000)
    with pytest.raises(BundleError, match=WEIGHTS):
        keep(store, bundle)
    assert tree(store.folder) == {}


def test_without_hard_links_files_are_copied(
    store: GenerationStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", no_link)
    bundle = a_bundle(tmp_path)
    go_live(store, bundle)
    go_live(store, bundle, rewards=1)
    assert store.open(2)[0].digest == bundle.digest
    assert stored(store, 2, WEIGHTS).stat().st_nlink == 1


def test_the_signature_comes_along(store: GenerationStore, tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path)
    (bundle.root / SIGNATURE_NAME).write_text("signed")
    go_live(store, bundle)
    (bundle.root / SIGNATURE_NAME).write_text("by another")
    go_live(store, bundle, rewards=1)
    assert stored(store, 2, SIGNATURE_NAME).read_text() == "signed"


def test_a_rollback_moves_the_pointer_to_what_answers_instead(store: GenerationStore, tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path)
    for rewards in range(3):
        go_live(store, bundle, rewards)
    store.give_up(3, "errors", instead=2)
    again = reopened(store)
    assert [record.number for record in again.candidates()] == [2, 1]
    assert again.records()[2].standing_reason == "errors"
    assert again.last_number == 3


def test_giving_up_a_candidate_leaves_the_pointer(store: GenerationStore, tmp_path: Path) -> None:
    go_live(store, a_bundle(tmp_path))
    candidate = a_bundle(tmp_path, prompts=1)
    store.give_up(keep(store, candidate).number, "loops", instead=1)
    assert [record.number for record in store.candidates()] == [1]
    assert standings(store) == {1: "good", 2: "given up"}
    assert store.knows(candidate.digest)


def test_what_is_not_kept_is_not_what_a_rollback_points_to(store: GenerationStore, tmp_path: Path) -> None:
    """The runtime had come up on something that could not be written down."""
    go_live(store, a_bundle(tmp_path))
    store.give_up(1, "errors", instead=17)
    assert store.active() is None
    assert list(store.candidates()) == []
    assert str(go_live(store, a_bundle(tmp_path, prompts=1)).version) == "1.1.0"


def test_the_last_good_one_is_an_ancestor(store: GenerationStore, tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path)
    for rewards in range(3):
        go_live(store, bundle, rewards)
    store.give_up(3, "by hand", instead=1)
    go_live(store, bundle, 4)
    before = store.previous_good()
    assert before is not None
    assert before.number == 1  # and not 2, which was left behind


def test_a_number_is_used_once(store: GenerationStore, tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path)
    go_live(store, bundle)
    with pytest.raises(StateError, match=r"a generation 1 is kept .* already\. Number it 2 or above"):
        store.add(NewGeneration(1, bundle, None, "again"), 1)


def test_numbers_of_deleted_generations_are_not_used_again(tmp_path: Path) -> None:
    store = GenerationStore(tmp_path / "generations", keep=2)
    bundle = a_bundle(tmp_path)
    go_live(store, bundle)
    go_live(store, bundle, 1)
    store.give_up(keep(store, bundle, 2).number, "loops", instead=2)
    assert kept_numbers(store.folder) == [1, 2]
    assert reopened(store).last_number == 3


def test_the_last_n_are_kept(tmp_path: Path) -> None:
    store = GenerationStore(tmp_path / "generations", keep=3)
    bundle = a_bundle(tmp_path)
    for rewards in range(6):
        go_live(store, bundle, rewards)
    assert kept_numbers(store.folder) == [4, 5, 6]
    assert all(store.knows(record.bundle_digest) for record in store.records())


def test_neither_the_active_one_nor_the_one_before_nor_a_candidate_is_deleted(tmp_path: Path) -> None:
    store = GenerationStore(tmp_path / "generations", keep=1, budget_bytes=0)
    bundle = a_bundle(tmp_path)
    for rewards in range(4):
        go_live(store, bundle, rewards)
    assert kept_numbers(store.folder) == [3, 4]
    candidate = keep(store, bundle, 5)
    assert kept_numbers(store.folder) == [3, 4, 5]
    store.give_up(candidate.number, "loops", instead=4)
    assert kept_numbers(store.folder) == [3, 4]


def test_the_byte_budget_counts_shared_files_once(tmp_path: Path) -> None:
    store = GenerationStore(tmp_path / "generations", keep=50, budget_bytes=80_000)
    bundle = a_bundle(tmp_path, weights=b"w" * 20_000)
    for rewards in range(8):
        go_live(store, bundle, rewards)
    assert kept_numbers(store.folder) == list(range(1, 9))  # eight times 20 kB, if they did not share them
    go_live(store, a_bundle(tmp_path, weights=b"v" * 35_000))
    assert 2 < len(kept_numbers(store.folder)) < 9
    assert sum(one.nbytes for one in list_generations(tmp_path)) <= 80_000
    go_live(store, a_bundle(tmp_path, weights=b"u" * 70_000))
    assert kept_numbers(store.folder) == [9, 10]  # over the budget still, and nothing left that may go
    assert sum(one.nbytes for one in list_generations(tmp_path)) > 80_000


def test_leftovers_are_cleared_away(store: GenerationStore, tmp_path: Path) -> None:
    go_live(store, a_bundle(tmp_path))
    before = tree(store.folder)
    for name in (".000002.partial", ".000003.gone"):
        shutil.copytree(store.folder / "000001", store.folder / name)
    (store.folder / ".active.json.partial-0123").write_bytes(b"{")
    assert tree(reopened(store).folder) == before


def test_what_is_unknown_is_damaged(store: GenerationStore) -> None:
    with pytest.raises(StateDamaged, match="000004 is damaged: it is not there"):
        store.activate(4, {})
    with pytest.raises(StateDamaged, match="000004"):
        store.open(4)


def test_a_candidate_of_a_generation_that_is_not_kept_is_taken(
    store: GenerationStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = a_bundle(tmp_path)
    with caplog.at_level(logging.WARNING):
        record = store.add(NewGeneration(8, bundle, None, "learnt"), 7, running=7)
    assert (record.parent, str(record.version), record.policy_digest) == (7, "1.0.0", None)
    assert store.records()[0].standing is Standing.PROPOSED
    assert store.open(8)[1] is None
    assert not caplog.records


def test_a_bundle_that_is_another_one_is_not_opened(store: GenerationStore, tmp_path: Path) -> None:
    go_live(store, a_bundle(tmp_path))
    other = a_bundle(tmp_path, prompts=5)
    shutil.rmtree(store.folder / "000001" / "bundle")
    shutil.copytree(other.root, store.folder / "000001" / "bundle")
    assert Bundle.open(store.folder / "000001" / "bundle").digest == other.digest
    with pytest.raises(StateDamaged, match=other.digest):
        store.open(1)
