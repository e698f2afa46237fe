"""Search: BM25 on terms, fused with the nearest vectors where there is an embedder."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edge_autoglm.knowledge.database import Database
from edge_autoglm.knowledge.embedding import Embedder, embedder_name, unit_vectors
from edge_autoglm.knowledge.fusion import fuse
from edge_autoglm.knowledge.terms import MAX_QUERY_CHARS, match_query, terms_of

Kind = Literal["examples", "passages", "facts"]

_DEPTH = 50
"""Places of each ranking that take part in the fusion, at least."""

_BATCH = 64
"""Texts that an embedder is given at a time."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which items of a kind are searched.

    Attributes:
        condition: In SQL, on the table ``t``.
        values: Of its parameters.
    """

    condition: str = "TRUE"
    values: tuple[object, ...] = ()


class TextIndex:
    """Finds items of one kind by their text.

    Args:
        database: Has the table of the kind, with a column ``id``.
        kind: Name of the table.
        column: Has an item's text.
        embedder: ``None`` searches by words only.
        readable: From what the column has to the text.
    """

    def __init__(
        self,
        database: Database,
        kind: Kind,
        column: str,
        embedder: Embedder | None,
        readable: Callable[[str], str] = str,
    ) -> None:
        self._database = database
        self._kind = kind
        self._column = column
        self._embedder = embedder
        self._readable = readable

    def add(self, connection: sqlite3.Connection, item: int, text: str) -> None:
        """Index an item, in the transaction that adds it; its vector is made when it is first searched for."""
        connection.execute(f"INSERT INTO {self._kind}_terms (rowid, terms) VALUES (?, ?)", (item, terms_of(text)))

    def remove(self, connection: sqlite3.Connection, items: Iterable[int]) -> None:
        """Forget items, in the transaction that removes them."""
        numbers = [(item,) for item in items]
        connection.executemany(f"DELETE FROM {self._kind}_terms WHERE rowid = ?", numbers)
        connection.executemany(f"DELETE FROM vectors WHERE kind = '{self._kind}' AND item = ?", numbers)

    def search(self, query: str, count: int, scope: Scope | None = None) -> list[tuple[int, float]]:
        """The best items with their scores, best first; without an embedder, only those that share a term."""
        scope = scope or Scope()
        by_words = self._by_words(query, max(count, _DEPTH), scope)
        by_vector = self._by_vector(query, max(count, _DEPTH), scope)
        return fuse([by_words, by_vector])[:count]

    def _by_words(self, query: str, count: int, scope: Scope) -> list[int]:
        matching = match_query(query)
        if matching is None:
            return []
        index = f"{self._kind}_terms"
        with self._database.reading() as connection:
            # A cross join keeps the index outside: it is asked once, not once for every row in the scope.
            rows = connection.execute(
                f"SELECT t.id FROM {index} CROSS JOIN {self._kind} AS t ON t.id = {index}.rowid "
                f"WHERE {index} MATCH ? AND ({scope.condition}) ORDER BY {index}.rank, t.id DESC LIMIT ?",
                (matching, *scope.values, count),
            ).fetchall()
        return [item for (item,) in rows]

    def _by_vector(self, query: str, count: int, scope: Scope) -> list[int]:
        if self._embedder is None or not query.strip():
            return []
        self._embed_missing(self._embedder, scope)
        target = unit_vectors(self._embedder, [query[:MAX_QUERY_CHARS]])
        if target is None:
            return []
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT t.id, v.vector FROM {self._kind} AS t JOIN vectors AS v ON v.item = t.id "
                f"WHERE v.kind = ? AND v.embedder = ? AND length(v.vector) = ? AND ({scope.condition}) ORDER BY t.id",
                (self._kind, embedder_name(self._embedder), target.nbytes, *scope.values),
            ).fetchall()
        if not rows:
            return []
        vectors = np.frombuffer(b"".join(vector for _, vector in rows), dtype=np.float32).reshape(len(rows), -1)
        nearest = np.argsort(-(vectors @ target[0]), kind="stable")[:count]
        return [rows[place][0] for place in nearest.tolist()]

    def _embed_missing(self, embedder: Embedder, scope: Scope) -> None:
        name = embedder_name(embedder)
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT t.id, t.{self._column} FROM {self._kind} AS t WHERE ({scope.condition}) AND NOT EXISTS "
                "(SELECT 1 FROM vectors AS v WHERE v.kind = ? AND v.item = t.id AND v.embedder = ?)",
                (*scope.values, self._kind, name),
            ).fetchall()
        for begin in range(0, len(rows), _BATCH):
            self._embed(embedder, name, rows[begin : begin + _BATCH])

    def _embed(self, embedder: Embedder, name: str, rows: Sequence[tuple[int, str]]) -> None:
        vectors = unit_vectors(embedder, [self._readable(stored) for _, stored in rows])
        if vectors is None:
            return
        with self._database.writing() as connection:
            # An item that was removed meanwhile gets none.
            connection.executemany(
                f"INSERT OR REPLACE INTO vectors SELECT ?, id, ?, ? FROM {self._kind} WHERE id = ?",
                [(self._kind, name, vector.tobytes(), item) for (item, _), vector in zip(rows, vectors, strict=True)],
            )
