"""SHA-256 of files of any size in constant memory, and short digests of file lists."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from edge_autoglm.bundle.manifest import FileEntry
from edge_autoglm.values import Progress, silent

_BLOCK_BYTES = 1 << 20
_DIGEST_CHARACTERS = 16


def sha256_file(path: Path, advance: Callable[[int], None] | None = None, *, fsync: bool = False) -> str:
    """Hash one file block by block.

    Args:
        path: File to read.
        advance: Called with the number of bytes of every block read.
        fsync: Also make the content durable, through the handle that is open anyway.

    Returns:
        64 lower-case hexadecimal characters.

    Raises:
        OSError: The file cannot be read.
    """
    digest = hashlib.sha256()
    block = memoryview(bytearray(_BLOCK_BYTES))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(block):
            digest.update(block[:count])
            if advance is not None:
                advance(count)
        if fsync:
            os.fsync(file.fileno())
    return digest.hexdigest()


def hash_files(
    root: Path, paths: Sequence[str], stage: str, progress: Progress = silent, *, fsync: bool = False
) -> Iterator[FileEntry]:
    """Hash files below ``root`` one by one, in the order given.

    Args:
        root: Folder.
        paths: POSIX paths relative to it.
        stage: First argument of ``progress``.
        progress: Called with bytes done and bytes in all, once at the start and after every block.
        fsync: Also make the content of every file durable.

    Raises:
        OSError: A file cannot be read.
    """
    sizes = [(root / path).stat().st_size for path in paths]
    total = sum(sizes)
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(stage, done, total)

    progress(stage, 0, total)
    for path, size in zip(paths, sizes, strict=True):
        yield FileEntry(path, sha256_file(root / path, advance, fsync=fsync), size)


def digest_of(files: Iterable[FileEntry], facts: object = None) -> str:
    """Short identity of a set of files: 16 hexadecimal characters over their paths and contents, whatever the order.

    Args:
        files: The files.
        facts: What belongs to them and stands in no file: JSON values and dataclasses, mappings in any order.
    """
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=dataclasses.asdict).encode())
    for path, sha256 in sorted((entry.path, entry.sha256) for entry in files):
        digest.update(f"{path}\0{sha256}\n".encode())
    return digest.hexdigest()[:_DIGEST_CHARACTERS]
