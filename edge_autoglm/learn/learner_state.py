"""All that a learner remembers, and what each record of the journal does to it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeAlias

from edge_autoglm.errors import PolicyError, UnknownDecision
from edge_autoglm.learn.decisions import DecisionBook
from edge_autoglm.learn.experiments.book import ExperimentBook
from edge_autoglm.learn.models.base import ModelState
from edge_autoglm.learn.policy import VariantPolicy
from edge_autoglm.learn.rate_watch import RateWatch
from edge_autoglm.learn.records import DecisionRecord, FeedbackRecord, MergeRecord, Record
from edge_autoglm.learn.rewards.price import RewardPrice
from edge_autoglm.learn.rewards.signals import MOST_IMPLICIT, Kind, Reward
from edge_autoglm.learn.rewards.sources import SourceCaps
from edge_autoglm.learn.status import LearnerStatus, Tally

_log = logging.getLogger("edge_autoglm")

Statistics: TypeAlias = Callable[[str], ModelState]
"""From the digest in a merge's record to what was merged."""


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A decision that may still be rewarded.

    Attributes:
        record: Of the decision.
        kinds: Of the implicit signals that came.
        given: Their weights, together.
    """

    record: DecisionRecord
    kinds: tuple[Kind, ...] = ()
    given: float = 0.0


class LearnerState:
    """The policy, the decisions that wait, the figures and the caps. Not thread-safe.

    Live and in a replay, the same records in the same order lead to the same state, bit for bit.

    Args:
        policy: Learns.
        max_pending: Decisions that may wait for their reward; beyond, the oldest expire.
        statistics: Where to find what was merged.
    """

    def __init__(self, policy: VariantPolicy, max_pending: int, statistics: Statistics) -> None:
        self.policy = policy
        self.book = DecisionBook[Waiting](max_pending)
        self.tally = Tally()
        self.rates = RateWatch()
        self.experiments = ExperimentBook()
        self.caps: dict[str, SourceCaps] = {}
        self.merged: dict[str, None] = {}
        """Digests of what was merged, in order."""
        self.capped = 0
        """Rewards that counted for nothing."""
        self._statistics = statistics

    def decided(self, record: DecisionRecord) -> None:
        """Remember a decision."""
        self.book.add(record.id, Waiting(record))
        self.rates.decided(record)
        self.experiments.decided(record)
        self.tally.decided(record.task, record.arm, record.arms)

    def join(self, reward: Reward, price: RewardPrice, source: str | None, time: float) -> FeedbackRecord | None:
        """What is to be learnt of a reward; ``None`` where the decision has one of its kind already. Changes nothing.

        Raises:
            UnknownDecision: The decision was never recorded here, or has expired.
        """
        waiting = self.book.find(reward.id)
        if waiting is None or reward.kind in waiting.kinds:
            return None
        left = reward.weight if reward.kind == "explicit" else max(0.0, MOST_IMPLICIT - waiting.given)
        decided = waiting.record
        granted = self._caps(decided.task).grant(source, min(reward.weight, left))
        net = price.net(reward.value, decided.latency, decided.tokens)
        return FeedbackRecord(reward.id, net, time, granted, reward.kind, source)

    def take(self, record: FeedbackRecord) -> Waiting:
        """Note that the reward came, so that another of its kind is a duplicate.

        Returns:
            How the decision waited before; for ``learn`` or ``give_back``.
        """
        waiting = self.book.find(record.id)
        if waiting is None or record.kind in waiting.kinds:
            raise UnknownDecision(f"the decision {record.id!r} has its reward", "Give one of a kind.")
        if record.kind == "explicit":
            return self.book.answer(record.id)
        heard = replace(waiting, kinds=(*waiting.kinds, record.kind), given=waiting.given + record.weight)
        self.book.hear(record.id, heard)
        return waiting

    def give_back(self, waiting: Waiting) -> None:
        """Undo ``take``."""
        self.book.restore(waiting.record.id, waiting)

    def learn(self, waiting: Waiting, record: FeedbackRecord, train: bool = True) -> None:
        """Learn from the reward of a decision that was taken."""
        decided = waiting.record
        self.capped += not record.weight
        self.rates.rewarded(decided)
        if train and record.weight:
            self.policy.learn(decided.features, decided.arm, record.reward, record.weight)
        self.tally.rewarded(decided.task, decided.arm, record.reward, record.weight)
        self.experiments.rewarded(decided, record)
        self._caps(decided.task).add(record.source, record.weight)

    def readable(self, learnt: ModelState) -> VariantPolicy:
        """What other devices learnt, as a policy for ``merge``.

        Raises:
            PolicyError: It is of a policy of another kind or other settings.
        """
        policy = self.policy.clone()
        policy.restore(learnt)
        return policy

    def merge(self, record: MergeRecord, other: VariantPolicy) -> None:
        """Add what other devices learnt."""
        self.policy.merge(other)
        self.merged[record.digest] = None

    def status(self) -> LearnerStatus:
        """Figures of all but the files."""
        return LearnerStatus(
            state=None,
            arms=self.tally.arms(),
            decisions=self.tally.decisions,
            feedbacks=self.tally.feedbacks,
            pending=len(self.book),
            expired=self.book.expired,
            journal_bytes=0,
            torn_bytes=0,
            capped=self.capped,
            merges=len(self.merged),
            drift_alarms=dict(self.policy.watch.alarms),
            rate_alarms=self.rates.alarms(),
        )

    def replay(self, record: Record, train: bool = True) -> None:
        """Do what the record's writer did; a reward that it would have refused or ignored is passed over.

        Args:
            record: Of the journal.
            train: Whether the policy learns from it, too.
        """
        if isinstance(record, DecisionRecord):
            self.decided(record)
        elif isinstance(record, MergeRecord):
            self._replay_merge(record, train)
        else:
            with suppress(UnknownDecision):
                self.learn(self.take(record), record, train)

    def _replay_merge(self, record: MergeRecord, train: bool) -> None:
        try:
            if train:
                self.merge(record, self.readable(self._statistics(record.digest)))
        except PolicyError as error:
            _log.warning("what other devices learnt is left out, since the policy is another one now: %s", error)
        self.merged[record.digest] = None

    def _caps(self, task: str) -> SourceCaps:
        return self.caps.setdefault(task, SourceCaps())
