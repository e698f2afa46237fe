"""The one interface behind which every engine stands (ONNX Runtime, scripted, later TensorRT).

An engine owns the KV state of a fixed number of *slots*. A slot holds the KV of one token sequence of up to
``capacity`` tokens. ``forward`` appends tokens to slots and returns logits at chosen positions only. The contract,
which ``tests/contract`` checks against every engine, bit for bit:

- chunked prefill equals whole prefill, for chunks of two tokens or more; restored segments equal fresh KV;
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
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import EngineError

Logits = npt.NDArray[np.float32]


class DeviceArray(Protocol):
    """KV that lies in the memory of a device. Not writeable; ``np.asarray`` fetches it."""

    @property
    def nbytes(self) -> int:
        """Memory held on the device."""
        ...

    def part(self, axis: int, begin: int, end: int) -> DeviceArray:
        """A copy of ``begin`` to ``end`` along an axis, on the device."""
        ...

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """A copy on the host."""
        ...


KVArray: TypeAlias = npt.NDArray[np.generic] | DeviceArray


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What callers may rely on; constant over an engine's life."""

    vocab_size: int
    slots: int
    capacity: int
    """Tokens that one slot can hold."""
    kv_bytes_per_token: int
    fingerprint: str
    """Identifies weights, graph and KV layout: segments are portable between engines of equal fingerprint only."""
    exact_decode: bool = False
    """Whether a decode step gives a token the same bits as a longer chunk does. Only then are drafts verified in one
    chunk, and the KV of an answer reused."""
    page: int = 1
    """Tokens, from a multiple of it on, that a prefill step computes together whatever part of them is new. Chunks that
    end at a multiple compute nothing twice."""


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


@dataclass(frozen=True, slots=True, eq=False)
class KVSegment:
    """KV of tokens ``begin`` to ``end`` of a sequence, copied out of a slot.

    Immutable, shareable between threads and generations. A token's KV depends on all tokens before it: a segment is of
    use only behind those that it was computed behind.

    Attributes:
        fingerprint: Of the engine that made it.
        begin: Position of its first token in the sequence.
        length: Tokens it covers.
        arrays: What it holds, not writeable; opaque to everyone but the engine that made it.
        token_axes: Which axis of each array counts the tokens.
    """

    fingerprint: str
    begin: int
    length: int
    arrays: tuple[KVArray, ...] = field(repr=False)
    token_axes: tuple[int, ...]

    @property
    def end(self) -> int:
        """Position behind its last token."""
        return self.begin + self.length

    @property
    def nbytes(self) -> int:
        """Memory held, on the host or the device."""
        return sum(array.nbytes for array in self.arrays)

    def part(self, begin: int, end: int) -> KVSegment:
        """The KV of tokens ``begin`` to ``end`` of the sequence, as a copy: it keeps no memory of the whole alive.

        Raises:
            EngineError: The segment does not cover them.
        """
        if not self.begin <= begin <= end <= self.end:
            raise EngineError(
                f"tokens {begin} to {end} are outside a KV segment of tokens {self.begin} to {self.end}",
                "Cut it inside its borders.",
            )
        if (begin, end) == (self.begin, self.end):
            return self
        arrays = tuple(
            _frozen_slice(array, axis, begin - self.begin, end - self.begin)
            for array, axis in zip(self.arrays, self.token_axes, strict=True)
        )
        return KVSegment(self.fingerprint, begin, end - begin, arrays, self.token_axes)


def _frozen_slice(array: KVArray, axis: int, begin: int, end: int) -> KVArray:
    if not isinstance(array, np.ndarray):
        return array.part(axis, begin, end)
    copy = array[(slice(None),) * axis + (slice(begin, end),)].copy()
    copy.flags.writeable = False
    return copy


class Engine(Protocol):
    """See the module docstring for the contract."""

    @property
    def facts(self) -> EngineFacts:
        """Constant facts."""
        ...

    @property
    def contended(self) -> bool:
        """Whether another engine on the same cores is at work, so that its requests wait for the steps of this one."""
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

    def copy_out(self, slot: int, begin: int, end: int) -> KVSegment:
        """Copy the KV of tokens ``begin`` to ``end`` of the slot.

        Raises:
            EngineError: The slot does not hold them.
        """
        ...

    def copy_in(self, slot: int, segments: Sequence[KVSegment], length: int | None = None) -> None:
        """Replace the slot's content by the first ``length`` (default: all) tokens of some segments.

        Args:
            slot: Row of the KV state.
            segments: The first begins at token 0, every other where the one before it ends.
            length: Tokens to take, at most what the segments cover.

        Raises:
            EngineError: A segment is of another fingerprint, or does not follow the one before it.
            SlotFull: The tokens do not fit.
        """
        ...

    def fork(self, slots: int) -> Engine:
        """An engine over the same weights (shared, not copied) with empty slots of its own."""
        ...

    def close(self) -> None:
        """Free the KV state; the weights go when the last fork is closed. Idempotent."""
        ...
