"""The runtime's stores: one file in its state folder, opened when something in it is first needed."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_autoglm.errors import SwapError
from edge_autoglm.facade.config import RuntimeConfig

if TYPE_CHECKING:
    from edge_autoglm.knowledge.conversations import ConversationStore
    from edge_autoglm.knowledge.database import Database
    from edge_autoglm.knowledge.documents import DocumentStore
    from edge_autoglm.knowledge.examples import ExampleStore
    from edge_autoglm.knowledge.facts import FactStore

FILE_NAME = "knowledge.sqlite3"


@dataclass(frozen=True, slots=True)
class OpenStores:
    """All stores of one file."""

    database: Database
    examples: ExampleStore
    documents: DocumentStore
    facts: FactStore
    conversations: ConversationStore


class Stores:
    """Thread-safe. An app that uses none of this never makes the file, nor loads SQLite.

    Args:
        state: State folder of the runtime, which the caller has locked; ``None`` keeps everything in memory.
        config: Budgets, and the embedder.
    """

    def __init__(self, state: Path | None, config: RuntimeConfig) -> None:
        self._path = None if state is None else state / FILE_NAME
        self._config = config
        self._lock = threading.Lock()
        self._open: OpenStores | None = None
        self._closed = False

    def open(self) -> OpenStores:
        """The stores.

        Raises:
            MissingDependency: This Python's SQLite has no full-text search.
            StateError: The file is damaged or cannot be used.
            SwapError: The runtime is closed.
        """
        with self._lock:
            if self._closed:
                raise SwapError("the runtime is closed", "Open it again before using its stores.")
            if self._open is None:
                self._open = _open(self._path, self._config)
            return self._open

    @property
    def exists(self) -> bool:
        """Whether there can be anything in them: false where no store was ever used."""
        return self._open is not None or (self._path is not None and self._path.exists())

    def close(self) -> None:
        """Let the file go. Idempotent."""
        with self._lock:
            self._closed = True
            if self._open is not None:
                self._open.database.close()


def _open(path: Path | None, config: RuntimeConfig) -> OpenStores:
    # SQLite is loaded by the apps that use it only.
    from edge_autoglm.knowledge.conversations import ConversationStore
    from edge_autoglm.knowledge.database import Database
    from edge_autoglm.knowledge.documents import DocumentStore
    from edge_autoglm.knowledge.examples import ExampleStore
    from edge_autoglm.knowledge.facts import FactStore

    database = Database(path)
    return OpenStores(
        database,
        ExampleStore(database, config.embedder, config.example_bytes),
        DocumentStore(database, config.embedder, config.document_bytes),
        FactStore(database, config.embedder, config.memory_bytes),
        ConversationStore(database, config.memory_bytes),
    )
