"""The online learner: journal first, then memory, so that what is acknowledged is never lost."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path

from edge_autoglm.errors import InvalidReward, PolicyError, StateError, StateNotWritable
from edge_autoglm.learn.experiments.results import ExperimentResult
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.folder import KEY_BYTES, StateFolder, open_folder
from edge_autoglm.learn.learner_state import LearnerState, Waiting
from edge_autoglm.learn.models.base import ModelState
from edge_autoglm.learn.policy import FrozenPolicy, VariantPolicy
from edge_autoglm.learn.reading import read_status as read_status
from edge_autoglm.learn.records import DecisionRecord, FeedbackRecord, MergeRecord
from edge_autoglm.learn.rewards.price import FREE, UNMEASURED, AnswerCost, RewardPrice
from edge_autoglm.learn.rewards.signals import Reward, Signal, rewards_of
from edge_autoglm.learn.rewards.sources import hash_source
from edge_autoglm.learn.statistics import no_statistics, read_statistics, write_statistics
from edge_autoglm.learn.status import LearnerStatus
from edge_autoglm.learn.storage import DEFAULT_LIMITS, Limits, Storage
from edge_autoglm.values import Decision, FeedbackOutcome, Progress, silent

__all__ = ["Learner", "LearnerStatus", "Limits", "read_status"]

_ROUNDING = 1e-7


class Learner:
    """Joins late feedback to decisions and trains the policy. Thread-safe; made by ``Learner.open``.

    Decisions and rewards are appended to a journal; opening it again leads to the same state, bit for bit: from the
    newest snapshot on, or from the beginning. A reward is acknowledged once it is on the disk. Recording a decision
    waits for the disk only where it begins a new segment of the journal.

    >>> import numpy as np
    >>> with Learner.open(None, seed=1) as learner:
    ...     features = Features(np.array([17]), np.array([1.0]))
    ...     decision = learner.frozen().pull(["plain", "polite"], features)
    ...     learner.record(decision, "sentiment", ["plain", "polite"], features, generation=1)
    ...     [learner.feedback(decision.id, 1.0).value for _ in range(2)]
    ['applied', 'duplicate']
    """

    def __init__(
        self,
        state: LearnerState,
        seed: int | None,
        key: bytes,
        price: RewardPrice,
        folder: StateFolder | None = None,
        storage: Storage | None = None,
    ) -> None:
        self._state = state
        self._seed = seed
        self._key = key
        self._price = price
        self._folder = folder
        self._storage = storage
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
        price: RewardPrice = FREE,
        limits: Limits = DEFAULT_LIMITS,
        progress: Progress = silent,
    ) -> Learner:
        """Open a state folder, made where it does not exist, and take up its state.

        Args:
            state: The folder; ``None`` keeps everything in memory.
            seed: Of the exploration of the policies that ``frozen`` hands out; the policy's own by default.
            policy: Settings to learn with, those of ``VariantPolicy()`` by default; what it has learnt is left out.
                One of other settings than before learns from as much of the journal as is kept.
            price: Taken off the rewards that come from now on.
            limits: Of memory and disk.
            progress: Called with stage ``journal`` and bytes.

        Raises:
            StateNotWritable: The folder cannot be made or written to.
            StateLocked: Another runtime uses it.
            StateDamaged: A file in it is not as it was written.
        """
        policy = VariantPolicy() if policy is None else policy
        seed = policy.seed if seed is None else seed
        if state is None:
            memory = LearnerState(policy.clone(), limits.max_pending, no_statistics)
            return cls(memory, seed, _memory_key(seed), price)
        folder = open_folder(Path(state))
        try:
            storage = Storage(folder.path, policy, limits, progress)
        except BaseException:
            folder.lock.release()
            raise
        return cls(storage.state, seed, folder.key, price, folder, storage)

    @property
    def key(self) -> bytes:
        """Secret for ``featurise``: the same for the life of a state folder."""
        return self._key

    @property
    def policy(self) -> VariantPolicy:
        """What learns. Read it while nothing else uses the learner; answer requests with ``frozen``."""
        return self._state.policy

    def frozen(self, known: ModelState | None = None) -> FrozenPolicy:
        """What is known now, as a policy for a new generation.

        Args:
            known: ``FrozenPolicy.state`` of an earlier one, to have that again.

        Raises:
            PolicyError: ``known`` is of a policy of another kind or other settings.
        """
        with self._lock:
            self._freezes += 1
            # The count of decisions keeps a restart from repeating the draws of the run before.
            seed = None if self._seed is None else f"{self._seed}:{self._state.tally.decisions}:{self._freezes}"
            policy = self._state.policy
            return policy.freeze(seed, self._state.tally.feedbacks) if known is None else policy.revive(known, seed)

    def record(
        self,
        decision: Decision,
        task: str,
        arms: Sequence[str],
        features: Features,
        generation: int,
        cost: AnswerCost = UNMEASURED,
    ) -> None:
        """Remember a decision, so that its reward can come.

        Args:
            decision: As a frozen policy or ``forced`` made it.
            task: Name of the task.
            arms: That the choice was among.
            features: Of the request; kept for learning, whatever the request's features would be later.
            generation: That answers the request.
            cost: What the answer took; it is what `RewardPrice` prices.

        Raises:
            PolicyError: The arm is not among ``arms``, the propensities do not fit, or it is recorded already.
            StateNotWritable: The journal could not be written; the decision is not recorded.
            StateError: The learner is closed.
        """
        _check_decision(decision, arms)
        record = DecisionRecord(
            id=decision.id,
            task=task,
            arm=decision.arm,
            propensity=decision.propensity,
            arms=tuple(arms),
            features=features,
            generation=generation,
            time=time.time(),
            latency=cost.latency,
            tokens=cost.tokens,
            propensities=tuple(float(f"{share:.8g}") for share in decision.propensities),
            experiment=decision.experiment,
        )
        with self._lock:
            self._check_open()
            if self._state.book.knows(decision.id):
                raise PolicyError(f"the decision {decision.id!r} is recorded already", "Record each decision once.")
            if self._storage is not None:
                self._storage.journal.append(record)
            self._state.decided(record)

    def feedback(self, decision_id: str, signal: Signal, source: str | None = None) -> FeedbackOutcome:
        """Learn from what is reported about a decision, however late; a second report of a kind changes nothing.

        Args:
            decision_id: Of a recorded decision.
            signal: 0 (useless) to 1 (perfect), or one of `edge_autoglm.learn.rewards.signals`.
            source: Who gave it, such as an account's name, so that no one decides alone; see `SourceCaps`. Only a keyed
                hash of it is kept.

        Returns:
            ``APPLIED`` or ``CAPPED`` once it is on the disk, or ``DUPLICATE``.

        Raises:
            UnknownDecision: A decision was never recorded here, or has expired.
            InvalidReward: The signal is out of range, or compares decisions of two tasks.
            StateNotWritable: The journal could not be written; nothing is learnt and the signal may be given again.
            StateError: The learner is closed.
        """
        rewards = rewards_of(decision_id, signal)
        hashed = None if source is None else hash_source(source, self._key)
        with self._feedback_lock:
            with self._lock:
                self._check_open()
                records = self._joined(rewards, hashed)
                if not records:
                    return FeedbackOutcome.DUPLICATE
                if self._storage is not None:
                    self._storage.journal.append(*records)
                taken = [(self._state.take(record), record) for record in records]
            self._settle(lambda: self._learn(taken), lambda: self._give_back(taken))
            with self._lock:
                snapshot = self._storage.take() if self._storage is not None else None
        if self._storage is not None and snapshot is not None:
            self._storage.write(snapshot)
        return FeedbackOutcome.APPLIED if any(record.weight for record in records) else FeedbackOutcome.CAPPED

    def export_statistics(self, path: Path | str) -> None:
        """Write what was learnt to a file for other devices' ``merge``: sums, without any request, id or text.

        Sums over few rewards say more of each than sums over many: export once there are some hundreds.

        Raises:
            StateNotWritable: The file cannot be written.
            PolicyError: The policy cannot be written down; see ``VariantPolicy.can_snapshot``.
        """
        with self._lock:
            policy = self._state.policy.state()
        write_statistics(Path(path), policy)

    def merge(self, path: Path | str) -> bool:
        """Add what other devices learnt, as if their rewards had come here too.

        Give what was learnt elsewhere only: statistics that hold this device's own count them twice.

        Args:
            path: Of a file that ``export_statistics`` or `merge_statistics` wrote.

        Returns:
            False where that very file was merged before; nothing changed.

        Raises:
            StateError: The file cannot be read, or the learner is closed.
            StateDamaged: The file is damaged or holds something else.
            PolicyError: It is of a policy of another kind or other settings.
            StateNotWritable: The state folder cannot be written to; nothing was added.
        """
        found = read_statistics(Path(path))
        record = MergeRecord(found.digest, time.time())
        with self._feedback_lock:
            with self._lock:
                self._check_open()
                if record.digest in self._state.merged:
                    return False
                other = self._state.readable(found.policy)
            if self._storage is not None:
                self._storage.add_merged(found.content, record)
                with self._lock:
                    self._storage.journal.append(record)
            self._settle(lambda: self._state.merge(record, other), lambda: None)
        return True

    def experiments(self) -> tuple[ExperimentResult, ...]:
        """Results of all experiments so far, the one with the newest decision last."""
        with self._lock:
            return self._state.experiments.results()

    @property
    def decisions(self) -> int:
        """Recorded in all."""
        return self._state.tally.decisions

    def status(self) -> LearnerStatus:
        """Figures of all that was decided and rewarded."""
        with self._lock:
            status = self._state.status()
            return status if self._storage is None else self._storage.described(status)

    def close(self) -> None:
        """Release the state folder; a second call does nothing."""
        with self._feedback_lock, self._lock:
            self._closed = True
            if self._storage is not None:
                self._storage.close()
            if self._folder is not None:
                self._folder.lock.release()

    def __enter__(self) -> Learner:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StateError("the learner is closed", "Open the state folder again.")

    def _joined(self, rewards: Sequence[Reward], source: str | None) -> list[FeedbackRecord]:
        """What is new in the rewards."""
        now = time.time()
        joined = [self._state.join(reward, self._price, source, now) for reward in rewards]
        waiting = [self._state.book.find(reward.id) for reward in rewards]
        tasks = {one.record.task for one in waiting if one is not None}
        if len(tasks) > 1:
            raise InvalidReward(f"decisions of the tasks {sorted(tasks)} are compared", "Compare those of one task.")
        return [record for record in joined if record is not None]

    def _settle(self, learn: Callable[[], None], undo: Callable[[], None]) -> None:
        """Wait for the disk, then learn what the journal holds already.

        Without the state's lock while it waits: a request that records its decision need not.
        """
        try:
            if self._storage is not None:
                self._storage.journal.sync()
        except StateNotWritable:
            with self._lock:
                undo()
            raise
        except BaseException:
            with self._lock:
                learn()  # an interrupt: a replay will learn it, too
            raise
        with self._lock:
            learn()

    def _learn(self, taken: Sequence[tuple[Waiting, FeedbackRecord]]) -> None:
        for waiting, record in taken:
            self._state.learn(waiting, record)

    def _give_back(self, taken: Sequence[tuple[Waiting, FeedbackRecord]]) -> None:
        for waiting, _ in taken:
            self._state.give_back(waiting)


def _check_decision(decision: Decision, arms: Sequence[str]) -> None:
    if decision.arm not in arms:
        raise PolicyError(f"the decision's arm {decision.arm!r} is not among {list(arms)}", "Record the arms offered.")
    shares = decision.propensities
    fits = not shares or (len(shares) == len(arms) and all(share >= 0.0 for share in shares) and _sum_to_1(shares))
    assigned = decision.experiment
    compared = assigned is None or any(arm == assigned.control and p for arm, p in zip(arms, shares, strict=False))
    # NaN fails every comparison.
    if not (fits and compared and 0.0 < decision.propensity <= 1.0):
        raise PolicyError(
            f"the decision's propensity is {decision.propensity!r} out of {shares}", "Give those it was drawn with."
        )


def _sum_to_1(shares: Sequence[float]) -> bool:
    return abs(sum(shares) - 1.0) < _ROUNDING


def _memory_key(seed: int | None) -> bytes:
    """Nothing is stored, so nothing is given away by a key that makes a seeded run repeatable."""
    return os.urandom(KEY_BYTES) if seed is None else blake2b(str(seed).encode(), digest_size=KEY_BYTES).digest()
