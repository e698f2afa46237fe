"""The one interface behind which every engine stands (ONNX Runtime, scripted, later TensorRT).

An engine owns the KV state of a fixed number of *slots*. A slot holds the KV of one token sequence of up to
``capacity`` tokens. ``forward`` appends tokens to slots and returns logits at chosen positions only. The contract,
which ``tests/contract`` checks against every engine, bit for bit:

- chunked prefill equals whole prefill, for chunks of two tokens or more; a restored prefix equals a fresh one;
- a chunk of one token is a *decode step*: kernels sum in another order there, so that it may differ by rounding from
  the same token inside a longer chunk (ONNX Runtime's GroupQueryAttention does); prompts are therefore never split so
  that a single token is left;
- a slot's result never depends on what other slots hold or on which chunks share a ``forward`` call;
- ``truncate`` then replaying the same tokens gives the same logits;
- a chunk that does not fit raises ``SlotFull`` and changes nothing, in any slot of the call.

Engines are thread-safe: calls on different slots may come from different threads, calls on one slot must not overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What callers may rely on; constant over an engine's life."""

    vocab_size: int
    slots: int
    capacity: int
    """Tokens that one slot can hold."""
    kv_bytes_per_token: int
    fingerprint: str
    """Identifies weights, graph and KV layout: prefixes are portable between engines of equal fingerprint only."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens to append to one slot in a ``forward`` call.

    Attributes:
        slot: Row of the KV state.
        tokens: At least one token id.
        logits_at: Offsets into ``tokens`` at which logits are wanted, ascending; the last one by default; may be empty.
    """

    slot: int
    tokens: Sequence[int]
    logits_at: Sequence[int] | None = None

    def positions(self) -> Sequence[int]:
        """Offsets into ``tokens`` at which logits are wanted."""
        return (len(self.tokens) - 1,) if self.logits_at is None else self.logits_at


@dataclass(frozen=True, slots=True)
class KVPrefix:
    """KV of the first ``length`` tokens of a slot, copied out; immutable, shareable between threads and generations."""

    fingerprint: str
    length: int
    arrays: tuple[npt.NDArray[np.generic], ...] = field(repr=False)
    """Opaque to everyone but the engine that made it."""

    @property
    def nbytes(self) -> int:
        """Host memory held."""
        return sum(array.nbytes for array in self.arrays)


class Engine(Protocol):
    """See the module docstring for the contract."""

    @property
    def facts(self) -> EngineFacts:
        """Constant facts."""
        ...

    def forward(self, chunks: Sequence[Chunk]) -> list[Logits]:
        """Append each chunk to its slot; one float32 array ``[len(logits_at), vocab_size]`` a chunk, in call order.

        Raises:
            SlotFull: A chunk does not fit its slot. No slot was changed.
            EngineError: Unknown slot, a slot named twice, no tokens, or a token id outside the vocabulary.
        """
        ...

    def length(self, slot: int) -> int:
        """Tokens that the slot holds."""
        ...

    def truncate(self, slot: int, length: int) -> None:
        """Forget all but the first ``length`` tokens; 0 empties the slot.

        Raises:
            EngineError: ``length`` is negative or beyond what the slot holds.
        """
        ...

    def copy_out(self, slot: int, length: int) -> KVPrefix:
        """Copy the KV of the first ``length`` tokens of the slot."""
        ...

    def copy_in(self, slot: int, prefix: KVPrefix, length: int | None = None) -> None:
        """Replace the slot's content by the first ``length`` (default: all) tokens of a prefix.

        Raises:
            EngineError: The prefix is of another fingerprint.
            SlotFull: The prefix does not fit.
        """
        ...

    def fork(self, slots: int) -> Engine:
        """An engine over the same weights (shared, not copied) with empty slots of its own."""
        ...

    def close(self) -> None:
        """Free the KV state; the weights go when the last fork is closed. Idempotent."""
        ...
