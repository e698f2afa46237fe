"""What the learner has seen, for people to read."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from typing import Any

from edge_autoglm.learn.gate.feedback_rates import RatioAlarm

RECENT = 200


@dataclass(frozen=True, slots=True)
class ArmStatus:
    """One variant of one task.

    Attributes:
        task: Name of the task.
        arm: Name of the variant.
        pulls: Decisions for it.
        feedbacks: Rewards that came for them.
        mean_reward: Of those, each by its weight; ``None`` before the first that has any.
        recent_share: Its part of the task's last 200 decisions, 0..1.
    """

    task: str
    arm: str
    pulls: int
    feedbacks: int
    mean_reward: float | None
    recent_share: float


@dataclass(frozen=True, slots=True)
class LearnerStatus:
    """The learner's state in figures.

    Attributes:
        state: The state folder; ``None`` where all is kept in memory only.
        arms: Ordered by task and arm; those that were offered but never chosen have 0 pulls.
        decisions: Recorded in all.
        feedbacks: Applied in all.
        pending: Decisions that wait for their reward.
        expired: Decisions given up without a reward, because too many newer ones wait.
        journal_bytes: On the disk.
        torn_bytes: Of a record that a crash cut short, removed when the journal was opened.
        capped: Rewards that counted for nothing because of a cap on their source or kind.
        merges: Files of other devices' statistics that were added.
        drift_alarms: Task -> how often what was learnt of it was found to be out of date.
        rate_alarms: Task -> the arm that gets feedback more often or less than the others, where there is one.
        snapshot_bytes: Size of the newest snapshot; 0 where there is none.
    """

    state: str | None
    arms: tuple[ArmStatus, ...]
    decisions: int
    feedbacks: int
    pending: int
    expired: int
    journal_bytes: int
    torn_bytes: int
    capped: int = 0
    merges: int = 0
    drift_alarms: Mapping[str, int] = field(default_factory=dict)
    rate_alarms: Mapping[str, RatioAlarm] = field(default_factory=dict)
    snapshot_bytes: int = 0


@dataclass(slots=True)
class _ArmTally:
    pulls: int = 0
    feedbacks: int = 0
    total_reward: float = 0.0
    total_weight: float = 0.0


@dataclass(slots=True)
class _TaskTally:
    arms: dict[str, _ArmTally] = field(default_factory=dict)
    recent: deque[str] = field(default_factory=lambda: deque(maxlen=RECENT))


class Tally:
    """Counts decisions and rewards a task and arm. Not thread-safe.

    >>> tally = Tally()
    >>> tally.decided("sentiment", "plain", ("plain", "polite"))
    >>> tally.rewarded("sentiment", "plain", 0.5)
    >>> [(arm.arm, arm.pulls, arm.mean_reward, arm.recent_share) for arm in tally.arms()]
    [('plain', 1, 0.5, 1.0), ('polite', 0, None, 0.0)]
    """

    def __init__(self) -> None:
        self._tasks: dict[str, _TaskTally] = {}
        self.decisions = 0
        self.feedbacks = 0

    def decided(self, task: str, arm: str, arms: tuple[str, ...]) -> None:
        """Count a decision for ``arm`` out of ``arms``."""
        tally = self._tasks.setdefault(task, _TaskTally())
        for offered in arms:
            tally.arms.setdefault(offered, _ArmTally())
        tally.arms[arm].pulls += 1
        tally.recent.append(arm)
        self.decisions += 1

    def rewarded(self, task: str, arm: str, reward: float, weight: float = 1.0) -> None:
        """Count a reward in 0..1 of a weight in 0..1."""
        tally = self._tasks[task].arms[arm]
        tally.feedbacks += 1
        tally.total_reward += weight * reward
        tally.total_weight += weight
        self.feedbacks += 1

    def state(self) -> dict[str, Any]:
        """All figures, as JSON values."""
        tasks = {
            name: {"arms": {arm: list(astuple(tally)) for arm, tally in task.arms.items()}, "recent": list(task.recent)}
            for name, task in self._tasks.items()
        }
        return {"decisions": self.decisions, "feedbacks": self.feedbacks, "tasks": tasks}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state`` gave."""
        self.decisions, self.feedbacks = state["decisions"], state["feedbacks"]
        self._tasks = {
            name: _TaskTally(
                {arm: _ArmTally(*figures) for arm, figures in task["arms"].items()},
                deque(task["recent"], maxlen=RECENT),
            )
            for name, task in state["tasks"].items()
        }

    def arms(self) -> tuple[ArmStatus, ...]:
        """Figures of every arm, ordered by task and arm."""
        return tuple(
            _status(name, arm, task.arms[arm], task.recent)
            for name, task in sorted(self._tasks.items())
            for arm in sorted(task.arms)
        )


def _status(task: str, arm: str, tally: _ArmTally, recent: deque[str]) -> ArmStatus:
    return ArmStatus(
        task=task,
        arm=arm,
        pulls=tally.pulls,
        feedbacks=tally.feedbacks,
        mean_reward=tally.total_reward / tally.total_weight if tally.total_weight else None,
        recent_share=Counter(recent)[arm] / len(recent),
    )
