"""What engines over KV in slots have in common whatever their KV lies in: lengths, facts, and who may run when."""

from __future__ import annotations

import threading

from edge_autoglm.runtime.engine import EngineFacts
from edge_autoglm.runtime.engines.fair_lock import FairLock
from edge_autoglm.runtime.engines.slot_checks import check_held, check_open, check_slot


class SlotLengths:
    """How many tokens each slot holds; the part of an `Engine` that follows from that alone.

    Args:
        facts: Of the engine.
        turns: Held while a step runs; shared with all that must not run at the same time.
    """

    def __init__(self, facts: EngineFacts, turns: FairLock) -> None:
        self._facts = facts
        self._turns = turns
        self._lengths = [0] * facts.slots
        self._closed = False
        self._state = threading.Lock()  # of lengths and rows; taken inside the turn, never around it

    @property
    def facts(self) -> EngineFacts:
        """See `Engine`."""
        return self._facts

    @property
    def contended(self) -> bool:
        """See `Engine`."""
        return self._turns.shared(self)

    def length(self, slot: int) -> int:
        """See `Engine`."""
        check_open(self._closed)
        check_slot(slot, self._facts)
        return self._lengths[slot]

    def truncate(self, slot: int, length: int) -> None:
        """See `Engine`."""
        with self._state:
            check_open(self._closed)
            check_held(slot, length, self._lengths, self._facts)
            self._lengths[slot] = length
