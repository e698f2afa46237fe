"""The experiments that run now, and the decisions that they make."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone

from edge_autoglm.errors import ExperimentError
from edge_autoglm.learn.experiments.draw import Draw
from edge_autoglm.learn.experiments.experiment import Experiment
from edge_autoglm.learn.exploration import new_decision_id
from edge_autoglm.values import Assignment, Decision

_log = logging.getLogger("edge_autoglm")


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


class Experiments:
    """Experiments of a file beside those that the app set; the app's win until it removes them. Thread-safe.

    A request takes part in at most one: the first of its task, in order, that runs, whose variants the task has, and
    into whose roll-out share it falls. The order is the file's; those of the app alone come after them.

    Args:
        key: Under which sessions are hashed for the journal.
        seed: Of the draws for requests without a session; ``None`` draws one.
        now: The time, for starts and ends.
    """

    def __init__(self, key: bytes, seed: int | str | None = None, now: Callable[[], datetime] = _utc_now) -> None:
        self._key = key
        self._rng = random.Random(seed)  # one draw is one atomic call
        self._now = now
        self._lock = threading.Lock()
        self._of_file: dict[str, Experiment] = {}
        self._of_app: dict[str, Experiment] = {}
        # Exchanged as a whole: a request reads it once, without a lock.
        self._by_task: Mapping[str, tuple[Draw, ...]] = {}
        self._warned: set[tuple[str, tuple[str, ...]]] = set()

    def set(self, experiment: Experiment) -> None:
        """Begin or change an experiment; one of the same name, in the file too, gives way to it."""
        with self._lock:
            self._of_app[experiment.name] = experiment
            self._arrange()

    def remove(self, name: str) -> None:
        """Take back what ``set`` set; the file's setting of that name, if there is one, holds again.

        Raises:
            ExperimentError: The app set none of that name.
        """
        with self._lock:
            if name not in self._of_app:
                known = ", ".join(self._of_app) or "none: the app set none"
                cure = f"Disable it in the file instead, or name one of {known}."
                raise ExperimentError(f"the app set no experiment {name!r}", cure)
            del self._of_app[name]
            self._arrange()

    def replace_file(self, experiments: Iterable[Experiment]) -> None:
        """What the file says now."""
        with self._lock:
            self._of_file = {experiment.name: experiment for experiment in experiments}
            self._arrange()

    def list(self) -> tuple[Experiment, ...]:
        """All, disabled ones too, in the order in which requests try them."""
        with self._lock:
            return tuple((self._of_file | self._of_app).values())

    def decide(self, task: str, arms: Sequence[str], session: str | None) -> Decision | None:
        """The decision of the experiment that a request takes part in; ``None`` where it takes part in none.

        Args:
            task: Name of the task.
            arms: All variants of it.
            session: Of the request.
        """
        draws = self._by_task.get(task, ())
        if not draws:
            return None
        now = self._now()
        for draw in draws:
            if draw.experiment.runs(now) and self._fits(draw.experiment, arms):
                arm = draw.variant(session, self._rng)
                if arm is not None:
                    return self._decision(draw, arm, arms, session)
        return None

    def _decision(self, draw: Draw, arm: str, arms: Sequence[str], session: str | None) -> Decision:
        experiment = draw.experiment
        shares = experiment.propensities(arms)
        unit = None if session is None else draw.unit(session, self._key)
        assignment = Assignment(experiment.name, experiment.version, experiment.variants[0], unit)
        return Decision(new_decision_id(), arm, shares[arms.index(arm)], shares, assignment)

    def _fits(self, experiment: Experiment, arms: Sequence[str]) -> bool:
        if all(variant in arms for variant in experiment.variants):
            return True
        missing = tuple(variant for variant in experiment.variants if variant not in arms)
        with self._lock:
            first = (experiment.name, missing) not in self._warned
            self._warned.add((experiment.name, missing))
        if first:
            told = f"the task {experiment.task} has no variant {', '.join(missing)}"
            _log.warning("experiment %s takes no requests, since %s", experiment.name, told)
        return False

    def _arrange(self) -> None:
        by_task: dict[str, tuple[Draw, ...]] = {}
        for experiment in (self._of_file | self._of_app).values():  # a name in both keeps the file's place
            if experiment.enabled:
                by_task[experiment.task] = (*by_task.get(experiment.task, ()), Draw(experiment))
        self._by_task = by_task
        self._warned.clear()
