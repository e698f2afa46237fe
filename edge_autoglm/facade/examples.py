"""``Runtime.examples``: solved examples of the app's tasks, checked against the tasks that answer now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from edge_autoglm.errors import InputRejected
from edge_autoglm.facade.stores import Stores
from edge_autoglm.prompts import Task, check_inputs
from edge_autoglm.swap.buffer import DoubleBuffer

if TYPE_CHECKING:
    from edge_autoglm.knowledge.examples import Example, ExampleStore


class Examples:
    """What variants with the field ``shots`` show. Thread-safe.

    Nothing gets in by itself: an app that wants to keep a reply that a user liked adds it, with its inputs.

    Args:
        stores: Of the runtime.
        buffer: Has the generation whose tasks count.
    """

    def __init__(self, stores: Stores, buffer: DoubleBuffer) -> None:
        self._stores = stores
        self._buffer = buffer

    def add(self, task: str, inputs: Mapping[str, str], answer: str) -> Example:
        """Keep an example; the same inputs given again replace their answer. On the disk when this returns.

        Raises:
            UnknownTask: There is none of that name.
            InputRejected: The inputs are not the task's, the answer is none of its labels, or a text is unusable.
            StateError: It cannot be written.
        """
        return self.add_many(task, [(inputs, answer)])[0]

    def add_many(self, task: str, examples: Iterable[tuple[Mapping[str, str], str]]) -> tuple[Example, ...]:
        """`add` for several, all of them or none."""
        known, checked = self._buffer.active.catalogue.task(task), list(examples)
        for inputs, answer in checked:
            check_inputs(known, inputs)
            _check_answer(known, answer)
        return self._store.add_many(task, checked)

    def get(self, example: int) -> Example | None:
        """The example of that number, if it is still held."""
        return self._store.get(example)

    def list(self, task: str | None = None) -> tuple[Example, ...]:
        """All of a task, or of all tasks; the oldest first."""
        return self._store.list(task)

    def count(self, task: str | None = None) -> int:
        """How many there are of a task, or of all tasks."""
        return self._store.count(task)

    @property
    def nbytes(self) -> int:
        """Held of ``RuntimeConfig.example_bytes``."""
        return self._store.nbytes

    def similar(self, task: str, inputs: Mapping[str, str], count: int = 4) -> tuple[Example, ...]:
        """The most similar ones to a request's inputs, best first."""
        return self._store.similar(task, inputs, count)

    def remove(self, *examples: int) -> int:
        """Remove examples by number, without a trace on the disk; how many there were."""
        return self._store.remove(*examples)

    def erase(self, task: str | None = None) -> int:
        """Remove all of a task, or all, without a trace on the disk; how many there were."""
        return self._store.erase(task)

    @property
    def _store(self) -> ExampleStore:
        return self._stores.open().examples


def _check_answer(task: Task, answer: str) -> None:
    if task.labels and answer not in task.labels:
        cause = f"the answer {answer!r} of an example is no label of task {task.name}"
        raise InputRejected(cause, f"Give one of {', '.join(task.labels)}.")
