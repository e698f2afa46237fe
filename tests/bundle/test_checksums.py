from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from edge_autoglm.bundle import FileEntry
from edge_autoglm.bundle.checksums import digest_of, hash_files, sha256_file

BLOCK = 1 << 20


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
@pytest.mark.parametrize("fsync", [False, True])
def test_a_file_is_hashed_block_by_block(tmp_path: Path, size: int, fsync: bool) -> None:
    data = bytes(range(251)) * (size // 251 + 1)
    file = tmp_path / "file"
    file.write_bytes(data[:size])
    counts: list[int] = []
    assert sha256_file(file, counts.append, fsync=fsync) == hashlib.sha256(data[:size]).hexdigest()
    assert sum(counts) == size
    assert all(0 < count <= BLOCK for count in counts)


def test_progress_runs_from_nothing_to_everything(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "sub" / "b").write_bytes(b"6" * (BLOCK + 1))
    calls: list[tuple[str, int, int]] = []
    entries = list(hash_files(tmp_path, ["sub/b", "a"], "hashing", lambda *call: calls.append(call)))
    total = BLOCK + 6
    assert calls == [("hashing", done, total) for done in (0, BLOCK, BLOCK + 1, total)]
    assert entries == [
        FileEntry("sub/b", hashlib.sha256(b"6" * (BLOCK + 1)).hexdigest(), BLOCK + 1),
        FileEntry("a", hashlib.sha256(b"12345").hexdigest(), 5),
    ]


def test_a_digest_changes_with_paths_and_contents_but_not_with_the_order() -> None:
    a, b = FileEntry("a", "0" * 64, 1), FileEntry("b", "1" * 64, 1)
    digest = digest_of([a, b])
    assert len(digest) == 16
    assert int(digest, 16) >= 0
    assert digest_of([b, a]) == digest
    swapped = [FileEntry("a", "1" * 64, 1), FileEntry("b", "0" * 64, 1)]
    assert len({digest, digest_of([a]), digest_of([b]), digest_of([]), digest_of(swapped)}) == 5
