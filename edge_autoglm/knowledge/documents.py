"""The app's documents, in passages: what a request's template may show as ``passages``."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from edge_autoglm.errors import InputRejected
from edge_autoglm.knowledge.database import Database
from edge_autoglm.knowledge.embedding import Embedder
from edge_autoglm.knowledge.index import Scope, TextIndex
from edge_autoglm.knowledge.splitting import MAX_CHARS, split_passages
from edge_autoglm.knowledge.texts import check_budget, check_fits, check_text, make_room

DEFAULT_BYTES = 64 << 20

_DOCUMENTS = (
    "SELECT d.id, d.title, d.source, d.nbytes, d.added, (SELECT count(*) FROM passages AS p WHERE p.document = d.id) "
    "FROM documents AS d"
)


@dataclass(frozen=True, slots=True)
class Document:
    """A document that is held.

    Attributes:
        id: Never used again.
        title: For people; counts when passages are searched.
        source: The file that it was read from; empty for a text.
        nbytes: Of its text, as UTF-8.
        added: When, in seconds since 1970.
        passages: Into how many it was split.
    """

    id: int
    title: str
    source: str
    nbytes: int
    added: float
    passages: int


@dataclass(frozen=True, slots=True)
class FoundPassage:
    """A passage, and how well it matched.

    Attributes:
        id: Never used again.
        document: Number of its document.
        title: Of that.
        position: Place in it, from 0.
        text: Of the passage.
        score: Of its ranks, see ``fusion``; comparable within one search only.
    """

    id: int
    document: int
    title: str
    position: int
    text: str
    score: float


class DocumentStore:
    """Documents and their passages, on the device only. Thread-safe.

    Beyond its budget whole documents make room, the oldest first. The same document given again is kept once.

    Args:
        database: Where they are kept.
        embedder: Helps to find passages; ``None`` goes by words.
        budget_bytes: Of all texts together, as UTF-8; the file takes about three times that, with its index.
        passage_chars: Largest size of a passage, see ``splitting``.

    Raises:
        RequestError: The budget is below 1.
    """

    def __init__(
        self,
        database: Database,
        embedder: Embedder | None = None,
        budget_bytes: int = DEFAULT_BYTES,
        passage_chars: int = MAX_CHARS,
    ) -> None:
        self._database = database
        self._budget = check_budget("documents", budget_bytes)
        self._passage_chars = passage_chars
        self._index = TextIndex(database, "passages", "text", embedder)

    def add(self, content: str | Path, title: str = "") -> Document:
        """Keep a document; on the disk when this returns.

        Args:
            content: Its text, or the path of a file to read (UTF-8).
            title: For people and for the search; of a file without one, its name.

        Raises:
            InputRejected: The text is unusable or larger than the store, or the file cannot be read.
            StateError: It cannot be written.
        """
        source = str(content) if isinstance(content, Path) else ""
        text = check_text("a document", _read(content) if isinstance(content, Path) else content)
        title = title or Path(source).name
        nbytes = len(text.encode())
        check_fits(f"the document {title!r}", nbytes, self._budget)
        if title:
            check_text("the title of a document", title)
        digest = blake2b(f"{len(title)} {title}{text}".encode(), digest_size=16).digest()
        passages = split_passages(text, self._passage_chars)
        with self._database.writing() as connection:
            number = self._known(connection, digest)
            if number is None:
                row = (title, source, digest, nbytes, time.time())
                number = self._put(connection, row, passages)
                if make_room(connection, "documents", self._budget, lambda items: self._remove(connection, items)):
                    self._database.erased()
            return self._select(connection, number)[0]

    def search(self, query: str, count: int = 3) -> tuple[FoundPassage, ...]:
        """The passages that match best, best first; without an embedder, only those that share a word."""
        found = self._index.search(query, count, Scope())
        scores = dict(found)
        with self._database.reading() as connection:
            rows = [
                row
                for item in scores
                for row in connection.execute(
                    "SELECT p.id, p.document, d.title, p.position, p.text FROM passages AS p "
                    "JOIN documents AS d ON d.id = p.document WHERE p.id = ?",
                    (item,),
                )
            ]
        return tuple(
            FoundPassage(item, document, title, position, text, scores[item])
            for item, document, title, position, text in rows
        )

    def list(self) -> tuple[Document, ...]:
        """All of them, the oldest first."""
        with self._database.reading() as connection:
            return self._select(connection)

    def passages(self, document: int) -> tuple[str, ...]:
        """The passages of a document, in order; none for a number that is not held."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT text FROM passages WHERE document = ? ORDER BY position", (document,))
            return tuple(text for (text,) in rows)

    def count(self) -> int:
        """How many documents there are."""
        with self._database.reading() as connection:
            [number] = connection.execute("SELECT count(*) FROM documents").fetchone()
        return int(number)

    @property
    def nbytes(self) -> int:
        """Held of the budget."""
        with self._database.reading() as connection:
            [total] = connection.execute("SELECT coalesce(sum(nbytes), 0) FROM documents").fetchone()
        return int(total)

    def remove(self, *documents: int) -> int:
        """Remove documents by number, without a trace on the disk; how many there were."""
        with self._database.writing() as connection:
            removed = self._remove(connection, documents)
        if removed:
            self._database.purge()
        return removed

    def erase(self) -> int:
        """Remove all, without a trace on the disk; how many there were."""
        return self.remove(*(document.id for document in self.list()))

    def _known(self, connection: sqlite3.Connection, digest: bytes) -> int | None:
        found = connection.execute("SELECT id FROM documents WHERE digest = ?", (digest,)).fetchone()
        return None if found is None else int(found[0])

    def _put(self, connection: sqlite3.Connection, row: tuple[object, ...], passages: Iterable[str]) -> int:
        inserted = connection.execute(
            "INSERT INTO documents (title, source, digest, nbytes, added) VALUES (?, ?, ?, ?, ?)", row
        )
        number = int(inserted.lastrowid or 0)
        for position, text in enumerate(passages):
            passage = connection.execute(
                "INSERT INTO passages (document, position, text) VALUES (?, ?, ?)", (number, position, text)
            )
            self._index.add(connection, int(passage.lastrowid or 0), f"{row[0]}\n{text}")
        return number

    def _remove(self, connection: sqlite3.Connection, documents: Iterable[int]) -> int:
        removed = 0
        for document in documents:
            rows = connection.execute("SELECT id FROM passages WHERE document = ?", (document,)).fetchall()
            self._index.remove(connection, [passage for (passage,) in rows])
            removed += connection.execute("DELETE FROM documents WHERE id = ?", (document,)).rowcount
        return removed

    def _select(self, connection: sqlite3.Connection, number: int | None = None) -> tuple[Document, ...]:
        rows = connection.execute(f"{_DOCUMENTS} WHERE ? IN (d.id, -1) ORDER BY d.id", (number or -1,))
        return tuple(Document(*row) for row in rows)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        cause = f"the document {path} cannot be read: {error.strerror or error}"
        raise InputRejected(cause, "Check that it exists and may be read.") from error
    except UnicodeDecodeError as error:
        cause = f"the document {path} is not UTF-8 at byte {error.start}"
        raise InputRejected(cause, "Convert it to UTF-8 text; other formats are not read.") from error
