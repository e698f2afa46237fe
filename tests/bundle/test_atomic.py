from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from edge_autoglm.bundle import fsync_folder, write_bytes_atomic


def test_content_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for data in (b"first and longer", b"second", b""):
        write_bytes_atomic(file, data)
        assert file.read_bytes() == data
        assert os.listdir(tmp_path) == ["file"]


def test_a_file_that_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    with pytest.raises(OSError, match="target"):
        write_bytes_atomic(tmp_path / "target", b"data")
    assert os.listdir(tmp_path) == ["target"]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_bytes_atomic(tmp_path / "none" / "file", b"")
    with pytest.raises(FileNotFoundError):
        fsync_folder(tmp_path / "none")


@pytest.mark.skipif(os.name == "nt", reason="permission bits are POSIX")
def test_a_secret_is_never_readable_by_others(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"old")
    file.chmod(0o644)
    write_bytes_atomic(file, b"secret", mode=0o600)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
