"""The online learner: journal first, then memory, so that what is acknowledged is never lost."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from edge_autoglm.errors import PolicyError, StateError, UnknownDecision
from edge_autoglm.learn.decisions import DEFAULT_CAPACITY, DecisionBook
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.folder import KEY_BYTES, StateFolder, open_folder
from edge_autoglm.learn.journal import DEFAULT_SEGMENT_BYTES, Journal
from edge_autoglm.learn.policy import FrozenPolicy, VariantPolicy
from edge_autoglm.learn.records import DecisionRecord, FeedbackRecord, Record
from edge_autoglm.learn.rewards import checked_reward
from edge_autoglm.learn.segments import read_journal, segment_paths
from edge_autoglm.learn.status import LearnerStatus, Tally
from edge_autoglm.values import Decision, FeedbackOutcome, Progress, silent

__all__ = ["Learner", "LearnerStatus", "read_status"]


class Learner:
    """Joins late feedback to decisions and trains the policy. Thread-safe; made by ``Learner.open``.

    Decisions and rewards are appended to a journal; opening it again replays them to the same state, bit for bit. A
    reward is acknowledged once it is on the disk. Recording a decision never waits for the disk.

    >>> import numpy as np
    >>> with Learner.open(None, seed=1) as learner:
    ...     features = Features(np.array([17]), np.array([1.0]))
    ...     decision = learner.frozen().pull(["plain", "polite"], features)
    ...     learner.record(decision, "sentiment", ["plain", "polite"], features, generation=1)
    ...     [learner.feedback(decision.id, 1.0).value for _ in range(2)]
    ['applied', 'duplicate']
    """

    def __init__(self, policy: VariantPolicy, seed: int | None, max_pending: int, key: bytes) -> None:
        self._policy = policy.clone()
        self._seed = seed
        self._book = DecisionBook[DecisionRecord](max_pending)
        self._tally = Tally()
        self._key = key
        self._folder: StateFolder | None = None
        self._journal: Journal | None = None
        self._freezes = 0
        self._closed = False
        self._lock = threading.Lock()
        # Held for a whole feedback, its wait for the disk included, so that the model learns in the journal's order.
        self._feedback_lock = threading.Lock()

    @classmethod
    def open(
        cls,
        state: Path | str | None,
        seed: int | None = None,
        policy: VariantPolicy | None = None,
        max_pending: int = DEFAULT_CAPACITY,
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        progress: Progress = silent,
    ) -> Learner:
        """Open a state folder, made where it does not exist, and replay its journal.

        Args:
            state: The folder; ``None`` keeps everything in memory.
            seed: Of the exploration of the policies that ``frozen`` hands out; the policy's own by default.
            policy: Settings to learn with, those of ``VariantPolicy()`` by default; what it has learnt is left out.
            max_pending: Decisions that may wait for their reward; beyond, the oldest expire.
            segment_bytes: Size at which a new journal file is begun.
            progress: Called with stage ``journal`` and bytes.

        Raises:
            StateNotWritable: The folder cannot be made or written to.
            StateLocked: Another runtime uses it.
            StateDamaged: A file in it is not as it was written.
        """
        policy = VariantPolicy() if policy is None else policy
        seed = policy.seed if seed is None else seed
        if state is None:
            return cls(policy, seed, max_pending, _memory_key(seed))
        folder = open_folder(Path(state))
        try:
            learner = cls(policy, seed, max_pending, folder.key)
            learner._journal = Journal(folder.path, learner._replay, segment_bytes, progress)
        except BaseException:
            folder.lock.release()
            raise
        learner._folder = folder
        return learner

    @property
    def key(self) -> bytes:
        """Secret for ``featurise``: the same for the life of a state folder."""
        return self._key

    @property
    def policy(self) -> VariantPolicy:
        """What learns. Read it while nothing else uses the learner; answer requests with ``frozen``."""
        return self._policy

    def frozen(self) -> FrozenPolicy:
        """What is known now, as a policy for a new generation."""
        with self._lock:
            self._freezes += 1
            # The count of decisions keeps a restart from repeating the draws of the run before.
            seed = None if self._seed is None else f"{self._seed}:{self._tally.decisions}:{self._freezes}"
            return self._policy.freeze(seed)

    def record(self, decision: Decision, task: str, arms: Sequence[str], features: Features, generation: int) -> None:
        """Remember a decision, so that its reward can come.

        Args:
            decision: As a frozen policy or ``forced`` made it.
            task: Name of the task.
            arms: That the choice was among.
            features: Of the request; kept for learning, whatever the request's features would be later.
            generation: That answers the request.

        Raises:
            PolicyError: The arm is not among ``arms``, or the decision is recorded already.
            StateNotWritable: The journal could not be written; the decision is not recorded.
            StateError: The learner is closed.
        """
        if decision.arm not in arms:
            raise PolicyError(
                f"the decision's arm {decision.arm!r} is not among {list(arms)}", "Record the arms offered."
            )
        record = DecisionRecord(
            decision.id, task, decision.arm, decision.propensity, tuple(arms), features, generation, time.time()
        )
        with self._lock:
            self._check_open()
            if self._book.knows(decision.id):
                raise PolicyError(f"the decision {decision.id!r} is recorded already", "Record each decision once.")
            if self._journal is not None:
                self._journal.append(record)
            self._decided(record)

    def feedback(self, decision_id: str, reward: float) -> FeedbackOutcome:
        """Learn from the reward of a decision, however late; a second reward for it changes nothing.

        Args:
            decision_id: Of a recorded decision.
            reward: 0 (useless) to 1 (perfect).

        Returns:
            ``APPLIED`` once the reward is on the disk, or ``DUPLICATE``.

        Raises:
            UnknownDecision: It was never recorded here, or has expired.
            InvalidReward: The reward is not a number in 0..1.
            StateNotWritable: The journal could not be written; the reward is not learnt and may be given again.
            StateError: The learner is closed.
        """
        record = FeedbackRecord(decision_id, checked_reward(reward), time.time())
        with self._feedback_lock:
            with self._lock:
                self._check_open()
                decided = self._book.find(decision_id)
                if decided is None:
                    return FeedbackOutcome.DUPLICATE
                if self._journal is not None:
                    self._journal.append(record)
                self._book.answer(decision_id)
            self._wait_for_disk(decided)
            with self._lock:
                self._learn(decided, record.reward)
        return FeedbackOutcome.APPLIED

    def status(self) -> LearnerStatus:
        """Figures of all that was decided and rewarded."""
        with self._lock:
            return LearnerStatus(
                state=str(self._folder.path) if self._folder else None,
                arms=self._tally.arms(),
                decisions=self._tally.decisions,
                feedbacks=self._tally.feedbacks,
                pending=len(self._book),
                expired=self._book.expired,
                journal_bytes=self._journal.size if self._journal else 0,
                torn_bytes=self._journal.torn if self._journal else 0,
            )

    def close(self) -> None:
        """Release the state folder; a second call does nothing."""
        with self._feedback_lock, self._lock:
            self._closed = True
            if self._journal is not None:
                self._journal.close()
            if self._folder is not None:
                self._folder.lock.release()

    def __enter__(self) -> Learner:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StateError("the learner is closed", "Open the state folder again.")

    def _wait_for_disk(self, decided: DecisionRecord) -> None:
        """Without the state's lock: a request that records its decision need not wait for the disk."""
        if self._journal is None:
            return
        try:
            self._journal.sync()
        except BaseException:
            with self._lock:
                self._book.restore(decided.id, decided)
            raise

    def _decided(self, record: DecisionRecord) -> None:
        self._book.add(record.id, record)
        self._tally.decided(record.task, record.arm, record.arms)

    def _learn(self, decided: DecisionRecord, reward: float) -> None:
        self._policy.learn(decided.features, decided.arm, reward)
        self._tally.rewarded(decided.task, decided.arm, reward)

    def _replay(self, record: Record) -> None:
        """Do what the record's writer did; a reward that it would have refused or ignored is passed over."""
        if isinstance(record, DecisionRecord):
            self._decided(record)
            return
        with suppress(UnknownDecision):
            if self._book.find(record.id) is not None:
                self._learn(self._book.answer(record.id), record.reward)


def read_status(state: Path | str, progress: Progress = silent) -> LearnerStatus:
    """Status of a state folder, changing nothing in it, also while a runtime uses it.

    Raises:
        StateError: There is no learner's state in the folder, or it cannot be read.
        StateDamaged: A file in it is not as it was written.
    """
    folder = Path(state)
    if not segment_paths(folder):
        raise StateError(f"{folder} holds no learner's state", "Name the state folder of a runtime that has run.")
    learner = Learner(VariantPolicy(), None, DEFAULT_CAPACITY, b"")
    try:
        tail = read_journal(folder, learner._replay, progress)
    except OSError as error:
        raise StateError(
            f"the state folder {folder} cannot be read: {error.strerror or error}", "Check its permissions."
        ) from error
    return replace(learner.status(), state=str(folder), journal_bytes=tail.sealed + tail.size, torn_bytes=tail.torn)


def _memory_key(seed: int | None) -> bytes:
    """Nothing is stored, so nothing is given away by a key that makes a seeded run repeatable."""
    return os.urandom(KEY_BYTES) if seed is None else blake2b(str(seed).encode(), digest_size=KEY_BYTES).digest()
