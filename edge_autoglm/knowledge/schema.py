"""The tables, and the versions that they go through."""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x6541474C  # "eAGL"
SCHEMA_VERSION: Final = 1

INDEXES: Final = ("examples_terms", "passages_terms", "facts_terms")
"""Terms are made by `terms`, in ASCII white space; SQLite only has to split them there, and to stem English."""

SCHEMA: Final = (
    """CREATE TABLE examples (
        id INTEGER PRIMARY KEY AUTOINCREMENT, task TEXT NOT NULL, inputs TEXT NOT NULL, answer TEXT NOT NULL,
        nbytes INTEGER NOT NULL, added REAL NOT NULL, UNIQUE (task, inputs))""",
    """CREATE TABLE documents (
        id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL, source TEXT NOT NULL, digest BLOB NOT NULL UNIQUE,
        nbytes INTEGER NOT NULL, added REAL NOT NULL)""",
    """CREATE TABLE passages (
        id INTEGER PRIMARY KEY AUTOINCREMENT, document INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
        position INTEGER NOT NULL, text TEXT NOT NULL)""",
    "CREATE INDEX passages_of_document ON passages (document, position)",
    """CREATE TABLE conversations (
        name TEXT PRIMARY KEY, system TEXT NOT NULL, summary TEXT NOT NULL, folded INTEGER NOT NULL,
        started REAL NOT NULL)""",
    """CREATE TABLE turns (
        conversation TEXT NOT NULL REFERENCES conversations (name) ON DELETE CASCADE, position INTEGER NOT NULL,
        user TEXT NOT NULL, assistant TEXT NOT NULL, facts TEXT NOT NULL, nbytes INTEGER NOT NULL, added REAL NOT NULL,
        PRIMARY KEY (conversation, position))""",
    """CREATE TABLE facts (
        id INTEGER PRIMARY KEY AUTOINCREMENT, conversation TEXT, text TEXT NOT NULL, nbytes INTEGER NOT NULL,
        added REAL NOT NULL, UNIQUE (conversation, text))""",
    """CREATE TABLE vectors (
        kind TEXT NOT NULL, item INTEGER NOT NULL, embedder TEXT NOT NULL, vector BLOB NOT NULL,
        PRIMARY KEY (kind, item)) WITHOUT ROWID""",
    *(f"CREATE VIRTUAL TABLE {index} USING fts5(terms, tokenize = 'porter ascii')" for index in INDEXES),
)
