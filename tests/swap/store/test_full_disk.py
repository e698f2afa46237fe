"""A disk that is full at any write, or fails at any flush: refused, with nothing lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_autoglm.errors import StateNotWritable
from edge_autoglm.swap.store.layout import generation_folder
from edge_autoglm.swap.store.store import GenerationStore
from tests.bundle.samples import tree
from tests.learn.test_faults import may_mount
from tests.learn.test_journal import no_file_may_grow_beyond
from tests.swap.store.parts import a_bundle, go_live, keep


@pytest.fixture
def store(tmp_path: Path) -> GenerationStore:
    kept = GenerationStore(tmp_path / "generations")
    go_live(kept, a_bundle(tmp_path))
    return kept


@pytest.mark.parametrize("room", [10, 300, 700, 1200])
def test_a_candidate_without_room_leaves_everything_as_it_was(
    store: GenerationStore, tmp_path: Path, room: int
) -> None:
    """The manifest, the policy and the record are written; links need no room."""
    before = tree(store.folder)
    bundle = a_bundle(tmp_path, prompts=1)
    with (
        no_file_may_grow_beyond(room),
        pytest.raises(StateNotWritable, match=r"generations cannot be written to.*Free some disk space"),
    ):
        keep(store, bundle)
    assert tree(store.folder) == before
    assert go_live(store, bundle).number == 2


def test_an_activation_without_room_leaves_the_pointer(store: GenerationStore, tmp_path: Path) -> None:
    candidate = keep(store, a_bundle(tmp_path, prompts=1))
    with no_file_may_grow_beyond(10), pytest.raises(StateNotWritable):
        store.activate(candidate.number, {})
    assert [record.number for record in store.candidates()] == [1]
    store.activate(candidate.number, {})
    assert [record.number for record in store.candidates()] == [2, 1]


def test_a_generation_is_given_up_without_room(store: GenerationStore, tmp_path: Path) -> None:
    go_live(store, a_bundle(tmp_path, prompts=1))
    with no_file_may_grow_beyond(10), pytest.raises(StateNotWritable):
        store.give_up(2, "errors", instead=1)
    assert not generation_folder(store.folder, 2).exists()
    again = GenerationStore(store.folder)
    assert [record.number for record in again.candidates()] == [1]
    assert again.last_number == 2


def test_a_device_that_fails_at_any_flush_leaves_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files and folders are flushed: each flush of a swap fails once."""
    fsync = os.fsync
    bundles = [a_bundle(tmp_path), a_bundle(tmp_path, weights=b"other")]
    failed = 0
    for failing_call in range(1, 100):
        calls = 0

        def failing(descriptor: int) -> None:
            nonlocal calls
            calls += 1
            if calls == failing_call:  # noqa: B023 - used within the same turn of the loop
                raise OSError(28, os.strerror(28))
            fsync(descriptor)

        store = GenerationStore(tmp_path / str(failing_call))
        go_live(store, bundles[0])
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing)
            try:
                go_live(store, bundles[1])
            except StateNotWritable:
                failed += 1
        again = GenerationStore(store.folder)
        active = again.active()
        assert active is not None
        assert again.open(active.number)[0].digest == bundles[active.number - 1].digest
        if calls < failing_call:
            break
    assert failed > 10


ON_A_SMALL_DISK = """
import sys
from pathlib import Path
from edge_autoglm.errors import StateNotWritable
from edge_autoglm.swap.store.store import GenerationStore
from tests.swap.store.parts import a_bundle, go_live
folder, ballast = Path(sys.argv[1]), Path(sys.argv[1]) / "ballast"
away = Path(sys.argv[3])
store = GenerationStore(folder / "generations", keep=100)
go_live(store, a_bundle(away))
ballast.write_bytes(bytes(int(sys.argv[2])))
taken = 1
for number in range(100):
    try:
        go_live(store, a_bundle(away, prompts=number), number)
        taken += 1
    except StateNotWritable:
        break
again = GenerationStore(store.folder, keep=100)
active = again.active()
assert active.good and again.open(active.number), active
assert active.number in (taken, taken + 1), (active, taken)
assert not list(store.folder.glob(".*")), list(store.folder.glob(".*"))
ballast.unlink()
assert go_live(again, a_bundle(away, prompts=999)).number > taken
print(taken)
"""


@pytest.mark.skipif(not may_mount(), reason="needs a user namespace that may mount a tmpfs")
@pytest.mark.parametrize("ballast", [60_000, pytest.param(83_000, marks=pytest.mark.slow)])
def test_a_full_disk_of_its_own(tmp_path: Path, ballast: int) -> None:
    """Files are copied there, since links do not reach over to another file system."""
    disk, away = tmp_path / "disk", tmp_path / "away"
    disk.mkdir()
    away.mkdir()
    inside = f'mount -t tmpfs -o size=160k none {disk} && exec "$0" -c "$1" {disk} {ballast} {away}'
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", inside, sys.executable, ON_A_SMALL_DISK],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert done.returncode == 0, done.stderr
    assert 1 <= int(done.stdout) < 100
