"""Writing turns down, and erasing them: what is erased while an answer is being given does not come back with it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge_autoglm.facade.stores import Stores

if TYPE_CHECKING:
    from edge_autoglm.knowledge.conversations import ConversationState, Turn

Mark = tuple[int, int]


class Keeper:
    """Thread-safe.

    Args:
        stores: Of the runtime.
    """

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._lock = threading.Lock()
        self._erasures: Counter[str | None] = Counter()

    def mark(self, name: str) -> Mark:
        """A point in time of a conversation, for ``keep``."""
        with self._lock:
            return self._erasures[None], self._erasures[name]

    def keep(self, since: Mark, state: ConversationState, turns: Sequence[Turn] = ()) -> None:
        """Write a conversation down, unless it was erased since.

        Raises:
            StateError: It cannot be written.
        """
        with self._lock:
            if since == (self._erasures[None], self._erasures[state.name]):
                self._stores.open().conversations.save(state, turns)

    def erase(self, name: str | None) -> int:
        """Erase a conversation and its own facts, or all of both; how many conversations there were.

        Raises:
            StateError: The file cannot be written.
        """
        with self._lock:
            self._erasures[name] += 1
            opened = self._stores.open()
            opened.facts.erase(name)
            return opened.conversations.erase(name)
