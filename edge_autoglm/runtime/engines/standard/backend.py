"""What the engine over the standard graph needs of whatever runs it.

Two pieces: the KV state of some slots, in memory of the device; and a step of one fixed shape over some of its rows,
whose inputs are written in place before each run. ``docs/tensorrt.md`` has the graph's inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edge_autoglm.runtime.engine import KVArray, Logits
from edge_autoglm.runtime.engines.standard.sizes import StepShape, StepSizes


@dataclass(frozen=True, slots=True)
class GraphFacts:
    """Read from the graph or the plan itself.

    Attributes:
        layers, kv_heads, head_dim: Of the KV cache.
        columns: C, of a slot.
        kv_dtype: float16; float32 for a graph in fp32.
        vocab_size: Columns of the logits.
        in_place: Whether the graph updates its cache. The decomposed one gives the new keys and values of a step
            instead, which are put into the cache after it.
    """

    layers: int
    kv_heads: int
    head_dim: int
    columns: int
    kv_dtype: np.dtype[Any]
    vocab_size: int
    in_place: bool

    def kv_shape(self, slots: int, columns: int) -> tuple[int, int, int, int, int]:
        """Of keys and values of some slots, keys before values."""
        return 2 * self.layers, slots, self.kv_heads, columns, self.head_dim


@dataclass(frozen=True, slots=True, eq=False)
class StepInputs:
    """Host arrays that a step reads when it runs; to be written in place.

    Attributes:
        input_ids: int64 ``[B, S]``.
        position_ids: int64 ``[B, S]``.
        write_indices: int64 ``[B]``; the column where a row's first token goes.
        attn_mask: bool ``[B, 1, S, T]``.
        logits_at: int64 ``[N]``.
    """

    input_ids: npt.NDArray[np.int64]
    position_ids: npt.NDArray[np.int64]
    write_indices: npt.NDArray[np.int64]
    attn_mask: npt.NDArray[np.bool_]
    logits_at: npt.NDArray[np.int64]


class BoundStep(Protocol):
    """A step of one shape over fixed rows."""

    @property
    def inputs(self) -> StepInputs:
        """At the same addresses for the step's life."""
        ...

    def run(self, wanted: int) -> Logits:
        """Append the tokens to the rows; the first ``wanted`` rows of logits, ``[wanted, vocab]``, as a copy."""
        ...


class StandardKV(Protocol):
    """Keys and values of some slots: ``[2 * layers, slots, kv_heads, columns, head_dim]``, keys before values.

    Not thread-safe: its engine lets one thread in at a time.
    """

    def bind(self, first_row: int, shape: StepShape) -> BoundStep:
        """A step over rows ``first_row`` to ``first_row + shape.rows``; bind each once, and keep it."""
        ...

    def copy_out(self, slot: int, begin: int, end: int) -> tuple[KVArray, ...]:
        """Columns ``begin`` to ``end`` of a slot, ``[2 * layers, kv_heads, end - begin, head_dim]``, on the device."""
        ...

    def copy_in(self, slot: int, begin: int, arrays: Sequence[KVArray], length: int) -> None:
        """Put the first ``length`` tokens of what ``copy_out`` gave at column ``begin``; NumPy arrays will do too."""
        ...

    def close(self) -> None:
        """Free the memory and the steps. Idempotent."""
        ...


class Backend(Protocol):
    """A loaded graph or plan; its weights are shared by all KV states made from it."""

    @property
    def facts(self) -> GraphFacts:
        """Constant facts."""
        ...

    @property
    def sizes(self) -> StepSizes:
        """What it can run; a plan is built for fixed ones."""
        ...

    def kv(self, slots: int) -> StandardKV:
        """KV state of so many slots, zeros throughout.

        Raises:
            MemoryBudgetExceeded: The device has not that much memory left.
        """
        ...

    def close(self) -> None:
        """Free the weights, once the last KV state is closed. Idempotent."""
        ...
