"""``Runtime.memory``: what conversations left on the device, to look at and to erase."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from edge_autoglm.errors import RequestError
from edge_autoglm.facade.free_requests import FreeRequests
from edge_autoglm.facade.memory.keeping import Keeper
from edge_autoglm.facade.memory.settings import MemorySettings
from edge_autoglm.facade.stores import Stores
from edge_autoglm.swap.buffer import DoubleBuffer

if TYPE_CHECKING:
    from edge_autoglm.facade.memory.conversation import Conversation
    from edge_autoglm.knowledge.conversations import ConversationState
    from edge_autoglm.knowledge.facts import FactStore


class Memory:
    """Conversations and facts of one runtime. Thread-safe.

    Args:
        stores: Of the runtime.
        free: Answers.
        buffer: Has the model.
    """

    def __init__(self, stores: Stores, free: FreeRequests, buffer: DoubleBuffer) -> None:
        self._stores = stores
        self._free = free
        self._buffer = buffer
        self._keeper = Keeper(stores)
        self._lock = threading.Lock()
        self._live: WeakValueDictionary[str, Conversation] = WeakValueDictionary()

    @property
    def facts(self) -> FactStore:
        """What may be shown in conversations: ``add``, ``search``, ``list``, ``remove``, ``erase``."""
        return self._stores.open().facts

    def conversations(self) -> list[str]:
        """Names of those that are kept, the oldest first."""
        return self._stores.open().conversations.names()

    def conversation(self, name: str) -> ConversationState | None:
        """What is kept of one, to look at; ``None`` where there is nothing."""
        return self._stores.open().conversations.load(name)

    def erase(self, conversation: str | None = None) -> int:
        """Forget a conversation and its own facts, or all conversations and all facts; without a trace on the disk.

        An answer that is being given meanwhile is not written down.

        Returns:
            How many conversations there were.
        """
        return self._keeper.erase(conversation)

    def open(self, name: str, system: str | None, settings: MemorySettings) -> Conversation:
        """The conversation of that name; the same object for as long as anyone holds it.

        Raises:
            RequestError: It is held with another system prompt or other settings.
        """
        from edge_autoglm.facade.memory.conversation import Conversation

        with self._lock:
            held = self._live.get(name)
            if held is None:
                held = Conversation(name, system, settings, self._stores, self._free, self._buffer, self._keeper)
                self._live[name] = held
            elif not held.is_set_up_like(system, settings):
                cause = f"the conversation {name} is in use with another system prompt or other settings"
                raise RequestError(cause, "Use the object that you have, or let it go first.")
            return held
