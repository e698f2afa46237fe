"""Learns which task a text asks for, and remembers it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge_autoglm.errors import PolicyError, StateNotWritable
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.models.base import ModelState
from edge_autoglm.learn.routing.features import route_features
from edge_autoglm.learn.routing.file import RouterFile
from edge_autoglm.learn.routing.lessons import Lesson
from edge_autoglm.learn.routing.softmax import SoftmaxFTRL, softmax

_log = logging.getLogger("edge_autoglm")

_SEED_ROUNDS = 15
"""Times that the texts of a task file are gone through before the first request."""

_SNAPSHOT_EVERY = 200
"""Lessons."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a text should go.

    Attributes:
        task: That is meant, or the fallback; ``None`` where there is neither.
        confidence: Probability of the most probable task, whether it was taken or not.
        scores: Probability of each task, the most probable first; they sum up to 1.
        fallback: Whether no task was probable enough.
        features: Of the text, for feedback; hashed.
    """

    task: str | None
    confidence: float
    scores: Mapping[str, float]
    fallback: bool
    features: Features = field(repr=False, compare=False)


class Router:
    """A multinomial logistic model over hashed words, learnt online. Thread-safe.

    Args:
        key: Under which words are hashed.
        file: Where it is kept; ``None`` keeps it in memory.

    Raises:
        StateDamaged: Neither the file nor the one before it is as it was written.
        StateNotWritable: It cannot be read.
    """

    def __init__(self, key: bytes, file: Path | None = None) -> None:
        self._key = key
        self._file = None if file is None else RouterFile(file)
        self._lock = threading.Lock()
        self._forget()
        if self._file is not None:
            self._restore(self._file)

    @property
    def lessons(self) -> dict[str, int]:
        """How many examples of each task it was taught, the seeds not counted."""
        with self._lock:
            return dict(self._lessons)

    def seed(self, tasks: Mapping[str, Sequence[str]]) -> None:
        """Start from texts that say what a task is for: one that is known already is left as it is.

        Args:
            tasks: Texts by task; all that compete.
        """
        with self._lock:
            new = [name for name in tasks if name not in self._seeded]
            described = [(name, route_features(text, self._key)) for name in new for text in tasks[name]]
            for _ in range(_SEED_ROUNDS):
                for name, features in described:
                    self._model.learn(list(tasks), list(tasks).index(name), features)
            self._seeded.update(dict.fromkeys(new))
            self._newly_seeded |= bool(new)

    def route(self, text: str, tasks: Sequence[str], threshold: float, fallback: str | None = None) -> Route:
        """The task that a text asks for.

        Args:
            text: That a user typed.
            tasks: That compete, at least one.
            threshold: Probability below which the fallback is taken.
            fallback: A task, or ``None`` for none.
        """
        features = route_features(text, self._key)
        with self._lock:
            shares = softmax(self._model.scores(tasks, features))
        ranked = sorted(zip(tasks, shares.tolist(), strict=True), key=lambda scored: -scored[1])
        best, confidence = ranked[0]
        unsure = confidence < threshold
        return Route(fallback if unsure else best, confidence, dict(ranked), unsure, features)

    def learn(self, examples: Iterable[tuple[str | Features, str]], tasks: Sequence[str]) -> None:
        """Learn from texts, or from features of a `Route`, with their right tasks; on the disk when this returns.

        Raises:
            PolicyError: A task is none of ``tasks``; nothing was learnt.
            StateNotWritable: The file cannot be written; nothing was learnt.
        """
        taught = [(self._described(what), task) for what, task in examples]
        unknown = [task for _, task in taught if task not in tasks]
        if unknown:
            raise PolicyError(f"the router knows no task {unknown[0]!r}", f"Name one of: {', '.join(tasks)}.")
        with self._lock:
            numbers = range(self._learnt + 1, self._learnt + 1 + len(taught))
            lessons = [
                Lesson(number, task, tuple(tasks), features)
                for number, (features, task) in zip(numbers, taught, strict=True)
            ]
            if self._file is not None and lessons:
                if self._newly_seeded:
                    self._snapshot(self._file)  # lessons are replayed on what was known when they came
                self._file.append(lessons)
            for lesson in lessons:
                self._learn(lesson)
            if self._file is not None and self._learnt - self._kept >= _SNAPSHOT_EVERY:
                try:
                    self._snapshot(self._file)
                except StateNotWritable as error:  # the lessons are on the disk all the same
                    _log.warning("no snapshot of the router was taken: %s", error)

    def erase(self) -> None:
        """Forget all that was taught, here and on the disk.

        Raises:
            StateNotWritable: The files cannot be removed.
        """
        with self._lock:
            self._forget()
            if self._file is not None:
                self._file.remove()

    def _described(self, what: str | Features) -> Features:
        return route_features(what, self._key) if isinstance(what, str) else what

    def _learn(self, lesson: Lesson) -> None:
        self._model.learn(lesson.tasks, lesson.tasks.index(lesson.task), lesson.features)
        self._lessons[lesson.task] = self._lessons.get(lesson.task, 0) + 1
        self._learnt = lesson.number

    def _forget(self) -> None:
        self._model = SoftmaxFTRL()
        self._seeded: dict[str, None] = {}
        self._lessons: dict[str, int] = {}
        self._learnt = self._kept = 0
        self._newly_seeded = False

    def _snapshot(self, file: RouterFile) -> None:
        learnt = self._model.state()
        facts = {"seeded": list(self._seeded), "lessons": self._lessons, "learnt": self._learnt}
        file.write(ModelState({**learnt.facts, **facts}, learnt.arrays))
        self._kept, self._newly_seeded = self._learnt, False

    def _restore(self, file: RouterFile) -> None:
        stored, lessons = file.read()
        if stored is None:
            return
        try:
            self._model.restore(stored)
        except PolicyError as error:  # of a package with other settings
            _log.warning("the router starts from the task files again: %s", error)
            file.remove()
            return
        self._seeded = dict.fromkeys(stored.facts["seeded"])
        self._lessons = dict(stored.facts["lessons"])
        self._learnt = self._kept = int(stored.facts["learnt"])
        for lesson in lessons:
            self._learn(lesson)
