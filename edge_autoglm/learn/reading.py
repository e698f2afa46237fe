"""Reading a state folder without changing anything in it, also while a runtime uses it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edge_autoglm.errors import StateDamaged, StateError
from edge_autoglm.learn.decisions import DEFAULT_CAPACITY
from edge_autoglm.learn.experiments.results import ExperimentResult
from edge_autoglm.learn.learner_state import LearnerState
from edge_autoglm.learn.opening import restore
from edge_autoglm.learn.policy import FrozenPolicy, VariantPolicy
from edge_autoglm.learn.segments import Tail, read_journal, segment_paths
from edge_autoglm.learn.snapshot_store import SnapshotStore, snapshot_paths
from edge_autoglm.learn.status import LearnerStatus
from edge_autoglm.values import Progress, silent


def read_status(state: Path | str, progress: Progress = silent) -> LearnerStatus:
    """Status of a state folder.

    Raises:
        StateError: There is no learner's state in the folder, or it cannot be read.
        StateDamaged: A file in it is not as it was written.
    """
    folder = Path(state)
    found, tail, store = _read(folder, VariantPolicy(), progress)
    return replace(
        found.status(),
        state=str(folder),
        journal_bytes=tail.sealed + tail.size,
        torn_bytes=tail.torn,
        snapshot_bytes=store.size,
    )


def read_policy(state: Path | str, policy: VariantPolicy | None = None, progress: Progress = silent) -> VariantPolicy:
    """What the learner of a state folder has learnt; changing it changes nothing there.

    Args:
        state: The folder.
        policy: Settings to learn with, those of ``VariantPolicy()`` by default.
        progress: Called with stage ``journal`` and bytes.

    Raises:
        StateError: There is no learner's state in the folder, or it cannot be read.
        StateDamaged: A file in it is not as it was written.
    """
    return _read(Path(state), policy or VariantPolicy(), progress)[0].policy


def read_frozen(state: Path | str, policy: VariantPolicy, progress: Progress = silent) -> FrozenPolicy:
    """The same, as a policy for a generation.

    Raises:
        StateError: There is no learner's state in the folder, or it cannot be read.
        StateDamaged: A file in it is not as it was written.
    """
    learnt = _read(Path(state), policy, progress)[0]
    return learnt.policy.freeze(feedbacks=learnt.tally.feedbacks)


def read_experiments(state: Path | str, progress: Progress = silent) -> tuple[ExperimentResult, ...]:
    """Results of the experiments of a state folder, the one with the newest decision last.

    Raises:
        StateError: There is no learner's state in the folder, or it cannot be read.
        StateDamaged: A file in it is not as it was written.
    """
    return _read(Path(state), VariantPolicy(), progress)[0].experiments.results()


def _read(
    folder: Path, policy: VariantPolicy, progress: Progress, attempts: int = 3
) -> tuple[LearnerState, Tail, SnapshotStore]:
    if not segment_paths(folder):
        raise StateError(f"{folder} holds no learner's state", "Name the state folder of a runtime that has run.")
    before = snapshot_paths(folder)
    try:
        store = SnapshotStore(folder)
        restored = restore(folder, store, policy, DEFAULT_CAPACITY, progress)
        return restored.state, read_journal(folder, restored.replay, progress, restored.start), store
    except (OSError, StateDamaged) as error:
        if attempts > 1 and snapshot_paths(folder) != before:
            # A runtime that took a snapshot meanwhile may have dropped what was about to be read.
            return _read(folder, policy, progress, attempts - 1)
        if isinstance(error, StateDamaged):
            raise
        raise StateError(
            f"the state folder {folder} cannot be read: {error.strerror or error}", "Check its permissions."
        ) from error
