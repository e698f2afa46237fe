"""The one SQLite file of all stores: opened, checked, written to in transactions, cleared of what was erased."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_autoglm.errors import MissingDependency, StateDamaged, StateError, StateLocked, StateNotWritable
from edge_autoglm.knowledge.schema import APPLICATION_ID, INDEXES, SCHEMA, SCHEMA_VERSION

_PRIVATE = 0o600
_SETTINGS = (
    "PRAGMA locking_mode = EXCLUSIVE",  # needs no shared memory, so that it works on every file system
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",
)


class Database:
    """One connection that threads take turns on; a transaction is on the disk when its block ends.

    Args:
        path: Of the file, made where it does not exist; ``None`` keeps everything in memory.

    Raises:
        MissingDependency: This Python's SQLite has no FTS5.
        StateDamaged: The file is damaged, or not one of ours.
        StateLocked: Another process has it open.
        StateNotWritable: The file cannot be made or written to.
        StateError: A newer version of this package wrote it.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._erased = False
        self._closed = False
        with self._translated():
            if path is not None:
                _make_private(path)
            self._connection = sqlite3.connect(
                ":memory:" if path is None else path, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for statements that change nothing.

        Raises:
            StateError: The database is closed, or cannot be read.
        """
        with self._lock, self._translated():
            self._check_open()
            yield self._connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection in a transaction: all of the block is done, or nothing.

        Raises:
            StateError: The database is closed, or cannot be written to; nothing was changed.
        """
        with self._lock, self._translated():
            self._check_open()
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def erased(self) -> None:
        """Something was deleted that may stay until `purge`, or `close`, whichever comes first."""
        self._erased = True

    def purge(self) -> None:
        """Rewrite the file without any trace of what was deleted.

        Merging an index drops the terms of deleted texts, vacuuming the pages that they stood on, and the checkpoint
        the write-ahead log.
        """
        with self._lock, self._translated():
            self._check_open()
            for index in INDEXES:
                self._connection.execute(f"INSERT INTO {index}({index}) VALUES ('optimize')")
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._erased = False

    def close(self) -> None:
        """Let the file go; a second call does nothing."""
        with self._lock, self._translated():
            if self._closed:
                return
            try:
                if self._erased:
                    self.purge()
            finally:
                self._closed = True
                self._connection.close()

    def _prepare(self) -> None:
        connection = self._connection
        for setting in _SETTINGS:
            connection.execute(setting)
        check_fts5(connection)
        version = self._version()
        if version == 0:
            with self.writing():
                for statement in SCHEMA:
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            return
        if version > SCHEMA_VERSION:
            raise StateError(
                f"{self._path} is of schema version {version}, this package reads up to {SCHEMA_VERSION}",
                "Update edge-autoglm, or give this runtime a state folder of its own.",
            )
        problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise self._damaged(problem)

    def _version(self) -> int:
        """0 for a file that is new."""
        [application] = self._connection.execute("PRAGMA application_id").fetchone()
        [version] = self._connection.execute("PRAGMA user_version").fetchone()
        [tables] = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and (application != APPLICATION_ID or version < 1):
            raise self._damaged("it is a database of something else")
        return int(version)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """SQLite's errors as ours; the classes are all that Python 3.10 tells of them."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                cause = f"{self._path} is in use by another process"
                raise StateLocked(cause, "Close that one first, or give this one a state folder of its own.") from error
            cure = "Free some disk space, or name a folder that this user may write to."
            raise StateNotWritable(f"{self._path or 'the store'} cannot be used: {error}", cure) from error
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from error
        except OSError as error:
            cause = f"{self._path} cannot be opened: {error.strerror or error}"
            raise StateNotWritable(cause, "Name a folder that this user may write to.") from error

    def _damaged(self, problem: object) -> StateDamaged:
        return StateDamaged(
            f"the knowledge file {self._path} is damaged: {problem}",
            "Restore it from a backup, or delete it: examples, documents and memory start empty, nothing else is lost.",
        )

    def _check_open(self) -> None:
        if self._closed:
            raise StateError("the store is closed", "Open the runtime again.")


def check_fts5(connection: sqlite3.Connection) -> None:
    """Raise ``MissingDependency`` where SQLite was built without full-text search."""
    try:
        connection.execute("CREATE VIRTUAL TABLE temp.fts5_probe USING fts5(terms)")
        connection.execute("DROP TABLE temp.fts5_probe")
    except sqlite3.OperationalError as error:
        if "no such module" not in str(error):
            raise
        raise MissingDependency(
            f"examples, documents and memory need SQLite with FTS5, and SQLite {sqlite3.sqlite_version} of this Python "
            "was built without it",
            "Use a Python from python.org, conda or the distribution, or build SQLite with -DSQLITE_ENABLE_FTS5.",
        ) from error


def _make_private(path: Path) -> None:
    """An empty file that only its owner reads, before SQLite makes one for all; its log gets the same mode."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, _PRIVATE))
