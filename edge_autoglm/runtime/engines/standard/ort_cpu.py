"""The standard graph on ONNX Runtime's CPU provider: NumPy arrays, bound in place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from edge_autoglm.runtime.engine import KVArray, Logits
from edge_autoglm.runtime.engines.kv_memory import empty_kv
from edge_autoglm.runtime.engines.standard.backend import GraphFacts, StepInputs
from edge_autoglm.runtime.engines.standard.ort_session import CPU, open_session
from edge_autoglm.runtime.engines.standard.sizes import StepShape
from edge_autoglm.runtime.engines.standard.steps import by_name, cache_names, empty_inputs

_TOKENS = 3
"""Axis of a KV state."""


class CpuPlace:
    """Implements `Place`; arguments and errors are those of ``OrtBackend.load``."""

    def __init__(self, graph: Path, threads: int) -> None:
        self.session: Any = open_session(graph, threads, [(CPU, {})])

    def kv(self, facts: GraphFacts, slots: int, wanted: int) -> CpuKV:
        """See `Place`."""
        return CpuKV(self.session, facts, slots, wanted)

    def close(self) -> None:
        """See `Place`."""
        self.session = None


class CpuKV:
    """Implements `StandardKV`.

    Args:
        session: Runs the graph.
        facts: Of the graph.
        slots: Rows.
        wanted: Most logits that a step gives.
    """

    def __init__(self, session: ort.InferenceSession, facts: GraphFacts, slots: int, wanted: int) -> None:
        self._session = session
        self._facts = facts
        self._kv = empty_kv(facts.kv_shape(slots, facts.columns), facts.kv_dtype)
        # One step runs at a time: those of one shape share their inputs and what is new, all of them the logits.
        self._inputs: dict[StepShape, StepInputs] = {}
        self._new: dict[StepShape, npt.NDArray[Any]] = {}
        self._logits = np.zeros((wanted, facts.vocab_size), dtype=np.float32)

    def bind(self, first_row: int, shape: StepShape) -> CpuStep:
        """See `StandardKV`."""
        if shape not in self._inputs:
            facts = self._facts
            self._inputs[shape] = empty_inputs(shape)
            if not facts.in_place:
                self._new[shape] = empty_kv(facts.kv_shape(shape.rows, shape.tokens), facts.kv_dtype)
        rows = self._kv[:, first_row : first_row + shape.rows]
        return CpuStep(self._session, self._inputs[shape], rows, self._new.get(shape), self._logits[: shape.wanted])

    def copy_out(self, slot: int, begin: int, end: int) -> tuple[KVArray, ...]:
        """See `StandardKV`."""
        copy = self._kv[:, slot, :, begin:end].copy()
        copy.flags.writeable = False
        return (copy,)

    def copy_in(self, slot: int, begin: int, arrays: Sequence[KVArray], length: int) -> None:
        """See `StandardKV`."""
        [kv] = arrays
        self._kv[:, slot, :, begin : begin + length] = np.asarray(kv)[:, :, :length]

    def close(self) -> None:
        """See `StandardKV`."""
        self._kv = empty_kv((0, 0, 0, 0, 0), self._facts.kv_dtype)
        self._inputs.clear()
        self._new.clear()


class CpuStep:
    """Implements `BoundStep`.

    Args:
        session: Runs the graph.
        inputs: Of the step.
        kv: Of its rows, ``[2 * layers, rows, kv_heads, columns, head_dim]``.
        new: Where what is new goes, ``[2 * layers, rows, kv_heads, S, head_dim]``; ``None`` where past and present are
            one memory, and TensorScatter, which finds that out, writes in place.
        logits: Where they go, ``[N, vocab]``.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        inputs: StepInputs,
        kv: npt.NDArray[Any],
        new: npt.NDArray[Any] | None,
        logits: Logits,
    ) -> None:
        self._session = session
        self._binding = session.io_binding()
        self._inputs, self._kv, self._new, self._logits = inputs, kv, new, logits  # the binding keeps addresses only
        given = kv if new is None else new
        for (past, present), old, view in zip(cache_names(len(kv) // 2, new is None), kv, given, strict=True):
            self._binding.bind_input(past, *_place(old))
            self._binding.bind_output(present, *_place(view))
        for name, array in by_name(inputs, new is None).items():
            self._binding.bind_input(name, *_place(array))
        self._binding.bind_output("logits", *_place(logits))

    @property
    def inputs(self) -> StepInputs:
        """See `BoundStep`."""
        return self._inputs

    def run(self, wanted: int) -> Logits:
        """See `BoundStep`."""
        self._session.run_with_iobinding(self._binding)
        if self._new is not None:
            tokens = self._new.shape[_TOKENS]
            for row, column in enumerate(self._inputs.write_indices):
                self._kv[:, row, :, column : column + tokens] = self._new[:, row]
        return self._logits[:wanted].copy()


def _place(array: npt.NDArray[Any]) -> tuple[str, int, type, tuple[int, ...], int]:
    return "cpu", 0, array.dtype.type, array.shape, array.ctypes.data
