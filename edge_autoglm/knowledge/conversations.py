"""Conversations: their turns, and the running summary of those that a prompt no longer holds."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from edge_autoglm.knowledge.database import Database
from edge_autoglm.knowledge.texts import check_budget, check_text

DEFAULT_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Turn:
    """What was asked and answered.

    Attributes:
        user: The user's text.
        assistant: The answer.
        facts: Numbers of the facts that were shown with the user's text.
        added: When, in seconds since 1970.
    """

    user: str
    assistant: str
    facts: tuple[int, ...] = ()
    added: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True)
class ConversationState:
    """All that is held of a conversation.

    Attributes:
        name: Unique.
        system: The system prompt; empty for none.
        summary: Of the turns that were folded; empty for none.
        folded: How many of the turns, from the oldest, the summary stands for.
        turns: In order; the oldest folded ones may have made room.
        first: Place of ``turns[0]`` in the conversation, from 0.
    """

    name: str
    system: str = ""
    summary: str = ""
    folded: int = 0
    turns: tuple[Turn, ...] = ()
    first: int = 0

    @property
    def live(self) -> tuple[Turn, ...]:
        """The turns that are in the prompt as they were said."""
        return self.turns[max(0, self.folded - self.first) :]


class ConversationStore:
    """Conversations by name, on the device only. Thread-safe.

    Beyond its budget folded turns make room, the oldest of all conversations first: a prompt never loses any for it.

    Args:
        database: Where they are kept.
        budget_bytes: Of all turns together, as UTF-8.

    Raises:
        RequestError: The budget is below 1.
    """

    def __init__(self, database: Database, budget_bytes: int = DEFAULT_BYTES) -> None:
        self._database = database
        self._budget = check_budget("conversations", budget_bytes)

    def load(self, name: str) -> ConversationState | None:
        """All that is held of a conversation; ``None`` where there is nothing."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT system, summary, folded FROM conversations WHERE name = ?", (name,)
            ).fetchone()
            if row is None:
                return None
            system, summary, folded = row
            turns = connection.execute(
                "SELECT position, user, assistant, facts, added FROM turns WHERE conversation = ? ORDER BY position",
                (name,),
            ).fetchall()
        said = tuple(Turn(user, answer, tuple(json.loads(facts)), added) for _, user, answer, facts, added in turns)
        return ConversationState(name, system, summary, folded, said, turns[0][0] if turns else folded)

    def names(self) -> list[str]:
        """Of all conversations, the oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT name FROM conversations ORDER BY started, name").fetchall()
        return [name for (name,) in rows]

    def save(self, state: ConversationState, new: Sequence[Turn] = ()) -> ConversationState:
        """Write system prompt, summary and what was folded, and append turns; all of it or nothing.

        Returns:
            The state with those turns.

        Raises:
            InputRejected: A text is unusable.
            StateError: It cannot be written.
        """
        check_text("the name of a conversation", state.name)
        for text in (state.system, state.summary, *(part for turn in new for part in (turn.user, turn.assistant))):
            if text.strip():
                check_text("a text of a conversation", text)
        with self._database.writing() as connection:
            connection.execute(
                "INSERT INTO conversations (name, system, summary, folded, started) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET system = excluded.system, summary = excluded.summary, "
                "folded = excluded.folded",
                (state.name, state.system, state.summary, state.folded, time.time()),
            )
            for position, turn in enumerate(new, start=state.first + len(state.turns)):
                self._append(connection, state.name, position, turn)
            self._make_room(connection)
        loaded = self.load(state.name)
        return state if loaded is None else loaded

    def erase(self, name: str | None = None) -> int:
        """Remove a conversation, or all, without a trace on the disk; how many there were."""
        with self._database.writing() as connection:
            condition = "TRUE OR ? IS NULL" if name is None else "name = ?"
            removed = connection.execute(f"DELETE FROM conversations WHERE {condition}", (name,)).rowcount
        if removed:
            self._database.purge()
        return int(removed)

    def _append(self, connection: sqlite3.Connection, name: str, position: int, turn: Turn) -> None:
        nbytes = len(turn.user.encode()) + len(turn.assistant.encode())
        connection.execute(
            "INSERT INTO turns (conversation, position, user, assistant, facts, nbytes, added) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (name, position, turn.user, turn.assistant, json.dumps(turn.facts), nbytes, turn.added),
        )

    def _make_room(self, connection: sqlite3.Connection) -> None:
        [held] = connection.execute("SELECT coalesce(sum(nbytes), 0) FROM turns").fetchone()
        if held <= self._budget:
            return
        spare = connection.execute(
            "SELECT t.rowid, t.nbytes FROM turns AS t JOIN conversations AS c ON c.name = t.conversation "
            "WHERE t.position < c.folded ORDER BY t.added, t.position"
        ).fetchall()
        for row, nbytes in spare:
            if held <= self._budget:
                break
            connection.execute("DELETE FROM turns WHERE rowid = ?", (row,))
            self._database.erased()
            held -= nbytes
