"""Solved examples of tasks: what a request's template may show as ``shots``."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from edge_autoglm.errors import InputRejected
from edge_autoglm.knowledge.database import Database
from edge_autoglm.knowledge.embedding import Embedder
from edge_autoglm.knowledge.index import Scope, TextIndex
from edge_autoglm.knowledge.texts import check_budget, check_fits, check_text, make_room

DEFAULT_BYTES = 8 << 20

_COLUMNS = "t.id, t.task, t.inputs, t.answer, t.added"


@dataclass(frozen=True, slots=True)
class Example:
    """A solved example.

    Attributes:
        id: Never used again.
        task: Of which.
        inputs: The task's inputs by name.
        answer: A label, or a text.
        added: When, in seconds since 1970.
    """

    id: int
    task: str
    inputs: dict[str, str]
    answer: str
    added: float


class ExampleStore:
    """Examples by task, on the device only. Thread-safe.

    Beyond its budget the oldest ones make room. The same inputs given again replace their answer.

    Args:
        database: Where they are kept.
        embedder: Helps to find similar ones; ``None`` goes by words.
        budget_bytes: Of inputs and answers together, as UTF-8; the file takes about three times that, with its index.

    Raises:
        RequestError: The budget is below 1.
    """

    def __init__(self, database: Database, embedder: Embedder | None = None, budget_bytes: int = DEFAULT_BYTES) -> None:
        self._database = database
        self._budget = check_budget("examples", budget_bytes)
        self._index = TextIndex(database, "examples", "inputs", embedder, _text_of)

    def add(self, task: str, inputs: Mapping[str, str], answer: str) -> Example:
        """Keep an example; on the disk when this returns.

        Raises:
            InputRejected: A text is unusable, or larger than the store.
            StateError: It cannot be written.
        """
        return self.add_many(task, [(inputs, answer)])[0]

    def add_many(self, task: str, examples: Iterable[tuple[Mapping[str, str], str]]) -> tuple[Example, ...]:
        """`add` for several, in one transaction: all or none."""
        rows = [self._row(task, inputs, answer) for inputs, answer in examples]
        with self._database.writing() as connection:
            added = tuple(self._put(connection, *row) for row in rows)
            if make_room(connection, "examples", self._budget, lambda items: self._remove(connection, items)):
                self._database.erased()
        return added

    def get(self, example: int) -> Example | None:
        """The example of that number, if it is still held."""
        found = self._select("t.id = ?", (example,))
        return found[0] if found else None

    def list(self, task: str | None = None) -> tuple[Example, ...]:
        """All of a task, or of all tasks; the oldest first."""
        return self._select(*_of_task(task))

    def count(self, task: str | None = None) -> int:
        """How many there are of a task, or of all tasks."""
        condition, values = _of_task(task)
        with self._database.reading() as connection:
            [number] = connection.execute(f"SELECT count(*) FROM examples AS t WHERE {condition}", values).fetchone()
        return int(number)

    @property
    def nbytes(self) -> int:
        """Held of the budget."""
        with self._database.reading() as connection:
            [total] = connection.execute("SELECT coalesce(sum(nbytes), 0) FROM examples").fetchone()
        return int(total)

    def similar(
        self, task: str, inputs: Mapping[str, str], count: int, answer: str | None = None
    ) -> tuple[Example, ...]:
        """The most similar ones, best first; the newest follow where too few share a word.

        Args:
            task: Of which.
            inputs: To be similar to.
            count: At most so many.
            answer: Only those with this answer.
        """
        condition, values = (
            ("t.task = ?", (task,)) if answer is None else ("t.task = ? AND t.answer = ?", (task, answer))
        )
        found = [item for item, _ in self._index.search("\n".join(inputs.values()), count, Scope(condition, values))]
        if len(found) < count:
            found = [*dict.fromkeys((*found, *self._newest(condition, values, count)))]
        return self._in_order(found[:count])

    def recent(self, task: str, count: int) -> tuple[Example, ...]:
        """The newest ones, newest first."""
        return self._in_order(self._newest("t.task = ?", (task,), count))

    def random(self, task: str, count: int, rng: Random) -> tuple[Example, ...]:
        """Some, drawn without replacement."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT id FROM examples WHERE task = ? ORDER BY id", (task,)).fetchall()
        return self._in_order(rng.sample([item for (item,) in rows], min(count, len(rows))))

    def remove(self, *examples: int) -> int:
        """Remove examples by number, without a trace on the disk; how many there were."""
        with self._database.writing() as connection:
            removed = self._remove(connection, examples)
        if removed:
            self._database.purge()
        return removed

    def erase(self, task: str | None = None) -> int:
        """Remove all of a task, or all, without a trace on the disk; how many there were."""
        return self.remove(*(example.id for example in self.list(task)))

    def _row(self, task: str, inputs: Mapping[str, str], answer: str) -> tuple[str, str, str, int]:
        if not inputs:
            raise InputRejected("an example has no inputs", "Give those of the task.")
        checked = {str(name): check_text(f"input {name!r} of an example", text) for name, text in inputs.items()}
        stored = json.dumps(checked, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        check_text("the answer of an example", answer)
        nbytes = len(stored.encode()) + len(answer.encode())
        check_fits("an example", nbytes, self._budget)
        return check_text("the name of a task", task), stored, answer, nbytes

    def _put(self, connection: sqlite3.Connection, task: str, stored: str, answer: str, nbytes: int) -> Example:
        known = connection.execute("SELECT id FROM examples WHERE task = ? AND inputs = ?", (task, stored)).fetchall()
        self._remove(connection, [item for (item,) in known])
        now = time.time()
        row = connection.execute(
            "INSERT INTO examples (task, inputs, answer, nbytes, added) VALUES (?, ?, ?, ?, ?)",
            (task, stored, answer, nbytes, now),
        )
        number = int(row.lastrowid or 0)
        self._index.add(connection, number, _text_of(stored))
        return Example(number, task, json.loads(stored), answer, now)

    def _remove(self, connection: sqlite3.Connection, items: Iterable[int]) -> int:
        numbers = [(item,) for item in items]
        removed = connection.executemany("DELETE FROM examples WHERE id = ?", numbers).rowcount if numbers else 0
        self._index.remove(connection, [item for (item,) in numbers])
        return removed

    def _newest(self, condition: str, values: tuple[object, ...], count: int) -> tuple[int, ...]:
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT t.id FROM examples AS t WHERE {condition} ORDER BY t.id DESC LIMIT ?", (*values, count)
            ).fetchall()
        return tuple(item for (item,) in rows)

    def _in_order(self, items: Sequence[int]) -> tuple[Example, ...]:
        found = {example.id: example for item in items for example in self._select("t.id = ?", (item,))}
        return tuple(found[item] for item in items if item in found)

    def _select(self, condition: str, values: tuple[object, ...]) -> tuple[Example, ...]:
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM examples AS t WHERE {condition} ORDER BY t.id", values
            ).fetchall()
        return tuple(
            Example(item, task, json.loads(inputs), answer, added) for item, task, inputs, answer, added in rows
        )


def _of_task(task: str | None) -> tuple[str, tuple[object, ...]]:
    return ("TRUE", ()) if task is None else ("t.task = ?", (task,))


def _text_of(stored: str) -> str:
    """What an example is found by."""
    return "\n".join(json.loads(stored).values())
