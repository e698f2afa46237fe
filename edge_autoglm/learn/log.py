"""The journal as a log for off-policy evaluation: each decision with the reward that came for it, if one did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge_autoglm.errors import StateError
from edge_autoglm.learn.evaluation.logged import LoggedDecision
from edge_autoglm.learn.records import DecisionRecord, FeedbackRecord, Record
from edge_autoglm.learn.segments import read_journal, segment_paths
from edge_autoglm.values import Assignment, Progress, silent


@dataclass(slots=True)
class _Rewarded:
    decided: DecisionRecord
    rewards: list[FeedbackRecord] = field(default_factory=list)


def read_log(state: Path | str, progress: Progress = silent) -> dict[str, list[LoggedDecision]]:
    """Decisions that a policy drew, by task and in order, as far back as the journal is kept.

    Those that an app named itself are left out: nothing was drawn there. So are later ones of a session that an
    experiment drew a variant for: nothing was drawn any more.

    Args:
        state: The state folder; nothing in it is changed, also while a runtime uses it.
        progress: Called with stage ``journal`` and bytes.

    Raises:
        StateError: There is no learner's state in the folder, or it cannot be read.
        StateDamaged: A file in it is not as it was written.
    """
    folder = Path(state)
    if not segment_paths(folder):
        raise StateError(f"{folder} holds no learner's state", "Name the state folder of a runtime that has run.")
    found: dict[str, _Rewarded] = {}

    def take(record: Record) -> None:
        if isinstance(record, DecisionRecord):
            found[record.id] = _Rewarded(record)
        elif isinstance(record, FeedbackRecord) and record.id in found:
            found[record.id].rewards.append(record)

    try:
        read_journal(folder, take, progress)
    except OSError as error:
        raise StateError(
            f"the state folder {folder} cannot be read: {error.strerror or error}", "Check its permissions."
        ) from error
    return _by_task(found.values())


def _by_task(found: Iterable[_Rewarded]) -> dict[str, list[LoggedDecision]]:
    log: dict[str, list[LoggedDecision]] = {}
    sessions: set[tuple[str, int, int]] = set()
    for one in found:
        if (one.decided.propensities or one.decided.propensity < 1.0) and _drawn(one.decided.experiment, sessions):
            log.setdefault(one.decided.task, []).append(_logged(one.decided, one.rewards))
    return log


def _drawn(assignment: Assignment | None, sessions: set[tuple[str, int, int]]) -> bool:
    """Whether it is the first decision of a session that an experiment assigned; notes the session."""
    if assignment is None or assignment.unit is None:
        return True
    session = (assignment.experiment, assignment.version, assignment.unit)
    first = session not in sessions
    sessions.add(session)
    return first


def _logged(decided: DecisionRecord, rewards: Sequence[FeedbackRecord]) -> LoggedDecision:
    """What a user said outweighs what was guessed from what they did; a reward without weight is none."""
    said = [reward for reward in rewards if reward.kind == "explicit" and reward.weight]
    counted = said or [reward for reward in rewards if reward.weight]
    weight = sum(reward.weight for reward in counted)
    return LoggedDecision(
        arms=decided.arms,
        features=decided.features,
        arm=decided.arm,
        propensity=decided.propensity,
        reward=sum(reward.weight * reward.reward for reward in counted) / weight if counted else None,
        weight=min(1.0, weight) if counted else 1.0,
        propensities=np.array(decided.propensities) if decided.propensities else None,
    )
