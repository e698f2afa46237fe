"""A step of one shape over fixed rows: enqueued once, launched as a CUDA graph from then on."""

from __future__ import annotations

from edge_autoglm.runtime.engine import Logits
from edge_autoglm.runtime.engines.cuda.device_memory import DeviceKV
from edge_autoglm.runtime.engines.standard.backend import StepInputs
from edge_autoglm.runtime.engines.standard.sizes import StepShape
from edge_autoglm.runtime.engines.tensorrt.contexts import Contexts
from edge_autoglm.runtime.engines.tensorrt.graphs import Graphs


class TensorRTStep:
    """Implements `BoundStep`.

    Args:
        contexts: Of the plan.
        graphs: Of the plan's stream.
        shape: Of the step.
        kv: Whose rows it reads and writes.
        first_row: Of them.
        inputs: Of the shape, in pinned memory.

    Raises:
        EngineError: The plan was not built for the shape.
        MemoryBudgetExceeded: The device has not enough memory left.
    """

    def __init__(
        self, contexts: Contexts, graphs: Graphs, shape: StepShape, kv: DeviceKV, first_row: int, inputs: StepInputs
    ) -> None:
        self._contexts = contexts
        self._graphs = graphs
        self._kv = kv
        self._first_row = first_row
        self._inputs = inputs
        self._graph: int | None = None
        with contexts.turn:
            self._context = contexts.of(shape)

    @property
    def inputs(self) -> StepInputs:
        """See `BoundStep`."""
        return self._inputs

    def run(self, wanted: int) -> Logits:
        """See `BoundStep`."""
        with self._contexts.turn:
            if self._graph is None:
                self._context.point_at(self._kv, self._first_row)
                self._enqueue()
            else:
                self._graphs.launch(self._graph)
            self._context.enqueue_put(self._kv, self._first_row, self._inputs)
            logits = self._contexts.logits(wanted)
            if self._graph is None:  # the context is as it was in the run
                self._context.note_run()
                self._graph = self._graphs.capture(self._enqueue)
        return logits

    def close(self) -> None:
        """Free the graph. Idempotent."""
        with self._contexts.turn:
            if self._graph is not None:
                self._graphs.destroy(self._graph)
                self._graph = None

    def _enqueue(self) -> None:
        self._context.enqueue(self._inputs)
