"""What the learner has seen, for people to read."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

RECENT = 200


@dataclass(frozen=True, slots=True)
class ArmStatus:
    """One variant of one task.

    Attributes:
        task: Name of the task.
        arm: Name of the variant.
        pulls: Decisions for it.
        feedbacks: Rewards that came for them.
        mean_reward: Of those; ``None`` before the first.
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
    """

    state: str | None
    arms: tuple[ArmStatus, ...]
    decisions: int
    feedbacks: int
    pending: int
    expired: int
    journal_bytes: int
    torn_bytes: int


@dataclass(slots=True)
class _ArmTally:
    pulls: int = 0
    feedbacks: int = 0
    total_reward: float = 0.0


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

    def rewarded(self, task: str, arm: str, reward: float) -> None:
        """Count a reward in 0..1."""
        tally = self._tasks[task].arms[arm]
        tally.feedbacks += 1
        tally.total_reward += reward
        self.feedbacks += 1

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
        mean_reward=tally.total_reward / tally.feedbacks if tally.feedbacks else None,
        recent_share=Counter(recent)[arm] / len(recent),
    )
