"""A job's place in the engine."""

from __future__ import annotations

from collections.abc import Sequence

from edge_autoglm.runtime.engine import Engine, KVSegment


class Seat:
    """One KV slot, in nobody else's use; after a pause it may be another one, with the same content.

    Args:
        engine: Owner of the slot.
        slot: Its number.
    """

    def __init__(self, engine: Engine, slot: int) -> None:
        self.engine = engine
        self.slot = slot
        self.crowded = False
        """Whether other jobs run in the same steps."""

    @property
    def length(self) -> int:
        """Tokens that the slot holds."""
        return self.engine.length(self.slot)

    def truncate(self, length: int) -> None:
        """Forget all but the first tokens."""
        self.engine.truncate(self.slot, length)

    def copy_in(self, segments: Sequence[KVSegment], length: int | None = None) -> None:
        """Replace the content by the KV of segments."""
        self.engine.copy_in(self.slot, segments, length)

    def copy_out(self, begin: int, end: int) -> KVSegment:
        """Copy KV of the slot."""
        return self.engine.copy_out(self.slot, begin, end)
