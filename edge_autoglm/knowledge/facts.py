"""Long-term facts: short texts that conversations may draw on."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass

from edge_autoglm.knowledge.database import Database
from edge_autoglm.knowledge.embedding import Embedder
from edge_autoglm.knowledge.index import Scope, TextIndex
from edge_autoglm.knowledge.texts import check_budget, check_fits, check_text, make_room

DEFAULT_BYTES = 4 << 20

_VISIBLE = "(t.conversation IS NULL OR t.conversation = ?)"


@dataclass(frozen=True, slots=True)
class Fact:
    """Something to be remembered.

    Attributes:
        id: Never used again.
        text: Of the fact.
        conversation: The only one that sees it; ``None`` for all.
        added: When, in seconds since 1970.
    """

    id: int
    text: str
    conversation: str | None
    added: float


class FactStore:
    """Facts of one conversation or of all, on the device only. Thread-safe.

    Beyond its budget the oldest ones make room. The same fact given again is kept once.

    Args:
        database: Where they are kept.
        embedder: Helps to find them; ``None`` goes by words.
        budget_bytes: Of all texts together, as UTF-8.

    Raises:
        RequestError: The budget is below 1.
    """

    def __init__(self, database: Database, embedder: Embedder | None = None, budget_bytes: int = DEFAULT_BYTES) -> None:
        self._database = database
        self._budget = check_budget("facts", budget_bytes)
        self._index = TextIndex(database, "facts", "text", embedder)

    def add(self, text: str, conversation: str | None = None) -> Fact:
        """Remember a fact, for one conversation or for all; on the disk when this returns.

        Raises:
            InputRejected: The text is unusable, or larger than the store.
            StateError: It cannot be written.
        """
        nbytes = len(check_text("a fact", text).encode())
        check_fits("a fact", nbytes, self._budget)
        if conversation is not None:
            check_text("the name of a conversation", conversation)
        with self._database.writing() as connection:
            known = self._select(connection, "t.text = ? AND t.conversation IS ?", (text, conversation))
            if known:
                return known[0]
            now = time.time()
            row = connection.execute(
                "INSERT INTO facts (conversation, text, nbytes, added) VALUES (?, ?, ?, ?)",
                (conversation, text, nbytes, now),
            )
            number = int(row.lastrowid or 0)
            self._index.add(connection, number, text)
            if make_room(connection, "facts", self._budget, lambda items: self._remove(connection, items)):
                self._database.erased()
        return Fact(number, text, conversation, now)

    def search(self, query: str, count: int = 3, conversation: str | None = None) -> tuple[Fact, ...]:
        """The facts that match best, best first: those for all, and those of the conversation."""
        found = [item for item, _ in self._index.search(query, count, Scope(_VISIBLE, (conversation,)))]
        return self.get(found)

    def get(self, facts: Iterable[int]) -> tuple[Fact, ...]:
        """Facts by number, in the order asked for; those that are gone are left out."""
        with self._database.reading() as connection:
            return tuple(fact for item in facts for fact in self._select(connection, "t.id = ?", (item,)))

    def list(self, conversation: str | None = None) -> tuple[Fact, ...]:
        """All that a conversation sees; without one, all there are. The oldest first."""
        with self._database.reading() as connection:
            if conversation is None:
                return self._select(connection, "TRUE", ())
            return self._select(connection, _VISIBLE, (conversation,))

    def remove(self, *facts: int) -> int:
        """Forget facts by number, without a trace on the disk; how many there were."""
        with self._database.writing() as connection:
            removed = self._remove(connection, facts)
        if removed:
            self._database.purge()
        return removed

    def erase(self, conversation: str | None = None) -> int:
        """Forget those of one conversation only, or all there are, without a trace on the disk; how many there were."""
        own = [fact.id for fact in self.list() if conversation is None or fact.conversation == conversation]
        return self.remove(*own)

    def _remove(self, connection: sqlite3.Connection, items: Iterable[int]) -> int:
        numbers = [(item,) for item in items]
        removed = connection.executemany("DELETE FROM facts WHERE id = ?", numbers).rowcount if numbers else 0
        self._index.remove(connection, [item for (item,) in numbers])
        return removed

    def _select(self, connection: sqlite3.Connection, condition: str, values: tuple[object, ...]) -> tuple[Fact, ...]:
        rows = connection.execute(
            f"SELECT t.id, t.text, t.conversation, t.added FROM facts AS t WHERE {condition} ORDER BY t.id", values
        )
        return tuple(Fact(*row) for row in rows)
