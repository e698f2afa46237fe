"""The snapshots of a state folder: the newest two are kept."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from edge_autoglm.bundle.atomic import fsync_folder, written_aside
from edge_autoglm.learn.journal import PRIVATE, not_writable
from edge_autoglm.learn.snapshot import Snapshot, from_model_state, to_model_state
from edge_autoglm.learn.snapshot_format import decode, encode

_log = logging.getLogger("edge_autoglm")

KEPT = 2


def snapshot_paths(folder: Path) -> list[Path]:
    """Snapshot files that exist, in order."""
    return sorted(folder.glob("snapshot-[0-9][0-9][0-9][0-9][0-9][0-9].safetensors"))


@dataclass(frozen=True, slots=True)
class _Kept:
    path: Path
    segment: int
    merged: frozenset[str]


@dataclass(frozen=True, slots=True)
class Spare:
    """What every snapshot that is kept makes superfluous.

    Attributes:
        segments: Those of a lower number.
        merged: Digests of merged statistics.
    """

    segments: int
    merged: frozenset[str]


class SnapshotStore:
    """Reads and writes the snapshots of a folder. One call at a time; the caller who writes has locked the folder.

    Args:
        folder: Exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: list[_Kept] = []
        self.size = 0
        """Bytes of the newest one that was read or written; 0 before."""

    def newest(self) -> Snapshot | None:
        """The newest one that is as it was written; ``None`` where there is none.

        Raises:
            OSError: A file cannot be read.
        """
        for path in reversed(snapshot_paths(self._folder)):
            content = path.read_bytes()
            try:
                snapshot = from_model_state(decode(content))
            except ValueError as error:
                _log.warning("the snapshot %s is of no use, the one before is tried: %s", path, error)
                continue
            self._keep(path, snapshot, len(content))
            return snapshot
        return None

    def write(self, snapshot: Snapshot) -> Spare:
        """Write one, and delete all but that and the sound one before.

        Raises:
            StateNotWritable: It cannot be written; those before it are as they were.
        """
        content = encode(to_model_state(snapshot))
        number = max((int(path.stem[-6:]) for path in snapshot_paths(self._folder)), default=0) + 1
        path = self._folder / f"snapshot-{number:06d}.safetensors"
        try:
            with written_aside(path, ".snapshot.partial", mode=PRIVATE) as file:
                file.write(content)
            self._keep(path, snapshot, len(content))
            for other in set(snapshot_paths(self._folder)) - {kept.path for kept in self._kept}:
                other.unlink()
            fsync_folder(self._folder)
        except OSError as error:
            raise not_writable(self._folder, error) from error
        return self._spare()

    def _keep(self, path: Path, snapshot: Snapshot, size: int) -> None:
        merged = frozenset(snapshot.facts["merged"])
        self._kept = [*self._kept, _Kept(path, snapshot.position.segment, merged)][-KEPT:]
        self.size = size

    def _spare(self) -> Spare:
        """Nothing, while one snapshot alone stands between a damage and the loss of what was learnt."""
        oldest = self._kept[0]
        return Spare(oldest.segment, oldest.merged) if len(self._kept) == KEPT else Spare(0, frozenset())
