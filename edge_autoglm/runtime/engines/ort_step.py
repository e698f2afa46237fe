"""One step of the graph over bound rows: the inputs that stay are bound once, the lengths are changed in place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge_autoglm.runtime.engine import Chunk, Logits
from edge_autoglm.runtime.engines.ort_model import OrtModel

Array = npt.NDArray[np.generic]


class _Step:
    """A binding over ``kv`` ``[2 * layers, rows, kv_heads, capacity, head_dim]``, a view of the engine's state."""

    def __init__(self, model: OrtModel, kv: Array) -> None:
        self._model = model
        self._binding = model.session.io_binding()
        self._held: dict[str, Array] = {}
        for index, view in enumerate(kv):
            kind, layer = ("key", index) if index < model.layers else ("value", index - model.layers)
            self._bind_input(f"past_{kind}.{layer}", view)
            self._bind_output(f"present_{kind}.{layer}", view)
        self._last = np.zeros(kv.shape[1], dtype=np.int32)
        self._longest = np.zeros((), dtype=np.int32)
        self._bind_input("seqlens_k", self._last)
        self._bind_input("total_sequence_length", self._longest)

    def _bind_input(self, name: str, array: Array) -> None:
        # The binding keeps an address only: the array must live as long.
        self._held[name] = array
        self._binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)

    def _bind_output(self, name: str, array: Array) -> None:
        self._held[name] = array
        self._binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)

    def _run(self, totals: Sequence[int]) -> None:
        self._last[:] = totals
        self._last -= 1
        self._longest[...] = max(totals)
        self._model.session.run_with_iobinding(self._binding)


def empty_logits(model: OrtModel, rows: int) -> Logits:
    """Room for the logits of a decode step: ``[rows, vocab]``."""
    return np.zeros((rows, model.vocab_size), dtype=np.float32)


class DecodeStep(_Step):
    """One token for each of a fixed range of rows; nothing is bound or allocated again from step to step.

    Args:
        model: Runs it.
        kv: Of the rows.
        logits: Where the logits go, from ``empty_logits``. Other ranges may write there too, between two steps: with
            one for each range, an engine of 8 slots would come to hold 24 MB at a vocabulary of 49,152.
    """

    def __init__(self, model: OrtModel, kv: Array, logits: Logits) -> None:
        super().__init__(model, kv)
        rows = kv.shape[1]
        self._ids = np.zeros((rows, 1), dtype=np.int64)
        self._logits = logits
        self._bind_input("input_ids", self._ids)
        self._bind_input("logits_at", np.arange(rows, dtype=np.int64))
        self._bind_output("logits", self._logits)

    def run(self, tokens: Sequence[int], lengths: Sequence[int]) -> list[Logits]:
        """Append one token a row to rows of the given lengths; logits ``[1, vocab]`` a row."""
        self._ids[:, 0] = tokens
        self._run([length + 1 for length in lengths])
        return list(self._logits[:, None].copy())


class PrefillStep(_Step):
    """Several tokens for one row."""

    def run(self, chunk: Chunk, length: int) -> Logits:
        """Append a chunk to the row of the given length; logits at the chunk's chosen positions."""
        positions = np.asarray(chunk.positions(), dtype=np.int64)
        logits = np.empty((len(positions), self._model.vocab_size), dtype=np.float32)
        self._bind_input("input_ids", np.asarray([chunk.tokens], dtype=np.int64))
        self._bind_input("logits_at", positions)
        self._bind_output("logits", logits)
        self._run([length + len(chunk.tokens)])
        del self._held["logits"]  # bound anew at the next run
        return logits
