"""The files in which a learner's state lives: journal, snapshots, merged statistics."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from pathlib import Path

from edge_autoglm.errors import PolicyError, StateNotWritable
from edge_autoglm.learn.decisions import DEFAULT_CAPACITY
from edge_autoglm.learn.journal import DEFAULT_SEGMENT_BYTES, Journal, not_writable
from edge_autoglm.learn.learner_state import LearnerState
from edge_autoglm.learn.opening import restore
from edge_autoglm.learn.policy import VariantPolicy
from edge_autoglm.learn.records import MergeRecord
from edge_autoglm.learn.snapshot import Snapshot, take_snapshot
from edge_autoglm.learn.snapshot_store import SnapshotStore
from edge_autoglm.learn.statistics import MergedFiles
from edge_autoglm.learn.status import LearnerStatus
from edge_autoglm.values import Progress, silent

_log = logging.getLogger("edge_autoglm")


@dataclass(frozen=True, slots=True)
class Limits:
    """Of memory and disk.

    Attributes:
        max_pending: Decisions that may wait for their reward; beyond, the oldest expire.
        segment_bytes: Size at which a new journal file is begun.
        snapshot_bytes: What the journal grows by before the next snapshot: what opening has to replay. No less than the
            size of the last one, so that snapshots are at most half of all that is written.
        journal_bytes: What is kept of the journal, for off-policy evaluation; more where no snapshot covers it yet.

    Raises:
        PolicyError: One of them is below 1.
    """

    max_pending: int = DEFAULT_CAPACITY
    segment_bytes: int = DEFAULT_SEGMENT_BYTES
    snapshot_bytes: int = 8 * 2**20
    journal_bytes: int = 64 * 2**20

    def __post_init__(self) -> None:
        for name in ("max_pending", "segment_bytes", "snapshot_bytes", "journal_bytes"):
            if getattr(self, name) < 1:
                raise PolicyError(f"the limit {name} is {getattr(self, name)}", "Give at least 1.")


DEFAULT_LIMITS = Limits()


class Storage:
    """The open state folder, which the caller has locked.

    ``take`` belongs under the caller's lock, and appending to the journal; ``write`` waits for the disk and does not.

    Args:
        folder: Exists.
        policy: Settings to learn with.
        limits: Of memory and disk.
        progress: Called with stage ``journal`` and bytes.

    Raises:
        StateDamaged: A file is not as it was written.
        StateNotWritable: The folder or a file in it cannot be read or written to.
    """

    def __init__(self, folder: Path, policy: VariantPolicy, limits: Limits, progress: Progress = silent) -> None:
        self._folder = folder
        self._limits = limits
        self._snapshots = SnapshotStore(folder)
        self._merged = MergedFiles(folder)
        self._writing = threading.Lock()
        try:
            restored = restore(folder, self._snapshots, policy, limits.max_pending, progress)
        except OSError as error:
            raise not_writable(folder, error) from error
        self.state: LearnerState = restored.state
        self.journal = Journal(folder, restored.replay, limits.segment_bytes, progress, restored.start)
        covered = self.journal.written - self.journal.bytes_after(restored.start)
        # What was learnt anew from a long journal is worth a snapshot at once.
        self._due_at = 0 if restored.trained else self._after(covered)

    def described(self, status: LearnerStatus) -> LearnerStatus:
        """The state's figures with those of the files."""
        return replace(
            status,
            state=str(self._folder),
            journal_bytes=self.journal.size,
            torn_bytes=self.journal.torn,
            snapshot_bytes=self._snapshots.size,
        )

    def add_merged(self, content: bytes, record: MergeRecord) -> None:
        """Keep the file that a merge's record is going to name.

        Raises:
            StateNotWritable: It cannot be written.
        """
        self._merged.add(content, record.digest)

    def take(self) -> Snapshot | None:
        """A copy of the state where it is time for one, for ``write``.

        All that was appended must have been learnt.
        """
        due = self.journal.written >= self._due_at
        if not (due and self.state.policy.can_snapshot and self._writing.acquire(blocking=False)):
            return None
        try:
            # Set before it is written: where that fails, it is time again when the journal has grown once more.
            self._due_at = self._after(self.journal.written)
            return take_snapshot(self.state, self.journal.position)
        except BaseException:
            self._writing.release()
            raise

    def write(self, snapshot: Snapshot) -> None:
        """Write what ``take`` gave, and drop what it makes superfluous; a failure is logged, and changes nothing."""
        try:
            self.journal.sync()  # a snapshot must not know what a power cut may take from the journal
            spare = self._snapshots.write(snapshot)
            self.journal.drop(spare.segments, self._limits.journal_bytes)
            if not self.journal.whole:
                self._merged.drop(spare.merged)
        except StateNotWritable as error:
            _log.warning("no snapshot was taken: %s", error)
        finally:
            self._writing.release()

    def _after(self, written: int) -> int:
        """How much of the journal must be written for a snapshot after the one at ``written``."""
        return written + max(self._limits.snapshot_bytes, self._snapshots.size)

    def close(self) -> None:
        """Let the files go, once a snapshot that is being written is there."""
        with self._writing:
            self.journal.close()
