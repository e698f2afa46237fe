"""The state folder: its lock and its secret key."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from edge_autoglm.bundle.atomic import write_bytes_atomic
from edge_autoglm.errors import StateDamaged
from edge_autoglm.learn.journal import PRIVATE, not_writable
from edge_autoglm.learn.lock import FolderLock
from edge_autoglm.learn.segments import segment_paths

KEY_BYTES = 16


@dataclass(frozen=True, slots=True)
class StateFolder:
    """A state folder that this process owns.

    Attributes:
        path: Of the folder.
        lock: Release it when done.
        key: Under which words are hashed; whoever reads it can test guesses at words, so only the owner may.
    """

    path: Path
    lock: FolderLock
    key: bytes


def open_folder(path: Path) -> StateFolder:
    """Lock the folder, making it and its key where they do not exist.

    Raises:
        StateNotWritable: The folder cannot be made or written to.
        StateLocked: Another runtime uses it.
        StateDamaged: The key is missing or not a key.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FolderLock(path)
    except OSError as error:
        raise not_writable(path, error) from error
    try:
        _clear(path)
        return StateFolder(path, lock, _key(path))
    except BaseException:
        lock.release()
        raise


def _clear(folder: Path) -> None:
    """Delete what a killed process was writing aside."""
    try:
        for partial in folder.glob(".*.partial*"):
            partial.unlink()
    except OSError as error:
        raise not_writable(folder, error) from error


def _key(folder: Path) -> bytes:
    path = folder / "key"
    try:
        if not path.exists() and not segment_paths(folder):
            write_bytes_atomic(path, os.urandom(KEY_BYTES), mode=PRIVATE)
        key = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise not_writable(folder, error) from error
    if len(key) != KEY_BYTES:
        raise StateDamaged(
            f"the key {path} has {len(key)} bytes, not {KEY_BYTES}",
            "Restore the state folder from a backup, or start with a new one.",
        )
    return key
