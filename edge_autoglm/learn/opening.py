"""From a state folder to the learner's state: the newest sound snapshot, and the journal after it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from edge_autoglm.errors import PolicyError, StateDamaged
from edge_autoglm.learn.learner_state import LearnerState
from edge_autoglm.learn.policy import VariantPolicy
from edge_autoglm.learn.records import Record
from edge_autoglm.learn.segments import BEGINNING, Position, read_journal, segment_number, segment_paths
from edge_autoglm.learn.snapshot import Snapshot, load
from edge_autoglm.learn.snapshot_store import SnapshotStore
from edge_autoglm.learn.statistics import MergedFiles, no_statistics
from edge_autoglm.values import Progress, silent

_log = logging.getLogger("edge_autoglm")


@dataclass(frozen=True, slots=True)
class Restored:
    """A state as it was at one place of the journal; the rest of that is to be replayed on it.

    Attributes:
        state: The state.
        start: The place.
        trained: Whether the policy has learnt from the rest already.
    """

    state: LearnerState
    start: Position
    trained: bool = False

    def replay(self, record: Record) -> None:
        """Bring the state one record further."""
        self.state.replay(record, train=not self.trained)


def restore(
    folder: Path, store: SnapshotStore, policy: VariantPolicy, max_pending: int, progress: Progress = silent
) -> Restored:
    """The newest state that is known without the journal, or an empty one for its beginning.

    A policy of another kind or other settings than the snapshot's learns from as much of the journal as is kept.

    Args:
        folder: Of the state.
        store: Its snapshots.
        policy: Settings to learn with.
        max_pending: See `LearnerState`.
        progress: Called with stage ``journal`` and bytes.

    Raises:
        StateDamaged: No snapshot is sound, and the journal's beginning is gone.
        OSError: A file cannot be read.
    """
    kept = segment_paths(folder)
    whole = not kept or segment_number(kept[0]) == BEGINNING.segment
    fresh = LearnerState(policy.clone(), max_pending, MergedFiles(folder).read)
    snapshot = store.newest()
    if snapshot is None:
        if not whole:
            raise StateDamaged(
                f"the journal in {folder} begins with {kept[0].name}, and no snapshot of what came before it is sound",
                "Restore the state folder from a backup, or start with a new one.",
            )
        return Restored(fresh, BEGINNING)
    try:
        fresh.policy.restore(snapshot.policy)
    except PolicyError as error:
        _log.warning("the policy learns again from the journal in %s, since it is another one now: %s", folder, error)
        return _relearnt(folder, snapshot, policy, max_pending, whole, progress)
    load(fresh, snapshot)
    return Restored(fresh, snapshot.position)


def _relearnt(
    folder: Path, snapshot: Snapshot, policy: VariantPolicy, max_pending: int, whole: bool, progress: Progress
) -> Restored:
    trainee = LearnerState(policy.clone(), max_pending, MergedFiles(folder).read if whole else no_statistics)
    if whole:
        return Restored(trainee, BEGINNING)
    read_journal(folder, trainee.replay, progress)
    state = LearnerState(trainee.policy, max_pending, no_statistics)
    load(state, snapshot)
    return Restored(state, snapshot.position, trained=True)
