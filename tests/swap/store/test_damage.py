"""A changed byte anywhere is noticed, and what came before it is there to come up on."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from edge_autoglm.bundle.manifest import MANIFEST_NAME
from edge_autoglm.errors import DamagedBundle, EdgeAutoGLMError, StateDamaged
from edge_autoglm.swap.store.layout import BUNDLE, POINTER, POLICY, RECORD
from edge_autoglm.swap.store.listing import list_generations
from edge_autoglm.swap.store.store import GenerationStore
from tests.swap.store.parts import WEIGHTS, a_bundle, flip, go_live


@pytest.fixture
def store(tmp_path: Path) -> GenerationStore:
    """Three good generations, of which the last has weights of its own."""
    kept = GenerationStore(tmp_path / "generations")
    bundle = a_bundle(tmp_path)
    go_live(kept, bundle)
    go_live(kept, bundle, rewards=1)
    go_live(kept, a_bundle(tmp_path, weights=b"other"), rewards=2)
    return kept


def first_that_opens(store: GenerationStore) -> int | None:
    """What a restart comes up on."""
    for record in GenerationStore(store.folder).candidates():
        try:
            store.open(record.number)
        except EdgeAutoGLMError:
            continue
        return record.number
    return None


@pytest.mark.parametrize("file", [RECORD, POLICY, f"{BUNDLE}/{MANIFEST_NAME}", f"{BUNDLE}/{WEIGHTS}"])
def test_a_flipped_bit_falls_back(store: GenerationStore, tmp_path: Path, file: str) -> None:
    assert first_that_opens(store) == 3
    size = (store.folder / "000003" / file).stat().st_size
    for position in range(0, size, max(1, size // 7)):
        shutil.copytree(store.folder, tmp_path / str(position))
        flipped = GenerationStore(tmp_path / str(position))
        flip(flipped.folder / "000003" / file, position)
        assert first_that_opens(flipped) == 2


@pytest.mark.parametrize("file", [RECORD, POLICY, f"{BUNDLE}/{MANIFEST_NAME}", f"{BUNDLE}/{WEIGHTS}"])
def test_a_file_that_is_gone_or_cut_falls_back(store: GenerationStore, file: str) -> None:
    path = store.folder / "000003" / file
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert first_that_opens(store) == 2
    path.unlink()
    assert first_that_opens(store) == 2


def test_damage_in_shared_weights_is_noticed_in_each_that_shares_them(store: GenerationStore) -> None:
    weights = store.folder / "000002" / BUNDLE / WEIGHTS
    weights.write_bytes(b"x" * weights.stat().st_size)
    for number in (1, 2):
        with pytest.raises(DamagedBundle, match=WEIGHTS):
            store.open(number)
    assert store.open(3)


def test_the_damaged_file_is_named(store: GenerationStore) -> None:
    flip(store.folder / "000003" / POLICY, -1)
    with pytest.raises(StateDamaged, match=rf"000003.{POLICY} is damaged: its checksum does not match"):
        store.open(3)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"active": 1}', b"\xff\xfe", None])
def test_a_damaged_pointer_leaves_the_newest_good_one(
    store: GenerationStore, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    digests = [record.bundle_digest for record in store.records()]
    store.give_up(3, "errors", instead=2)
    if content is None:
        (store.folder / POINTER).unlink()
    else:
        (store.folder / POINTER).write_bytes(content)
    with caplog.at_level(logging.WARNING):
        again = GenerationStore(store.folder)
        assert [record.number for record in again.candidates()] == [2, 1]
    assert all(again.knows(digest) for digest in digests)
    assert again.last_number == 3
    [said] = caplog.messages
    assert f"{POINTER} is of no use" in said
    assert said.endswith("generation 2 is taken for active")
    caplog.clear()
    GenerationStore(store.folder)
    assert not caplog.messages  # it was written anew


def test_the_pointer_moves_off_what_is_gone(store: GenerationStore, caplog: pytest.LogCaptureFixture) -> None:
    shutil.rmtree(store.folder / "000003")
    again = GenerationStore(store.folder)
    assert "generation 3 is not there whole, 2 is taken for active" in caplog.text
    assert [record.number for record in again.candidates()] == [2, 1]
    assert again.last_number == 3
    for number in (1, 2):
        shutil.rmtree(store.folder / f"00000{number}")
    assert GenerationStore(store.folder).active() is None
    assert "generation 2 is not there whole, none is taken for active" in caplog.text


def test_damaged_ones_are_listed_and_in_time_deleted(store: GenerationStore, tmp_path: Path) -> None:
    flip(store.folder / "000001" / RECORD, 5)
    first, _, last = list_generations(tmp_path)
    assert "000001" in first.damage
    assert (first.record, first.active, last.active) == (None, False, True)
    assert first.figures()["damage"] == first.damage
    small = GenerationStore(store.folder, keep=3)
    go_live(small, a_bundle(tmp_path, prompts=9), rewards=3)
    assert [one.number for one in list_generations(tmp_path)] == [2, 3, 4]
